// Boxes, spectra, random numbers and custom operators of TFLite in terms of the canonical ones.
// Source: TFLite, comments of its operator definitions; MediaPipe, its custom operators.
#include <fmt/core.h>

#include <algorithm>

#include "graphs/call.h"
#include "graphs/tflite/builder.h"
#include "graphs/tflite/flexbuffer.h"

namespace hearth::graphs::tflite {
namespace {

using Ints = std::vector<std::int64_t>;

Result<std::int64_t> in(const Operator& op, std::size_t i) {
  if (i >= op.inputs.size()) return Error(ErrorKind::corrupt, fmt::format("no input {}", i));
  return op.inputs[i];
}
Result<std::int64_t> out(const Operator& op, std::size_t i = 0) {
  if (i >= op.outputs.size()) return Error(ErrorKind::corrupt, fmt::format("no output {}", i));
  return op.outputs[i];
}

// boxes [n, 4], scores [n], the most boxes, overlap, least score; the fifth form besides a
// deviation by which scores are lowered.  Rows past the last box are 0.
Status suppress(Builder& b, const Operator& op) {
  const bool has_scores = op.code == 121;
  if (has_scores) {
    const Tensor sigma = TRY(b.constant_real(TRY(in(op, 5))));
    if (sigma.count != 1 || sigma.data<float>()[0] != 0)
      return Error(ErrorKind::unsupported, "scores that are lowered, not suppressed");
  }
  const ValueId boxes = b.emit("Unsqueeze", {TRY(b.real(TRY(in(op, 0)))), b.integers({0})});
  const ValueId given = TRY(b.real(TRY(in(op, 1))));
  const ValueId scores = b.emit("Unsqueeze", {given, b.integers({0, 1})});
  const ValueId most =
      b.cast(b.emit("Reshape", {TRY(b.raw(TRY(in(op, 2)))), b.integers({1})}), Element::i64);
  const auto one = [&](std::size_t i) -> Result<ValueId> {
    return b.emit("Reshape", {TRY(b.real(TRY(in(op, i)))), b.integers({1})});
  };
  const ValueId overlap = TRY(one(3)), least = TRY(one(4));
  const ValueId rows = b.emit("NonMaxSuppression", {boxes, scores, most, overlap, least});
  const ValueId chosen =
      b.emit("Reshape", {b.emit("Slice", {rows, b.integers({2}), b.integers({3}), b.integers({1})}),
                         b.integers({-1})});
  const ValueId count = b.emit("Shape", {chosen});
  // `list`, filled up to as many as there may be.
  const auto filled = [&](ValueId list, ValueId zero) {
    const ValueId rest = b.emit("Expand", {zero, b.emit("Sub", {most, count})});
    return b.emit("Concat", {list, rest}, {{"axis", std::int64_t{0}}});
  };
  const ValueId indices = b.cast(filled(chosen, b.integers({0})), Element::i32);
  const ValueId total = b.cast(b.emit("Squeeze", {count}), Element::i32);
  TRY(b.give_raw(TRY(out(op)), indices));
  if (!has_scores) return b.give_raw(TRY(out(op, 1)), total);
  const ValueId best = b.emit("Gather", {given, chosen});
  TRY(b.give_raw(TRY(out(op, 1)), filled(best, b.emit("Reshape", {b.scalar(0), b.integers({1})}))));
  return b.give_raw(TRY(out(op, 2)), total);
}

// The spectrum of [..., h, w] reals, padded or cut to a size: [..., h, w / 2 + 1] complex numbers.
Status spectrum(Builder& b, const Operator& op) {
  const Ints size = TRY(b.constant_integers(TRY(in(op, 1))));
  if (size.size() != 2 || size[0] < 1 || size[1] < 1)
    return Error(ErrorKind::corrupt, "a size of a spectrum");
  const ValueId x = b.emit("Unsqueeze", {TRY(b.real(TRY(in(op, 0)))), b.integers({-1})});
  const ValueId across =
      b.emit("DFT", {x, b.integer(size[1]), b.integer(-2)}, {{"onesided", std::int64_t{1}}});
  const ValueId down = b.emit("DFT", {across, b.integer(size[0]), b.integer(-3)});
  return b.give_raw(TRY(out(op)), b.emit("hearth.ToComplex", {down}));
}

// The real or imaginary parts, or the magnitudes.
Status part_of_complex(Builder& b, const Operator& op) {
  const ValueId pair = b.emit("hearth.FromComplex", {TRY(b.raw(TRY(in(op, 0))))});
  if (op.code == 135)
    return b.give_raw(TRY(out(op)), b.emit("ReduceL2", {pair, b.integers({-1})},
                                           {{"keepdims", std::int64_t{0}}}));
  return b.give_raw(TRY(out(op)), b.emit("Gather", {pair, b.integer(op.code == 134 ? 0 : 1)},
                                         {{"axis", std::int64_t{-1}}}));
}

// Boxes as distances from anchors, scores of classes, the anchors.
Status detections(Builder& b, const Operator& op) {
  const auto options = TRY(read_flexbuffer(op.custom_options));
  Attributes attributes;
  for (const auto& [name, value] : options) attributes[name] = value;
  std::vector<ValueId> inputs;
  for (std::size_t i = 0; i < 3; ++i) inputs.push_back(TRY(b.real(TRY(in(op, i)))));
  const auto made = b.emit_many("hearth.DetectBoxes", std::move(inputs), 4, std::move(attributes));
  for (std::size_t i = 0; i < op.outputs.size() && i < 4; ++i)
    TRY(b.give_real(op.outputs[i], made[i]));
  return Done{};
}

// A transposed convolution with a bias.  Options: three numbers of 32 bits.
Status transposed_with_bias(Builder& b, const Operator& op) {
  std::int32_t options[3];  // padding (1: same), strides along x and y
  if (op.custom_options.size() < sizeof options)
    return Error(ErrorKind::corrupt, "options outside their bytes");
  std::memcpy(options, op.custom_options.data(), sizeof options);
  const Tensor kernel = TRY(reordered(TRY(b.constant_real(TRY(in(op, 1)))), {3, 0, 1, 2}));
  const Attributes attributes{{"auto_pad", std::string(options[0] == 1 ? "SAME_UPPER" : "VALID")},
                              {"strides", Ints{options[2], options[1]}}};
  const ValueId y = b.emit("ConvTranspose",
                           {b.channels_first(TRY(b.real(TRY(in(op, 0))))), b.constant(kernel),
                            TRY(b.real(TRY(in(op, 2))))},
                           attributes);
  return b.give_real(TRY(out(op)), b.channels_last(y));
}

// TFLite Micro's features of sound: our operators have their names and options.
Status signal(Builder& b, const Operator& op) {
  const std::string name = "hearth." + op.custom;
  if (find_operator(name) == nullptr) return Error(ErrorKind::unsupported, "");
  Attributes attributes;
  if (!op.custom_options.empty())
    for (const auto& [key, value] : TRY(read_flexbuffer(op.custom_options)))
      attributes[key] = static_cast<std::int64_t>(value);
  std::vector<ValueId> inputs;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) inputs.push_back(TRY(b.raw(TRY(in(op, i)))));
  if (op.custom != "SignalFilterBankSpectralSubtraction") {
    const auto made =
        b.emit_many(name, std::move(inputs), op.outputs.size(), std::move(attributes));
    for (std::size_t i = 0; i < made.size(); ++i) TRY(b.give_raw(op.outputs[i], made[i]));
    return Done{};
  }
  // The noise that it has heard so far stays from run to run.
  const TensorInfo* noise = TRY(b.info(TRY(out(op, 1))));
  const std::size_t kept = TRY(b.keep(noise->name, Element::u32, noise->dims));
  inputs.push_back((*b.kept)[kept].input);
  const auto made = b.emit_many(name, std::move(inputs), 2, std::move(attributes));
  (*b.kept)[kept].now = made[1];
  TRY(b.give_raw(op.outputs[0], made[0]));
  return b.give_raw(op.outputs[1], made[1]);
}

// Numbers that stand for others, less those others.
Status verify(Builder& b, const Operator& op) {
  return b.give_real(TRY(out(op)),
                     b.emit("Sub", {TRY(b.real(TRY(in(op, 0)))), TRY(b.real(TRY(in(op, 1))))}));
}

Status custom(Builder& b, const Operator& op) {
  auto sound = add_sound_operator(b, op);
  const bool is_known =
      sound || sound.error().kind() != ErrorKind::unsupported || !sound.error().message().empty();
  if (is_known) return sound;
  if (op.custom == "NumericVerify") return verify(b, op);
  if (op.custom.starts_with("Signal")) return signal(b, op);
  if (op.custom == "TFLite_Detection_PostProcess") return detections(b, op);
  if (op.custom == "Convolution2DTransposeBias") return transposed_with_bias(b, op);
  return Error(ErrorKind::unsupported, "");
}

// A value at each of some places: indices, the shape, values, the value everywhere else.
Status scattered(Builder& b, const Operator& op) {
  const TensorInfo* indices = TRY(b.info(TRY(in(op, 0))));
  const ValueId shape = b.cast(TRY(b.raw(TRY(in(op, 1)))), Element::i64);
  const ValueId start = b.emit("hearth.Fill", {shape, TRY(b.raw(TRY(in(op, 3))))});
  ValueId places = b.cast(TRY(b.raw(TRY(in(op, 0)))), Element::i64);
  if (indices->dims.size() < 2) places = b.emit("Reshape", {places, b.integers({-1, 1})});
  const ValueId counts =
      b.emit("Slice", {b.emit("Shape", {places}), b.integers({0}), b.integers({1})});
  const ValueId values = b.emit("Expand", {TRY(b.raw(TRY(in(op, 2)))), counts});
  return b.give_raw(TRY(out(op)), b.emit("ScatterND", {start, places, values}));
}

// Which of the ranges between rising bounds a number is in.
Status bucket(Builder& b, const Operator& op) {
  const auto bounds = TRY(op.options.numbers<float>(0));
  Tensor list = TRY(make_tensor(Element::f32, {static_cast<std::int64_t>(bounds.size())}));
  std::ranges::copy(bounds, list.data<float>());
  const ValueId x = b.cast(TRY(b.raw(TRY(in(op, 0)))), Element::f32);
  const ValueId above = b.emit(
      "GreaterOrEqual", {b.emit("Unsqueeze", {x, b.integers({-1})}), b.constant(std::move(list))});
  return b.give_raw(TRY(out(op)),
                    b.emit("ReduceSum", {b.cast(above, Element::i32), b.integers({-1})},
                           {{"keepdims", std::int64_t{0}}}));
}

Status random_numbers(Builder& b, const Operator& op, std::string_view name) {
  const ValueId shape = b.cast(TRY(b.raw(TRY(in(op, 0)))), Element::i64);
  return b.give_raw(TRY(out(op)), b.emit(name, {b.emit("hearth.Fill", {shape, b.scalar(0)})},
                                         {{"dtype", static_cast<std::int64_t>(Element::f32)}}));
}

// x [n, d, h, w, c] by a kernel [d, h, w, filters, c].
Status transposed_3d(Builder& b, const Operator& op) {
  const FlatTable& o = op.options;
  const Ints shape = TRY(b.constant_integers(TRY(in(op, 0))));
  const auto n = [&](unsigned slot) { return std::int64_t{o.number<std::int32_t>(slot, 1)}; };
  if (shape.size() != 5)
    return Error(ErrorKind::corrupt, "an output shape of other than five axes");
  const bool same = o.number<std::int8_t>(0, 0) == 0;
  Attributes attributes{{"auto_pad", std::string(same ? "SAME_UPPER" : "VALID")},
                        {"strides", Ints{n(1), n(3), n(2)}},
                        {"dilations", Ints{n(5), n(7), n(6)}}};
  if (same) attributes["output_shape"] = Ints{shape[1], shape[2], shape[3]};
  std::vector<ValueId> inputs{
      b.transposed(TRY(b.real(TRY(in(op, 2)))), {0, 4, 1, 2, 3}),
      b.constant(TRY(reordered(TRY(b.constant_real(TRY(in(op, 1)))), {4, 3, 0, 1, 2})))};
  if (op.inputs.size() > 3 && op.inputs[3] >= 0) inputs.push_back(TRY(b.real(op.inputs[3])));
  const ValueId y = b.transposed(b.emit("ConvTranspose", std::move(inputs), std::move(attributes)),
                                 {0, 2, 3, 4, 1});
  return b.give_real(TRY(out(op)), TRY(b.activated(y, o.number<std::int8_t>(4, 0))));
}

}  // namespace

Status add_special_operator(Builder& b, const Operator& op) {
  switch (op.code) {
    case 32:
      return custom(b, op);
    case 68:
      return scattered(b, op);
    case 120:
    case 121:
      return suppress(b, op);
    case 124:  // constants are dense already
      return b.give_raw(TRY(out(op)), b.emit("Identity", {TRY(b.raw(TRY(in(op, 0))))}));
    case 131:
      return spectrum(b, op);
    case 133:
    case 134:
    case 135:
      return part_of_complex(b, op);
    case 141:
      return transposed_3d(b, op);
    case 146:
      return random_numbers(b, op, "RandomNormalLike");
    case 147:
      return bucket(b, op);
    case 148:
      return random_numbers(b, op, "RandomUniformLike");
    case 10:
    case 33:
    case 149:
      return add_lookup_operator(b, op);
    default:
      return add_recurrent_operator(b, op);
  }
}

}  // namespace hearth::graphs::tflite
