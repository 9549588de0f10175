// The tensors of a TFLite file.
// Source: TFLite, schema.fbs (version 3).
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "graphs/borrowed.h"
#include "graphs/tflite/model.h"
#include "graphs/tflite/sparse.h"

namespace hearth::graphs::tflite {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

Element element_of(int type) {
  constexpr Element types[] = {Element::f32, Element::f16,      Element::i32,     Element::u8,
                               Element::i64, Element::text,     Element::boolean, Element::i16,
                               Element::c64, Element::i8,       Element::f64,     Element::c128,
                               Element::u64, Element::none,     Element::none,    Element::u32,
                               Element::u16, Element::i4,       Element::bf16,    Element::i2,
                               Element::u4,  Element::f8e4m3fn, Element::f8e5m2};
  return type >= 0 && type < 23 ? types[type] : Element::none;
}

// The number of texts, where each begins and the last one ends, the bytes of all.
Result<Tensor> read_texts(const TensorInfo& info, std::int64_t count,
                          std::span<const std::byte> data) {
  const auto word = [&](std::size_t i) {
    std::int32_t value = -1;
    if (4 * i + 4 <= data.size()) std::memcpy(&value, data.data() + 4 * i, sizeof value);
    return std::int64_t{value};
  };
  if (word(0) != count)
    return corrupt(
        fmt::format("tensor '{}': {} texts for {}", info.name, word(0), to_text(info.dims)));
  Tensor tensor = TRY(make_tensor(Element::text, info.dims));
  tensor.strings = std::make_shared<StringPool>();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t begin = word(static_cast<std::size_t>(i) + 1),
                       end = word(static_cast<std::size_t>(i) + 2);
    if (begin < 0 || end < begin || std::cmp_greater(end, data.size()))
      return corrupt(fmt::format("tensor '{}': text {} outside its buffer", info.name, i));
    tensor.data<const std::string*>()[i] = tensor.strings->add(std::string(
        reinterpret_cast<const char*>(data.data()) + begin, static_cast<std::size_t>(end - begin)));
  }
  return tensor;
}

Result<Tensor> read_constant(const TensorInfo& info, std::span<const std::byte> data,
                             const std::shared_ptr<const void>& owner) {
  const std::int64_t count = TRY(count_of(info.dims));
  const unsigned bits = packed_bits_of(info.type);
  if (info.type == Element::text) return read_texts(info, count, data);
  if (info.type == Element::none)
    return Error(ErrorKind::unsupported,
                 fmt::format("constant '{}' of {}", info.name, name_of(info.type)));
  const auto n = static_cast<std::uint64_t>(count);
  const std::uint64_t needed = bits == 0 ? n * size_of(info.type) : (n * bits + 7) / 8;
  if (data.size() != needed)
    return corrupt(fmt::format("tensor '{}': {} bytes for {} {}", info.name, data.size(),
                               name_of(info.type), to_text(info.dims)));
  const std::size_t alignment = std::min<std::size_t>(size_of(info.type), 8);
  if (bits == 0 && is_aligned(data, alignment))
    return borrowed(info.type, info.dims, count, data, owner);
  Tensor tensor = TRY(make_tensor(info.type, info.dims));
  if (bits == 0) {
    std::memcpy(tensor.bytes, data.data(), data.size());
    return tensor;
  }
  const unsigned per_byte = 8 / bits, mask = (1u << bits) - 1;
  for (std::size_t i = 0; i < n; ++i) {
    unsigned code = static_cast<unsigned>(data[i / per_byte]) >> (i % per_byte * bits) & mask;
    if ((info.type == Element::i4 || info.type == Element::i2) && (code >> (bits - 1)) != 0)
      code |= ~mask;
    tensor.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(code);
  }
  return tensor;
}

Result<TensorInfo> read_tensor(const FlatTable& table) {
  TensorInfo info;
  info.name = printable(TRY(table.text(3)), 256);
  info.type = element_of(table.number<std::int8_t>(1, 0));
  const auto shape = TRY(table.numbers<std::int32_t>(0));
  const auto signature = TRY(table.numbers<std::int32_t>(7));
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool open = signature.size() == shape.size() && signature[i] < 0;
    info.is_known = info.is_known && !open;
    info.dims.push_back(open ? -1 : shape[i]);
  }
  if (info.dims.size() > max_rank)
    return corrupt(fmt::format("tensor '{}': {} axes", info.name, info.dims.size()));
  const FlatTable q = TRY(table.table(4));
  if (!q.exists()) return info;
  info.quantisation.scale = TRY(q.numbers<float>(2));
  info.quantisation.zero = TRY(q.numbers<std::int64_t>(3));
  info.quantisation.axis = q.number<std::int32_t>(6, 0);
  for (const float scale : info.quantisation.scale)
    if (!std::isfinite(scale))
      return corrupt(fmt::format("tensor '{}': a scale of {}", info.name, scale));
  for (const std::int64_t zero : info.quantisation.zero)
    if (!std::in_range<std::int32_t>(zero))
      return corrupt(fmt::format("tensor '{}': zero at {}", info.name, zero));
  return info;
}

// Scales of blocks lie in a tensor of their own.
Status read_blocks(const Model& model, const FlatTable& subgraph, const FlatTable& table,
                   TensorInfo& info) {
  const FlatTable q = TRY(table.table(4));
  const auto kind = q.exists() ? q.number<std::uint8_t>(4, 0) : std::uint8_t{0};
  if (kind == 0) return Done{};
  const auto refused = [&](std::string_view what) {
    return Error(ErrorKind::unsupported, fmt::format("tensor '{}': {}", info.name, what));
  };
  constexpr std::uint8_t blockwise = 2;
  if (kind != blockwise) return refused("quantised in a way of its own");
  const FlatTable details = TRY(q.table(5));
  const auto tensors = TRY(subgraph.tables(0));
  const auto read = [&](unsigned slot, std::vector<double>& to) -> Status {
    const auto index = details.number<std::int32_t>(slot, slot == 1 ? -1 : 0);
    if (index < 0 || (slot == 1 && index == 0)) return Done{};
    if (static_cast<std::size_t>(index) >= tensors.size())
      return corrupt(fmt::format("tensor {}", index));
    const TensorInfo held = TRY(read_tensor(tensors[static_cast<std::size_t>(index)]));
    const auto data =
        TRY(model.buffers.at(tensors[static_cast<std::size_t>(index)].number<std::uint32_t>(2, 0)));
    const Tensor numbers = TRY(read_constant(held, data, model.owner));
    to.resize(static_cast<std::size_t>(numbers.count));
    load(Work::f64, to.data(), numbers.type, numbers.bytes, to.size());
    return Done{};
  };
  std::vector<double> scales, zeros;
  TRY(read(0, scales));
  TRY(read(1, zeros));
  info.quantisation.scale.assign(scales.begin(), scales.end());
  info.quantisation.zero.assign(zeros.begin(), zeros.end());
  info.quantisation.block = details.number<std::int32_t>(2, 0);
  const std::int64_t block = info.quantisation.block, k = info.dims.empty() ? 0 : info.dims.back();
  const std::int64_t count = TRY(count_of(info.dims));
  if (block < 1 || k % block != 0 || !std::cmp_equal(scales.size(), count / block) ||
      (!zeros.empty() && zeros.size() != scales.size()))
    return refused(
        fmt::format("{} scales for {} in blocks of {}", scales.size(), to_text(info.dims), block));
  return Done{};
}

// A tensor that keeps what a run has left in it.  Before the first run: what the file says, or
// zero.
Result<Tensor> first_of(const Builder& b, const TensorInfo& info) {
  if (info.constant) return *info.constant;
  if (!info.is_known || info.type == Element::none || info.type == Element::text)
    return Error(ErrorKind::unsupported,
                 fmt::format("tensor '{}': a variable of unknown shape", info.name));
  TRY(b.check_kept(info.name, info.type, info.dims));
  Tensor first = TRY(make_tensor(info.type, info.dims));
  const std::int64_t zero =
      info.type == Element::i8 && !info.quantisation.zero.empty() ? info.quantisation.zero[0] : 0;
  std::memset(first.bytes, static_cast<int>(zero), first.byte_count());
  return first;
}

Status keep(Builder& b, TensorInfo& info) {
  if (b.kept == nullptr)
    return Error(ErrorKind::unsupported,
                 fmt::format("tensor '{}': a variable of a branch or loop", info.name));
  const ValueId input = b.new_value();
  b.kept->push_back({info.name, TRY(first_of(b, info)), input, input});
  info.kept = b.kept->size() - 1;
  info.id = input;
  info.constant.reset();
  return Done{};
}

}  // namespace

Result<std::span<const std::byte>> Buffers::at(std::uint32_t index) const {
  if (index >= tables.size()) return corrupt(fmt::format("buffer {} of {}", index, tables.size()));
  const auto offset = tables[index].number<std::uint64_t>(1, 0),
             size = tables[index].number<std::uint64_t>(2, 0);
  if (offset <= 1) return tables[index].bytes(0);
  if (offset > file.size() || size > file.size() - offset)
    return corrupt(fmt::format("buffer {}: outside the file", index));
  return file.subspan(offset, size);
}

Status read_tensors(const Model& model, Builder& b, const FlatTable& subgraph) {
  for (const FlatTable& table : TRY(subgraph.tables(0))) {
    TensorInfo info = TRY(read_tensor(table));
    const auto data = TRY(model.buffers.at(table.number<std::uint32_t>(2, 0)));
    const FlatTable sparse = TRY(table.table(6));
    if (!data.empty() && sparse.exists()) {
      info.constant = TRY(read_sparse(info, sparse, data));
    } else if (!data.empty()) {
      TRY(read_blocks(model, subgraph, table, info));
      info.constant = TRY(read_constant(info, data, model.owner));
    }
    constexpr unsigned is_variable = 5;
    if (table.number<std::uint8_t>(is_variable, 0) != 0) TRY(keep(b, info));
    b.tensors.push_back(std::move(info));
  }
  return Done{};
}

}  // namespace hearth::graphs::tflite
