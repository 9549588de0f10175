// TFLite's cells with memory in terms of the canonical operators: LSTM, RNN, SVDF.
// Source: TFLite, schema.fbs and the comments of its operator definitions.
#include <fmt/core.h>

#include "graphs/call.h"
#include "graphs/tflite/builder.h"

namespace hearth::graphs::tflite {
namespace {

using Ints = std::vector<std::int64_t>;

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

bool has(const Operator& op, std::size_t i) { return i < op.inputs.size() && op.inputs[i] >= 0; }

// The real numbers of input i; `absent` where it is not there.
Result<ValueId> real(Builder& b, const Operator& op, std::size_t i) {
  return has(op, i) ? b.real(op.inputs[i]) : Result<ValueId>(absent);
}
Result<const TensorInfo*> needed(Builder& b, const Operator& op, std::size_t i) {
  if (!has(op, i)) return corrupt(fmt::format("no input {}", i));
  return TRY(b.info(op.inputs[i]));
}
Status give(Builder& b, const Operator& op, std::size_t i, ValueId id) {
  if (i >= op.outputs.size()) return corrupt(fmt::format("no output {}", i));
  return b.give_real(op.outputs[i], id);
}

std::string_view curve_of(int activation) {
  constexpr std::string_view names[] = {"Affine", "Relu", "", "", "Tanh", ""};
  return activation >= 0 && activation < 6 ? names[activation] : "";
}

Error refused_curve(int activation) {
  return Error(ErrorKind::unsupported, fmt::format("activation {} of a cell", activation));
}

// ---- LSTM.  Inputs: x, four matrices each for x and the last result, three rows of peepholes,
// four biases, a projection and its bias, the last result and the cell, four norms.
constexpr std::size_t lstm_inputs = 24, lstm_result = 18, lstm_cell = 19;

struct LstmOptions {
  int activation;
  float cell_clip, projection_clip;
  bool time_major, backward;
};

// inputs: places of the 24 operands among the operator's, -1: none.  y, then both states.
Result<std::vector<ValueId>> lstm(Builder& b, const Operator& op,
                                  const std::vector<std::int64_t>& places,
                                  const LstmOptions& options) {
  if (options.activation != 4 && options.activation != 1 && options.activation != 0)
    return refused_curve(options.activation);
  std::vector<ValueId> inputs;
  for (const std::int64_t place : places)
    inputs.push_back(place < 0 ? absent : TRY(real(b, op, static_cast<std::size_t>(place))));
  return b.emit_many("hearth.ProjectedLSTM", std::move(inputs), 3,
                     {{"activation", std::string(curve_of(options.activation))},
                      {"cell_clip", double{options.cell_clip}},
                      {"projection_clip", double{options.projection_clip}},
                      {"time_major", std::int64_t{options.time_major}},
                      {"reverse", std::int64_t{options.backward}}});
}

std::vector<std::int64_t> first_places() {
  std::vector<std::int64_t> places;
  for (std::size_t i = 0; i < lstm_inputs; ++i) places.push_back(static_cast<std::int64_t>(i));
  return places;
}

Status sequence_lstm(Builder& b, const Operator& op) {
  constexpr unsigned time_major = 3;
  TRY(needed(b, op, lstm_cell));
  const auto made = TRY(lstm(b, op, first_places(),
                             {op.options.number<std::int8_t>(0, 0), op.options.number<float>(1, 0),
                              op.options.number<float>(2, 0),
                              op.options.number<std::uint8_t>(time_major, 0) != 0, false}));
  TRY(b.change_real(op.inputs[lstm_result], made[1]));
  TRY(b.change_real(op.inputs[lstm_cell], made[2]));
  return give(b, op, 0, made[0]);
}

// One step of all gates in one matrix: x, the last result, weights [4 n, k + n], biases, the cell.
Status basic_lstm(Builder& b, const Operator& op) {
  const TensorInfo* cell = TRY(needed(b, op, 4));
  if (op.inputs.size() != 5 || cell->dims.size() != 2) return corrupt("not five inputs");
  const ValueId x = TRY(real(b, op, 0)), h = TRY(real(b, op, 1)), c = TRY(real(b, op, 4));
  const ValueId joined = b.emit("Concat", {x, h}, {{"axis", std::int64_t{1}}});
  const ValueId all = b.emit("Gemm", {joined, TRY(real(b, op, 2)), TRY(real(b, op, 3))},
                             {{"transB", std::int64_t{1}}});
  const auto gates = b.emit_many("Split", {all}, 4, {{"axis", std::int64_t{1}}});
  const ValueId added = b.emit("Mul", {b.emit("Sigmoid", {gates[0]}), b.emit("Tanh", {gates[1]})});
  const ValueId kept = b.emit("Mul", {b.emit("Sigmoid", {gates[2]}), c});
  const ValueId now = b.emit("Add", {added, kept});
  const ValueId y = b.emit("Mul", {b.emit("Sigmoid", {gates[3]}), b.emit("Tanh", {now})});
  const ValueId results[] = {y, now, joined, all};
  for (std::size_t i = 0; i < op.outputs.size() && i < 4; ++i) TRY(give(b, op, i, results[i]));
  return Done{};
}

// A step of the same: [batch, width] is a sequence of one.
Status step_lstm(Builder& b, const Operator& op) {
  constexpr unsigned kernel_type = 3;
  if (op.options.number<std::int8_t>(kernel_type, 0) == 1) return basic_lstm(b, op);
  TRY(needed(b, op, lstm_cell));
  const LstmOptions options{op.options.number<std::int8_t>(0, 0), op.options.number<float>(1, 0),
                            op.options.number<float>(2, 0), true, false};
  const auto made = TRY(lstm(b, op, first_places(), options));
  TRY(b.change_real(op.inputs[lstm_result], made[1]));
  TRY(b.change_real(op.inputs[lstm_cell], made[2]));
  return give(b, op, 0, made[0]);
}

// Both directions: 17 operands of each after x, then the states of each, then what only newer forms
// have: an auxiliary input with its weights, and norms.
Status both_lstm(Builder& b, const Operator& op) {
  constexpr std::size_t own = 17, states = 35, auxiliary = 39;
  TRY(needed(b, op, states + 3));
  for (std::size_t i = auxiliary; i < op.inputs.size(); ++i)
    if (has(op, i)) return Error(ErrorKind::unsupported, "an auxiliary input");
  constexpr unsigned merged = 3, time_major = 4;
  const auto one = [&](bool backward) -> Result<ValueId> {
    std::vector<std::int64_t> places(lstm_inputs, -1);
    places[0] = 0;
    const std::size_t first = backward ? own + 1 : 1, state = states + (backward ? 2 : 0);
    for (std::size_t i = 0; i < own; ++i) places[1 + i] = static_cast<std::int64_t>(first + i);
    places[lstm_result] = static_cast<std::int64_t>(state);
    places[lstm_cell] = static_cast<std::int64_t>(state + 1);
    const auto made = TRY(lstm(b, op, places,
                               {op.options.number<std::int8_t>(0, 0),
                                op.options.number<float>(1, 0), op.options.number<float>(2, 0),
                                op.options.number<std::uint8_t>(time_major, 1) != 0, backward}));
    TRY(b.change_real(op.inputs[state], made[1]));
    TRY(b.change_real(op.inputs[state + 1], made[2]));
    return made[0];
  };
  const ValueId forth = TRY(one(false)), back = TRY(one(true));
  if (op.options.number<std::uint8_t>(merged, 0) != 0)
    return give(b, op, 0, b.emit("Concat", {forth, back}, {{"axis", std::int64_t{2}}}));
  TRY(give(b, op, 0, forth));
  return give(b, op, 1, back);
}

// ---- RNN: x, weights [n, k], recurrent ones [n, n], biases, the state [batch, n].

// y [steps, batch, n] and the last state [batch, n] of x [steps, batch, k].
Result<std::pair<ValueId, ValueId>> rnn(Builder& b, const Operator& op, ValueId x, std::size_t w,
                                        std::size_t state, int activation, bool backward) {
  const std::string_view curve = curve_of(activation);
  if (curve.empty()) return refused_curve(activation);
  const ValueId first = b.integers({0});
  const auto raised = [&](ValueId id) { return b.emit("Unsqueeze", {id, first}); };
  const ValueId bias = TRY(real(b, op, w + 2));
  const ValueId nothing = b.emit("Sub", {bias, bias});
  const ValueId biases = b.emit("Concat", {bias, nothing}, {{"axis", std::int64_t{0}}});
  const auto made = b.emit_many("RNN",
                                {x, raised(TRY(real(b, op, w))), raised(TRY(real(b, op, w + 1))),
                                 raised(biases), absent, raised(TRY(real(b, op, state)))},
                                2,
                                {{"activations", std::vector<std::string>{std::string(curve)}},
                                 {"activation_alpha", std::vector<double>{1}},
                                 {"direction", std::string(backward ? "reverse" : "forward")}});
  return std::pair{b.emit("Squeeze", {made[0], b.integers({1})}),
                   b.emit("Squeeze", {made[1], first})};
}

ValueId turned(Builder& b, ValueId x) { return b.transposed(x, {1, 0, 2}); }

Status step_rnn(Builder& b, const Operator& op) {
  TRY(needed(b, op, 4));
  const ValueId x = b.emit("Unsqueeze", {TRY(real(b, op, 0)), b.integers({0})});
  const auto [all, last] = TRY(rnn(b, op, x, 1, 4, op.options.number<std::int8_t>(0, 0), false));
  TRY(b.change_real(op.inputs[4], last));
  return give(b, op, 0, b.emit("Squeeze", {all, b.integers({0})}));
}

Status sequence_rnn(Builder& b, const Operator& op) {
  TRY(needed(b, op, 4));
  const bool time_major = op.options.number<std::uint8_t>(0, 0) != 0;
  const ValueId x = TRY(real(b, op, 0));
  const auto [all, last] = TRY(
      rnn(b, op, time_major ? x : turned(b, x), 1, 4, op.options.number<std::int8_t>(1, 0), false));
  TRY(b.change_real(op.inputs[4], last));
  return give(b, op, 0, time_major ? all : turned(b, all));
}

Status both_rnn(Builder& b, const Operator& op) {
  TRY(needed(b, op, 8));
  for (std::size_t i = 9; i < op.inputs.size(); ++i)
    if (has(op, i)) return Error(ErrorKind::unsupported, "an auxiliary input");
  const bool time_major = op.options.number<std::uint8_t>(0, 0) != 0,
             merged = op.options.number<std::uint8_t>(2, 0) != 0;
  const int activation = op.options.number<std::int8_t>(1, 0);
  const ValueId given = TRY(real(b, op, 0)), x = time_major ? given : turned(b, given);
  ValueId results[2];
  for (const bool backward : {false, true}) {
    const std::size_t first = backward ? 5 : 1;
    const auto [all, last] = TRY(rnn(b, op, x, first, first + 3, activation, backward));
    TRY(b.change_real(op.inputs[first + 3], last));
    results[backward ? 1 : 0] = time_major ? all : turned(b, all);
  }
  if (merged)
    return give(b, op, 0, b.emit("Concat", {results[0], results[1]}, {{"axis", std::int64_t{2}}}));
  TRY(give(b, op, 0, results[0]));
  return give(b, op, 1, results[1]);
}

// x [batch, k], features [filters, k], times [filters, memory], biases [units], the state [batch,
// filters * memory]; each filter remembers what it saw, and `rank` of them make a unit.
Status svdf(Builder& b, const Operator& op) {
  const TensorInfo* times = TRY(needed(b, op, 2));
  const TensorInfo* state = TRY(needed(b, op, 4));
  const std::int64_t rank = op.options.number<std::int32_t>(0, 0);
  const int activation = op.options.number<std::int8_t>(1, 0);
  if (times->dims.size() != 2 || state->dims.size() != 2 || rank < 1 || times->dims[0] < 1 ||
      times->dims[0] % rank != 0)
    return corrupt(fmt::format("filters {} of rank {}", to_text(times->dims), rank));
  const std::int64_t filters = times->dims[0], memory = times->dims[1];
  const ValueId seen =
      b.emit("Gemm", {TRY(real(b, op, 0)), TRY(real(b, op, 1))}, {{"transB", std::int64_t{1}}});
  const ValueId before =
      b.emit("Reshape", {TRY(real(b, op, 4)), b.integers({-1, filters, memory})});
  const ValueId later =
      b.emit("Slice", {before, b.integers({1}), b.integers({INT32_MAX}), b.integers({2})});
  const ValueId now = b.emit("Concat", {later, b.emit("Unsqueeze", {seen, b.integers({2})})},
                             {{"axis", std::int64_t{2}}});
  TRY(b.change_real(op.inputs[4], b.emit("Reshape", {now, b.integers({-1, filters * memory})})));
  const ValueId weighed = b.emit("Mul", {now, TRY(real(b, op, 2))});
  const ValueId by_unit =
      b.emit("Reshape", {weighed, b.integers({-1, filters / rank, rank * memory})});
  ValueId y = b.emit("ReduceSum", {by_unit, b.integers({2})}, {{"keepdims", std::int64_t{0}}});
  if (has(op, 3)) y = b.emit("Add", {y, TRY(real(b, op, 3))});
  return give(b, op, 0, TRY(b.activated(y, activation)));
}

}  // namespace

Status add_recurrent_operator(Builder& b, const Operator& op) {
  switch (op.code) {
    case 16:
      return step_lstm(b, op);
    case 24:
      return step_rnn(b, op);
    case 27:
      return svdf(b, op);
    case 35:
      return sequence_rnn(b, op);
    case 44:
      return sequence_lstm(b, op);
    case 46:
      return both_rnn(b, op);
    case 52:
      return both_lstm(b, op);
    default:
      return Error(ErrorKind::unsupported, "");
  }
}

}  // namespace hearth::graphs::tflite
