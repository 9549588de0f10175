#include "graphs/coreml/assembly.h"

#include <fmt/core.h>

#include "base/utf8.h"

namespace hearth::graphs::coreml {
namespace {

constexpr int most_models = 32;  // within one another

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

struct Kind {
  std::uint32_t kind;
  Status (*add)(Assembly& at, const Model& model);
};
// To add a kind of model: a function, a row here.
constexpr Kind kinds[] = {
    {200, add_pipeline},    {201, add_pipeline},        {202, add_pipeline},
    {300, add_linear},      {301, add_support_vectors}, {302, add_trees},
    {303, add_network},     {400, add_linear},          {401, add_support_vectors},
    {402, add_trees},       {403, add_network},         {404, add_neighbours},
    {500, add_network},     {502, add_program},         {560, add_transformer},
    {600, add_transformer}, {601, add_transformer},     {602, add_transformer},
    {603, add_transformer}, {604, add_transformer},     {606, add_transformer},
    {607, add_transformer}, {609, add_transformer},     {610, add_suppression},
    {900, add_transformer},
};

// Why a kind that we do not run cannot be.
std::string_view reason(std::uint32_t kind) {
  switch (kind) {
    case 501:
      return "models of this kind are not run";
    case 304:
      return "Bayesian probit regression needs online updates that files do not describe";
    case 555:
      return "its code is in the application it belongs to";
    case 556:
      return "the model it links to is in the application it belongs to";
    case 2000:
    case 2001:
    case 2004:
    case 2005:
      return "its parameters are in a private form of Apple's Natural Language framework";
    case 2002:
      return "the network is in Apple's Vision framework, not in the file";
    case 2003:
    case 2006:
      return "the network is in Apple's Sound Analysis framework, not in the file";
    case 3000:
      return "its parameters are in a private form";
    default:
      return "of a later specification";
  }
}

}  // namespace

Result<ValueId> Assembly::feature(std::string_view name) const {
  const auto found = features.find(name);
  if (found == features.end())
    return corrupt(fmt::format("feature '{}': never written", printable(name)));
  return found->second;
}

Result<ValueId> Assembly::feature(std::string_view name, Element type) {
  const ValueId id = TRY(feature(name));
  const Element now = type_of(id);
  if (type == Element::none || now == type || now == Element::none) return id;
  if ((now == Element::text) != (type == Element::text))
    return corrupt(fmt::format("feature '{}': {} where {} is needed", printable(name), name_of(now),
                               name_of(type)));
  const ValueInfo info = b.graph.values[static_cast<std::size_t>(id)];
  const ValueId cast = b.cast(id, type);
  ValueInfo& made = b.graph.values[static_cast<std::size_t>(cast)];
  made.type = type;
  made.has_shape = info.has_shape;
  made.shape = info.shape;
  return cast;
}

void Assembly::give(const std::string& name, ValueId id, Element type, const Dims* dims) {
  ValueInfo& info = b.graph.values[static_cast<std::size_t>(id)];
  info.name = name;
  info.type = type;
  if (dims != nullptr) {
    info.has_shape = true;
    info.shape.clear();
    for (const std::int64_t extent : *dims) info.shape.push_back({extent, {}});
  }
  features.insert_or_assign(name, id);
}

Status add_model(Assembly& at, const Model& model) {
  if (at.depth >= most_models)
    return Error(ErrorKind::exhausted, fmt::format("models nested {} deep", most_models));
  for (const Kind& row : kinds) {
    if (row.kind != model.kind) continue;
    ++at.depth;
    auto added = row.add(at, model);
    --at.depth;
    if (!added) return std::move(added).error().within(kind_name(model.kind));
    return Done{};
  }
  return Error(ErrorKind::unsupported,
               fmt::format("a {}: {}", kind_name(model.kind), reason(model.kind)));
}

// Pipeline: 1 models.  PipelineClassifier and PipelineRegressor: 1 pipeline.
Status add_pipeline(Assembly& at, const Model& model) {
  constexpr std::size_t most_steps = 4096;
  const Bytes body = model.kind == 202 ? model.body : TRY(field_of(model.body, 1));
  const Fields pipeline = TRY(Fields::of(body));
  const auto steps = pipeline.messages(1);
  if (steps.size() > most_steps)
    return Error(ErrorKind::exhausted, fmt::format("{} models", steps.size()));
  for (const Bytes step : steps) TRY(add_model(at, TRY(read_model(step))));
  for (const FeatureDescription& output : model.description.outputs) TRY(at.feature(output.name));
  return Done{};
}

Result<Tensor> read_labels(const Fields& fields, std::uint32_t string_field,
                           std::uint32_t int64_field) {
  if (fields.has(string_field)) {
    const Fields list = TRY(fields.message(string_field));
    const auto texts = list.texts(1);
    Tensor labels = TRY(make_tensor(Element::text, {static_cast<std::int64_t>(texts.size())}));
    for (std::size_t i = 0; i < texts.size(); ++i)
      labels.data<const std::string*>()[i] = labels.strings->add(std::string(texts[i]));
    return labels;
  }
  const Fields list = TRY(fields.message(int64_field));
  const auto numbers = TRY(list.integers(1));
  Tensor labels = TRY(make_tensor(Element::i64, {static_cast<std::int64_t>(numbers.size())}));
  std::copy(numbers.begin(), numbers.end(), labels.data<std::int64_t>());
  return labels;
}

Classes emit_classes(Emitter& b, ValueId scores, const Tensor& labels) {
  const ValueId flat = b.emit("Reshape", {scores, b.integers({-1})});
  const ValueId best =
      b.emit("ArgMax", {flat}, {{"axis", std::int64_t{0}}, {"keepdims", std::int64_t{0}}});
  Attributes attributes;
  if (labels.type == Element::text) {
    std::vector<std::string> texts;
    for (std::int64_t i = 0; i < labels.count; ++i) texts.emplace_back(labels.text(i));
    attributes["classlabels_strings"] = std::move(texts);
  } else {
    std::vector<std::int64_t> numbers(static_cast<std::size_t>(labels.count));
    load(Work::i64, numbers.data(), labels.type, labels.bytes, numbers.size());
    attributes["classlabels_int64s"] = std::move(numbers);
  }
  const ValueId row = b.emit("Reshape", {scores, b.integers({1, labels.count})});
  const ValueId maps = b.emit("ai.onnx.ml.ZipMap", {row}, std::move(attributes));
  const ValueId label = b.emit("Gather", {b.constant(labels), best});
  return {label, b.emit("SequenceAt", {maps, b.integer(0)})};
}

Status give_classes(Assembly& at, const Model& model, ValueId scores, const Tensor& labels) {
  if (labels.count == 0) return corrupt("a classifier without labels");
  const Description& d = model.description;
  const Classes classes = emit_classes(at.b, scores, labels);
  const Dims none;
  if (!d.predicted_feature.empty()) at.give(d.predicted_feature, classes.label, labels.type, &none);
  // The dictionary: what the description names, or its output of that type.
  std::string name = d.predicted_probabilities;
  for (const FeatureDescription& output : d.outputs)
    if (name.empty() && output.type.kind == Feature::dictionary) name = output.name;
  if (name.empty()) return Done{};
  at.give(name, classes.scores, labels.type);
  ValueInfo& info = at.b.graph.values[static_cast<std::size_t>(classes.scores)];
  info.kind = Value::Kind::map;
  info.has_shape = false;
  return Done{};
}

}  // namespace hearth::graphs::coreml
