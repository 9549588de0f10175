// Convolutions, products, pooling, normalisation, attention, random numbers, classes.
// Source: Core ML Tools, MIL operator reference.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/ascii.h"
#include "graphs/coreml/mil.h"

namespace hearth::graphs::coreml {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

// "valid", "same", "same_lower", "custom" with its amounts before and after each axis.
Status add_padding(MilOp& op, Attributes& attributes, std::string_view fallback) {
  const std::string type = ascii_lower(TRY(op.text("pad_type", fallback)));
  if (type == "same") {
    attributes["auto_pad"] = std::string("SAME_UPPER");
  } else if (type == "same_lower") {
    attributes["auto_pad"] = std::string("SAME_LOWER");
  } else if (type == "custom") {
    const Ints pairs = TRY(op.ints("pad", {}));
    Ints flat;
    for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) flat.push_back(pairs[i]);
    for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) flat.push_back(pairs[i + 1]);
    if (!flat.empty()) attributes["pads"] = std::move(flat);
  } else if (type != "valid") {
    return Error(ErrorKind::unsupported, fmt::format("pad_type '{}'", type));
  }
  return Done{};
}

Result<Attributes> windows(MilOp& op) {
  Attributes attributes{{"group", TRY(op.integer("groups", 1))}};
  if (op.has("strides")) attributes["strides"] = TRY(op.ints("strides"));
  if (op.has("dilations")) attributes["dilations"] = TRY(op.ints("dilations"));
  TRY(add_padding(op, attributes, "valid"));
  return attributes;
}

Status conv(MilOp& op) {
  const Attributes attributes = TRY(windows(op));
  return op.give(op.b.emit(
      "Conv", {TRY(op.in("x")), TRY(op.in("weight")), TRY(op.in_or_absent("bias"))}, attributes));
}

std::int64_t nth(const Attributes& attributes, const char* name, std::size_t i,
                 std::int64_t fallback) {
  const auto found = attributes.find(name);
  const Ints* list = found == attributes.end() ? nullptr : std::get_if<Ints>(&found->second);
  return list == nullptr || i >= list->size() ? fallback : (*list)[i];
}

// A result of the wanted shape: rows too many are cut from the end, rows too few added there.
Status fit_output(MilOp& op, Attributes& attributes, const Ints& wanted) {
  const Dims x = TRY(op.dims("x")), w = TRY(op.dims("weight"));
  const std::size_t axes = x.size() - 2;
  if (x.size() < 3 || w.size() != x.size() || wanted.size() < axes)
    return corrupt("'output_shape' of another rank");
  const Ints sizes(wanted.end() - static_cast<std::ptrdiff_t>(axes), wanted.end());
  if (attributes.contains("auto_pad")) {
    attributes["output_shape"] = sizes;
    return Done{};
  }
  Ints pads(2 * axes, 0), more(axes, 0);
  for (std::size_t i = 0; i < axes; ++i) {
    pads[i] = nth(attributes, "pads", i, 0);
    pads[axes + i] = nth(attributes, "pads", axes + i, 0);
    if (x[i + 2] < 0 || w[i + 2] < 0)
      return Error(ErrorKind::unsupported, "an output shape from an unknown one");
    const std::int64_t stride = nth(attributes, "strides", i, 1);
    const std::int64_t natural = (x[i + 2] - 1) * stride +
                                 (w[i + 2] - 1) * nth(attributes, "dilations", i, 1) + 1 - pads[i] -
                                 pads[axes + i];
    if (sizes[i] < natural) pads[axes + i] += natural - sizes[i];
    if (sizes[i] > natural) more[i] = sizes[i] - natural;
    if (more[i] >= std::max<std::int64_t>(stride, 1))
      return corrupt(fmt::format("an output of {}, by its input {}", sizes[i], natural));
  }
  attributes["pads"] = pads;
  attributes["output_padding"] = more;
  return Done{};
}

Status conv_transpose(MilOp& op) {
  Attributes attributes = TRY(windows(op));
  if (op.has("output_shape")) TRY(fit_output(op, attributes, TRY(op.ints("output_shape"))));
  return op.give(op.b.emit("ConvTranspose",
                           {TRY(op.in("x")), TRY(op.in("weight")), TRY(op.in_or_absent("bias"))},
                           attributes));
}

// x [..., k] by weight [n, k].
Status linear(MilOp& op) {
  const Dims x = TRY(op.dims("x")), w = TRY(op.dims("weight"));
  if (x.empty() || w.size() != 2) return corrupt(fmt::format("weights of {}", to_text(w)));
  const ValueId bias = TRY(op.in_or_absent("bias")), weight = TRY(op.in("weight"));
  const Attributes by{{"transB", std::int64_t{1}}};
  ValueId y = TRY(op.in("x"));
  if (x.size() == 2) return op.give(op.b.emit("Gemm", {y, weight, bias}, by));
  if (std::ranges::count(x.begin(), x.end() - 1, -1) > 1) {
    // Of unknown rows: the product as it is.
    y = op.b.emit("MatMul", {y, op.b.transposed(weight, {1, 0})});
    return op.give(bias == absent ? y : op.b.emit("Add", {y, bias}));
  }
  Ints shape(x.begin(), x.end());
  shape.back() = w[0];
  y = op.b.emit("Gemm", {op.reshaped(y, {-1, w[1]}), weight, bias}, by);
  return op.give(op.reshaped(y, shape));
}

Status matmul(MilOp& op) {
  ValueId sides[2];
  const std::string_view names[] = {"x", "y"}, flags[] = {"transpose_x", "transpose_y"};
  for (std::size_t i = 0; i < 2; ++i) {
    sides[i] = TRY(op.in(names[i]));
    if (!TRY(op.flag(flags[i], false))) continue;
    const std::size_t rank = TRY(op.rank(names[i]));
    if (rank < 2) continue;
    Ints order;
    for (std::size_t k = 0; k < rank; ++k) order.push_back(static_cast<std::int64_t>(k));
    std::swap(order[rank - 1], order[rank - 2]);
    sides[i] = op.b.transposed(sides[i], order);
  }
  return op.give(op.b.emit("MatMul", {sides[0], sides[1]}));
}

// "nchw,nwhu->nchu" and "chw,whr->chr", under any letters: axes of length 1 broadcast.
bool is_plain_product(const std::string& equation, std::size_t rank) {
  const std::string_view known = rank == 4 ? "nchw,nwhu->nchu" : "chw,whr->chr";
  std::string renamed, letters;
  for (const char c : equation) {
    if (c == ' ') continue;
    if (c == ',' || c == '-' || c == '>') {
      renamed += c;
      continue;
    }
    const std::size_t place = letters.find(c);
    if (place == std::string::npos) letters += c;
    const std::string_view order = rank == 4 ? "nchwu" : "chwr";
    const std::size_t at = std::min(place, letters.size() - 1);
    renamed += at < order.size() ? order[at] : '?';
  }
  return renamed == known;
}

Status einsum(MilOp& op) {
  const std::string equation = TRY(op.text("equation", ""));
  const auto values = TRY(op.all("values"));
  const std::size_t rank = TRY(op.rank("values"));
  if (values.size() != 2 || (rank != 3 && rank != 4) || !is_plain_product(equation, rank))
    return op.give(op.b.emit("Einsum", values, {{"equation", equation}}));
  const Ints order = rank == 4 ? Ints{0, 2, 1, 3} : Ints{1, 0, 2};
  const ValueId y =
      op.b.emit("MatMul", {op.b.transposed(values[0], order), op.b.transposed(values[1], order)});
  return op.give(op.b.transposed(y, order));
}

Status pool(MilOp& op) {
  Attributes attributes{{"kernel_shape", TRY(op.ints("kernel_sizes"))},
                        {"ceil_mode", std::int64_t{TRY(op.flag("ceil_mode", false)) ? 1 : 0}}};
  if (op.has("strides")) attributes["strides"] = TRY(op.ints("strides"));
  TRY(add_padding(op, attributes, "valid"));
  if (op.op.type == "avg_pool")
    attributes["count_include_pad"] =
        std::int64_t{TRY(op.flag("exclude_padding_from_average", false)) ? 0 : 1};
  if (op.op.type == "l2_pool") attributes["p"] = std::int64_t{2};
  return op.give(op.b.emit(op.ours, {TRY(op.in("x"))}, attributes));
}

Result<Tensor> filled(const Dims& dims, float value) {
  for (const std::int64_t extent : dims)
    if (extent < 0) return Error(ErrorKind::unsupported, "over an axis of unknown length");
  Tensor tensor = TRY(make_tensor(Element::f32, dims));
  std::fill_n(tensor.data<float>(), tensor.count, value);
  return tensor;
}
// A parameter, or as many of `value`.
Result<ValueId> or_filled(MilOp& op, std::string_view name, const Dims& dims, float value) {
  if (op.has(name)) return op.in(name);
  return op.b.constant(TRY(filled(dims, value)));
}

Status batch_norm(MilOp& op) {
  const Dims channels = TRY(op.dims("mean"));
  const ValueId gamma = TRY(or_filled(op, "gamma", channels, 1)),
                beta = TRY(or_filled(op, "beta", channels, 0));
  return op.give(
      op.b.emit("BatchNormalization",
                {TRY(op.in("x")), gamma, beta, TRY(op.in("mean")), TRY(op.in("variance"))},
                {{"epsilon", TRY(op.real("epsilon", 1e-5))}}));
}

Status instance_norm(MilOp& op) {
  const Dims x = TRY(op.dims("x"));
  if (x.size() < 3) return corrupt(fmt::format("of {}", to_text(x)));
  const ValueId gamma = TRY(or_filled(op, "gamma", {x[1]}, 1)),
                beta = TRY(or_filled(op, "beta", {x[1]}, 0));
  return op.give(op.b.emit("InstanceNormalization", {TRY(op.in("x")), gamma, beta},
                           {{"epsilon", TRY(op.real("epsilon", 1e-5))}}));
}

// Over axes that are not the last ones, or of unknown length: written out.
Result<ValueId> normalised(MilOp& op, const Ints& axes, double epsilon) {
  const Dims x = TRY(op.dims("x"));
  const ValueId id = TRY(op.in("x")), over = op.b.integers(axes);
  const ValueId centred = op.b.emit("Sub", {id, op.b.emit("ReduceMean", {id, over})});
  const ValueId variance = op.b.emit("ReduceMean", {op.b.emit("hearth.Square", {centred}), over});
  const ValueId rate = op.b.emit(
      "hearth.Rsqrt", {op.b.emit("Add", {variance, op.b.scalar(static_cast<float>(epsilon))})});
  ValueId y = op.b.emit("Mul", {centred, rate});
  for (const std::string_view name : {"gamma", "beta"}) {
    if (!op.has(name)) continue;
    Tensor values = TRY(op.constant(name));
    Dims dims(x.size(), 1);
    if (values.rank() != axes.size()) return corrupt(fmt::format("'{}' of another rank", name));
    for (std::size_t i = 0; i < axes.size(); ++i)
      dims[static_cast<std::size_t>(axes[i])] = values.dims[i];
    const ValueId by = op.b.constant(reshaped(values, dims));
    y = op.b.emit(name == "gamma" ? "Mul" : "Add", {y, by});
  }
  return y;
}

Status layer_norm(MilOp& op) {
  const Dims x = TRY(op.dims("x"));
  Ints axes;
  for (std::size_t i = 0; i < x.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  const auto rank = static_cast<std::int64_t>(x.size());
  if (op.has("axes")) axes = TRY(op.ints("axes"));
  for (std::int64_t& axis : axes) {
    if (axis < -rank || axis >= rank) return corrupt(fmt::format("axis {} of {}", axis, rank));
    if (axis < 0) axis += rank;
  }
  std::ranges::sort(axes);
  const double epsilon = TRY(op.real("epsilon", 1e-5));
  bool is_last = !axes.empty(), is_known = true;
  Dims dims;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    is_last = is_last && axes[i] == rank - static_cast<std::int64_t>(axes.size() - i);
    dims.push_back(x[static_cast<std::size_t>(axes[i])]);
    is_known = is_known && dims.back() >= 0;
  }
  if (!is_last || (!is_known && !op.has("gamma")))
    return op.give(TRY(normalised(op, axes, epsilon)));
  const ValueId gamma = TRY(or_filled(op, "gamma", dims, 1));
  return op.give(op.b.emit("LayerNormalization",
                           {TRY(op.in("x")), gamma, TRY(op.in_or_absent("beta"))},
                           {{"axis", axes[0]}, {"epsilon", epsilon}}));
}

// Over the last three axes together.
Status l2_norm(MilOp& op) {
  const ValueId x = TRY(op.in("x"));
  const ValueId sum = op.b.emit("ReduceSumSquare", {x, op.b.integers({-3, -2, -1})});
  const ValueId shifted =
      op.b.emit("Add", {sum, op.b.scalar(static_cast<float>(TRY(op.real("epsilon", 1e-6))))});
  return op.give(op.b.emit("Mul", {x, op.b.emit("hearth.Rsqrt", {shifted})}));
}

Status local_response_norm(MilOp& op) {
  return op.give(op.b.emit("LRN", {TRY(op.in("x"))},
                           {{"size", TRY(op.integer("size", 1))},
                            {"alpha", TRY(op.real("alpha", 1e-4))},
                            {"beta", TRY(op.real("beta", 0.75))},
                            {"bias", TRY(op.real("k", 1))}}));
}

// softmax(q k' / sqrt(width) + mask) v over any leading axes.
Result<ValueId> attention_written_out(MilOp& op, const Dims& q) {
  if (q.back() < 1) return Error(ErrorKind::unsupported, "a query of unknown width");
  const std::size_t rank = q.size();
  Ints order;
  for (std::size_t i = 0; i < rank; ++i) order.push_back(static_cast<std::int64_t>(i));
  std::swap(order[rank - 1], order[rank - 2]);
  const ValueId keys = op.b.transposed(TRY(op.in("key")), order);
  const auto rate = static_cast<float>(1 / std::sqrt(static_cast<double>(q.back())));
  ValueId scores =
      op.b.emit("MatMul", {op.b.emit("Mul", {TRY(op.in("query")), op.b.scalar(rate)}), keys});
  if (op.has("attn_mask")) {
    ValueId mask = TRY(op.in("attn_mask"));
    if (TRY(op.type("attn_mask"))->element == Element::boolean)
      mask = op.b.emit("Where", {mask, op.b.scalar(0), op.b.scalar(-INFINITY)});
    scores = op.b.emit("Add", {scores, mask});
  }
  const ValueId weights = op.b.emit("Softmax", {scores}, {{"axis", std::int64_t{-1}}});
  return op.b.emit("MatMul", {weights, TRY(op.in("value"))});
}

Status scaled_dot_product_attention(MilOp& op) {
  const Dims q = TRY(op.dims("query"));
  if (q.size() < 2) return corrupt(fmt::format("a query of {}", to_text(q)));
  const std::size_t mask_rank = op.has("attn_mask") ? TRY(op.rank("attn_mask")) : 2;
  if (q.size() != 4 || mask_rank < 2) return op.give(TRY(attention_written_out(op, q)));
  return op.give(op.b.emit("Attention", {TRY(op.in("query")), TRY(op.in("key")),
                                         TRY(op.in("value")), TRY(op.in_or_absent("attn_mask"))}));
}

Status random_like(MilOp& op) {
  const bool normal = op.op.type == "random_normal";
  Attributes attributes{{"dtype", static_cast<std::int64_t>(Element::f32)}};
  if (normal) {
    attributes["mean"] = TRY(op.real("mean", 0));
    attributes["scale"] = TRY(op.real("stddev", 1));
  } else {
    attributes["low"] = TRY(op.real("low", 0));
    attributes["high"] = TRY(op.real("high", 1));
  }
  const ValueId zeros = op.b.emit("hearth.Fill", {TRY(op.int_list("shape")), op.b.scalar(0)});
  return op.give(op.b.emit(op.ours, {zeros}, attributes));
}

Status random_bernoulli(MilOp& op) {
  const auto p = static_cast<float>(TRY(op.real("prob", 0.5)));
  const ValueId odds = op.b.emit("hearth.Fill", {TRY(op.int_list("shape")), op.b.scalar(p)});
  return op.give(op.b.emit("Bernoulli", {odds}));
}

Status random_categorical(MilOp& op) {
  const Dims x = TRY(op.dims("x"));
  if (x.empty() || x.back() < 1) return Error(ErrorKind::unsupported, "of unknown classes");
  const std::int64_t samples = TRY(op.integer("size", 1));
  ValueId logits = TRY(op.in("x"));
  if (TRY(op.text("mode", "logits")) == "probs") logits = op.b.emit("Log", {logits});
  const ValueId y =
      op.b.emit("Multinomial", {op.reshaped(logits, {-1, x.back()})},
                {{"sample_size", samples}, {"dtype", static_cast<std::int64_t>(Element::i32)}});
  Ints shape(x.begin(), x.end());
  shape.back() = samples;
  if (std::ranges::count(shape, -1) > 1) return Error(ErrorKind::unsupported, "of unknown shape");
  return op.give_cast(0, op.reshaped(y, shape));
}

Status classify(MilOp& op) {
  const Tensor labels = TRY(op.constant("classes"));
  if (labels.count == 0) return corrupt("no classes");
  const Classes classes = emit_classes(op.b, TRY(op.in("probabilities")), labels);
  TRY(op.give(0, classes.label));
  return op.give(1, classes.scores);
}

constexpr MilRow rows[] = {
    {"conv", conv},
    {"conv_transpose", conv_transpose},
    {"linear", linear},
    {"matmul", matmul},
    {"einsum", einsum},
    {"avg_pool", pool, "AveragePool"},
    {"max_pool", pool, "MaxPool"},
    {"l2_pool", pool, "LpPool"},
    {"batch_norm", batch_norm},
    {"instance_norm", instance_norm},
    {"layer_norm", layer_norm},
    {"l2_norm", l2_norm},
    {"local_response_norm", local_response_norm},
    {"scaled_dot_product_attention", scaled_dot_product_attention},
    {"random_normal", random_like, "RandomNormalLike"},
    {"random_uniform", random_like, "RandomUniformLike"},
    {"random_bernoulli", random_bernoulli},
    {"random_categorical", random_categorical},
    {"classify", classify},
};

}  // namespace

std::span<const MilRow> layer_rows() { return rows; }

}  // namespace hearth::graphs::coreml
