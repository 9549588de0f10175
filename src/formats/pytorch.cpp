// PyTorch files: one file with what lies beside it, Meta's folders of consolidated.NN.pth, and
// llama2.c's .bin, which holds the same tensors without names.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/bytes.h"
#include "formats/format.h"
#include "formats/huggingface.h"
#include "formats/limits.h"
#include "formats/meta_llama.h"
#include "formats/torch_file.h"
#include "formats/zip.h"

namespace hearth {
namespace {

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, std::move(what)); }

bool recognises_file(const Source& source) {
  const std::string_view text = source.text();
  if (source.is_folder() || !is_torch_file(text)) return false;
  if (!text.starts_with("PK")) return true;
  const auto entries = read_zip(source.file->bytes());
  if (!entries)
    return std::ranges::any_of(std::array<std::string_view, 4>{".pt", ".pth", ".bin", ".ckpt"},
                               [&](std::string_view end) { return source.path.ends_with(end); });
  return std::ranges::any_of(*entries, [](const ZipEntry& entry) {
    return entry.name.ends_with("/data.pkl") || entry.name.ends_with("/archive_format");
  });
}

std::uint64_t vocabulary_of(const Package& package) {
  const TensorEntry* table = package.find("token_embd.weight");
  return table != nullptr && !table->shape.empty() ? table->shape[0] : 0;
}

Result<Package> read_one(const Source& source) {
  auto torch = TRY(read_torch(source.file->bytes()));
  const std::string folder = parent_folder(source.path);
  if (!has_meta_names(torch.tensors)) {
    auto package = TRY(read_huggingface(folder, file_name(source.path), source.file));
    package.format = "pytorch";
    return package;
  }
  Package package;
  package.format = "pytorch";
  package.storage.push_back(source.file);
  package.file_bytes = source.file->bytes().size();
  const Json params = torch.arguments.is_null() ? TRY(read_config(folder, "params.json"))
                                                : std::move(torch.arguments);
  TRY(add_meta_llama(package, std::move(torch.tensors), params));
  TRY(add_meta_tokenizer(package, folder, vocabulary_of(package)));
  return package;
}

std::vector<std::string> consolidated(const std::string& folder) {
  std::vector<std::string> parts;
  for (const std::string& name : list_folder(folder).value_or({}))
    if (name.starts_with("consolidated.") && name.ends_with(".pth")) parts.push_back(name);
  return parts;
}

bool recognises_meta(const Source& source) {
  return source.is_folder() && !consolidated(source.path).empty() &&
         !is_file(join_path(source.path, "config.json"));
}

// How a tensor was cut.  Source: Meta's fairscale layers: column-parallel ones are cut by rows of
// the stored matrix, row-parallel ones by its columns.
enum class Cut { none, rows, columns };

Cut cut_of(std::string_view name, const std::vector<std::uint64_t>& part, std::uint64_t dim) {
  const auto ends = [&](std::string_view end) { return name.ends_with(end); };
  if (ends(".wq.weight") || ends(".wk.weight") || ends(".wv.weight") || ends(".w1.weight") ||
      ends(".w3.weight") || name == "output.weight")
    return Cut::rows;
  if (ends(".wo.weight") || ends(".w2.weight")) return Cut::columns;
  if (name == "tok_embeddings.weight")  // Llama 3 cut the vocabulary instead
    return part.size() == 2 && part[1] != dim ? Cut::columns : Cut::rows;
  return Cut::none;
}

Result<TensorEntry> join(std::vector<TensorEntry> parts, Cut cut) {
  const TensorEntry& first = parts.front();
  if (cut == Cut::none || parts.size() == 1) return first;
  for (const TensorEntry& part : parts)
    if (part.shape != first.shape || part.dtype != first.dtype || part.shape.size() != 2 ||
        part.make)
      return corrupt(fmt::format("{}: its parts differ", first.name));
  TensorEntry whole{.name = first.name, .dtype = first.dtype, .shape = first.shape, .data = {}};
  const std::uint64_t count = parts.size(), rows = first.shape[0];
  whole.shape[cut == Cut::rows ? 0 : 1] *= count;
  const std::size_t row_bytes = rows == 0 ? 0 : first.data.size() / rows;
  whole.make = [parts = std::move(parts), cut, rows, row_bytes] {
    std::vector<std::byte> out;
    out.reserve(parts.size() * rows * row_bytes);
    if (cut == Cut::rows)
      for (const TensorEntry& part : parts)
        out.insert(out.end(), part.data.begin(), part.data.end());
    for (std::uint64_t row = 0; cut == Cut::columns && row < rows; ++row)
      for (const TensorEntry& part : parts) {
        const auto bytes = part.data.subspan(row * row_bytes, row_bytes);
        out.insert(out.end(), bytes.begin(), bytes.end());
      }
    return Result<std::vector<std::byte>>(std::move(out));
  };
  return whole;
}

Result<std::vector<TensorEntry>> join_parts(std::vector<std::vector<TensorEntry>> files) {
  std::map<std::string, std::vector<TensorEntry>> by_name;
  std::uint64_t dim = 0;
  for (auto& file : files)
    for (TensorEntry& tensor : file) {
      if (tensor.name == "norm.weight" && tensor.shape.size() == 1) dim = tensor.shape[0];
      by_name[tensor.name].push_back(std::move(tensor));
    }
  std::vector<TensorEntry> all;
  for (auto& [name, parts] : by_name) {
    if (parts.size() != files.size())
      return corrupt(fmt::format("{} is in {} of {} parts", name, parts.size(), files.size()));
    const Cut cut = cut_of(name, parts.front().shape, dim);
    all.push_back(TRY(join(std::move(parts), cut)));
  }
  return all;
}

Result<Package> read_meta(const Source& source) {
  Package package;
  package.format = "pytorch";
  std::vector<std::vector<TensorEntry>> files;
  const auto names = consolidated(source.path);
  if (names.size() > limits::shards) return corrupt(fmt::format("{} parts", names.size()));
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] != fmt::format("consolidated.{:02}.pth", i))
      return corrupt(fmt::format("part consolidated.{:02}.pth is missing", i));
    const auto file = TRY(MappedFile::open(join_path(source.path, names[i])));
    auto torch = read_torch(file->bytes());
    if (!torch) return std::move(torch).error().within(names[i]);
    files.push_back(std::move(torch->tensors));
    package.storage.push_back(file);
    package.file_bytes += file->bytes().size();
  }
  auto tensors = TRY(join_parts(std::move(files)));
  if (!has_meta_names(tensors)) return corrupt("not the names of Meta's Llama models");
  const Json params = TRY(read_config(source.path, "params.json"));
  TRY(add_meta_llama(package, std::move(tensors), params));
  TRY(add_meta_tokenizer(package, source.path, vocabulary_of(package)));
  return package;
}

// llama2.c, version 0: seven numbers, then f32 tensors in a fixed order.  Nothing marks such a
// file but that its size is exactly what the numbers say.  Source: llama2.c, export.py.
struct Llama2c {
  std::uint64_t dim, hidden, layers, heads, kv_heads, vocabulary, context;
  bool own_output;
};

std::optional<Llama2c> llama2c_header(std::span<const std::byte> file) {
  ByteReader in(file);
  std::array<std::int64_t, 7> numbers{};
  for (std::int64_t& number : numbers) {
    const auto value = in.value<std::int32_t>();
    if (!value) return std::nullopt;
    number = *value;
  }
  const bool own_output = numbers[5] < 0;
  if (own_output) numbers[5] = -numbers[5];
  for (const std::int64_t number : numbers)
    if (number < 1 || number > 1 << 20) return std::nullopt;
  const auto at = [&](std::size_t i) { return static_cast<std::uint64_t>(numbers[i]); };
  return Llama2c{at(0), at(1), at(2), at(3), at(4), at(5), at(6), own_output};
}

struct Stretch {
  std::string_view name;
  std::uint64_t rows, columns;  // columns 0: a vector
  bool each_layer;
};

std::vector<Stretch> llama2c_tensors(const Llama2c& h) {
  const std::uint64_t head = h.dim / h.heads, kv = h.kv_heads * head;
  std::vector<Stretch> list{
      {"tok_embeddings.weight", h.vocabulary, h.dim, false},
      {"attention_norm.weight", h.dim, 0, true},
      {"attention.wq.weight", h.dim, h.dim, true},
      {"attention.wk.weight", kv, h.dim, true},
      {"attention.wv.weight", kv, h.dim, true},
      {"attention.wo.weight", h.dim, h.dim, true},
      {"ffn_norm.weight", h.dim, 0, true},
      {"feed_forward.w1.weight", h.hidden, h.dim, true},
      {"feed_forward.w2.weight", h.dim, h.hidden, true},
      {"feed_forward.w3.weight", h.hidden, h.dim, true},
      {"norm.weight", h.dim, 0, false},
      {"freqs_cos", h.context * (head / 2), 0, false},
      {"freqs_sin", h.context * (head / 2), 0, false},
  };
  if (h.own_output) list.push_back({"output.weight", h.vocabulary, h.dim, false});
  return list;
}

// Each number is below 2^20 and the sum is compared with a file's size, so doubles are enough.
bool recognises_llama2c(const Source& source) {
  if (source.is_folder() || !source.path.ends_with(".bin")) return false;
  const auto header = llama2c_header(source.file->bytes());
  if (!header || header->heads > header->dim || header->kv_heads > header->heads) return false;
  double bytes = 7 * 4;
  for (const Stretch& row : llama2c_tensors(*header))
    bytes += 4.0 * static_cast<double>(row.rows) *
             static_cast<double>(std::max<std::uint64_t>(1, row.columns)) *
             (row.each_layer ? static_cast<double>(header->layers) : 1.0);
  return bytes == static_cast<double>(source.file->bytes().size());
}

Result<Package> read_llama2c(const Source& source) {
  const Llama2c header = *llama2c_header(source.file->bytes());
  ByteReader in(source.file->bytes());
  TRY(in.skip(7 * sizeof(std::int32_t)));
  std::vector<TensorEntry> tensors;
  for (const Stretch& row : llama2c_tensors(header))
    for (std::uint64_t layer = 0; layer < (row.each_layer ? header.layers : 1); ++layer) {
      TensorEntry entry{.name = row.each_layer ? fmt::format("layers.{}.{}", layer, row.name)
                                               : std::string(row.name),
                        .dtype = Dtype::f32,
                        .shape = {row.rows},
                        .data = {}};
      if (row.columns > 0) entry.shape.push_back(row.columns);
      entry.data = TRY(in.take(entry.bytes()));
      tensors.push_back(std::move(entry));
    }
  Package package;
  package.storage.push_back(source.file);
  package.file_bytes = source.file->bytes().size();
  const Json params = Json::object({{"n_heads", header.heads}, {"max_seq_len", header.context}});
  TRY(add_meta_llama(package, std::move(tensors), params));
  TRY(add_meta_tokenizer(package, parent_folder(source.path), header.vocabulary));
  return package;
}

}  // namespace

extern const Format pytorch_format, meta_format, llama2c_format;
const Format pytorch_format{.name = "pytorch", .recognises = recognises_file, .read = read_one};
const Format meta_format{.name = "pytorch", .recognises = recognises_meta, .read = read_meta};
const Format llama2c_format{
    .name = "llama2.c", .recognises = recognises_llama2c, .read = read_llama2c};

}  // namespace hearth
