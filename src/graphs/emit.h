// Emitter: adds nodes and constants to a graph as an importer goes through a file.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "graphs/graph.h"

namespace hearth::graphs {

class Emitter {
 public:
  explicit Emitter(Graph& target) : graph(target) {}
  Graph& graph;

  ValueId new_value();
  ValueId constant(Tensor tensor);
  ValueId integers(const std::vector<std::int64_t>& values);  // i64 [n]
  ValueId integer(std::int64_t value);                        // i64 []
  ValueId scalar(float value);                                // f32 []
  // `op` is one of ours: that it exists is an invariant.
  ValueId emit(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {});
  std::vector<ValueId> emit_many(std::string_view op, std::vector<ValueId> inputs,
                                 std::size_t outputs, Attributes attributes = {});
  ValueId transposed(ValueId id, std::vector<std::int64_t> order);
  ValueId cast(ValueId id, Element to);
};

}  // namespace hearth::graphs
