// Executor: runs graphs.
#pragma once

#include <map>
#include <span>
#include <stop_token>

#include "graphs/call.h"
#include "graphs/graph.h"

namespace hearth::graphs {

constexpr int max_body_depth = 32;

// Runs a body: inputs in order, captures as the body names them.  Returns its outputs.
Result<std::vector<Value>> run_graph(Machine& machine, const Graph& graph,
                                     std::span<const Value> inputs,
                                     std::span<const Value* const> captures);

// How long one node took, with the bodies it ran.
struct NodeTime {
  const Node* node;
  double seconds;
};

struct RunOptions {
  std::uint64_t seed = 0;
  std::stop_token stop;
  std::uint64_t most_bytes = 0;            // of what it computes, held at once; 0: any amount
  std::vector<NodeTime>* times = nullptr;  // gets a row for every node of the graph itself
};

struct RunnerOptions {
  bool optimise = true;  // false: every node as the file has it, the slow way that fast ones equal
};

// A program that is ready to run.  Thread-safe: runs take turns.
class Runner {
 public:
  explicit Runner(Program program, const RunnerOptions& options = {});
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  const Program& program() const;
  // inputs: by name; every input of the graph without a constant of its own must be there, of the
  // type the graph says and a shape that fits.  Returns outputs in the graph's order.
  Result<std::vector<Value>> run(ops::Context& ctx,
                                 const std::map<std::string, Value, std::less<>>& inputs,
                                 const RunOptions& options = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hearth::graphs
