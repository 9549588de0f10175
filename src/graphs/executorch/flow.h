// Flow: follows a method's instructions and writes down, as values that are written once, what they
// do to memory.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "graphs/emit.h"
#include "graphs/executorch/program.h"

namespace hearth::graphs::executorch {

// A graph that is being made: the method's, or a body within it.
struct Scope {
  Emitter b;
  Scope* around = nullptr;
  int depth = 0;
  std::map<ValueId, ValueId> captures;  // of the scope around -> here
  std::vector<ValueId> captured;        // of the scope around, in the order of the captures
};

// A value of some scope.
struct Held {
  ValueId id = absent;
  int depth = 0;
};

// Bytes [begin, end) of a planned memory, or of one that a value has for itself.
struct Region {
  std::uint64_t memory = 0, begin = 0, end = 0;
  bool operator==(const Region&) const = default;
};

// A number of the plan: known, or computed when the graph runs.
struct Number {
  std::optional<double> real;
  std::optional<std::int64_t> integer;
  Element type = Element::none;  // of a computed one: i64, f32 or boolean
};

// What one of the plan's values is now.
struct Slot {
  Held held;                     // of a tensor, or of a number that is computed
  std::optional<Number> number;  // that instructions have set; otherwise it is the plan's
  std::optional<Region> shared;  // memory that it was made to share
};

// Who wrote to which bytes last.
class Memory {
 public:
  void write(const Region& region, std::size_t value);
  // The value that wrote all of these bytes; none: nobody wrote any.  Errors: unsupported (several
  // did, or other bounds).
  Result<std::optional<std::size_t>> owner(const Region& region) const;
  bool is_owner(const Region& region, std::size_t value) const;

 private:
  struct Span {
    std::uint64_t end;
    std::size_t value;
    Region whole;  // as it was written
  };
  std::map<std::pair<std::uint64_t, std::uint64_t>, Span> spans_;  // by (memory, begin)
};

class Flow {
 public:
  Flow(const File& file, const Plan& plan, Graph& graph);

  // Adds the inputs, follows the instructions, adds the outputs.
  Status run();
  const std::vector<std::string>& states() const { return state_names_; }

  const File& file() const { return file_; }
  Emitter& b() { return scope_->b; }
  Result<const EValue*> value(std::int64_t index) const;
  Result<const TensorSpec*> spec(std::int64_t index) const;  // Errors: corrupt (no tensor)
  // What a tensor holds now, in the scope that is being made.
  Result<ValueId> read(std::int64_t index);
  Result<std::optional<Tensor>> constant(std::int64_t index);  // none: it is computed
  Status write(std::int64_t index, ValueId id);
  // Makes `index` another view of the memory of `of`.
  Status share(std::int64_t index, std::int64_t of, ValueId id);

  // Numbers.  Known ones as such; computed ones as i64, f32 or boolean scalars.
  Result<ValueId> number(std::int64_t index, Element type);
  Status set_number(std::int64_t index, ValueId id, Element type);
  Status set_number(std::int64_t index, const Number& number);
  Result<Number> number_of(std::int64_t index) const;

 private:
  struct State {
    std::vector<Slot> slots;
    Memory memory;
  };
  struct Branch;

  Status add_inputs();
  Status add_outputs();
  Status follow(std::size_t begin, std::size_t end);
  Status step(const Instruction& at);
  Status move(std::int32_t from, std::int32_t to);
  Status call_kernel(const Instruction& at);
  Status call_delegate(const Instruction& at);
  Status branch(std::size_t& at, std::size_t end);
  Result<Branch> run_branch(std::size_t begin, std::size_t end);
  Status merge(Branch& then_branch, Branch& else_branch, ValueId condition);
  Status loop(std::size_t begin, std::size_t at);
  Status charge_copy();
  bool is_own(std::size_t index) const;
  Element number_type(const State& state, std::size_t index) const;
  Result<ValueId> local(Held held);
  ValueId capture(Scope& scope, Held held);
  Region region_of(std::size_t index) const;
  Result<ValueId> constant_id(std::size_t index, const TensorSpec& spec);
  Result<ValueId> begin_state(std::size_t index, const TensorSpec& spec);
  Result<ValueId> viewed(std::size_t index, std::size_t owner);
  void describe(ValueId id, const TensorSpec& spec, const std::string& name);
  void touch(std::size_t index) { touched_.push_back(index); }

  const File& file_;
  const Plan& plan_;
  std::unique_ptr<Scope> root_;
  Scope* scope_;
  State state_;
  std::vector<ValueId> constants_;  // of the root, by value; absent: not used yet
  std::vector<std::size_t> states_, touched_;
  std::vector<ValueId> first_states_;
  std::vector<std::string> state_names_;
  std::size_t steps_ = 0, copied_ = 0;
};

// One kernel call at work.
struct Op {
  Flow& flow;
  std::string_view name;  // "aten::add.out"
  const std::vector<std::int32_t>& args;

  Emitter& b() const { return flow.b(); }
  std::size_t count() const { return args.size(); }
  Result<std::int32_t> arg(std::size_t i) const;
  bool is_null(std::size_t i) const;  // absent, or the null value, or an empty stand-in
  bool is_tensor(std::size_t i) const;
  Result<ValueId> in(std::size_t i) const;
  Result<ValueId> in(std::size_t i, Element type) const;
  Result<const TensorSpec*> spec(std::size_t i) const;
  Result<Element> type(std::size_t i) const;
  Result<std::size_t> rank(std::size_t i) const;
  // A tensor or number as a tensor of this type.
  Result<ValueId> operand(std::size_t i, Element type) const;
  Result<std::int64_t> integer(std::size_t i) const;
  Result<std::int64_t> integer(std::size_t i, std::int64_t fallback) const;  // where null
  Result<double> real(std::size_t i) const;
  Result<double> real(std::size_t i, double fallback) const;
  Result<bool> flag(std::size_t i) const;
  Result<Ints> list(std::size_t i) const;                          // known integers
  Result<ValueId> list_id(std::size_t i) const;                    // i64 [n], computed or not
  Result<ValueId> whole(std::size_t i) const;                      // an i64 [1] of a number
  Result<std::vector<std::int64_t>> tensors(std::size_t i) const;  // the places of values; -1: none
  Result<std::vector<double>> reals(std::size_t i) const;
  Result<std::string> text(std::size_t i, std::string fallback) const;
  // What argument i holds from now on; cast to its type where `type` is another.
  Status give(std::size_t i, ValueId id, Element type) const;
  Status give(std::size_t i, ValueId id) const;  // of its type already
};

// An operator of the list in operators.cpp.
struct Kernel {
  std::string_view name;
  Status (*add)(Op& op);
};
// nullptr: none of that name.
const Kernel* find_kernel(std::string_view name);
std::vector<std::string> kernel_names();
std::span<const Kernel> elementwise_kernels();
std::span<const Kernel> reduce_kernels();
std::span<const Kernel> shape_kernels();
std::span<const Kernel> index_kernels();
std::span<const Kernel> layer_kernels();
std::span<const Kernel> pad_kernels();
std::span<const Kernel> number_kernels();
std::span<const Kernel> quantised_kernels();
std::span<const Kernel> llm_kernels();
std::span<const Kernel> cortex_kernels();

// Adds what an XNNPACK payload computes.  args: the places of values, inputs first.
Status add_xnnpack(Flow& flow, Bytes payload, const std::vector<std::int32_t>& args);
std::vector<std::string> xnnpack_names();

Error corrupt(std::string message);
// Of axes as they lie in memory, back to where they belong.
Ints inverse_of(const std::vector<std::uint8_t>& order);

}  // namespace hearth::graphs::executorch
