// The safetensors container.  Strict: tensors cover the data exactly, in any order.
// Source: README.md of the safetensors project, "Format".
#include "formats/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/json_cursor.h"
#include "formats/limits.h"
#include "formats/streamed.h"

namespace hearth {
namespace {

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, std::move(what)); }

struct StoredType {
  std::string_view name;
  Dtype dtype;
};
constexpr StoredType stored_types[] = {
    {"F32", Dtype::f32},         {"F16", Dtype::f16},         {"BF16", Dtype::bf16},
    {"F64", Dtype::f64},         {"I8", Dtype::i8},           {"I16", Dtype::i16},
    {"I32", Dtype::i32},         {"I64", Dtype::i64},         {"U8", Dtype::u8},
    {"U16", Dtype::u16},         {"U32", Dtype::u32},         {"U64", Dtype::u64},
    {"BOOL", Dtype::boolean},    {"F8_E4M3", Dtype::f8_e4m3}, {"F8_E5M2", Dtype::f8_e5m2},
    {"F8_E8M0", Dtype::f8_e8m0},
};

Result<Dtype> read_dtype(JsonCursor& in) {
  const std::string name = TRY(in.string(limits::safetensors_name_bytes));
  for (const StoredType& row : stored_types)
    if (row.name == name) return row.dtype;
  return Error(ErrorKind::unsupported,
               fmt::format("offset {}: dtype '{}'", in.offset(), printable(name)));
}

Result<std::vector<std::uint64_t>> read_numbers(JsonCursor& in, std::uint64_t most) {
  std::vector<std::uint64_t> numbers;
  TRY(in.expect('['));
  if (in.accept(']')) return numbers;
  do {
    if (numbers.size() == most)
      return corrupt(fmt::format("offset {}: over {} numbers", in.offset(), most));
    numbers.push_back(TRY(in.natural()));
  } while (in.accept(','));
  TRY(in.expect(']'));
  return numbers;
}

// begin and end of a tensor's bytes, counted from the end of the header.
struct Extent {
  std::uint64_t begin = 0, end = 0;
};

struct Fields {
  std::optional<Dtype> dtype;
  std::optional<std::vector<std::uint64_t>> shape, offsets;
};

Status read_field(JsonCursor& in, Fields& fields) {
  const std::size_t start = in.offset();
  const std::string field = TRY(in.string(limits::safetensors_name_bytes));
  TRY(in.expect(':'));
  const auto twice = [&] { return corrupt(fmt::format("offset {}: {} twice", start, field)); };
  if (field == "dtype") {
    if (fields.dtype) return twice();
    fields.dtype = TRY(read_dtype(in));
  } else if (field == "shape") {
    if (fields.shape) return twice();
    fields.shape = TRY(read_numbers(in, limits::safetensors_rank));
  } else if (field == "data_offsets") {
    if (fields.offsets) return twice();
    fields.offsets = TRY(read_numbers(in, 2));
  } else {
    return Error(ErrorKind::unsupported,
                 fmt::format("offset {}: field '{}'", start, printable(field)));
  }
  return Done{};
}

// {"dtype": ..., "shape": [...], "data_offsets": [begin, end]}
Result<Extent> read_entry(JsonCursor& in, TensorEntry& entry) {
  Fields fields;
  TRY(in.expect('{'));
  if (!in.accept('}')) {
    do TRY(read_field(in, fields));
    while (in.accept(','));
    TRY(in.expect('}'));
  }
  if (!fields.dtype || !fields.shape || !fields.offsets || fields.offsets->size() != 2)
    return corrupt("needs dtype, shape and two data_offsets");
  entry.dtype = *fields.dtype;
  entry.shape = std::move(*fields.shape);
  std::uint64_t elements = 1;
  for (const std::uint64_t extent : entry.shape) elements = TRY(checked_mul(elements, extent));
  const std::uint64_t bytes = TRY(byte_size(entry.dtype, elements));
  const std::uint64_t begin = (*fields.offsets)[0], end = (*fields.offsets)[1];
  if (end < begin || end - begin != bytes)
    return corrupt(fmt::format("data_offsets [{}, {}]: needs {} bytes", begin, end, bytes));
  return Extent{begin, end};
}

Status check_name(const std::string& name) {
  if (!name.empty() && printable(name, name.size()) == name &&
      name.find('/') == std::string::npos && name.find("..") == std::string::npos)
    return Done{};
  return corrupt(fmt::format(
      "tensor name '{}': needs text without '/', '..' and control characters", printable(name)));
}

Status skip_metadata(JsonCursor& in) {
  TRY(in.expect('{'));
  if (in.accept('}')) return Done{};
  std::set<std::string> keys;
  do {
    const std::string key = TRY(in.string(limits::safetensors_name_bytes));
    if (!keys.insert(key).second) return corrupt(fmt::format("key '{}': twice", printable(key)));
    if (keys.size() > limits::safetensors_tensors)
      return corrupt(fmt::format("over {} keys", limits::safetensors_tensors));
    TRY(in.expect(':'));
    TRY(in.string(limits::safetensors_metadata_bytes));
  } while (in.accept(','));
  return in.expect('}');
}

class HeaderReader {
 public:
  explicit HeaderReader(std::string_view header) : in_(header, sizeof(std::uint64_t)) {}

  Status read() {
    TRY(in_.expect('{'));
    if (!in_.accept('}')) {
      do TRY(read_member());
      while (in_.accept(','));
      TRY(in_.expect('}'));
    }
    return in_.expect_end();
  }

  // Tensors cover `data` from its first byte to its last.
  Result<std::vector<TensorEntry>> place(std::span<const std::byte> data) {
    std::vector<std::size_t> order(entries_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      const Extent &x = extents_[a], &y = extents_[b];
      return x.begin != y.begin ? x.begin < y.begin : x.end < y.end;
    });
    std::uint64_t end = 0;
    for (const std::size_t i : order) {
      const Extent& extent = extents_[i];
      if (extent.begin != end || extent.end > data.size())
        return corrupt(
            fmt::format("tensor '{}': data_offsets [{}, {}]: the data before it ends at "
                        "{}, all data at {}",
                        printable(entries_[i].name), extent.begin, extent.end, end, data.size()));
      entries_[i].data = data.subspan(extent.begin, extent.end - extent.begin);
      end = extent.end;
    }
    if (end != data.size())
      return corrupt(
          fmt::format("{} bytes after the last tensor belong to none", data.size() - end));
    return std::move(entries_);
  }

 private:
  Status read_member() {
    TensorEntry entry;
    const std::size_t start = in_.offset();
    entry.name = TRY(in_.string(limits::safetensors_name_bytes));
    TRY(in_.expect(':'));
    if (!names_.insert(entry.name).second)
      return corrupt(fmt::format("offset {}: '{}': twice", start, printable(entry.name)));
    if (entry.name == "__metadata__") {
      Status skipped = skip_metadata(in_);
      return skipped.ok() ? skipped : std::move(skipped).error().within("__metadata__");
    }
    TRY(check_name(entry.name));
    if (entries_.size() == limits::safetensors_tensors)
      return corrupt(fmt::format("over {} tensors", limits::safetensors_tensors));
    auto extent = read_entry(in_, entry);
    if (!extent)
      return std::move(extent).error().within(fmt::format("tensor '{}'", printable(entry.name)));
    extents_.push_back(*extent);
    entries_.push_back(std::move(entry));
    return Done{};
  }

  JsonCursor in_;
  std::set<std::string> names_;
  std::vector<TensorEntry> entries_;
  std::vector<Extent> extents_;  // of entries_
};

Result<std::int64_t> read_total(const Json& index) {
  const Json* metadata = index.find("metadata");
  const Json* total = metadata ? metadata->find("total_size") : nullptr;
  if (!total) return -1;
  // Some writers made it a float.
  if (!total->is_number() || total->as_number() < 0 || total->as_number() > 1e18)
    return corrupt("metadata.total_size: needs a number of bytes");
  return static_cast<std::int64_t>(total->as_number());
}

}  // namespace

Result<std::vector<TensorEntry>> read_safetensors(std::span<const std::byte> file) {
  ByteReader in(file);
  const auto header_bytes = TRY(in.value<std::uint64_t>());
  if (header_bytes > limits::safetensors_header_bytes)
    return corrupt(fmt::format("offset 0: header of {} bytes, at most {}", header_bytes,
                               limits::safetensors_header_bytes));
  const std::string_view text = text_of(TRY(in.take(header_bytes)));
  if (text.starts_with(' ') || text.starts_with('\t') || text.starts_with('\n'))
    return corrupt("offset 8: white space, needs '{'");  // the format's own rule
  HeaderReader header(text);
  TRY(header.read());
  return header.place(file.subspan(in.position()));
}

namespace {

const StoredType* stored_type(Dtype dtype) {
  const auto row = std::ranges::find(stored_types, dtype, &StoredType::dtype);
  return row == std::end(stored_types) ? nullptr : row;
}

Error invalid(std::string_view name, std::string_view what) {
  return Error(ErrorKind::invalid, fmt::format("tensor '{}': {}", printable(name), what));
}

// The length and the text, up to where the data begins.
Result<std::string> header_of(std::span<const StreamedTensor> tensors, std::string_view note) {
  std::string header = "{";
  if (!note.empty()) {
    header += R"("__metadata__":{"format":)";
    append_json_string(header, note);
    header += '}';
  }
  std::set<std::string_view> names;
  std::uint64_t end = 0;
  for (const StreamedTensor& tensor : tensors) {
    const StoredType* type = stored_type(tensor.dtype);
    if (type == nullptr) return invalid(tensor.name, "a type safetensors lacks");
    if (!names.insert(tensor.name).second) return invalid(tensor.name, "twice");
    const std::uint64_t begin = end;
    end += TRY(bytes_of_streamed(tensor));
    if (header.size() > 1) header += ',';
    append_json_string(header, tensor.name);
    header += fmt::format(R"(:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", type->name,
                          fmt::join(tensor.shape, ","), begin, end);
  }
  header += '}';
  header.append((8 - header.size() % 8) % 8, ' ');  // so that the data is aligned
  const std::uint64_t header_bytes = header.size();
  return std::string(reinterpret_cast<const char*>(&header_bytes), sizeof header_bytes) + header;
}

}  // namespace

bool safetensors_holds(Dtype dtype) { return stored_type(dtype) != nullptr; }

Status write_safetensors(const std::string& path, std::span<const StreamedTensor> tensors,
                         std::string_view note) {
  const std::string header = TRY(header_of(tensors, note));
  DraftFile draft = TRY(DraftFile::create(path));
  TRY(draft.write(bytes_of(header)));
  for (const StreamedTensor& tensor : tensors) {
    const auto data = TRY(take_streamed(tensor));
    TRY(draft.write(data));
  }
  return draft.commit();
}

Result<std::string> safetensors_bytes(std::span<const SafetensorsTensor> tensors) {
  std::vector<StreamedTensor> streamed;
  for (const SafetensorsTensor& tensor : tensors)
    streamed.push_back({tensor.name, tensor.dtype, tensor.shape,
                        [&tensor] { return Result<std::span<const std::byte>>(tensor.data); }});
  std::string out = TRY(header_of(streamed, ""));
  for (const StreamedTensor& tensor : streamed) out += text_of(TRY(take_streamed(tensor)));
  return out;
}

Result<ShardIndex> read_shard_index(std::string_view json) {
  const auto parsed = parse_json(json, {.max_bytes = limits::index_bytes,
                                        .max_depth = 8,
                                        .max_members = 2 * limits::safetensors_tensors});
  if (!parsed) return corrupt(parsed.error().message());
  const Json* map = parsed->find("weight_map");
  if (!map || !map->is_object()) return corrupt("weight_map: needs an object");
  ShardIndex index;
  index.total_bytes = TRY(read_total(*parsed));
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& [tensor, file] : map->as_object()) {
    TRY(check_name(tensor));
    if (!file.is_string() ||
        (!file.as_string().ends_with(".safetensors") && !file.as_string().ends_with(".bin")) ||
        file.as_string().starts_with(".") ||
        file.as_string().find_first_of("/\\:") != std::string::npos ||
        printable(file.as_string(), file.as_string().size()) != file.as_string())
      return corrupt(
          fmt::format("weight_map '{}': needs the plain name of a .safetensors or .bin file",
                      printable(tensor)));
    shards[file.as_string()].push_back(tensor);
  }
  if (shards.empty() || shards.size() > limits::shards)
    return corrupt(
        fmt::format("weight_map names {} files, needs 1 to {}", shards.size(), limits::shards));
  for (auto& [file, tensors] : shards) index.shards.push_back({file, std::move(tensors)});
  return index;
}

}  // namespace hearth
