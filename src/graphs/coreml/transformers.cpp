// Models that prepare features: scaling, filling in, encoding, joining, picking; and choosing
// boxes. Source: Core ML Tools, Scaler.proto, Imputer.proto, OneHotEncoder.proto,
// FeatureVectorizer.proto, DictVectorizer.proto, CategoricalMapping.proto, Normalizer.proto,
// ArrayFeatureExtractor.proto, ClassConfidenceThresholding.proto, NonMaximumSuppression.proto.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "graphs/coreml/assembly.h"

namespace hearth::graphs::coreml {
namespace {

using Ints = std::vector<std::int64_t>;
using Reals = std::vector<double>;

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }
Error unsupported(std::string message) { return Error(ErrorKind::unsupported, std::move(message)); }

// What a transformer works on: its input, and its output's description.
struct Step {
  Assembly& at;
  Emitter& b;
  const Model& model;
  Fields f;

  const FeatureDescription& input() const { return model.description.inputs[0]; }
  const FeatureDescription& output() const { return model.description.outputs[0]; }
  Result<ValueId> in(Element type = Element::none) { return at.feature(input().name, type); }
  // The result under the shape that the description says, a number or an array.
  Status give(ValueId id, Element type) {
    const FeatureType& wanted = output().type;
    const bool is_scalar = wanted.kind == Feature::real || wanted.kind == Feature::int64 ||
                           wanted.kind == Feature::text;
    if (is_scalar) {
      const Dims none;
      at.give(output().name, b.emit("Reshape", {id, b.integers({})}), type, &none);
      return Done{};
    }
    at.give(output().name, id, type);
    return Done{};
  }
};

ValueId real_constant(Emitter& b, const Reals& values) {
  Tensor tensor =
      make_tensor(Element::f64,
                  values.size() == 1 ? Dims{} : Dims{static_cast<std::int64_t>(values.size())})
          .value();
  std::ranges::copy(values, tensor.data<double>());
  return b.constant(std::move(tensor));
}

// (x + shift) * scale
Status add_scaler(Step& s) {
  const Reals shift = TRY(s.f.doubles(1)), scale = TRY(s.f.doubles(2));
  ValueId y = TRY(s.in(Element::f64));
  if (!shift.empty()) y = s.b.emit("Add", {y, real_constant(s.b, shift)});
  if (!scale.empty()) y = s.b.emit("Mul", {y, real_constant(s.b, scale)});
  return s.give(y, Element::f64);
}

// 1 to 7 what is put in, 11 to 13 what it replaces; numbers only.
Status add_imputer(Step& s) {
  if (s.f.has(3) || s.f.has(6) || s.f.has(7)) return unsupported("of text or dictionaries");
  Reals values{s.f.has(2) ? static_cast<double>(s.f.integer(2)) : s.f.real64(1)};
  if (s.f.has(4)) values = TRY(TRY(s.f.message(4)).doubles(1));
  if (s.f.has(5)) {
    const Ints numbers = TRY(TRY(s.f.message(5)).integers(1));
    values.assign(numbers.begin(), numbers.end());
  }
  if (values.empty()) return corrupt("no values to put in");
  double replaced = std::nan("");
  if (s.f.has(11)) replaced = s.f.real64(11);
  if (s.f.has(12)) replaced = static_cast<double>(s.f.integer(12));
  const ValueId x = TRY(s.in(Element::f64));
  const ValueId is_gone = std::isnan(replaced)
                              ? s.b.emit("IsNaN", {x})
                              : s.b.emit("Equal", {x, real_constant(s.b, {replaced})});
  return s.give(s.b.emit("Where", {is_gone, real_constant(s.b, values), x}), Element::f64);
}

std::vector<std::string> strings(const Fields& list) {
  std::vector<std::string> texts;
  for (const std::string_view text : list.texts(1)) texts.emplace_back(text);
  return texts;
}

Status add_one_hot(Step& s) {
  if (s.f.flag(10)) return unsupported("a sparse output");
  Attributes attributes{{"zeros", std::int64_t{s.f.integer(11) == 1 ? 1 : 0}}};
  if (s.f.has(1))
    attributes["cats_strings"] = strings(TRY(s.f.message(1)));
  else
    attributes["cats_int64s"] = TRY(TRY(s.f.message(2)).integers(1));
  const ValueId y = s.b.emit("ai.onnx.ml.OneHotEncoder",
                             {TRY(s.in(s.f.has(1) ? Element::text : Element::i64))}, attributes);
  return s.give(s.b.emit("Reshape", {y, s.b.integers({-1})}), Element::f32);
}

// 1 the columns {1 name, 2 how many numbers}, one after another.
Status add_feature_vectorizer(Step& s) {
  std::vector<ValueId> parts;
  for (const Bytes bytes : s.f.messages(1)) {
    const Fields column = TRY(Fields::of(bytes));
    const ValueId id = TRY(s.at.feature(column.text(1), Element::f64));
    if (s.b.graph.values[static_cast<std::size_t>(id)].kind != Value::Kind::tensor)
      return unsupported("columns of dictionaries");
    parts.push_back(s.b.emit("Reshape", {id, s.b.integers({-1})}));
  }
  if (parts.empty()) return corrupt("no columns");
  return s.give(s.b.emit("Concat", parts, {{"axis", std::int64_t{0}}}), Element::f64);
}

Status add_dict_vectorizer(Step& s) {
  Attributes attributes;
  if (s.f.has(1))
    attributes["string_vocabulary"] = strings(TRY(s.f.message(1)));
  else
    attributes["int64_vocabulary"] = TRY(TRY(s.f.message(2)).integers(1));
  const ValueId y = s.b.emit("ai.onnx.ml.DictVectorizer", {TRY(s.in())}, attributes);
  return s.give(s.b.cast(s.b.emit("Reshape", {y, s.b.integers({-1})}), Element::f64), Element::f64);
}

Status add_categorical_mapping(Step& s) {
  const bool to_numbers = s.f.has(1);
  std::vector<std::string> texts;
  Ints numbers;
  const Fields map = TRY(s.f.message(to_numbers ? 1 : 2));
  for (const Bytes entry : map.messages(1)) {
    const Fields pair = TRY(Fields::of(entry));
    texts.emplace_back(pair.text(to_numbers ? 1 : 2));
    numbers.push_back(pair.integer(to_numbers ? 2 : 1));
  }
  Attributes attributes;
  if (to_numbers) {
    attributes = {{"keys_strings", std::move(texts)},
                  {"values_int64s", std::move(numbers)},
                  {"default_int64", s.f.integer(102)}};
  } else {
    attributes = {{"keys_int64s", std::move(numbers)},
                  {"values_strings", std::move(texts)},
                  {"default_string", std::string(s.f.text(101))}};
  }
  const ValueId y = s.b.emit("ai.onnx.ml.LabelEncoder",
                             {TRY(s.in(to_numbers ? Element::text : Element::i64))}, attributes);
  return s.give(y, to_numbers ? Element::i64 : Element::text);
}

Status add_normalizer(Step& s) {
  constexpr std::string_view norms[] = {"MAX", "L1", "L2"};
  const std::int64_t norm = s.f.integer(1);
  if (norm < 0 || norm > 2) return unsupported(fmt::format("norm {}", norm));
  const ValueId y = s.b.emit("ai.onnx.ml.Normalizer", {TRY(s.in(Element::f32))},
                             {{"norm", std::string(norms[norm])}});
  return s.give(y, Element::f32);
}

Status add_extractor(Step& s) {
  const ValueId flat = s.b.emit("Reshape", {TRY(s.in()), s.b.integers({-1})});
  const Element type = s.at.type_of(TRY(s.in()));
  const ValueId y = s.b.emit("Gather", {flat, s.b.integers(TRY(s.f.integers(1)))});
  return s.give(y, type);
}

// Confidences [n] become [2, n]: below them 1 for every class that is taken, which is each.
Status add_thresholds(Step& s) {
  const ValueId row = s.b.emit("Reshape", {TRY(s.in(Element::f32)), s.b.integers({1, -1})});
  const ValueId taken = s.b.emit("Expand", {s.b.scalar(1), s.b.emit("Shape", {row})});
  return s.give(s.b.emit("Concat", {row, taken}, {{"axis", std::int64_t{0}}}), Element::f32);
}

// Each output is the input of its name, or of its place.
Status add_identity(Step& s) {
  const Description& d = s.model.description;
  for (std::size_t i = 0; i < d.outputs.size(); ++i) {
    const std::string& name = d.outputs[i].name;
    if (s.at.features.contains(name)) continue;
    if (i >= d.inputs.size())
      return corrupt(fmt::format("output '{}': of nothing", printable(name)));
    s.at.features[name] = TRY(s.at.feature(d.inputs[i].name));
  }
  return Done{};
}

}  // namespace

Status add_transformer(Assembly& at, const Model& model) {
  if (model.description.inputs.empty() || model.description.outputs.empty())
    return corrupt("no input or no output");
  Step s{at, at.b, model, TRY(Fields::of(model.body))};
  switch (model.kind) {
    case 560:
      return add_thresholds(s);
    case 600:
      return add_one_hot(s);
    case 601:
      return add_imputer(s);
    case 602:
      return add_feature_vectorizer(s);
    case 603:
      return add_dict_vectorizer(s);
    case 604:
      return add_scaler(s);
    case 606:
      return add_categorical_mapping(s);
    case 607:
      return add_normalizer(s);
    case 609:
      return add_extractor(s);
    default:
      return add_identity(s);
  }
}

// 1 how classes are treated {1 apart}, 110 and 111 thresholds, 200 to 203 inputs, 210 and 211
// outputs: confidences [n, classes], coordinates [n, 4].
Status add_suppression(Assembly& at, const Model& model) {
  const Fields f = TRY(Fields::of(model.body));
  Emitter& b = at.b;
  const ValueId scores = TRY(at.feature(f.text(200), Element::f32)),
                boxes = TRY(at.feature(f.text(201), Element::f32));
  const auto threshold = [&](std::uint32_t field, std::uint32_t input) -> Result<ValueId> {
    if (!f.text(input).empty() && at.features.contains(f.text(input)))
      return at.feature(f.text(input), Element::f32);
    return b.scalar(static_cast<float>(f.real64(field)));
  };
  const ValueId overlap = TRY(threshold(110, 202)), least = TRY(threshold(111, 203));
  std::int64_t fixed = -1;  // rows of the result, where the description fixes them
  for (const FeatureDescription& output : model.description.outputs)
    if (output.type.shape.size() == 2 && output.type.shape[0] > 0) fixed = output.type.shape[0];
  const ValueId rows = b.emit("Gather", {b.emit("Shape", {boxes}), b.integers({-2})});
  const ValueId most = fixed > 0 ? b.integers({fixed}) : rows;
  const auto images = [&](ValueId id, std::int64_t width) {
    return b.emit("Reshape", {id, b.emit("Concat", {b.integers({1}), rows, b.integers({width})},
                                         {{"axis", std::int64_t{0}}})});
  };
  const bool apart = TRY(f.message(1)).flag(1);
  const auto made = b.emit_many("hearth.SelectBoxes",
                                {images(boxes, 4), images(scores, -1), overlap, least, most}, 4,
                                {{"per_class", std::int64_t{apart ? 1 : 0}}});
  const auto kept = [&](ValueId id) {
    const ValueId flat = b.emit("Squeeze", {id, b.integers({0})});
    if (fixed > 0) return flat;
    return b.emit("Slice", {flat, b.integers({0}), made[3]});
  };
  at.give(std::string(f.text(210)), kept(made[1]), Element::f32);
  at.give(std::string(f.text(211)), kept(made[0]), Element::f32);
  return Done{};
}

}  // namespace hearth::graphs::coreml
