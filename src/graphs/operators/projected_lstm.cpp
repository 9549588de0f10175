// LSTM cells with all that mobile speech models use: peepholes, a projection of the result, norms
// of the gates, input gates that follow from the forget gates. Source: Sak, Senior and Beaufays
// 2014, "Long short-term memory recurrent neural network architectures"; TFLite, comments of
// UNIDIRECTIONAL_SEQUENCE_LSTM.
#include <algorithm>
#include <cmath>

#include "graphs/operators/families.h"
#include "graphs/operators/gemm.h"

namespace hearth::graphs {
namespace {

// Of inputs, each group in the order input, forget, cell, output.
constexpr std::size_t of_x = 1, of_result = 5, peepholes = 9, biases = 12, projection = 16,
                      last_result = 18, last_cell = 19, norms = 20;

struct Cell {
  std::int64_t batch, steps, width, cells, results;
  bool is_single;  // x has no axis of steps
  bool time_major, reverse, is_relu, is_linear;
  float cell_clip, projection_clip;
};

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

float clipped(float x, float most) { return most > 0 ? std::clamp(x, -most, most) : x; }

float bent(const Cell& cell, float x) {
  return cell.is_relu ? std::max(x, 0.0f) : cell.is_linear ? x : std::tanh(x);
}

// The operands as floats of the sizes that the cell needs.
struct Operands {
  const float* at[24] = {};

  Status take(Call& call, std::size_t i, const Dims& dims) {
    if (!call.has(i)) return Done{};
    const Tensor* t = TRY(call.typed(i, Element::f32));
    if (t->dims != dims)
      return invalid(
          fmt::format("operand {}: {} instead of {}", i, to_text(t->dims), to_text(dims)));
    at[i] = t->data<float>();
    return Done{};
  }
};

Status take_all(Call& call, const Cell& cell, Operands& o) {
  const Dims row{cell.cells};
  for (std::size_t gate = 0; gate < 4; ++gate) {
    TRY(o.take(call, of_x + gate, {cell.cells, cell.width}));
    TRY(o.take(call, of_result + gate, {cell.cells, cell.results}));
    TRY(o.take(call, biases + gate, row));
    TRY(o.take(call, norms + gate, row));
    if (gate < 3) TRY(o.take(call, peepholes + gate, row));
    const bool is_optional = gate == 0;
    const bool is_whole = o.at[of_x + gate] != nullptr && o.at[of_result + gate] != nullptr;
    if (!is_whole && (!is_optional || o.at[of_x] != nullptr))
      return invalid(fmt::format("gate {}: without weights", gate));
  }
  TRY(o.take(call, projection, {cell.results, cell.cells}));
  TRY(o.take(call, projection + 1, {cell.results}));
  if (o.at[projection] == nullptr && cell.results != cell.cells)
    return invalid(fmt::format("{} results of {} cells", cell.results, cell.cells));
  return Done{};
}

// A gate before its curve, for one item of a batch: the mean of its sums is 0, their deviation 1.
void normalise(float* row, const float* scale, const float* bias, std::int64_t n) {
  constexpr float tiny = 1e-8f;
  float sum = 0, squares = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += row[i];
  const float mean = sum / static_cast<float>(n);
  for (std::int64_t i = 0; i < n; ++i) squares += (row[i] - mean) * (row[i] - mean);
  const float rate = 1 / std::sqrt(squares / static_cast<float>(n) + tiny);
  for (std::int64_t i = 0; i < n; ++i)
    row[i] = (row[i] - mean) * rate * scale[i] + (bias == nullptr ? 0 : bias[i]);
}

// Sums of one gate: [batch, cells] from x [batch, width] and h [batch, results]; c: what its
// peepholes see.
void sum_gate(Machine& machine, const Cell& cell, const Operands& o, std::size_t gate,
              const float* x, const float* h, const float* c, float* to) {
  const float* scale = o.at[norms + gate];
  const float* bias = o.at[biases + gate];
  // The gate of the cell itself (2) has no peephole.
  const float* peep = gate == 2 ? nullptr : o.at[peepholes + (gate == 3 ? 2 : gate)];
  gemm(machine, {cell.batch, cell.cells, cell.width, x, cell.width, o.at[of_x + gate], cell.width,
                 to, cell.cells, false, true});
  gemm(machine, {cell.batch, cell.cells, cell.results, h, cell.results, o.at[of_result + gate],
                 cell.results, to, cell.cells, false, true, true});
  for (std::int64_t b = 0; b < cell.batch; ++b) {
    float* row = to + b * cell.cells;
    for (std::int64_t i = 0; i < cell.cells; ++i) {
      if (peep != nullptr) row[i] += peep[i] * c[b * cell.cells + i];
      if (scale == nullptr && bias != nullptr) row[i] += bias[i];
    }
    if (scale != nullptr) normalise(row, scale, bias, cell.cells);
  }
}

struct Memory {
  std::vector<float> h, c;      // [batch, results], [batch, cells]
  std::vector<float> gates[4];  // [batch, cells]
};

void step(Machine& machine, const Cell& cell, const Operands& o, const float* x, Memory& m) {
  const bool has_input = o.at[of_x] != nullptr;
  for (std::size_t gate = has_input ? 0 : 1; gate < 3; ++gate)
    sum_gate(machine, cell, o, gate, x, m.h.data(), m.c.data(), m.gates[gate].data());
  for (std::size_t i = 0; i < m.c.size(); ++i) {
    const float forget = sigmoid(m.gates[1][i]);
    const float in = has_input ? sigmoid(m.gates[0][i]) : 1 - forget;
    m.c[i] = clipped(forget * m.c[i] + in * bent(cell, m.gates[2][i]), cell.cell_clip);
  }
  std::vector<float>& out = m.gates[3];
  sum_gate(machine, cell, o, 3, x, m.h.data(), m.c.data(), out.data());
  for (std::size_t i = 0; i < m.c.size(); ++i) out[i] = sigmoid(out[i]) * bent(cell, m.c[i]);
  if (o.at[projection] == nullptr) {
    m.h = out;
    return;
  }
  gemm(machine, {cell.batch, cell.results, cell.cells, out.data(), cell.cells, o.at[projection],
                 cell.cells, m.h.data(), cell.results, false, true});
  for (std::size_t i = 0; i < m.h.size(); ++i) {
    const float* bias = o.at[projection + 1];
    const auto column = i % static_cast<std::size_t>(cell.results);
    m.h[i] = clipped(m.h[i] + (bias == nullptr ? 0 : bias[column]), cell.projection_clip);
  }
}

Result<Cell> cell_of(Call& call) {
  const Tensor* x = TRY(call.typed(0, Element::f32));
  const Tensor* h = TRY(call.typed(last_result, Element::f32));
  const Tensor* c = TRY(call.typed(last_cell, Element::f32));
  if (x->rank() < 2 || x->rank() > 3 || h->rank() != 2 || c->rank() != 2)
    return invalid(fmt::format("x {}, states {} and {}", to_text(x->dims), to_text(h->dims),
                               to_text(c->dims)));
  Cell cell{};
  cell.is_single = x->rank() == 2;
  cell.time_major = call.integer("time_major", 0) != 0;
  cell.batch = x->dims[cell.is_single ? 0 : cell.time_major ? 1 : 0];
  cell.steps = cell.is_single ? 1 : x->dims[cell.time_major ? 0 : 1];
  cell.width = x->dims.back();
  cell.cells = c->dims[1];
  cell.results = h->dims[1];
  if (h->dims[0] != cell.batch || c->dims[0] != cell.batch || cell.cells < 1 || cell.results < 1)
    return invalid(fmt::format("states {} and {} of a batch of {}", to_text(h->dims),
                               to_text(c->dims), cell.batch));
  cell.reverse = call.integer("reverse", 0) != 0;
  cell.is_relu = call.text("activation", "Tanh") == "Relu";
  cell.is_linear = call.text("activation", "Tanh") == "Affine";
  cell.cell_clip = static_cast<float>(call.real("cell_clip", 0));
  cell.projection_clip = static_cast<float>(call.real("projection_clip", 0));
  return cell;
}

// inputs: x [steps, batch, width] (or [batch, steps, width], or [batch, width]); weights of x
// [cells, width] and of the last result [cells, results], one for each gate; three peepholes and
// four biases [cells]; a projection [results, cells] and its bias; the last result [batch, results]
// and cells [batch, cells]; four norms [cells].  Without weights of the input gate it is what the
// forget gate leaves.  outputs: y as x, the last result, the last cells.
Status projected_lstm(Call& call) {
  const Cell cell = TRY(cell_of(call));
  Operands o;
  TRY(take_all(call, cell, o));
  const Tensor *x = TRY(call.tensor(0)), *h = TRY(call.tensor(last_result)),
               *c = TRY(call.tensor(last_cell));
  Dims dims = x->dims;
  dims.back() = cell.results;
  Tensor y = TRY(call.scratch(Element::f32, dims));
  Memory m{{h->data<float>(), h->data<float>() + h->count},
           {c->data<float>(), c->data<float>() + c->count},
           {}};
  for (auto& gate : m.gates) gate.resize(m.c.size());
  // Where item b of step s lies: steps and items of the batch change places.
  const bool by_step = cell.time_major || cell.is_single;
  std::vector<float> now(static_cast<std::size_t>(cell.batch * cell.width));
  for (std::int64_t i = 0; i < cell.steps; ++i) {
    const std::int64_t s = cell.reverse ? cell.steps - 1 - i : i;
    const auto row = [&](std::int64_t b) {
      return by_step ? s * cell.batch + b : b * cell.steps + s;
    };
    for (std::int64_t b = 0; b < cell.batch; ++b)
      std::copy_n(x->data<float>() + row(b) * cell.width, cell.width, now.data() + b * cell.width);
    step(call.machine, cell, o, now.data(), m);
    for (std::int64_t b = 0; b < cell.batch; ++b)
      std::copy_n(m.h.data() + b * cell.results, cell.results,
                  y.data<float>() + row(b) * cell.results);
  }
  call.give(0, std::move(y));
  const auto give_state = [&](std::size_t i, const std::vector<float>& state,
                              std::int64_t width) -> Status {
    Tensor* to = TRY(call.make(i, Element::f32, {cell.batch, width}));
    std::ranges::copy(state, to->data<float>());
    return Done{};
  };
  TRY(give_state(1, m.h, cell.results));
  return give_state(2, m.c, cell.cells);
}

constexpr Operator rows[] = {
    {"hearth.ProjectedLSTM", projected_lstm, nullptr, 20, 24},
};

}  // namespace

std::span<const Operator> projected_lstm_operators() { return rows; }

}  // namespace hearth::graphs
