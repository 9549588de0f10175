// LSTM, GRU and simple recurrent networks.
// Source: Core ML Tools, MIL operator reference.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/ascii.h"
#include "graphs/coreml/mil.h"

namespace hearth::graphs::coreml {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

// Our order of gates, as places in MIL's: input, forget, output, cell; reset, output, update.
constexpr std::array<std::size_t, 4> lstm_order{0, 2, 1, 3};
constexpr std::array<std::size_t, 3> gru_order{2, 0, 1};
constexpr std::array<std::size_t, 1> rnn_order{0};
constexpr std::array<std::size_t, 3> peephole_order{0, 2, 1};

Status add_activation(MilOp& op, Cells& cells, std::string_view name, std::string_view fallback) {
  const std::string word = ascii_lower(TRY(op.text(name, fallback)));
  double alpha = 0, beta = 0;
  if (word == "sigmoid" || word == "tanh" || word == "relu") {
    cells.activations.push_back(word);
  } else if (word == "hard_sigmoid" || word == "sigmoid_hard") {
    cells.activations.emplace_back("hardsigmoid");
    alpha = 0.2;
    beta = 0.5;
  } else if (word == "linear") {
    cells.activations.emplace_back("affine");
    alpha = 1;
  } else {
    return Error(ErrorKind::unsupported, fmt::format("activation '{}'", word));
  }
  cells.alpha.push_back(alpha);
  cells.beta.push_back(beta);
  return Done{};
}

// [a...] and [b...] as one tensor [2, ...]; [a...] alone as [1, ...].
Result<Tensor> directions(const Tensor& a, const Tensor* b) {
  if (b != nullptr && (b->dims != a.dims || b->type != a.type))
    return corrupt("directions of different shapes");
  Dims dims = a.dims;
  dims.insert(dims.begin(), b == nullptr ? 1 : 2);
  if (b == nullptr) return reshaped(a, dims);
  Tensor both = TRY(make_tensor(a.type, dims));
  std::memcpy(both.bytes, a.bytes, a.byte_count());
  std::memcpy(both.bytes + a.byte_count(), b->bytes, b->byte_count());
  return both;
}

// Both biases of our operators: the input's, then the recurrent ones.
Result<Tensor> doubled(const Tensor& bias, const Tensor* other) {
  Tensor both = TRY(make_tensor(Element::f32, {2 * bias.count}));
  std::fill_n(both.data<float>(), both.count, 0.0f);
  std::memcpy(both.bytes, bias.bytes, bias.byte_count());
  if (other != nullptr)
    std::memcpy(both.bytes + bias.byte_count(), other->bytes, bias.byte_count());
  return both;
}

struct Gates {
  std::span<const std::size_t> order;
  std::int64_t hidden;
};

// The weights under MIL's names with this ending: "" or "_back".
struct Side {
  Tensor w, r, bias, peephole;
};
Result<Side> side_of(MilOp& op, const Gates& gates, const std::string& ending) {
  Side side;
  const auto rows = static_cast<std::int64_t>(gates.order.size()) * gates.hidden;
  side.w = TRY(gates_in_order(TRY(op.constant("weight_ih" + ending)), gates.order));
  side.r = TRY(gates_in_order(TRY(op.constant("weight_hh" + ending)), gates.order));
  if (side.w.rank() != 2 || side.w.dims[0] != rows || side.r.dims != Dims{rows, gates.hidden})
    return corrupt(fmt::format("weights of {} and {}", to_text(side.w.dims), to_text(side.r.dims)));
  if (op.has("bias" + ending)) {
    const Tensor bias = TRY(gates_in_order(TRY(op.constant("bias" + ending)), gates.order));
    Tensor more;
    if (op.has("input_bias" + ending))
      more = TRY(gates_in_order(TRY(op.constant("input_bias" + ending)), gates.order));
    if (bias.count != rows || bias.type != Element::f32 || (more.count != 0 && more.count != rows))
      return corrupt(fmt::format("a bias of {}", to_text(bias.dims)));
    side.bias = more.count == 0 ? TRY(doubled(bias, nullptr)) : TRY(doubled(more, &bias));
  }
  if (op.has("peephole" + ending)) {
    side.peephole = TRY(gates_in_order(TRY(op.constant("peephole" + ending)), peephole_order));
    if (side.peephole.count != 3 * gates.hidden) return corrupt("peepholes of another size");
  }
  return side;
}

// [batch, directions * hidden] to [directions, batch, hidden].
ValueId split_state(Emitter& b, ValueId state, const Cells& cells) {
  const std::int64_t n = cells.direction == "bidirectional" ? 2 : 1;
  return b.transposed(b.emit("Reshape", {state, b.integers({-1, n, cells.hidden})}), {1, 0, 2});
}
ValueId join_state(Emitter& b, ValueId state, const Cells& cells) {
  const std::int64_t n = cells.direction == "bidirectional" ? 2 : 1;
  return b.emit("Reshape", {b.transposed(state, {1, 0, 2}), b.integers({-1, n * cells.hidden})});
}

Status fill_cells(MilOp& op, Cells& cells, std::span<const std::size_t> order) {
  const Tensor recurrent = TRY(op.constant("weight_hh"));
  if (recurrent.rank() != 2 || recurrent.type != Element::f32)
    return corrupt(fmt::format("weights of {}", to_text(recurrent.dims)));
  cells.hidden = recurrent.dims[1];
  cells.direction = TRY(op.text("direction", "forward"));
  const bool both = cells.direction == "bidirectional";
  if (cells.direction != "forward" && cells.direction != "reverse" && !both)
    return Error(ErrorKind::unsupported, fmt::format("direction '{}'", cells.direction));
  const Gates gates{order, cells.hidden};
  const Side first = TRY(side_of(op, gates, ""));
  Side second;
  if (both) second = TRY(side_of(op, gates, "_back"));
  cells.w = TRY(directions(first.w, both ? &second.w : nullptr));
  cells.r = TRY(directions(first.r, both ? &second.r : nullptr));
  if (first.bias.count > 0) cells.bias = TRY(directions(first.bias, both ? &second.bias : nullptr));
  if (first.peephole.count > 0)
    cells.peepholes = TRY(directions(first.peephole, both ? &second.peephole : nullptr));
  if (!both) return Done{};
  const auto n = cells.activations.size();
  for (std::size_t i = 0; i < n; ++i) {
    cells.activations.push_back(cells.activations[i]);
    cells.alpha.push_back(cells.alpha[i]);
    cells.beta.push_back(cells.beta[i]);
  }
  return Done{};
}

Status give_cells(MilOp& op, const Cells& cells, ValueId h, ValueId c) {
  Emitter& b = op.b;
  const std::int64_t n = cells.direction == "bidirectional" ? 2 : 1;
  const CellOutputs made = emit_cells(b, TRY(op.in("x")), split_state(b, h, cells),
                                      c == absent ? absent : split_state(b, c, cells), cells);
  const ValueId last = join_state(b, made.h, cells);
  if (TRY(op.flag("output_sequence", false)))
    TRY(op.give(0, b.emit("Reshape", {b.transposed(made.y, {0, 2, 1, 3}),
                                      b.integers({0, 0, n * cells.hidden})})));
  else
    TRY(op.give(0, b.emit("Unsqueeze", {last, b.integers({0})})));
  TRY(op.give(1, last));
  if (c != absent) TRY(op.give(2, join_state(b, made.c, cells)));
  return Done{};
}

Status lstm(MilOp& op) {
  Cells cells;
  cells.op = "LSTM";
  TRY(add_activation(op, cells, "recurrent_activation", "sigmoid"));
  TRY(add_activation(op, cells, "cell_activation", "tanh"));
  TRY(add_activation(op, cells, "activation", "tanh"));
  cells.memory_clip = TRY(op.real("clip", 0));
  TRY(fill_cells(op, cells, lstm_order));
  return give_cells(op, cells, TRY(op.in("initial_h")), TRY(op.in("initial_c")));
}

Status gru(MilOp& op) {
  Cells cells;
  cells.op = "GRU";
  TRY(add_activation(op, cells, "recurrent_activation", "sigmoid"));
  TRY(add_activation(op, cells, "activation", "tanh"));
  TRY(fill_cells(op, cells, gru_order));
  cells.resets_after = TRY(op.flag("reset_after", false));
  return give_cells(op, cells, TRY(op.in("initial_h")), absent);
}

Status rnn(MilOp& op) {
  Cells cells;
  cells.op = "RNN";
  TRY(add_activation(op, cells, "activation", "tanh"));
  TRY(fill_cells(op, cells, rnn_order));
  return give_cells(op, cells, TRY(op.in("initial_h")), absent);
}

constexpr MilRow rows[] = {{"lstm", lstm}, {"gru", gru}, {"rnn", rnn}};

}  // namespace

std::span<const MilRow> recurrent_rows() { return rows; }

Result<Tensor> gates_in_order(const Tensor& tensor, std::span<const std::size_t> order) {
  const auto n = static_cast<std::int64_t>(order.size());
  if (tensor.rank() == 0 || tensor.dims[0] % n != 0)
    return corrupt(fmt::format("{} for {} gates", to_text(tensor.dims), n));
  Tensor sorted = TRY(make_tensor(tensor.type, tensor.dims));
  const std::size_t block = tensor.byte_count() / order.size();
  for (std::size_t i = 0; i < order.size(); ++i)
    if (block > 0) std::memcpy(sorted.bytes + i * block, tensor.bytes + order[i] * block, block);
  return sorted;
}

CellOutputs emit_cells(Emitter& b, ValueId x, ValueId h, ValueId c, const Cells& cells) {
  std::vector<ValueId> inputs{x,
                              b.constant(cells.w),
                              b.constant(cells.r),
                              cells.bias.count > 0 ? b.constant(cells.bias) : absent,
                              absent,
                              h};
  Attributes attributes{{"hidden_size", cells.hidden},
                        {"direction", cells.direction},
                        {"activations", cells.activations},
                        {"activation_alpha", cells.alpha},
                        {"activation_beta", cells.beta}};
  if (cells.op == "GRU")
    attributes["linear_before_reset"] = std::int64_t{cells.resets_after ? 1 : 0};
  if (cells.op == "LSTM") {
    attributes["input_forget"] = std::int64_t{cells.is_coupled ? 1 : 0};
    attributes["memory_clip"] = cells.memory_clip;
    inputs.push_back(c);
    inputs.push_back(cells.peepholes.count > 0 ? b.constant(cells.peepholes) : absent);
  }
  const auto made = b.emit_many(cells.op, inputs, cells.op == "LSTM" ? 3 : 2, attributes);
  return {made[0], made[1], cells.op == "LSTM" ? made[2] : absent};
}

}  // namespace hearth::graphs::coreml
