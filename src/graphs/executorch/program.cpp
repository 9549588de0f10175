#include "graphs/executorch/program.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/utf8.h"
#include "graphs/borrowed.h"
#include "graphs/call.h"

namespace hearth::graphs::executorch {
namespace {

constexpr std::size_t most_data_files = 64;

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

template <typename T>
T number_at(Bytes bytes, std::size_t at) {
  T value{};
  if (at <= bytes.size() && bytes.size() - at >= sizeof value)
    std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

bool has_mark(Bytes bytes, std::size_t at, std::string_view mark) {
  return bytes.size() >= at + mark.size() &&
         std::memcmp(bytes.data() + at, mark.data(), mark.size()) == 0;
}

Result<Bytes> within(Bytes bytes, std::uint64_t offset, std::uint64_t size,
                     const std::string& what) {
  if (offset > bytes.size() || size > bytes.size() - offset)
    return corrupt(
        fmt::format("{}: {} bytes at {}, outside the {} bytes", what, size, offset, bytes.size()));
  return bytes.subspan(offset, size);
}

// The segments that a table lists, which lie from `base` on.
Result<std::vector<Bytes>> read_segments(const FlatTable& table, unsigned slot, Bytes file,
                                         std::uint64_t base) {
  std::vector<Bytes> segments;
  for (const FlatTable& each : TRY(table.tables(slot))) {
    const auto offset = checked_add(base, each.number<std::uint64_t>(0, 0));
    if (!offset) return corrupt("a segment whose offset overflows");
    segments.push_back(TRY(within(file, *offset, each.number<std::uint64_t>(1, 0),
                                  fmt::format("segment {}", segments.size()))));
  }
  return segments;
}

// Elements that lie in another order of axes, in the order of the axes.
Result<Tensor> in_order(const TensorSpec& spec, std::int64_t count, Bytes bytes) {
  Tensor tensor = TRY(make_tensor(spec.type, spec.dims));
  const std::size_t size = size_of(spec.type), rank = spec.dims.size();
  Dims strides(rank, 1);
  std::int64_t step = 1;
  for (std::size_t k = rank; k-- > 0;) {
    strides[spec.order[k]] = step;
    step *= spec.dims[spec.order[k]];
  }
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t rest = i, place = 0;
    for (std::size_t k = rank; k-- > 0;) {
      place += rest % spec.dims[k] * strides[k];
      rest /= spec.dims[k];
    }
    std::memcpy(tensor.bytes + static_cast<std::size_t>(i) * size,
                bytes.data() + static_cast<std::size_t>(place) * size, size);
  }
  return tensor;
}

// A permutation; empty where it changes nothing.
Result<std::vector<std::uint8_t>> checked_order(std::vector<std::uint8_t> order, std::size_t rank) {
  std::vector<bool> seen(rank, false);
  bool is_plain = true;
  if (!order.empty() && order.size() != rank) return corrupt("an order of other axes");
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (order[i] >= rank || seen[order[i]]) return corrupt("an order of axes that is none");
    seen[order[i]] = true;
    is_plain = is_plain && order[i] == i;
  }
  if (is_plain) order.clear();
  return order;
}

}  // namespace

Element element_of(std::int64_t scalar_type) {
  switch (scalar_type) {
    case 0:
      return Element::u8;
    case 1:
      return Element::i8;
    case 2:
      return Element::i16;
    case 3:
      return Element::i32;
    case 4:
      return Element::i64;
    case 5:
      return Element::f16;
    case 6:
      return Element::f32;
    case 7:
      return Element::f64;
    case 11:
      return Element::boolean;
    case 15:
      return Element::bf16;
    case 22:
    case 27:
      return Element::u16;
    case 23:
      return Element::f8e5m2;
    case 24:
      return Element::f8e4m3fn;
    case 25:
      return Element::f8e5m2fnuz;
    case 26:
      return Element::f8e4m3fnuz;
    case 28:
      return Element::u32;
    case 29:
      return Element::u64;
    default:
      return Element::none;
  }
}

// After the table's place and the mark: "eh00", how long the header is, how long the program is,
// where the segments begin.
Status File::read_header(Bytes bytes) {
  std::uint64_t base = 0;
  if (has_mark(bytes, 8, "eh00")) {
    const auto program = number_at<std::uint64_t>(bytes, 16);
    base = number_at<std::uint64_t>(bytes, 24);
    TRY(within(bytes, 0, program, "the program"));
    program_ = TRY(FlatTable::root(bytes.first(program)));
  } else {
    program_ = TRY(FlatTable::root(bytes));
  }
  plans_ = TRY(program_.tables(1));
  segments_ = TRY(read_segments(program_, 4, bytes, base));
  for (const FlatTable& each : TRY(program_.tables(2))) constants_.push_back(TRY(each.bytes(0)));
  for (const FlatTable& each : TRY(program_.tables(3))) inlined_.push_back(TRY(each.bytes(0)));
  return Done{};
}

Status File::read_names() {
  for (const FlatTable& each : TRY(program_.tables(7)))
    named_.insert_or_assign(std::string(TRY(each.text(0))),
                            TRY(segment(each.number<std::uint32_t>(1, 0))));
  return Done{};
}

Status File::add_data_file(std::shared_ptr<const MappedFile> file) {
  const Bytes bytes = file->bytes();
  if (!has_mark(bytes, 4, "FT01")) return corrupt("no FT01 mark");
  std::uint64_t base = 0;
  Bytes tables = bytes;
  if (has_mark(bytes, 8, "FH01")) {
    // The header's length, where the tables are and how long, where the segments are.  Offsets
    // within the tables count from the beginning of the file.
    const auto end =
        checked_add(number_at<std::uint64_t>(bytes, 16), number_at<std::uint64_t>(bytes, 24));
    if (!end) return corrupt("tables whose end overflows");
    tables = TRY(within(bytes, 0, *end, "the tables"));
    base = number_at<std::uint64_t>(bytes, 32);
  }
  const FlatTable root = TRY(FlatTable::root(tables));
  const auto segments = TRY(read_segments(root, 1, bytes, base));
  for (const FlatTable& each : TRY(root.tables(2))) {
    const auto index = each.number<std::uint32_t>(1, 0);
    if (index >= segments.size())
      return corrupt(fmt::format("segment {} of {}", index, segments.size()));
    named_.emplace(std::string(TRY(each.text(0))), segments[index]);
  }
  files_.push_back(std::move(file));
  return Done{};
}

Result<File> File::open(std::shared_ptr<const MappedFile> file, const std::string& folder) {
  if (!has_mark(file->bytes(), 4, "ET")) return corrupt("no ET12 mark");
  if (!has_mark(file->bytes(), 4, "ET12"))
    return Error(ErrorKind::unsupported, "an ExecuTorch program of another version than ET12");
  File made;
  TRY(made.read_header(file->bytes()));
  made.files_.push_back(std::move(file));
  TRY(made.read_names());
  if (folder.empty()) return made;
  const auto names = list_folder(folder);
  if (!names) return made;
  std::vector<std::string> data;
  for (const std::string& name : *names)
    if (name.ends_with(".ptd")) data.push_back(name);
  std::ranges::sort(data);
  if (data.size() > most_data_files) data.resize(most_data_files);
  for (const std::string& name : data) {
    const auto mapped = MappedFile::open(join_path(folder, name));
    if (!mapped) continue;
    auto added = made.add_data_file(*mapped);
    if (!added) return std::move(added).error().within(printable(name));
  }
  return made;
}

std::vector<std::string> File::methods() const {
  std::vector<std::string> names;
  for (const FlatTable& plan : plans_) names.push_back(printable(plan.text(0).value_or("")));
  return names;
}

Result<Bytes> File::segment(std::uint64_t index) const {
  if (index >= segments_.size())
    return corrupt(fmt::format("segment {} of {}", index, segments_.size()));
  return segments_[index];
}

Result<Bytes> File::part(const FlatTable& offsets, std::uint64_t index, std::uint64_t bytes) const {
  const auto list = TRY(offsets.numbers<std::uint64_t>(1));
  if (index >= list.size()) return corrupt(fmt::format("constant {} of {}", index, list.size()));
  return within(TRY(segment(offsets.number<std::uint32_t>(0, 0))), list[index], bytes,
                fmt::format("constant {}", index));
}

Result<Bytes> File::constant(std::uint32_t index, std::uint64_t bytes) const {
  if (!constants_.empty()) {
    if (index >= constants_.size())
      return corrupt(fmt::format("constant {} of {}", index, constants_.size()));
    return within(constants_[index], 0, bytes, fmt::format("constant {}", index));
  }
  return part(TRY(program_.table(5)), index, bytes);
}

// What a buffer that changes holds at first.
Result<Bytes> File::initial(const TensorSpec& spec) const {
  const auto lists = TRY(program_.tables(6));
  if (lists.empty()) return constant(spec.data, spec.byte_count);
  if (spec.mutable_data >= lists.size())
    return corrupt(fmt::format("segment {} of {}", spec.mutable_data, lists.size()));
  return part(lists[spec.mutable_data], spec.data, spec.byte_count);
}

Result<Bytes> File::named(std::string_view key) const {
  const auto found = named_.find(key);
  if (found == named_.end())
    return Error(ErrorKind::not_found,
                 fmt::format("data '{}': neither in the program nor in a .ptd file beside it",
                             printable(key, 80)));
  return found->second;
}

Result<Tensor> File::tensor(const TensorSpec& spec, Bytes bytes) const {
  const std::int64_t count = TRY(count_of(spec.dims));
  if (spec.type == Element::none)
    return Error(ErrorKind::unsupported, "a tensor of a type that Hearth does not know");
  const std::uint64_t needed = static_cast<std::uint64_t>(count) * size_of(spec.type);
  bytes = TRY(within(bytes, 0, needed, "a tensor"));
  if (!spec.order.empty()) return in_order(spec, count, bytes);
  if (is_aligned(bytes, std::min<std::size_t>(size_of(spec.type), 8)))
    return borrowed(spec.type, spec.dims, count, bytes, files_.front());
  Tensor tensor = TRY(make_tensor(spec.type, spec.dims));
  if (needed > 0) std::memcpy(tensor.bytes, bytes.data(), needed);
  return tensor;
}

Result<TensorSpec> File::tensor_spec(const FlatTable& table) const {
  TensorSpec spec;
  spec.type = element_of(table.number<std::int8_t>(0, 0));
  for (const std::int32_t extent : TRY(table.numbers<std::int32_t>(2))) spec.dims.push_back(extent);
  if (spec.dims.size() > max_rank) return corrupt(fmt::format("{} axes", spec.dims.size()));
  const auto count = static_cast<std::uint64_t>(TRY(count_of(spec.dims)));
  spec.byte_count = count * (spec.type == Element::none ? 1 : size_of(spec.type));
  spec.order = TRY(checked_order(TRY(table.numbers<std::uint8_t>(3)), spec.dims.size()));
  spec.data = table.number<std::uint32_t>(5, 0);
  if (table.number<std::int32_t>(1, 0) != 0)
    return Error(ErrorKind::unsupported, "a tensor that begins within its storage");
  const FlatTable place = TRY(table.table(6));
  if (place.exists())
    spec.place = Place{
        place.number<std::uint32_t>(0, 0),
        place.number<std::uint32_t>(1, 0) | std::uint64_t{place.number<std::uint32_t>(2, 0)} << 32};
  spec.is_dynamic = table.number<std::uint8_t>(8, 0) != 0;
  const FlatTable extra = TRY(table.table(9));
  if (!extra.exists()) return spec;
  spec.mutable_data = extra.number<std::uint64_t>(0, 0);
  spec.name = printable(TRY(extra.text(1)), 256);
  spec.is_external = extra.number<std::uint8_t>(2, 0) != 0;
  return spec;
}

Result<EValue> File::value(const FlatTable& table) const {
  EValue made;
  const auto kind = table.number<std::uint8_t>(0, 0);
  if (kind > 11) return Error(ErrorKind::unsupported, fmt::format("a value of kind {}", kind));
  made.kind = kind == 0 ? EValue::Kind::null : static_cast<EValue::Kind>(kind);
  const FlatTable v = TRY(table.table(1));
  switch (made.kind) {
    case EValue::Kind::null:
      break;
    case EValue::Kind::integer:
      made.integer = v.number<std::int64_t>(0, 0);
      break;
    case EValue::Kind::boolean:
      made.integer = v.number<std::uint8_t>(0, 0) != 0 ? 1 : 0;
      break;
    case EValue::Kind::real:
      made.real = v.number<double>(0, 0);
      break;
    case EValue::Kind::tensor:
      made.tensor = TRY(tensor_spec(v));
      break;
    case EValue::Kind::text:
      made.text = printable(TRY(v.text(0)), 256);
      break;
    case EValue::Kind::integers:
      made.items = TRY(v.numbers<std::int64_t>(0));
      break;
    case EValue::Kind::reals:
      made.reals = TRY(v.numbers<double>(0));
      break;
    case EValue::Kind::booleans:
      for (const std::uint8_t each : TRY(v.numbers<std::uint8_t>(0))) made.items.push_back(each);
      break;
    case EValue::Kind::tensors:
    case EValue::Kind::optional_tensors:
      for (const std::int32_t each : TRY(v.numbers<std::int32_t>(0))) made.items.push_back(each);
      break;
  }
  return made;
}

Status File::read_instructions(const FlatTable& plan, Plan& made) const {
  const auto chains = TRY(plan.tables(5));
  if (chains.size() > 1) return Error(ErrorKind::unsupported, "several chains of instructions");
  if (chains.empty()) return Done{};
  for (const FlatTable& table : TRY(chains[0].tables(2))) {
    Instruction each;
    const auto kind = table.number<std::uint8_t>(0, 0);
    if (kind < 1 || kind > 5)
      return Error(ErrorKind::unsupported, fmt::format("an instruction of kind {}", kind));
    each.kind = static_cast<Instruction::Kind>(kind);
    const FlatTable a = TRY(table.table(1));
    each.index = a.number<std::int32_t>(0, 0);
    if (kind <= 2)
      each.args = TRY(a.numbers<std::int32_t>(1));
    else
      each.to = a.number<std::int32_t>(1, 0);
    made.instructions.push_back(std::move(each));
  }
  return Done{};
}

Status File::read_delegates(const FlatTable& plan, Plan& made) const {
  for (const FlatTable& table : TRY(plan.tables(7))) {
    Delegate each;
    each.id = printable(TRY(table.text(0)), 80);
    const FlatTable data = TRY(table.table(1));
    const auto index = data.number<std::uint32_t>(1, 0);
    if (data.number<std::uint8_t>(0, 0) != 0) {
      each.payload = TRY(segment(index));
    } else {
      if (index >= inlined_.size())
        return corrupt(fmt::format("payload {} of {}", index, inlined_.size()));
      each.payload = inlined_[index];
    }
    made.delegates.push_back(std::move(each));
  }
  return Done{};
}

Result<Plan> File::plan(std::size_t method) const {
  const FlatTable& table = plans_[method];
  Plan made;
  made.name = printable(TRY(table.text(0)), 256);
  for (const FlatTable& each : TRY(table.tables(2))) {
    auto read = value(each);
    if (!read) return std::move(read).error().within(fmt::format("value {}", made.values.size()));
    made.values.push_back(std::move(*read));
  }
  made.inputs = TRY(table.numbers<std::int32_t>(3));
  made.outputs = TRY(table.numbers<std::int32_t>(4));
  for (const FlatTable& each : TRY(table.tables(6))) {
    const std::string name = printable(TRY(each.text(0))), overload = printable(TRY(each.text(1)));
    made.operators.push_back(overload.empty() ? name : name + "." + overload);
  }
  TRY(read_instructions(table, made));
  TRY(read_delegates(table, made));
  return made;
}

}  // namespace hearth::graphs::executorch
