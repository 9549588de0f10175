// The messages of a Core ML model that all kinds of models share, as views over its bytes.
// Source: Core ML Tools, Model.proto, FeatureTypes.proto and DataStructures.proto.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/protobuf.h"
#include "graphs/graph.h"

namespace hearth::graphs::coreml {

using Bytes = std::span<const std::byte>;

// The bytes of a field that holds a message.  Errors: corrupt.
Result<Bytes> message(const WireField& field, std::string_view what);
// A field of a message that stands there alone; empty where it is absent.
Result<Bytes> field_of(Bytes message_bytes, std::uint32_t number);
// A message whose fields are read by number: the last of each, and lists of those that repeat.
class Fields {
 public:
  // Errors: corrupt.
  static Result<Fields> of(Bytes bytes);

  bool has(std::uint32_t number) const { return find(number) != nullptr; }
  std::int64_t integer(std::uint32_t number, std::int64_t fallback = 0) const;
  float real(std::uint32_t number, float fallback = 0) const;
  double real64(std::uint32_t number, double fallback = 0) const;
  bool flag(std::uint32_t number) const { return integer(number) != 0; }
  std::string_view text(std::uint32_t number) const;
  Bytes bytes(std::uint32_t number) const;
  // Errors: corrupt (a field of another kind).
  Result<Fields> message(std::uint32_t number) const;  // empty where it is absent
  Result<std::vector<std::int64_t>> integers(std::uint32_t number) const;
  Result<std::vector<float>> floats(std::uint32_t number) const;
  Result<std::vector<double>> doubles(std::uint32_t number) const;
  std::vector<std::string_view> texts(std::uint32_t number) const;
  std::vector<Bytes> messages(std::uint32_t number) const;
  const std::vector<WireField>& all() const { return fields_; }

 private:
  const WireField* find(std::uint32_t number) const;
  std::vector<WireField> fields_;
};

enum class Feature : std::uint8_t {
  none,
  int64,
  real,
  text,
  image,
  array,
  dictionary,
  sequence,
  state
};
enum class Colour : std::uint8_t { none, gray, rgb, bgr, gray_half };

struct FeatureType {
  Feature kind = Feature::none;
  bool is_optional = false;
  std::vector<std::int64_t> shape;  // of an array; -1: flexible
  Element element = Element::f32;   // of an array
  std::optional<double> fallback;   // of an optional array
  std::int64_t width = 0, height = 0;
  bool flexible_width = false, flexible_height = false;  // of an image
  Colour colour = Colour::none;
  bool text_keys = false;  // of a dictionary or sequence: text, not whole numbers
};

struct FeatureDescription {
  std::string name, description;
  FeatureType type;
};

struct Description {
  std::vector<FeatureDescription> inputs, outputs, states;
  std::string predicted_feature, predicted_probabilities;
};

struct Model {
  std::int64_t specification = 0;
  Description description;
  std::map<std::string, std::string> metadata;
  std::vector<std::string> functions;  // of a program of several; the default one first
  std::uint32_t kind = 0;              // the field number of what it is: 500 a neural network
  Bytes body;                          // of that field
};

// depth: of models within models.
Result<Model> read_model(Bytes bytes);
// "mlProgram"; of others "kind 42".
std::string kind_name(std::uint32_t kind);
// What the graph says of a value of this type.
ValueInfo value_info(const FeatureDescription& feature);

}  // namespace hearth::graphs::coreml
