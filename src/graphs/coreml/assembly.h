// What the parts of the Core ML importer build one graph with.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "graphs/coreml/data.h"
#include "graphs/coreml/model.h"
#include "graphs/emit.h"

namespace hearth::graphs::coreml {

struct State {
  std::string name;
  ValueId current = absent;  // what reading it gives now
  bool is_written = false;
};

// The graph that a model, or the models of a pipeline one after another, become.
struct Assembly {
  Emitter& b;
  Weights& weights;
  std::shared_ptr<const void> owner;  // keeps the file's bytes alive
  // What models have made so far, by name.
  std::map<std::string, ValueId, std::less<>> features;
  std::vector<State> states;
  std::vector<std::string> warnings;
  int depth = 0;  // of models within models

  // Errors: corrupt (nobody makes it).
  Result<ValueId> feature(std::string_view name) const;
  // The same as numbers of this type.
  Result<ValueId> feature(std::string_view name, Element type);
  Element type_of(ValueId id) const { return b.graph.values[static_cast<std::size_t>(id)].type; }
  // Names value `id`, with what is known of it.
  void give(const std::string& name, ValueId id, Element type, const Dims* dims = nullptr);
};

// Adds a model that reads and writes features by the names of its description.
// Errors: corrupt, unsupported (a kind or an operator we do not run, by name), exhausted.
Status add_model(Assembly& at, const Model& model);

// The kinds: one function each, told apart by Model::kind where it is one for several.
Status add_program(Assembly& at, const Model& model);
Status add_network(Assembly& at, const Model& model);
Status add_pipeline(Assembly& at, const Model& model);
Status add_trees(Assembly& at, const Model& model);
Status add_linear(Assembly& at, const Model& model);
Status add_support_vectors(Assembly& at, const Model& model);
Status add_neighbours(Assembly& at, const Model& model);
Status add_transformer(Assembly& at, const Model& model);
Status add_suppression(Assembly& at, const Model& model);

// Class labels of a classifier: text or whole numbers [n].  int64_field, string_field: where the
// message holds them.  count 0: it has none.
Result<Tensor> read_labels(const Fields& fields, std::uint32_t string_field,
                           std::uint32_t int64_field);
// The label with the highest of n scores of any shape, and the map from labels to scores.
struct Classes {
  ValueId label, scores;
};
Classes emit_classes(Emitter& b, ValueId scores, const Tensor& labels);
// The predicted label and the dictionary of probabilities, as the description names them, from
// scores of any shape.
Status give_classes(Assembly& at, const Model& model, ValueId scores, const Tensor& labels);

}  // namespace hearth::graphs::coreml
