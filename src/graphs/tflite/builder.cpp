#include "graphs/tflite/builder.h"

#include <fmt/core.h>

#include <algorithm>

#include "graphs/call.h"

namespace hearth::graphs::tflite {
namespace {

constexpr std::string_view names[] = {
#include "graphs/tflite/names_table.inc"
};

// Of a constant whose rows are blocks with a scale each.
Result<Tensor> blockwise_real(const TensorInfo& t) {
  const Tensor& from = *t.constant;
  const Quantisation& q = t.quantisation;
  Tensor to = TRY(make_tensor(Element::f32, from.dims));
  load(Work::f32, to.data<float>(), from.type, from.bytes, static_cast<std::size_t>(from.count));
  const std::int64_t k = from.dims.back(), blocks = k / q.block;
  for (std::int64_t i = 0; i < from.count; ++i) {
    const auto at = static_cast<std::size_t>(i / k * blocks + i % k / q.block);
    const float zero = q.zero.empty() ? 0 : static_cast<float>(q.zero[at]);
    to.data<float>()[i] = (to.data<float>()[i] - zero) * q.scale[at];
  }
  return to;
}

}  // namespace

std::string_view operator_name(int code) {
  return code >= 0 && static_cast<std::size_t>(code) < std::size(names)
             ? names[code]
             : "an operator of the future";
}

Result<TensorInfo*> Builder::info(std::int64_t index) {
  if (index < 0 || static_cast<std::size_t>(index) >= tensors.size())
    return Error(ErrorKind::corrupt, fmt::format("tensor {} of {}", index, tensors.size()));
  return &tensors[static_cast<std::size_t>(index)];
}

Result<ValueId> Builder::activated(ValueId id, int activation) {
  switch (activation) {
    case 0:
      return id;
    case 1:
      return emit("Relu", {id});
    case 2:
      return emit("Clip", {id, scalar(-1), scalar(1)});
    case 3:
      return emit("hearth.Relu6", {id});
    case 4:
      return emit("Tanh", {id});
    default:
      return Error(ErrorKind::unsupported, fmt::format("activation {}", activation));
  }
}

Result<ValueId> Builder::raw(std::int64_t index) {
  TensorInfo* t = TRY(info(index));
  if (t->id == absent && t->constant) t->id = constant(*t->constant);
  if (t->id == absent)
    return Error(ErrorKind::corrupt,
                 fmt::format("tensor '{}': read before it is written", t->name));
  return t->id;
}

Result<Tensor> Builder::constant_real(std::int64_t index) {
  const TensorInfo* t = TRY(info(index));
  if (!t->constant)
    return Error(ErrorKind::unsupported,
                 fmt::format("tensor '{}': computed, where a constant is needed", t->name));
  const Tensor& from = *t->constant;
  if (from.type == Element::f32) return from;
  Tensor to = TRY(make_tensor(Element::f32, from.dims));
  float* numbers = to.data<float>();
  load(Work::f32, numbers, from.type, from.bytes, static_cast<std::size_t>(from.count));
  const Quantisation& q = t->quantisation;
  if (!q.exists()) return to;
  if (q.block > 0) return blockwise_real(*t);
  const bool single = q.scale.size() == 1;
  const auto axis = static_cast<std::size_t>(q.axis);
  if (!single && (q.axis < 0 || axis >= from.rank() ||
                  static_cast<std::int64_t>(q.scale.size()) != from.dims[axis]))
    return Error(ErrorKind::corrupt,
                 fmt::format("tensor '{}': {} scales", t->name, q.scale.size()));
  const std::int64_t inner = single ? 1 : product(std::span(from.dims).subspan(axis + 1));
  for (std::int64_t i = 0; i < from.count; ++i) {
    const auto k = static_cast<std::size_t>(single ? 0 : i / inner % from.dims[axis]);
    const std::int64_t zero = q.zero.empty() ? 0 : q.zero[std::min(k, q.zero.size() - 1)];
    // Whole numbers up to 2^31: in double, or their low bits would be lost.
    std::int64_t whole;
    load(Work::i64, &whole, from.type,
         from.bytes + i * static_cast<std::int64_t>(size_of(from.type)), 1);
    numbers[i] =
        static_cast<float>(static_cast<double>(whole - zero) * static_cast<double>(q.scale[k]));
  }
  return to;
}

Result<std::vector<std::int64_t>> Builder::constant_integers(std::int64_t index) {
  const TensorInfo* t = TRY(info(index));
  if (!t->constant || !is_integer(t->constant->type))
    return Error(ErrorKind::unsupported,
                 fmt::format("tensor '{}': needs constant integers", t->name));
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(t->constant->count));
  load(Work::i64, numbers.data(), t->constant->type, t->constant->bytes, numbers.size());
  return numbers;
}

Result<ValueId> Builder::real(std::int64_t index) {
  TensorInfo* t = TRY(info(index));
  if (t->real != absent) return t->real;
  if (t->constant && (t->quantisation.exists() || t->type == Element::f16)) {
    t->real = constant(TRY(constant_real(index)));
    return t->real;
  }
  const ValueId stored = TRY(raw(index));
  if (!t->quantisation.exists() || is_float(t->type)) {
    t->real = stored;
    return stored;
  }
  const Quantisation& q = t->quantisation;
  if (q.scale.size() != 1)
    return Error(ErrorKind::unsupported,
                 fmt::format("tensor '{}': computed, with a scale per channel", t->name));
  Tensor zero = TRY(make_tensor(t->type, {}));
  const std::int64_t at = q.zero.empty() ? 0 : q.zero[0];
  store(t->type, zero.bytes, Work::i64, &at, 1);
  t->real = emit("DequantizeLinear", {stored, scalar(q.scale[0]), constant(std::move(zero))});
  return t->real;
}

Result<ValueId> Builder::real_weights(std::int64_t index, const std::vector<std::size_t>& order) {
  const TensorInfo* t = TRY(info(index));
  const Quantisation& q = t->quantisation;
  const bool is_byte = t->type == Element::i8 || t->type == Element::u8;
  if (!t->constant || !is_byte || !q.exists() || q.block > 0 || order.size() != t->constant->rank())
    return constant(TRY(reordered(TRY(constant_real(index)), order)));
  const Tensor whole = TRY(reordered(*t->constant, order));
  const bool is_single = q.scale.size() == 1;
  const auto place = std::ranges::find(order, static_cast<std::size_t>(q.axis));
  const auto scales = static_cast<std::int64_t>(q.scale.size());
  if (!is_single && (place == order.end() ||
                     whole.dims[static_cast<std::size_t>(place - order.begin())] != scales))
    return Error(ErrorKind::corrupt, fmt::format("tensor '{}': {} scales", t->name, scales));
  const Dims dims = is_single ? Dims{} : Dims{scales};
  Tensor scale = TRY(make_tensor(Element::f32, dims)), zero = TRY(make_tensor(t->type, dims));
  for (std::size_t i = 0; i < q.scale.size(); ++i) {
    scale.data<float>()[i] = q.scale[i];
    const std::int64_t number = q.zero.empty() ? 0 : q.zero[std::min(i, q.zero.size() - 1)];
    store(t->type, zero.bytes + i, Work::i64, &number, 1);
  }
  return emit("DequantizeLinear",
              {constant(whole), constant(std::move(scale)), constant(std::move(zero))},
              {{"axis", is_single ? std::int64_t{0} : std::int64_t{place - order.begin()}}});
}

Result<ValueId> Builder::packed_product(ValueId x, std::int64_t weights) {
  constexpr std::int64_t fewest = 4096, row_block = 32;
  const TensorInfo* t = TRY(info(weights));
  const Quantisation& q = t->quantisation;
  const bool is_small = t->type == Element::i4;
  if (!t->constant || !q.exists() || (t->type != Element::i8 && !is_small) ||
      t->constant->rank() != 2 || t->constant->count < fewest)
    return absent;
  const std::int64_t n = t->constant->dims[0], k = t->constant->dims[1];
  const std::int64_t block = q.block > 0 ? q.block : row_block, blocks = k / block;
  const auto given = static_cast<std::int64_t>(q.scale.size());
  const std::int64_t per_row = q.block > 0 ? blocks : given == 1 ? 0 : 1;
  if (k % block != 0 || block % row_block != 0 || (q.block == 0 && given > 1 && q.axis != 0) ||
      given != std::max<std::int64_t>(per_row * n, 1) ||
      std::ranges::any_of(q.zero, [](std::int64_t zero) { return zero != 0; }))
    return absent;
  const std::int64_t bits = is_small ? 4 : 8;
  Tensor codes = TRY(make_tensor(Element::u8, {n, blocks, block * bits / 8})),
         scales = TRY(make_tensor(Element::f32, {n * blocks}));
  const std::int8_t* from = t->constant->data<std::int8_t>();
  std::uint8_t* to = codes.data<std::uint8_t>();
  for (std::int64_t i = 0; i < codes.count; ++i)
    to[i] = static_cast<std::uint8_t>(is_small ? (from[2 * i] + 8) | (from[2 * i + 1] + 8) << 4
                                               : from[i] + 128);
  for (std::int64_t i = 0; i < scales.count; ++i) {
    const std::int64_t at = q.block > 0 ? i : i / blocks * per_row;
    scales.data<float>()[i] = q.scale[static_cast<std::size_t>(at)];
  }
  return emit("com.microsoft.MatMulNBits",
              {x, constant(std::move(codes)), constant(std::move(scales))},
              {{"N", n}, {"K", k}, {"bits", bits}, {"block_size", block}});
}

Status Builder::give_raw(std::int64_t index, ValueId id) {
  TensorInfo* t = TRY(info(index));
  if (t->id != absent)
    return Error(ErrorKind::corrupt, fmt::format("tensor '{}': written twice", t->name));
  t->id = id;
  ValueInfo& value = graph.values[static_cast<std::size_t>(id)];
  value.name = t->name;
  value.type = t->type;
  value.has_shape = true;
  value.shape.clear();
  for (const std::int64_t extent : t->dims) value.shape.push_back({extent, {}});
  return Done{};
}

Status Builder::give_real(std::int64_t index, ValueId id) {
  const TensorInfo* t = TRY(info(index));
  const Quantisation& q = t->quantisation;
  if (!q.exists() || is_float(t->type)) return give_raw(index, id);
  if (q.scale.size() != 1)
    return Error(ErrorKind::unsupported,
                 fmt::format("tensor '{}': computed, with a scale per channel", t->name));
  Tensor zero = TRY(make_tensor(t->type, {}));
  const std::int64_t at = q.zero.empty() ? 0 : q.zero[0];
  store(t->type, zero.bytes, Work::i64, &at, 1);
  return give_raw(index,
                  emit("QuantizeLinear", {id, scalar(q.scale[0]), constant(std::move(zero))}));
}

Status Builder::check_kept(std::string_view name, Element type, const Dims& dims) const {
  constexpr std::uint64_t most_bytes = 1u << 30;
  std::uint64_t bytes = static_cast<std::uint64_t>(TRY(count_of(dims))) * size_of(type);
  for (const Kept& each : *kept) bytes += each.first.byte_count();
  if (bytes <= most_bytes) return Done{};
  return Error(ErrorKind::exhausted,
               fmt::format("variable '{}' of {}: all of them take {} MB: needs {} at most", name,
                           to_text(dims), bytes >> 20, most_bytes >> 20));
}

Result<std::size_t> Builder::keep(std::string name, Element type, Dims dims) {
  if (kept == nullptr)
    return Error(ErrorKind::unsupported, fmt::format("'{}': a variable of a branch or loop", name));
  TRY(check_kept(name, type, dims));
  Tensor first = TRY(make_tensor(type, std::move(dims)));
  std::memset(first.bytes, 0, first.byte_count());
  const ValueId input = new_value();
  kept->push_back({std::move(name), std::move(first), input, input});
  return kept->size() - 1;
}

Status Builder::change_real(std::int64_t index, ValueId id) {
  TensorInfo* t = TRY(info(index));
  if (!t->kept)
    return Error(ErrorKind::unsupported, fmt::format("tensor '{}': is no variable", t->name));
  t->id = t->real = absent;
  TRY(give_real(index, id));
  (*kept)[*t->kept].now = t->id;
  return Done{};
}

Result<Tensor> reordered(const Tensor& x, const std::vector<std::size_t>& order) {
  if (order.size() != x.rank())
    return Error(ErrorKind::corrupt, fmt::format("a constant of {}", to_text(x.dims)));
  const Dims from = strides_of(x.dims);
  Dims dims;
  for (const std::size_t axis : order) dims.push_back(x.dims[axis]);
  Tensor y = TRY(make_tensor(x.type, dims));
  const std::size_t size = size_of(x.type);
  for (std::int64_t i = 0; i < y.count; ++i) {
    std::int64_t rest = i, place = 0;
    for (std::size_t k = order.size(); k-- > 0;) {
      place += rest % dims[k] * from[order[k]];
      rest /= dims[k];
    }
    std::memcpy(y.bytes + static_cast<std::size_t>(i) * size,
                x.bytes + static_cast<std::size_t>(place) * size, size);
  }
  return y;
}

}  // namespace hearth::graphs::tflite
