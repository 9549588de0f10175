// Tensors of ONNX files: within the file, beside it, and sparse.
#include <fmt/core.h>

#include <charconv>

#include "base/files.h"
#include "base/utf8.h"
#include "graphs/onnx/proto.h"

namespace hearth::graphs::onnx {
namespace {

constexpr std::uint64_t most_sparse_bytes = std::uint64_t{1} << 30;

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

// What a TensorProto says before its elements are looked at.
struct RawTensor {
  Dims dims;
  Element type = Element::none;
  std::int64_t type_number = 0;
  std::string_view name;
  bool has_raw = false, is_external = false;
  Bytes raw;
  std::vector<float> floats;
  std::vector<double> doubles;
  std::vector<std::int64_t> ints;  // int32_data, int64_data or uint64_data
  std::vector<std::string_view> texts;
  std::string_view location;
  std::uint64_t offset = 0;
  std::int64_t length = -1;
};

Status read_external(RawTensor& t, Bytes bytes) {
  std::string_view key, value;
  WireMessage in(bytes);
  for (WireField f; TRY(in.next(f));) {
    if (f.number == 1) key = f.text();
    if (f.number == 2) value = f.text();
  }
  if (key == "location") t.location = value;
  if (key != "offset" && key != "length") return Done{};
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != value.data() + value.size() || number > INT64_MAX)
    return corrupt(fmt::format("{} '{}'", key, printable(value.substr(0, 32))));
  if (key == "offset") t.offset = number;
  if (key == "length") t.length = static_cast<std::int64_t>(number);
  return Done{};
}

Result<RawTensor> read_raw(Bytes bytes) {
  RawTensor t;
  WireMessage in(bytes);
  for (WireField f; TRY(in.next(f));) {
    switch (f.number) {
      case 1:
        TRY(append_varints(t.dims, f));
        break;
      case 2:
        t.type_number = f.integer();
        t.type = element_of(t.type_number);
        break;
      case 4:
        TRY(append_floats(t.floats, f));
        break;
      case 5:
      case 7:
      case 11:
        TRY(append_varints(t.ints, f));
        break;
      case 6:
        t.texts.push_back(f.text());
        break;
      case 8:
        t.name = f.text();
        break;
      case 9:
        t.raw = f.bytes;
        t.has_raw = true;
        break;
      case 10:
        TRY(append_doubles(t.doubles, f));
        break;
      case 13:
        TRY(read_external(t, f.bytes));
        break;
      case 14:
        t.is_external = f.value == 1;
        break;
      default:
        break;
    }
  }
  return t;
}

// Of ONNX Runtime's format: 0 name, 2 extents, 3 type, 4 bytes, 5 texts, 6 where its weights begin
// in another file.
Result<RawTensor> read_raw(const FlatTable& table) {
  RawTensor t;
  t.name = TRY(table.text(0));
  t.dims = TRY(table.numbers<std::int64_t>(2));
  t.type_number = table.number<std::int32_t>(3, 0);
  t.type = element_of(t.type_number);
  t.raw = TRY(table.bytes(4));
  t.texts = TRY(table.texts(5));
  t.has_raw = t.type != Element::text;
  if (table.number<std::int64_t>(6, -1) >= 0)
    return Error(ErrorKind::unsupported,
                 fmt::format("tensor '{}': in another file", printable(t.name)));
  return t;
}

// 4- and 2-bit elements, low ones first.
void unpack(Tensor& to, Bytes packed) {
  const unsigned bits = packed_bits_of(to.type), per_byte = 8 / bits, mask = (1u << bits) - 1;
  const bool is_signed = to.type == Element::i4 || to.type == Element::i2;
  for (std::int64_t i = 0; i < to.count; ++i) {
    const auto at = static_cast<std::size_t>(i);
    unsigned code = static_cast<unsigned>(packed[at / per_byte]) >> (at % per_byte * bits) & mask;
    if (is_signed && (code >> (bits - 1)) != 0) code |= ~mask;
    to.data<std::uint8_t>()[at] = static_cast<std::uint8_t>(code);
  }
}

std::uint64_t stored_bytes(Element type, std::int64_t count) {
  const auto n = static_cast<std::uint64_t>(count);
  const unsigned bits = packed_bits_of(type);
  return bits == 0 ? n * size_of(type) : (n * bits + 7) / 8;
}

Result<Tensor> from_bytes(const RawTensor& t, std::int64_t count, Bytes bytes,
                          const std::shared_ptr<const void>& owner) {
  if (t.type == Element::text) return corrupt("strings as raw bytes");
  const std::uint64_t needed = stored_bytes(t.type, count);
  if (bytes.size() != needed)
    return corrupt(fmt::format("{} bytes for {} {}: needs {}", bytes.size(), name_of(t.type),
                               to_text(t.dims), needed));
  const std::size_t size = size_of(t.type), alignment = size > 8 ? 8 : size;
  const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
  if (packed_bits_of(t.type) == 0 && address % alignment == 0 && count > 0) {
    Tensor tensor;
    tensor.type = t.type;
    tensor.dims = t.dims;
    tensor.count = count;
    // Never written to: kernels write to what they make themselves.
    tensor.bytes = const_cast<std::byte*>(bytes.data());
    tensor.owner = owner;
    return tensor;
  }
  Tensor tensor = TRY(make_tensor(t.type, t.dims));
  if (packed_bits_of(t.type) != 0)
    unpack(tensor, bytes);
  else if (count > 0)
    std::memcpy(tensor.bytes, bytes.data(), bytes.size());
  return tensor;
}

// Elements from the typed lists: floats for real numbers, ints for all else; small floats and
// packed types as their codes.
Result<Tensor> from_lists(const RawTensor& t, std::int64_t count) {
  const auto n = static_cast<std::size_t>(count);
  std::size_t held = t.ints.size();
  const unsigned bits = packed_bits_of(t.type);
  const bool complex = t.type == Element::c64 || t.type == Element::c128;
  if (t.type == Element::f32 || t.type == Element::c64) held = t.floats.size();
  if (t.type == Element::f64 || t.type == Element::c128) held = t.doubles.size();
  if (t.type == Element::text) held = t.texts.size();
  const std::size_t needed = complex ? 2 * n : bits != 0 ? (n * bits + 7) / 8 : n;
  if (held != needed)
    return corrupt(fmt::format("{} numbers for {} {}: needs {}", held, name_of(t.type),
                               to_text(t.dims), needed));
  Tensor tensor = TRY(make_tensor(t.type, t.dims));
  if (n == 0) return tensor;
  switch (t.type) {
    case Element::f32:
    case Element::c64:
      std::memcpy(tensor.bytes, t.floats.data(), tensor.byte_count());
      break;
    case Element::f64:
    case Element::c128:
      std::memcpy(tensor.bytes, t.doubles.data(), tensor.byte_count());
      break;
    case Element::text:
      for (std::size_t i = 0; i < n; ++i)
        tensor.data<const std::string*>()[i] = tensor.strings->add(std::string(t.texts[i]));
      break;
    default:
      if (bits != 0) {
        std::vector<std::byte> codes;
        for (const std::int64_t code : t.ints) codes.push_back(static_cast<std::byte>(code & 0xFF));
        unpack(tensor, codes);
      } else if (is_float(t.type)) {  // codes of 16 or 8 bits
        store(size_of(t.type) == 2 ? Element::u16 : Element::u8, tensor.bytes, Work::i64,
              t.ints.data(), n);
      } else {
        store(t.type == Element::u64 ? Element::i64 : t.type, tensor.bytes, Work::i64,
              t.ints.data(), n);
      }
  }
  return tensor;
}

Result<Tensor> elements_of(const RawTensor& t, const std::shared_ptr<const void>& owner,
                           ExternalData& external) {
  if (t.type == Element::none)
    return Error(ErrorKind::unsupported, fmt::format("element type {}", t.type_number));
  const std::int64_t count = TRY(count_of(t.dims));
  if (t.is_external) {
    auto part = TRY(external.find(
        t.location, t.offset,
        t.length >= 0 ? t.length : static_cast<std::int64_t>(stored_bytes(t.type, count))));
    return from_bytes(t, count, part.bytes, part.owner);
  }
  return t.has_raw ? from_bytes(t, count, t.raw, owner) : from_lists(t, count);
}

}  // namespace

Result<NamedTensor> read_tensor(const Message& message, const std::shared_ptr<const void>& owner,
                                ExternalData& external) {
  const RawTensor raw =
      message.is_table() ? TRY(read_raw(message.table)) : TRY(read_raw(message.bytes));
  auto tensor = elements_of(raw, owner, external);
  if (!tensor)
    return std::move(tensor).error().within(fmt::format("tensor '{}'", printable(raw.name)));
  return NamedTensor{raw.name, std::move(*tensor)};
}

Result<NamedTensor> read_sparse(const Message& message, const std::shared_ptr<const void>& owner,
                                ExternalData& external) {
  Message of_values, of_indices;
  Dims dims;
  if (message.is_table()) {
    of_values = TRY(message.table.table(0));
    of_indices = TRY(message.table.table(1));
    dims = TRY(message.table.numbers<std::int64_t>(2));
  }
  WireMessage in(message.bytes);
  for (WireField f; TRY(in.next(f));) {
    if (f.number == 1) of_values = f.bytes;
    if (f.number == 2) of_indices = f.bytes;
    if (f.number == 3) TRY(append_varints(dims, f));
  }
  const NamedTensor values = TRY(read_tensor(of_values, owner, external)),
                    indices = TRY(read_tensor(of_indices, owner, external));
  const std::int64_t count = TRY(count_of(dims));
  const Tensor& from = values.tensor;
  if (from.type == Element::none || from.type == Element::text ||
      indices.tensor.type != Element::i64)
    return corrupt("a sparse tensor of other than numbers and int64 indices");
  if (static_cast<std::uint64_t>(count) * size_of(from.type) > most_sparse_bytes)
    return Error(ErrorKind::exhausted, fmt::format("a sparse tensor of {}", to_text(dims)));
  Tensor dense = TRY(make_tensor(from.type, dims));
  std::memset(dense.bytes, 0, dense.byte_count());
  const auto rank = static_cast<std::int64_t>(dims.size());
  const bool flat = indices.tensor.rank() == 1;
  if (indices.tensor.count != from.count * (flat ? 1 : rank))
    return corrupt(fmt::format("{} indices for {} values", indices.tensor.count, from.count));
  const auto size = static_cast<std::int64_t>(size_of(from.type));
  for (std::int64_t i = 0; i < from.count; ++i) {
    std::int64_t place = flat ? indices.tensor.data<std::int64_t>()[i] : 0;
    for (std::int64_t k = 0; !flat && k < rank; ++k) {
      const std::int64_t at = indices.tensor.data<std::int64_t>()[i * rank + k];
      const std::int64_t extent = dims[static_cast<std::size_t>(k)];
      if (at < 0 || at >= extent) return corrupt(fmt::format("index {} of {}", at, extent));
      place = place * extent + at;
    }
    if (place < 0 || place >= count) return corrupt(fmt::format("index {} of {}", place, count));
    std::memcpy(dense.bytes + place * size, from.bytes + i * size, static_cast<std::size_t>(size));
  }
  return NamedTensor{values.name, std::move(dense)};
}

}  // namespace hearth::graphs::onnx
