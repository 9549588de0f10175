// Source: TFLite, kernels/internal/{common,quantization_util}, reference/{add,sub,leaky_relu,
// requantize,integer_ops/conv,integer_ops/transpose_conv}: what they compute.
#include "graphs/tflite/fixed.h"

#include <fmt/core.h>

#include <cmath>

#include "graphs/call.h"

namespace hearth::graphs::tflite {
namespace {

using Ints = std::vector<std::int64_t>;
using Attributes = std::map<std::string, Attribute, std::less<>>;

// real = multiplier * 2^(shift - 31), multiplier of 31 bits.
struct Factor {
  std::int64_t multiplier = 0, shift = 0;
};

Result<Factor> factor_of(double real) {
  if (!std::isfinite(real)) return Error(ErrorKind::corrupt, "scales too far apart");
  if (real == 0) return Factor{};
  int shift = 0;
  const double part = std::frexp(real, &shift);
  auto multiplier = static_cast<std::int64_t>(std::round(part * 2147483648.0));
  if (multiplier == std::int64_t{1} << 31) {
    multiplier /= 2;
    ++shift;
  }
  if (shift < -31) return Factor{};
  return Factor{multiplier, shift};
}

double scale_of(const TensorInfo& t, std::size_t i = 0) {
  const auto& scales = t.quantisation.scale;
  return scales.empty() ? 1 : static_cast<double>(scales[scales.size() == 1 ? 0 : i]);
}
std::int64_t zero_of(const TensorInfo& t) {
  return t.quantisation.zero.empty() ? 0 : t.quantisation.zero[0];
}

void put(Attributes& attributes, const std::string& name, const Factor& factor) {
  attributes[name] = Ints{factor.multiplier, factor.shift};
}

// The bounds of a result: of its type and of its activation.
void put_bounds(Attributes& attributes, const TensorInfo& y, int activation) {
  std::int64_t low = y.type == Element::i32 ? -(std::int64_t{1} << 31) : -32768;
  std::int64_t high = -low - 1;
  const auto whole = [&](double real) {
    constexpr double most = 4294967296;  // past all bounds
    return zero_of(y) +
           static_cast<std::int64_t>(std::clamp(std::round(real / scale_of(y)), -most, most));
  };
  if (activation == 1 || activation == 3) low = std::max(low, whole(0));
  if (activation == 2) low = std::max(low, whole(-1));
  if (activation == 2) high = std::min(high, whole(1));
  if (activation == 3) high = std::min(high, whole(6));
  attributes["low"] = low;
  attributes["high"] = high;
  attributes["y_zero"] = zero_of(y);
}

struct Parts {
  const TensorInfo *x, *y;
};
Result<Parts> parts_of(Builder& b, const Operator& op, std::size_t input) {
  const Parts parts{TRY(b.info(op.inputs[input])), TRY(b.info(op.outputs.at(0)))};
  for (const TensorInfo* info : {parts.x, parts.y})
    if (!(scale_of(*info) > 0))
      return Error(ErrorKind::corrupt,
                   fmt::format("tensor '{}': a scale of {}", info->name, scale_of(*info)));
  return parts;
}

Result<bool> sum(Builder& b, const Operator& op) {
  const TensorInfo* second = TRY(b.info(op.inputs[1]));
  const Parts p = TRY(parts_of(b, op, 0));
  if (second->type != Element::i16 || p.y->type != Element::i16) return false;
  constexpr int left_shift = 15;
  const double most = 2 * std::max(scale_of(*p.x), scale_of(*second));
  Attributes attributes{{"subtracts", std::int64_t{op.code == 41}},
                        {"left_shift", std::int64_t{left_shift}},
                        {"a_zero", zero_of(*p.x)},
                        {"b_zero", zero_of(*second)}};
  put(attributes, "a", TRY(factor_of(scale_of(*p.x) / most)));
  put(attributes, "b", TRY(factor_of(scale_of(*second) / most)));
  put(attributes, "y", TRY(factor_of(most / ((1 << left_shift) * scale_of(*p.y)))));
  put_bounds(attributes, *p.y, op.options.number<std::int8_t>(0, 0));
  const ValueId first_id = TRY(b.raw(op.inputs[0])), second_id = TRY(b.raw(op.inputs[1]));
  TRY(b.give_raw(op.outputs[0], b.emit("hearth.FixedAdd", {first_id, second_id}, attributes)));
  return true;
}

// y = x by one factor, or by another one below zero.
Result<bool> rescale(Builder& b, const Operator& op) {
  const Parts p = TRY(parts_of(b, op, 0));
  const bool leaks = op.code == 98;
  if (!p.y->quantisation.exists() || (p.y->type != Element::i16 && p.y->type != Element::i32))
    return false;
  // The reference kernel of LeakyRelu computes its factors in f32, the other one in f64.
  const auto alpha = op.options.number<float>(0, 0), from = static_cast<float>(scale_of(*p.x)),
             to = static_cast<float>(scale_of(*p.y));
  const double ratio = leaks ? static_cast<double>(from / to) : scale_of(*p.x) / scale_of(*p.y);
  const double below = leaks ? static_cast<double>(from * alpha / to) : ratio;
  Attributes attributes{{"a_zero", zero_of(*p.x)}, {"type", static_cast<std::int64_t>(p.y->type)}};
  put(attributes, "a", TRY(factor_of(ratio)));
  put(attributes, "b", TRY(factor_of(below)));
  put_bounds(attributes, *p.y, 0);
  TRY(b.give_raw(op.outputs[0],
                 b.emit("hearth.FixedRescale", {TRY(b.raw(op.inputs[0]))}, attributes)));
  return true;
}

// Images [n, h, w, c], weights [filters, h, w, c] of 8 bits.
Result<bool> convolution(Builder& b, const Operator& op) {
  const bool turned = op.code == 67;
  const std::size_t bias_index = turned ? 3 : 2;
  const Parts p = TRY(parts_of(b, op, turned ? 2 : 0));
  const TensorInfo* w = TRY(b.info(op.inputs[1]));
  if (w->type != Element::i8 || !w->constant || w->dims.size() != 4 || p.y->type != Element::i16 ||
      p.x->dims.size() != 4)
    return false;
  if (w->quantisation.scale.size() > 1 &&
      static_cast<std::int64_t>(w->quantisation.scale.size()) != w->dims[0])
    return false;
  Ints multipliers, shifts;
  for (std::int64_t f = 0; f < w->dims[0]; ++f) {
    const Factor factor =
        TRY(factor_of(scale_of(*p.x) * scale_of(*w, static_cast<std::size_t>(f)) / scale_of(*p.y)));
    multipliers.push_back(factor.multiplier);
    shifts.push_back(factor.shift);
  }
  const auto number = [&](unsigned slot) {
    return std::int64_t{op.options.number<std::int32_t>(slot, 1)};
  };
  Attributes attributes{{"multipliers", multipliers},
                        {"shifts", shifts},
                        {"same", std::int64_t{op.options.number<std::int8_t>(0, 0) == 0}},
                        {"strides", Ints{number(2), number(1)}},
                        {"dilations", turned ? Ints{1, 1} : Ints{number(5), number(4)}}};
  put_bounds(attributes, *p.y, turned ? 0 : op.options.number<std::int8_t>(3, 0));
  std::vector<ValueId> inputs{TRY(b.raw(op.inputs[turned ? 2 : 0])), TRY(b.raw(op.inputs[1]))};
  if (op.inputs.size() > bias_index && op.inputs[bias_index] >= 0)
    inputs.push_back(TRY(b.raw(op.inputs[bias_index])));
  if (turned) attributes["output_shape"] = Ints(p.y->dims.begin(), p.y->dims.end());
  TRY(b.give_raw(op.outputs[0], b.emit(turned ? "hearth.FixedConvTranspose" : "hearth.FixedConv",
                                       std::move(inputs), attributes)));
  return true;
}

}  // namespace

Result<bool> add_fixed(Builder& b, const Operator& op) {
  const std::size_t image = op.code == 67 ? 2 : 0;
  if (op.outputs.empty() ||
      op.inputs.size() <= std::max<std::size_t>(image, op.code == 3 ? 1 : 0) ||
      op.inputs[image] < 0)
    return false;
  const TensorInfo* x = TRY(b.info(op.inputs[image]));
  const bool is_wide = x->type == Element::i32 && op.code == 114;
  if ((x->type != Element::i16 && !is_wide) || x->quantisation.scale.size() != 1) return false;
  switch (op.code) {
    case 0:
    case 41:
      return op.inputs.size() == 2 && op.inputs[1] >= 0 ? sum(b, op) : false;
    case 98:
    case 114:
      return rescale(b, op);
    case 3:
    case 67:
      return op.inputs[1] >= 0 ? convolution(b, op) : false;
    default:
      return false;
  }
}

}  // namespace hearth::graphs::tflite
