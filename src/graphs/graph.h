// Graph: operators over values that are each written once.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "graphs/pixels.h"
#include "graphs/tensor.h"

namespace hearth::graphs {

struct Graph;
struct Operator;

using Attribute =
    std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>, std::vector<double>,
                 std::vector<std::string>, Tensor, std::vector<Tensor>>;

// What an operator keeps between runs: packed weights, a primitive.
struct Prepared {
  virtual ~Prepared() = default;
};

using ValueId = std::int32_t;
constexpr ValueId absent = -1;

using Attributes = std::map<std::string, Attribute, std::less<>>;
// nullptr: there is none of that name, or it is of another type.
template <typename T>
const T* find_attribute(const Attributes& attributes, std::string_view name) {
  const auto found = attributes.find(name);
  return found == attributes.end() ? nullptr : std::get_if<T>(&found->second);
}
inline std::int64_t integer_of(const Attributes& attributes, std::string_view name,
                               std::int64_t fallback) {
  const auto* value = find_attribute<std::int64_t>(attributes, name);
  return value == nullptr ? fallback : *value;
}

struct Node {
  const Operator* op = nullptr;
  std::string name;
  int version = 0;  // of the operator set that the attributes are read by; 0: the newest
  std::vector<ValueId> inputs, outputs;  // `absent` where an optional one is not there
  Attributes attributes;
  std::vector<std::shared_ptr<const Graph>> bodies;  // in the order of `body_names`
  std::vector<std::string> body_names;               // "then_branch"
  // What the bodies see of the values around them, body after body, in the order of each body's
  // captures.
  std::vector<ValueId> captured;
  std::vector<ValueId> releases;  // values that nothing reads after this node; see finish()
  mutable std::shared_ptr<Prepared> prepared;  // guarded by the run: one at a time per program
};

// A size that is known, or named, or neither.
struct Extent {
  std::int64_t value = -1;  // -1: not known
  std::string name;         // "batch"
};

// What is said of a value before any run.
struct ValueInfo {
  std::string name;
  Element type = Element::none;  // none: not known, or no tensor
  bool has_shape = false;
  std::vector<Extent> shape;
  Value::Kind kind = Value::Kind::tensor;
};

struct Constant {
  ValueId id;
  Value value;
};

// Nodes stand in an order in which every value is written before it is read.  Immutable once
// imported, but for `prepared`.
struct Graph {
  std::string name;
  std::vector<ValueInfo> values;  // by ValueId
  std::vector<ValueId> inputs, outputs, captures;
  std::vector<Constant> constants;
  std::vector<Node> nodes;
  std::vector<std::shared_ptr<const void>> storage;  // keeps mapped constants alive
};

// Says in each node what it releases, and checks that every value is written once and before it is
// read.  Called once, after the last change to a graph.
Status finish(Graph& graph);

// Inputs that have no constant of their own.
std::vector<ValueId> wanted_inputs(const Graph& graph);

// A graph with what its file says about it.
struct Program {
  std::string format, path;  // "onnx"
  std::string producer;
  std::int64_t format_version = 0;
  std::map<std::string, std::int64_t> operator_sets;  // domain -> version
  std::map<std::string, std::string> metadata;
  std::string description;
  std::vector<std::string> labels;  // of its classes, where the file names them
  std::optional<Pixels> pixels;     // what its pictures become, where the file says so
  std::shared_ptr<const Graph> graph;
  std::vector<std::string> warnings;
};

}  // namespace hearth::graphs
