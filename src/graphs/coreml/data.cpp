#include "graphs/coreml/data.h"
#include "graphs/borrowed.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/utf8.h"

namespace hearth::graphs::coreml {
namespace {

constexpr std::uint32_t blob_sentinel = 0xDEADBEEF;
constexpr int most_nesting = 16;  // of values and types within one another

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

// One DataType.  blob: the number that weight files have for it.
struct TypeRow {
  std::uint32_t code, blob;
  unsigned bits;
  Element stored, memory;
  std::string_view word;
};
constexpr TypeRow types[] = {
    {1, 0, 8, Element::boolean, Element::boolean, "bool"},
    {2, 0, 0, Element::text, Element::text, "str"},
    {10, 1, 16, Element::f16, Element::f32, "fp16"},
    {11, 2, 32, Element::f32, Element::f32, "fp32"},
    {12, 0, 64, Element::f64, Element::f64, "fp64"},
    {13, 5, 16, Element::bf16, Element::f32, "bf16"},
    {21, 4, 8, Element::i8, Element::i8, "int8"},
    {22, 6, 16, Element::i16, Element::i16, "int16"},
    {23, 14, 32, Element::i32, Element::i32, "int32"},
    {24, 0, 64, Element::i64, Element::i64, "int64"},
    {25, 8, 4, Element::i8, Element::i8, "int4"},
    {31, 3, 8, Element::u8, Element::u8, "uint8"},
    {32, 7, 16, Element::u16, Element::u16, "uint16"},
    {33, 15, 32, Element::u32, Element::u32, "uint32"},
    {34, 0, 64, Element::u64, Element::u64, "uint64"},
    {35, 11, 4, Element::u8, Element::u8, "uint4"},
    {36, 10, 2, Element::u8, Element::u8, "uint2"},
    {37, 9, 1, Element::u8, Element::u8, "uint1"},
    {38, 13, 6, Element::u8, Element::u8, "uint6"},
    {39, 12, 3, Element::u8, Element::u8, "uint3"},
    {40, 16, 8, Element::f8e4m3fn, Element::f32, "fp8e4m3fn"},
    {41, 17, 8, Element::f8e5m2, Element::f32, "fp8e5m2"},
};

const TypeRow* row_of(std::uint32_t code) {
  const auto found = std::ranges::find(types, code, &TypeRow::code);
  return found == std::end(types) ? nullptr : &*found;
}

}  // namespace

unsigned bits_of(std::uint32_t code) {
  const TypeRow* row = row_of(code);
  return row == nullptr ? 0 : row->bits;
}
Element element_of(std::uint32_t code) {
  const TypeRow* row = row_of(code);
  return row == nullptr ? Element::none : row->memory;
}
std::uint32_t type_in_words(std::string_view word) {
  if (word == "string") return 2;
  const auto found = std::ranges::find(types, word, &TypeRow::word);
  return found == std::end(types) ? 0 : found->code;
}

// 64 bytes: sentinel, type, size, offset of the data, bits of padding.
Result<Weights::Blob> Weights::find(std::string_view name, std::uint64_t offset) {
  constexpr std::string_view root = "@model_path/";
  if (!name.starts_with(root))
    return corrupt(
        fmt::format("weights in '{}': needs a path that begins with {}", printable(name), root));
  const auto file = file_ ? file_ : TRY(external_.file(name.substr(root.size())));
  const Bytes all = file->bytes();
  ByteReader in(all);
  if (offset > all.size() || all.size() - offset < 64)
    return corrupt(fmt::format("weights at {} of {}", offset, all.size()));
  TRY(in.skip(offset));
  const auto sentinel = TRY(in.value<std::uint32_t>());
  if (sentinel != blob_sentinel)
    return corrupt(fmt::format("weights at {}: no blob begins there", offset));
  Blob blob;
  blob.type = TRY(in.value<std::uint32_t>());
  const auto size = TRY(in.value<std::uint64_t>());
  const auto at = TRY(in.value<std::uint64_t>());
  if (at > all.size() || size > all.size() - at)
    return corrupt(
        fmt::format("weights at {}: {} bytes at {} of {}", offset, size, at, all.size()));
  blob.bytes = all.subspan(at, size);
  blob.owner = file;
  return blob;
}

namespace {

// Dimension: 1 constant {1 size}, 2 unknown {1 variadic}.
Status read_dimension(MilType& type, Bytes bytes) {
  const Fields f = TRY(Fields::of(bytes));
  if (f.has(1)) {
    const std::int64_t size = TRY(f.message(1)).integer(1);
    if (size < 0) return corrupt(fmt::format("an extent of {}", size));
    type.dims.push_back(size);
    return Done{};
  }
  if (f.has(2) && TRY(f.message(2)).flag(1))
    type.has_rank = false;
  else
    type.dims.push_back(-1);
  return Done{};
}

Result<MilType> read_type(Bytes bytes, int depth) {
  if (depth > most_nesting) return Error(ErrorKind::exhausted, "types nested too deep");
  MilType type;
  const Fields f = TRY(Fields::of(bytes));
  if (f.has(1)) {
    const Fields tensor = TRY(f.message(1));
    type.code = static_cast<std::uint32_t>(tensor.integer(1));
    type.element = element_of(type.code);
    if (type.element == Element::none)
      return Error(ErrorKind::unsupported, fmt::format("data type {}", type.code));
    const auto dimensions = tensor.messages(3);
    if (dimensions.size() > max_rank) return corrupt(fmt::format("{} axes", dimensions.size()));
    for (const Bytes dimension : dimensions) TRY(read_dimension(type, dimension));
    if (tensor.integer(2) < 0) type.has_rank = false;
    if (!type.has_rank) type.dims.clear();
    return type;
  }
  for (std::uint32_t number : {2u, 5u}) {
    if (!f.has(number)) continue;
    type = TRY(read_type(TRY(f.message(number)).bytes(1), depth + 1));
    type.kind = number == 2 ? Shape::list : Shape::state;
    return type;
  }
  if (f.has(3)) type.kind = Shape::tuple;
  if (f.has(4)) type.kind = Shape::dictionary;
  return type;
}

// The bytes of a tensor of `type` as it lies in memory.
Result<Tensor> from_bytes(const MilType& type, const TypeRow& row, Bytes bytes,
                          const std::shared_ptr<const void>& owner) {
  const std::int64_t count = TRY(count_of(type.dims));
  const auto n = static_cast<std::uint64_t>(count);
  const std::uint64_t needed = (TRY(checked_mul(n, row.bits)) + 7) / 8;
  if (bytes.size() != needed)
    return corrupt(fmt::format("{} bytes for {} {}, which needs {}", bytes.size(), row.word,
                               to_text(type.dims), needed));
  const std::size_t size = size_of(row.stored);
  if (row.bits >= 8 && row.stored == row.memory && row.memory != Element::boolean &&
      is_aligned(bytes, size))
    return borrowed(row.memory, type.dims, count, bytes, owner);
  Tensor tensor = TRY(make_tensor(row.memory, type.dims));
  if (row.bits < 8) {
    TRY(unpack({tensor.data<std::uint8_t>(), n}, bytes, row.bits, row.memory == Element::i8));
  } else if (row.memory == Element::boolean) {
    for (std::size_t i = 0; i < n; ++i) tensor.data<bool>()[i] = bytes[i] != std::byte{0};
  } else if (row.stored == row.memory) {
    if (n > 0) std::memcpy(tensor.bytes, bytes.data(), bytes.size());
  } else {
    std::vector<std::byte> aligned;
    const std::byte* from = bytes.data();
    if (reinterpret_cast<std::uintptr_t>(from) % size != 0) {
      aligned.assign(bytes.begin(), bytes.end());
      from = aligned.data();
    }
    load(Work::f32, tensor.bytes, row.stored, from, n);
  }
  return tensor;
}

template <typename T>
Result<Tensor> from_numbers(const MilType& type, Work work, const std::vector<T>& numbers) {
  Tensor tensor = TRY(make_tensor(type.element, type.dims));
  if (tensor.count != static_cast<std::int64_t>(numbers.size()))
    return corrupt(fmt::format("{} numbers for {}", numbers.size(), to_text(type.dims)));
  store(type.element, tensor.bytes, work, numbers.data(), numbers.size());
  return tensor;
}

// TensorValue: one of lists of floats, ints, bools, strings, longs, doubles, bytes.
Result<Tensor> read_immediate(const MilType& type, Bytes bytes,
                              const std::shared_ptr<const void>& owner) {
  const TypeRow* row = row_of(type.code);
  if (row == nullptr) return Error(ErrorKind::unsupported, fmt::format("data type {}", type.code));
  const Fields f = TRY(Fields::of(bytes));
  const auto list = [&](std::uint32_t number) { return f.message(number); };
  if (f.has(7)) return from_bytes(type, *row, TRY(list(7)).bytes(1), owner);
  if (f.has(4)) {
    const auto texts = TRY(list(4)).texts(1);
    Tensor tensor = TRY(make_tensor(Element::text, type.dims));
    if (tensor.count != static_cast<std::int64_t>(texts.size()))
      return corrupt(fmt::format("{} texts for {}", texts.size(), to_text(type.dims)));
    for (std::size_t i = 0; i < texts.size(); ++i)
      tensor.data<const std::string*>()[i] = tensor.strings->add(std::string(texts[i]));
    return tensor;
  }
  if (type.element == Element::text) return corrupt("text of other than texts");
  if (f.has(1)) {
    const auto numbers = TRY(TRY(list(1)).floats(1));
    return from_numbers(type, Work::f32, numbers);
  }
  if (f.has(6)) return from_numbers(type, Work::f64, TRY(TRY(list(6)).doubles(1)));
  for (const std::uint32_t number : {2u, 3u, 5u})
    if (f.has(number)) {
      auto numbers = TRY(TRY(list(number)).integers(1));
      if (number == 2)
        for (std::int64_t& each : numbers) each = static_cast<std::int32_t>(each);
      return from_numbers(type, Work::i64, numbers);
    }
  return from_numbers(type, Work::i64, std::vector<std::int64_t>());  // of no elements
}

Result<Literal> read_value(Bytes value, Weights& weights, const std::shared_ptr<const void>& owner,
                           int depth);

// Scalars as a tensor of one axis.
Result<Literal> read_items(const std::vector<Bytes>& items, Weights& weights,
                           const std::shared_ptr<const void>& owner, int depth) {
  Literal list;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const Literal item = TRY(read_value(items[i], weights, owner, depth + 1));
    if (i == 0) {
      list.type = item.type;
      list.type.dims = {static_cast<std::int64_t>(items.size())};
      list.tensor = TRY(make_tensor(item.tensor.type, list.type.dims));
    }
    if (item.tensor.type != list.tensor.type || item.tensor.count != 1)
      return Error(ErrorKind::unsupported, "a list of other than scalars of one type");
    const std::size_t size = size_of(item.tensor.type);
    if (item.tensor.type == Element::text)
      list.tensor.data<const std::string*>()[i] =
          list.tensor.strings->add(std::string(item.tensor.text(0)));
    else
      std::memcpy(list.tensor.bytes + i * size, item.tensor.bytes, size);
  }
  return list;
}

Result<Literal> read_value(Bytes value, Weights& weights, const std::shared_ptr<const void>& owner,
                           int depth) {
  if (depth > most_nesting) return Error(ErrorKind::exhausted, "values nested too deep");
  const Fields f = TRY(Fields::of(value));
  const MilType type = TRY(read_type(f.bytes(2), 0));
  if (f.has(5)) {
    const Fields place = TRY(f.message(5));
    const auto blob =
        TRY(weights.find(place.text(1), static_cast<std::uint64_t>(place.integer(2))));
    const TypeRow* row = row_of(type.code);
    if (row == nullptr || (row->blob != blob.type && !(type.code == 1 && blob.type == 3)))
      return corrupt(fmt::format("weights at {}: of type {}, not {}", place.integer(2), blob.type,
                                 row == nullptr ? "any we know" : row->word));
    if (!type.has_rank) return corrupt("weights of no shape");
    auto read = TRY(from_bytes(type, *row, blob.bytes, blob.owner));
    return Literal{type, std::move(read)};
  }
  const Fields immediate = TRY(f.message(3));
  for (const std::uint32_t number : {2u, 3u})
    if (immediate.has(number)) {
      const Fields items = TRY(immediate.message(number));
      return read_items(items.messages(1), weights, owner, depth);
    }
  if (immediate.has(4)) return Error(ErrorKind::unsupported, "a dictionary constant");
  if (!type.has_rank) return corrupt("a constant of no shape");
  auto read = TRY(read_immediate(type, immediate.bytes(1), owner));
  return Literal{type, std::move(read)};
}

}  // namespace

Result<MilType> read_mil_type(Bytes value_type) { return read_type(value_type, 0); }

ValueInfo value_info(std::string name, const MilType& type) {
  ValueInfo info;
  info.name = std::move(name);
  if (type.kind == Shape::list) {
    info.kind = Value::Kind::sequence;
    return info;
  }
  if (type.kind == Shape::dictionary) {
    info.kind = Value::Kind::map;
    return info;
  }
  info.type = type.element;
  info.has_shape = type.has_rank;
  for (const std::int64_t extent : type.dims) info.shape.push_back({extent, {}});
  return info;
}

Result<Literal> read_literal(Bytes value, Weights& weights,
                             const std::shared_ptr<const void>& owner) {
  return read_value(value, weights, owner, 0);
}

Status unpack(std::span<std::uint8_t> to, Bytes packed, unsigned bits, bool is_signed) {
  const unsigned mask = (1u << bits) - 1;
  if (to.size() > packed.size() * 8 / bits)
    return corrupt(
        fmt::format("{} bytes for {} elements of {} bits", packed.size(), to.size(), bits));
  for (std::size_t i = 0; i < to.size(); ++i) {
    const std::size_t at = i * bits;
    unsigned code = static_cast<unsigned>(packed[at / 8]) >> (at % 8);
    if (at % 8 + bits > 8) code |= static_cast<unsigned>(packed[at / 8 + 1]) << (8 - at % 8);
    code &= mask;
    if (is_signed && (code >> (bits - 1)) != 0) code |= ~mask;
    to[i] = static_cast<std::uint8_t>(code);
  }
  return Done{};
}

}  // namespace hearth::graphs::coreml
