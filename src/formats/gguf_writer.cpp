// Source: gguf.md of the ggml project, "File structure".
#include "formats/gguf_writer.h"

#include <fmt/core.h>

#include <bit>
#include <set>
#include <type_traits>

#include "base/bytes.h"
#include "base/files.h"
#include "base/utf8.h"
#include "formats/limits.h"

namespace hearth {
namespace {

using Sink = std::function<Status(std::span<const std::byte>)>;

template <typename T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_text(std::string& out, std::string_view text) {
  append(out, std::uint64_t{text.size()});
  out += text;
}

template <typename T>
constexpr MetaType meta_type() {
  if constexpr (std::is_same_v<T, std::uint8_t>) return MetaType::u8;
  if constexpr (std::is_same_v<T, std::int8_t>) return MetaType::i8;
  if constexpr (std::is_same_v<T, std::uint16_t>) return MetaType::u16;
  if constexpr (std::is_same_v<T, std::int16_t>) return MetaType::i16;
  if constexpr (std::is_same_v<T, std::uint32_t>) return MetaType::u32;
  if constexpr (std::is_same_v<T, std::int32_t>) return MetaType::i32;
  if constexpr (std::is_same_v<T, float>) return MetaType::f32;
  if constexpr (std::is_same_v<T, bool>) return MetaType::boolean;
  if constexpr (std::is_same_v<T, std::uint64_t>) return MetaType::u64;
  if constexpr (std::is_same_v<T, std::int64_t>) return MetaType::i64;
  if constexpr (std::is_same_v<T, double>) return MetaType::f64;
}

Error invalid(std::string what) { return Error(ErrorKind::invalid, std::move(what)); }

Result<std::uint64_t> stored_bytes(const GgufTensor& tensor) {
  const std::string name = printable(tensor.name);
  if (tensor.name.empty() || tensor.name.size() > limits::gguf_name_bytes)
    return invalid(
        fmt::format("tensor '{}': a name has 1 to {} bytes", name, limits::gguf_name_bytes));
  if (tensor.shape.empty() || tensor.shape.size() > limits::gguf_rank)
    return invalid(fmt::format("tensor '{}': rank {}, at most {}", name, tensor.shape.size(),
                               limits::gguf_rank));
  if (info(tensor.dtype).gguf_id < 0)
    return invalid(fmt::format("tensor '{}': {} is not in GGUF", name, name_of(tensor.dtype)));
  std::uint64_t elements = 1;
  for (const std::uint64_t extent : tensor.shape) elements = TRY(checked_mul(elements, extent));
  if (elements == 0 || tensor.shape.back() % info(tensor.dtype).block_elements != 0)
    return invalid(fmt::format("tensor '{}': rows of {} are not whole blocks of {}", name,
                               tensor.shape.back(), name_of(tensor.dtype)));
  return byte_size(tensor.dtype, elements);
}

std::uint64_t padding(std::uint64_t size, std::uint64_t alignment) {
  return (alignment - size % alignment) % alignment;
}

void append_pair(std::string& out, std::string_view key, const GgufValue& value) {
  append_text(out, key);
  if (value.is_array) append(out, std::to_underlying(MetaType::array));
  append(out, std::to_underlying(value.type));
  if (value.is_array) append(out, value.count);
  out += value.bytes;
}

void append_entry(std::string& out, const GgufTensor& tensor, std::uint64_t offset) {
  append_text(out, tensor.name);
  append(out, static_cast<std::uint32_t>(tensor.shape.size()));
  for (std::size_t i = tensor.shape.size(); i-- > 0;) append(out, tensor.shape[i]);
  append(out, static_cast<std::uint32_t>(info(tensor.dtype).gguf_id));
  append(out, offset);
}

Result<std::string> header_bytes(const GgufContents& contents) {
  constexpr std::string_view alignment_key = "general.alignment";
  constexpr std::uint32_t default_alignment = 32;
  if (!std::has_single_bit(contents.alignment) || contents.alignment < limits::gguf_min_alignment ||
      contents.alignment > limits::gguf_max_alignment)
    return invalid(fmt::format("alignment {}", contents.alignment));
  std::string pairs;
  std::uint64_t pair_count = 0;
  std::set<std::string_view> keys;
  for (const auto& [key, value] : contents.metadata) {
    if (key == alignment_key) continue;  // the one of these contents counts
    if (!keys.insert(key).second) return invalid(fmt::format("key '{}': twice", printable(key)));
    append_pair(pairs, key, value);
    ++pair_count;
  }
  if (contents.alignment != default_alignment) {
    append_pair(pairs, alignment_key, GgufValue::of(contents.alignment));
    ++pair_count;
  }
  std::string header = "GGUF";
  append(header, std::uint32_t{3});
  append(header, std::uint64_t{contents.tensors.size()});
  append(header, pair_count);
  header += pairs;
  std::uint64_t offset = 0;
  std::set<std::string_view> names;
  for (const GgufTensor& tensor : contents.tensors) {
    const std::uint64_t bytes = TRY(stored_bytes(tensor));
    if (!names.insert(tensor.name).second)
      return invalid(fmt::format("tensor '{}': twice", printable(tensor.name)));
    append_entry(header, tensor, offset);
    offset = TRY(checked_add(offset, bytes));
    offset = TRY(checked_add(offset, padding(offset, contents.alignment)));
  }
  if (!contents.tensors.empty()) header.append(padding(header.size(), contents.alignment), '\0');
  return header;
}

Status write_to(const Sink& sink, const GgufContents& contents) {
  const std::string header = TRY(header_bytes(contents));
  TRY(sink(bytes_of(header)));
  for (const GgufTensor& tensor : contents.tensors) {
    const std::uint64_t bytes = TRY(stored_bytes(tensor));
    const auto data = TRY(tensor.data());
    if (data.size() != bytes)
      return invalid(fmt::format("tensor '{}': {} bytes of data, needs {}", printable(tensor.name),
                                 data.size(), bytes));
    TRY(sink(data));
    TRY(sink(bytes_of(std::string(padding(bytes, contents.alignment), '\0'))));
  }
  return Done{};
}

}  // namespace

template <typename T>
GgufValue GgufValue::of(T value) {
  GgufValue out{.type = meta_type<T>(), .bytes = {}};
  append(out.bytes, value);
  return out;
}

template <typename T>
GgufValue GgufValue::array(std::span<const T> values) {
  GgufValue out{.type = meta_type<T>(), .is_array = true, .count = values.size(), .bytes = {}};
  for (const T value : values) append(out.bytes, value);
  return out;
}

template GgufValue GgufValue::of(std::uint8_t);
template GgufValue GgufValue::of(std::int8_t);
template GgufValue GgufValue::of(std::uint16_t);
template GgufValue GgufValue::of(std::int16_t);
template GgufValue GgufValue::of(std::uint32_t);
template GgufValue GgufValue::of(std::int32_t);
template GgufValue GgufValue::of(float);
template GgufValue GgufValue::of(bool);
template GgufValue GgufValue::of(std::uint64_t);
template GgufValue GgufValue::of(std::int64_t);
template GgufValue GgufValue::of(double);
template GgufValue GgufValue::array(std::span<const std::uint8_t>);
template GgufValue GgufValue::array(std::span<const std::int8_t>);
template GgufValue GgufValue::array(std::span<const std::uint16_t>);
template GgufValue GgufValue::array(std::span<const std::int16_t>);
template GgufValue GgufValue::array(std::span<const std::uint32_t>);
template GgufValue GgufValue::array(std::span<const std::int32_t>);
template GgufValue GgufValue::array(std::span<const float>);
template GgufValue GgufValue::array(std::span<const bool>);
template GgufValue GgufValue::array(std::span<const std::uint64_t>);
template GgufValue GgufValue::array(std::span<const std::int64_t>);
template GgufValue GgufValue::array(std::span<const double>);

GgufValue GgufValue::text(std::string_view value) {
  GgufValue out{.type = MetaType::string, .bytes = {}};
  append_text(out.bytes, value);
  return out;
}

GgufValue GgufValue::texts(std::span<const std::string_view> values) {
  GgufValue out{.type = MetaType::string, .is_array = true, .count = values.size(), .bytes = {}};
  for (const std::string_view value : values) append_text(out.bytes, value);
  return out;
}

GgufValue GgufValue::copy(const MetaValue& value) {
  return {value.type, value.is_array, value.count, std::string(text_of(value.bytes))};
}

Status write_gguf(const std::string& path, const GgufContents& contents) {
  DraftFile draft = TRY(DraftFile::create(path));
  TRY(write_to([&](std::span<const std::byte> bytes) { return draft.write(bytes); }, contents));
  return draft.commit();
}

Result<std::string> gguf_bytes(const GgufContents& contents) {
  std::string out;
  const auto keep = [&](std::span<const std::byte> bytes) -> Status {
    out += text_of(bytes);
    return Done{};
  };
  TRY(write_to(keep, contents));
  return out;
}

}  // namespace hearth
