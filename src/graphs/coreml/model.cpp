#include "graphs/coreml/model.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/utf8.h"

namespace hearth::graphs::coreml {
namespace {

constexpr std::size_t most_fields = 1u << 22;  // of one message
constexpr std::size_t most_features = 1u << 14;

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

}  // namespace

Result<Bytes> message(const WireField& field, std::string_view what) {
  if (field.type != 2) return corrupt(fmt::format("{}: wire type {}", what, field.type));
  return field.bytes;
}

Result<Bytes> field_of(Bytes message_bytes, std::uint32_t number) {
  Bytes found;
  WireMessage in(message_bytes);
  for (WireField f; TRY(in.next(f));)
    if (f.number == number) found = TRY(message(f, fmt::format("field {}", number)));
  return found;
}

Result<Fields> Fields::of(Bytes bytes) {
  Fields fields;
  WireMessage in(bytes);
  for (WireField f; TRY(in.next(f));) {
    if (fields.fields_.size() >= most_fields)
      return Error(ErrorKind::exhausted, fmt::format("over {} fields", most_fields));
    fields.fields_.push_back(f);
  }
  return fields;
}

const WireField* Fields::find(std::uint32_t number) const {
  for (auto at = fields_.rbegin(); at != fields_.rend(); ++at)
    if (at->number == number) return &*at;
  return nullptr;
}

std::int64_t Fields::integer(std::uint32_t number, std::int64_t fallback) const {
  const WireField* f = find(number);
  return f == nullptr || f->type != 0 ? fallback : f->integer();
}
float Fields::real(std::uint32_t number, float fallback) const {
  const WireField* f = find(number);
  return f == nullptr || f->type != 5 ? fallback : f->real();
}
double Fields::real64(std::uint32_t number, double fallback) const {
  const WireField* f = find(number);
  if (f == nullptr || f->type != 1) return fallback;
  double value;
  std::memcpy(&value, &f->value, sizeof value);
  return value;
}
std::string_view Fields::text(std::uint32_t number) const {
  const WireField* f = find(number);
  return f == nullptr || f->type != 2 ? std::string_view() : f->text();
}
Bytes Fields::bytes(std::uint32_t number) const {
  const WireField* f = find(number);
  return f == nullptr || f->type != 2 ? Bytes() : f->bytes;
}
Result<Fields> Fields::message(std::uint32_t number) const {
  const WireField* f = find(number);
  if (f == nullptr) return Fields();
  return Fields::of(TRY(coreml::message(*f, fmt::format("field {}", number))));
}
Result<std::vector<std::int64_t>> Fields::integers(std::uint32_t number) const {
  std::vector<std::int64_t> values;
  for (const WireField& f : fields_)
    if (f.number == number) TRY(append_varints(values, f));
  return values;
}
Result<std::vector<float>> Fields::floats(std::uint32_t number) const {
  std::vector<float> values;
  for (const WireField& f : fields_)
    if (f.number == number) TRY(append_floats(values, f));
  return values;
}
Result<std::vector<double>> Fields::doubles(std::uint32_t number) const {
  std::vector<double> values;
  for (const WireField& f : fields_)
    if (f.number == number) TRY(append_doubles(values, f));
  return values;
}
std::vector<std::string_view> Fields::texts(std::uint32_t number) const {
  std::vector<std::string_view> values;
  for (const WireField& f : fields_)
    if (f.number == number && f.type == 2) values.push_back(f.text());
  return values;
}
std::vector<Bytes> Fields::messages(std::uint32_t number) const {
  std::vector<Bytes> values;
  for (const WireField& f : fields_)
    if (f.number == number && f.type == 2) values.push_back(f.bytes);
  return values;
}

namespace {

// SizeRange: 1 lower, 2 upper (-1: no end).
Result<std::int64_t> read_range(Bytes bytes) {
  const Fields f = TRY(Fields::of(bytes));
  const std::int64_t low = f.integer(1), high = f.integer(2);
  if (low < 0 || (high >= 0 && high < low))
    return corrupt(fmt::format("a size from {} to {}", low, high));
  return low == high ? low : -1;
}

Result<Element> array_element(std::int64_t code) {
  switch (code) {
    case 65568:
      return Element::f32;
    case 65600:
      return Element::f64;
    case 131104:
      return Element::i32;
    case 131080:
      return Element::i8;
    case 65552:
      return Element::f32;  // half precision is computed in single
    default:
      return corrupt(fmt::format("array data type {}", code));
  }
}

Status read_array(FeatureType& type, Bytes bytes) {
  const Fields f = TRY(Fields::of(bytes));
  type.kind = Feature::array;
  type.element = f.has(2) ? TRY(array_element(f.integer(2))) : Element::f32;
  type.shape = TRY(f.integers(1));
  if (f.has(31)) {
    const Fields ranges = TRY(f.message(31));
    std::vector<std::int64_t> shape;
    for (const Bytes range : ranges.messages(1)) shape.push_back(TRY(read_range(range)));
    type.shape = shape;
  }
  if (f.has(21)) {
    const Fields list = TRY(f.message(21));
    bool first = true;
    for (const Bytes each : list.messages(1)) {
      const Fields one = TRY(Fields::of(each));
      const auto shape = TRY(one.integers(1));
      if (first)
        type.shape = shape;
      else if (shape.size() != type.shape.size())
        return corrupt("shapes of different ranks");
      for (std::size_t i = 0; i < shape.size(); ++i)
        if (type.shape[i] != shape[i]) type.shape[i] = -1;
      first = false;
    }
  }
  if (type.shape.size() > max_rank) return corrupt(fmt::format("{} axes", type.shape.size()));
  for (const std::int64_t extent : type.shape)
    if (extent < -1) return corrupt(fmt::format("an extent of {}", extent));
  if (f.has(41)) type.fallback = static_cast<double>(static_cast<std::int32_t>(f.integer(41)));
  if (f.has(51)) type.fallback = f.real(51);
  if (f.has(61)) type.fallback = f.real64(61);
  return Done{};
}

Status read_image(FeatureType& type, Bytes bytes) {
  constexpr std::int64_t most_points = 1 << 20;  // of a side
  const Fields f = TRY(Fields::of(bytes));
  type.kind = Feature::image;
  type.width = f.integer(1);
  type.height = f.integer(2);
  if (type.width < 0 || type.height < 0 || type.width > most_points || type.height > most_points)
    return corrupt(fmt::format("an image of {} by {}", type.width, type.height));
  switch (f.integer(3)) {
    case 10:
      type.colour = Colour::gray;
      break;
    case 20:
      type.colour = Colour::rgb;
      break;
    case 30:
      type.colour = Colour::bgr;
      break;
    case 40:
      type.colour = Colour::gray_half;
      break;
    default:
      return corrupt(fmt::format("an image of colour space {}", f.integer(3)));
  }
  if (f.has(21)) {
    const Fields sizes = TRY(f.message(21));
    for (const Bytes each : sizes.messages(1)) {
      const Fields size = TRY(Fields::of(each));
      type.flexible_width = type.flexible_width || size.integer(1) != type.width;
      type.flexible_height = type.flexible_height || size.integer(2) != type.height;
    }
  }
  if (f.has(31)) {
    const Fields range = TRY(f.message(31));
    type.flexible_width = TRY(read_range(range.bytes(1))) < 0;
    type.flexible_height = TRY(read_range(range.bytes(2))) < 0;
  }
  return Done{};
}

Result<FeatureType> read_type(Bytes bytes) {
  FeatureType type;
  const Fields f = TRY(Fields::of(bytes));
  type.is_optional = f.flag(1000);
  if (f.has(1)) type.kind = Feature::int64;
  if (f.has(2)) type.kind = Feature::real;
  if (f.has(3)) type.kind = Feature::text;
  if (f.has(4)) TRY(read_image(type, f.bytes(4)));
  if (f.has(5)) TRY(read_array(type, f.bytes(5)));
  if (f.has(6)) {
    type.kind = Feature::dictionary;
    type.text_keys = TRY(f.message(6)).has(2);
  }
  if (f.has(7)) {
    type.kind = Feature::sequence;
    type.text_keys = TRY(f.message(7)).has(3);
  }
  if (f.has(8)) {
    const Fields state = TRY(f.message(8));
    TRY(read_array(type, state.bytes(1)));
    type.kind = Feature::state;
  }
  return type;
}

Result<std::vector<FeatureDescription>> read_features(const Fields& from, std::uint32_t number) {
  std::vector<FeatureDescription> list;
  for (const Bytes bytes : from.messages(number)) {
    const Fields f = TRY(Fields::of(bytes));
    FeatureDescription feature;
    feature.name = std::string(f.text(1));
    feature.description = printable(f.text(2), 1024);
    auto type = read_type(f.bytes(3));
    if (!type)
      return std::move(type).error().within(fmt::format("feature '{}'", printable(feature.name)));
    feature.type = *type;
    for (const FeatureDescription& other : list)
      if (other.name == feature.name)
        return corrupt(fmt::format("feature '{}': twice", printable(feature.name)));
    list.push_back(std::move(feature));
    if (list.size() > most_features)
      return Error(ErrorKind::exhausted, fmt::format("over {} features", most_features));
  }
  return list;
}

Status read_metadata(Model& model, Bytes bytes) {
  constexpr std::size_t most_bytes = 4096;  // of one text
  const Fields f = TRY(Fields::of(bytes));
  constexpr std::string_view names[] = {"description", "version", "author", "license"};
  for (std::uint32_t i = 0; i < 4; ++i)
    if (!f.text(i + 1).empty())
      model.metadata[std::string(names[i])] = printable(f.text(i + 1), most_bytes);
  for (const Bytes entry : f.messages(100)) {
    const Fields pair = TRY(Fields::of(entry));
    model.metadata[printable(pair.text(1), 256)] = printable(pair.text(2), most_bytes);
  }
  return Done{};
}

// A program of several functions describes each; the default one's description serves.
Status read_functions(Model& model, const Fields& description) {
  const std::string_view chosen = description.text(21);
  for (const Bytes bytes : description.messages(20)) {
    const Fields f = TRY(Fields::of(bytes));
    const bool is_chosen = f.text(1) == chosen || (chosen.empty() && model.functions.empty());
    const std::string name(f.text(1));
    if (!is_chosen) {
      model.functions.push_back(name);
      continue;
    }
    model.functions.insert(model.functions.begin(), name);
    Description& d = model.description;
    d.inputs = TRY(read_features(f, 2));
    d.outputs = TRY(read_features(f, 3));
    d.states = TRY(read_features(f, 6));
    d.predicted_feature = std::string(f.text(4));
    d.predicted_probabilities = std::string(f.text(5));
  }
  return Done{};
}

struct KindName {
  std::uint32_t kind;
  std::string_view name;
};
constexpr KindName kinds[] = {{200, "pipelineClassifier"},
                              {201, "pipelineRegressor"},
                              {202, "pipeline"},
                              {300, "glmRegressor"},
                              {301, "supportVectorRegressor"},
                              {302, "treeEnsembleRegressor"},
                              {303, "neuralNetworkRegressor"},
                              {304, "bayesianProbitRegressor"},
                              {400, "glmClassifier"},
                              {401, "supportVectorClassifier"},
                              {402, "treeEnsembleClassifier"},
                              {403, "neuralNetworkClassifier"},
                              {404, "kNearestNeighborsClassifier"},
                              {500, "neuralNetwork"},
                              {501, "itemSimilarityRecommender"},
                              {502, "mlProgram"},
                              {555, "customModel"},
                              {556, "linkedModel"},
                              {560, "classConfidenceThresholding"},
                              {600, "oneHotEncoder"},
                              {601, "imputer"},
                              {602, "featureVectorizer"},
                              {603, "dictVectorizer"},
                              {604, "scaler"},
                              {606, "categoricalMapping"},
                              {607, "normalizer"},
                              {609, "arrayFeatureExtractor"},
                              {610, "nonMaximumSuppression"},
                              {900, "identity"},
                              {2000, "textClassifier"},
                              {2001, "wordTagger"},
                              {2002, "visionFeaturePrint"},
                              {2003, "soundAnalysisPreprocessing"},
                              {2004, "gazetteer"},
                              {2005, "wordEmbedding"},
                              {2006, "audioFeaturePrint"},
                              {3000, "serializedModel"}};

}  // namespace

std::string kind_name(std::uint32_t kind) {
  const auto found = std::ranges::find(kinds, kind, &KindName::kind);
  return found == std::end(kinds) ? fmt::format("kind {}", kind) : std::string(found->name);
}

Result<Model> read_model(Bytes bytes) {
  Model model;
  const Fields f = TRY(Fields::of(bytes));
  model.specification = f.integer(1);
  for (const WireField& field : f.all())
    if (field.number >= 200 && field.type == 2) {
      model.kind = field.number;
      model.body = field.bytes;
    }
  if (model.kind == 0) return corrupt("a model of no kind");
  const Fields description = TRY(f.message(2));
  model.description.inputs = TRY(read_features(description, 1));
  model.description.outputs = TRY(read_features(description, 10));
  model.description.states = TRY(read_features(description, 13));
  model.description.predicted_feature = std::string(description.text(11));
  model.description.predicted_probabilities = std::string(description.text(12));
  TRY(read_functions(model, description));
  TRY(read_metadata(model, description.bytes(100)));
  return model;
}

ValueInfo value_info(const FeatureDescription& feature) {
  const FeatureType& type = feature.type;
  ValueInfo info;
  info.name = feature.name;
  info.has_shape = true;
  switch (type.kind) {
    case Feature::int64:
      info.type = Element::i64;
      break;
    case Feature::real:
      info.type = Element::f64;
      break;
    case Feature::text:
      info.type = Element::text;
      break;
    case Feature::image:
      info.type = Element::f32;
      info.shape = {{1, {}},
                    {type.colour == Colour::rgb || type.colour == Colour::bgr ? 3 : 1, {}},
                    {type.flexible_height ? -1 : type.height, "height"},
                    {type.flexible_width ? -1 : type.width, "width"}};
      break;
    case Feature::array:
    case Feature::state:
      info.type = type.element;
      info.has_shape = !type.shape.empty();
      for (const std::int64_t extent : type.shape) info.shape.push_back({extent, {}});
      break;
    case Feature::sequence:
      info.type = type.text_keys ? Element::text : Element::i64;
      info.shape = {{-1, {}}};
      break;
    case Feature::dictionary:
      info.kind = Value::Kind::map;
      info.type = type.text_keys ? Element::text : Element::i64;
      info.has_shape = false;
      break;
    case Feature::none:
      info.has_shape = false;
      break;
  }
  return info;
}

}  // namespace hearth::graphs::coreml
