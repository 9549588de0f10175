// A TFLite file while it is read: what its graphs share.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "graphs/tflite/builder.h"

namespace hearth::graphs::tflite {

struct Buffers {
  std::span<const std::byte> file;
  std::vector<FlatTable> tables;

  // Errors: corrupt (no such buffer, or outside the file).
  Result<std::span<const std::byte>> at(std::uint32_t index) const;
};

struct Codes {
  std::vector<int> builtin;
  std::vector<std::string> custom;
};

// A resource that graphs read and write by its name.
struct Variable {
  std::string name;
  std::optional<Tensor> first;  // what it holds before the first run
  bool is_used = false;         // by the graph that is read
};

struct HashTable {
  Tensor keys, values;  // as many of both
};

struct Model {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
  std::vector<FlatTable> subgraphs;
  Buffers buffers;
  Codes codes;
  std::vector<Variable> variables = {};
  std::map<std::int64_t, HashTable> hash_tables = {};
  std::size_t operators = 0;  // so far, those of subgraphs that are written out among them
  int depth = 0;              // of subgraphs within one another
  bool runs_now = false;      // what is read is computed at once, and must end
};

constexpr int most_depth = 24;

// What the file says for people and programs beside the graph: labels, what its pictures become.
// Errors: corrupt, unsupported.
Status read_metadata(const FlatTable& root, const Model& model, Program& program);

// The tensors of a subgraph, in their order.  Errors: corrupt, unsupported.
Status read_tensors(const Model& model, Builder& b, const FlatTable& subgraph);
// Adds the nodes of a subgraph's operators.  Errors: corrupt, unsupported (those that are not
// known, by name), exhausted.
Status read_operators(Model& model, Builder& b, const FlatTable& subgraph);

// What a subgraph of scalars does, done to every element of tensors.  Errors: as read_operators.
Result<std::vector<ValueId>> add_lifted(Model& model, Builder& b, std::int64_t subgraph,
                                        const std::vector<ValueId>& inputs);
// Operators of StableHLO with such a subgraph.  False: the operator is none of them.
Result<bool> add_folding(Model& model, Builder& b, const Operator& op);

// Branches, loops, calls, composites.  False: the operator is none of them.
Result<bool> add_flow(Model& model, Builder& b, const Operator& op);
// Variables and hash tables.  False: the operator is none of them.
Result<bool> add_resource(Model& model, Builder& b, const Operator& op);

// Every variable that the file names; before anything is read of its graphs.
Status find_variables(Model& model);
// Computes what a subgraph without inputs leaves in variables and hash tables.
Status run_once(Model& model, std::int64_t subgraph);

}  // namespace hearth::graphs::tflite
