// RNN, GRU and LSTM.
// Source: ONNX operator specification, each operator's page.
#include <algorithm>
#include <cmath>

#include "graphs/operators/families.h"
#include "graphs/operators/gemm.h"
#include "graphs/operators/move.h"

namespace hearth::graphs {
namespace {

struct Activation {
  std::string name;
  double alpha, beta;

  float operator()(float x) const {
    const auto a = static_cast<float>(alpha), b = static_cast<float>(beta);
    switch (kind) {
      case 0:
        return std::tanh(x);
      case 1:
        return 1 / (1 + std::exp(-x));
      case 2:
        return std::max(x, 0.0f);
      case 3:
        return a * x + b;
      case 4:
        return x >= 0 ? x : a * x;
      case 5:
        return x > a ? x : 0;
      case 6:
        return a * std::tanh(b * x);
      case 7:
        return std::min(std::max(a * x + b, 0.0f), 1.0f);
      case 8:
        return x >= 0 ? x : a * (std::exp(x) - 1);
      case 9:
        return x / (1 + std::fabs(x));
      default:
        return std::log1p(std::exp(x));
    }
  }
  int kind = 0;
};

constexpr std::string_view activation_names[] = {
    "tanh",       "sigmoid",     "relu", "affine",   "leakyrelu", "thresholdedrelu",
    "scaledtanh", "hardsigmoid", "elu",  "softsign", "softplus"};

struct Cell {
  std::int64_t gates = 1, hidden = 0, batch = 0, steps = 0, width = 0, directions = 1;
  bool batch_first = false, linear_before_reset = false, coupled = false;
  float clip = 0, memory_clip = 0;
  std::vector<Activation> f;  // per direction and gate
  std::vector<std::int64_t> lengths;
};

Result<std::vector<Activation>> activations_of(Call& call, std::size_t per_direction,
                                               std::int64_t directions,
                                               std::span<const std::string_view> usual) {
  std::vector<Activation> result;
  const auto& names = call.texts_of("activations");
  for (std::size_t i = 0; i < per_direction * static_cast<std::size_t>(directions); ++i) {
    std::string name(i < names.size() ? std::string_view(names[i]) : usual[i % per_direction]);
    for (char& c : name)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    const auto found = std::ranges::find(activation_names, name);
    if (found == std::end(activation_names))
      return unsupported(fmt::format("activation '{}'", name.substr(0, 32)));
    Activation a{name, 0, 0};
    a.kind = static_cast<int>(found - std::begin(activation_names));
    if (a.kind == 7) a.alpha = 0.2, a.beta = 0.5;
    if (a.kind == 4) a.alpha = 0.01;
    if (a.kind == 5 || a.kind == 8) a.alpha = 1;
    const auto& alphas = call.reals_of("activation_alpha");
    const auto& betas = call.reals_of("activation_beta");
    if (i < alphas.size()) a.alpha = alphas[i];
    if (i < betas.size()) a.beta = betas[i];
    result.push_back(std::move(a));
  }
  return result;
}

// What one direction works with: w [gates * hidden, width], r [gates * hidden, hidden], b [2 *
// gates * hidden] or null, p [3 * hidden] or null.
struct Weights {
  const float* w;
  const float* r;
  const float* b;
  const float* p;
  const Activation* f;
};

using Step = void (*)(const Cell&, const Weights&, const float* xw, const float* hr, float* h,
                      float* c, std::vector<float>& scratch);

float clipped(const Cell& cell, float x) {
  return cell.clip > 0 ? std::clamp(x, -cell.clip, cell.clip) : x;
}

// xw, hr: one row of x * w^T and h * r^T, without biases.
void rnn_step(const Cell& cell, const Weights& w, const float* xw, const float* hr, float* h,
              float*, std::vector<float>&) {
  for (std::int64_t i = 0; i < cell.hidden; ++i) {
    const float bias = w.b == nullptr ? 0 : w.b[i] + w.b[cell.hidden + i];
    h[i] = w.f[0](clipped(cell, xw[i] + hr[i] + bias));
  }
}

void gru_step(const Cell& cell, const Weights& w, const float* xw, const float* hr, float* h,
              float*, std::vector<float>& scratch) {
  const std::int64_t n = cell.hidden;
  scratch.resize(static_cast<std::size_t>(3 * n));
  float* z = scratch.data();
  float* r = z + n;
  float* rh = r + n;
  const auto wb = [&](std::int64_t gate, std::int64_t i) {
    return w.b == nullptr ? 0 : w.b[gate * n + i];
  };
  const auto rb = [&](std::int64_t gate, std::int64_t i) {
    return w.b == nullptr ? 0 : w.b[(3 + gate) * n + i];
  };
  for (std::int64_t i = 0; i < n; ++i) {
    z[i] = w.f[0](clipped(cell, xw[i] + hr[i] + wb(0, i) + rb(0, i)));
    r[i] = w.f[0](clipped(cell, xw[n + i] + hr[n + i] + wb(1, i) + rb(1, i)));
  }
  for (std::int64_t i = 0; i < n; ++i) {
    if (cell.linear_before_reset) {
      rh[i] = r[i] * (hr[2 * n + i] + rb(2, i));
    } else {
      float sum = 0;
      for (std::int64_t k = 0; k < n; ++k) sum += w.r[(2 * n + i) * n + k] * r[k] * h[k];
      rh[i] = sum + rb(2, i);
    }
  }
  for (std::int64_t i = 0; i < n; ++i) {
    const float candidate = w.f[1](clipped(cell, xw[2 * n + i] + rh[i] + wb(2, i)));
    h[i] = (1 - z[i]) * candidate + z[i] * h[i];
  }
}

void lstm_step(const Cell& cell, const Weights& w, const float* xw, const float* hr, float* h,
               float* c, std::vector<float>&) {
  const std::int64_t n = cell.hidden;
  const auto gate = [&](std::int64_t g, std::int64_t i) {  // order: input, output, forget, cell
    return xw[g * n + i] + hr[g * n + i] +
           (w.b == nullptr ? 0 : w.b[g * n + i] + w.b[(4 + g) * n + i]);
  };
  for (std::int64_t i = 0; i < n; ++i) {
    const float peep_i = w.p == nullptr ? 0 : w.p[i] * c[i],
                peep_f = w.p == nullptr ? 0 : w.p[2 * n + i] * c[i];
    const float in = w.f[0](clipped(cell, gate(0, i) + peep_i));
    const float forget = cell.coupled ? 1 - in : w.f[0](clipped(cell, gate(2, i) + peep_f));
    c[i] = forget * c[i] + in * w.f[1](clipped(cell, gate(3, i)));
    if (cell.memory_clip > 0) c[i] = std::clamp(c[i], -cell.memory_clip, cell.memory_clip);
    const float peep_o = w.p == nullptr ? 0 : w.p[n + i] * c[i];
    h[i] = w.f[0](clipped(cell, gate(1, i) + peep_o)) * w.f[2](c[i]);
  }
}

struct States {
  std::vector<float> h, c;  // [directions, batch, hidden]
};

// x: [steps, batch, width]; y: [steps, directions, batch, hidden].
void run_direction(Call& call, const Cell& cell, const Weights& w, std::int64_t direction,
                   bool backwards, const float* x, States& state, std::vector<float>& y,
                   Step step) {
  const std::int64_t rows = cell.gates * cell.hidden, n = cell.hidden;
  std::vector<float> xw(static_cast<std::size_t>(cell.steps * cell.batch * rows));
  gemm(call.machine, {cell.steps * cell.batch, rows, cell.width, x, cell.width, w.w, cell.width,
                      xw.data(), rows, false, true});
  std::vector<float> hr(static_cast<std::size_t>(cell.batch * rows)), scratch;
  float* h = state.h.data() + direction * cell.batch * n;
  float* c = state.c.empty() ? nullptr : state.c.data() + direction * cell.batch * n;
  for (std::int64_t s = 0; s < cell.steps; ++s) {
    gemm(call.machine, {cell.batch, rows, n, h, n, w.r, n, hr.data(), rows, false, true});
    for (std::int64_t b = 0; b < cell.batch; ++b) {
      const std::int64_t length = cell.lengths[static_cast<std::size_t>(b)];
      if (s >= length) continue;  // the state stays; y is zero there
      const std::int64_t at = backwards ? length - 1 - s : s;
      step(cell, w, xw.data() + (at * cell.batch + b) * rows, hr.data() + b * rows, h + b * n,
           c == nullptr ? nullptr : c + b * n, scratch);
      std::copy_n(h + b * n, n,
                  y.data() + ((at * cell.directions + direction) * cell.batch + b) * n);
    }
  }
}

Result<std::vector<float>> state_of(Call& call, std::size_t i, const Cell& cell) {
  std::vector<float> state(static_cast<std::size_t>(cell.directions * cell.batch * cell.hidden),
                           0.0f);
  const Tensor* given = call.tensor_or_null(i);
  if (given == nullptr) return state;
  if (given->count != static_cast<std::int64_t>(state.size()) || given->rank() != 3)
    return invalid(fmt::format("a state of {}", to_text(given->dims)));
  const std::size_t order[] = {1, 0, 2};
  const Tensor turned = cell.batch_first ? TRY(transposed(call, *given, order)) : *given;
  const Numbers<float> numbers(turned);
  std::ranges::copy(numbers, state.begin());
  return state;
}

Status give_states(Call& call, std::size_t i, const Cell& cell, Element type,
                   const std::vector<float>& state) {
  if (!call.wants(i)) return Done{};
  Tensor made = TRY(call.scratch(type, {cell.directions, cell.batch, cell.hidden}));
  put(made, std::span<const float>(state));
  const std::size_t order[] = {1, 0, 2};
  call.give(i, cell.batch_first ? TRY(transposed(call, made, order)) : std::move(made));
  return Done{};
}

Result<Cell> cell_of(Call& call, std::int64_t gates, std::span<const std::string_view> usual) {
  Cell cell;
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* w = TRY(call.tensor(1));
  const Tensor* r = TRY(call.tensor(2));
  cell.batch_first = call.integer("layout", 0) != 0;
  cell.gates = gates;
  if (x->rank() != 3 || w->rank() != 3 || r->rank() != 3)
    return invalid("needs x, w and r of three axes");
  cell.steps = x->dims[cell.batch_first ? 1 : 0];
  cell.batch = x->dims[cell.batch_first ? 0 : 1];
  cell.width = x->dims[2];
  cell.directions = call.text("direction", "forward") == "bidirectional" ? 2 : 1;
  cell.hidden = r->dims[2];
  if (w->dims != Dims{cell.directions, gates * cell.hidden, cell.width} ||
      r->dims != Dims{cell.directions, gates * cell.hidden, cell.hidden})
    return invalid(
        fmt::format("x {}, w {}, r {}", to_text(x->dims), to_text(w->dims), to_text(r->dims)));
  const Tensor* b = call.tensor_or_null(3);
  if (b != nullptr && b->count != cell.directions * 2 * gates * cell.hidden)
    return invalid(fmt::format("biases {}", to_text(b->dims)));
  cell.lengths.assign(static_cast<std::size_t>(cell.batch), cell.steps);
  if (call.has(4)) cell.lengths = TRY(call.integers(4));
  if (static_cast<std::int64_t>(cell.lengths.size()) != cell.batch)
    return invalid("sequence lengths");
  for (const std::int64_t length : cell.lengths)
    if (length < 0 || length > cell.steps) return invalid(fmt::format("a length of {}", length));
  cell.linear_before_reset = call.integer("linear_before_reset", 0) != 0;
  cell.coupled = call.integer("input_forget", 0) != 0;
  cell.clip = static_cast<float>(call.real("clip", 0));
  cell.memory_clip = static_cast<float>(call.real("memory_clip", 0));
  cell.f = TRY(activations_of(call, usual.size(), cell.directions, usual));
  return cell;
}

Status recurrent(Call& call, std::int64_t gates, std::span<const std::string_view> usual,
                 Step step) {
  const Cell cell = TRY(cell_of(call, gates, usual));
  const Tensor* given = TRY(call.tensor(0));
  const std::size_t order[] = {1, 0, 2};
  const Tensor x = cell.batch_first ? TRY(transposed(call, *given, order)) : *given;
  const Numbers<float> from(x), w(*TRY(call.tensor(1))), r(*TRY(call.tensor(2)));
  const Tensor* biases = call.tensor_or_null(3);
  const Tensor* peeps = gates == 4 ? call.tensor_or_null(7) : nullptr;
  if (peeps != nullptr && peeps->count != cell.directions * 3 * cell.hidden)
    return invalid("peepholes of another size");
  const Numbers<float> b(biases == nullptr ? Tensor() : *biases),
      p(peeps == nullptr ? Tensor() : *peeps);
  States state{TRY(state_of(call, 5, cell)), {}};
  if (gates == 4) state.c = TRY(state_of(call, 6, cell));
  TRY(count_of({cell.steps, cell.directions, cell.batch, cell.hidden}));
  std::vector<float> y(
      static_cast<std::size_t>(cell.steps * cell.directions * cell.batch * cell.hidden), 0.0f);
  for (std::int64_t d = 0; d < cell.directions; ++d) {
    const std::int64_t rows = gates * cell.hidden;
    const Weights weights{w.data() + d * rows * cell.width, r.data() + d * rows * cell.hidden,
                          biases == nullptr ? nullptr : b.data() + d * 2 * rows,
                          peeps == nullptr ? nullptr : p.data() + d * 3 * cell.hidden,
                          cell.f.data() + static_cast<std::size_t>(d) * usual.size()};
    const bool backwards = d == 1 || call.text("direction", "forward") == "reverse";
    run_direction(call, cell, weights, d, backwards, from.data(), state, y, step);
  }
  if (call.wants(0)) {
    Tensor all = TRY(call.scratch(x.type, {cell.steps, cell.directions, cell.batch, cell.hidden}));
    put(all, std::span<const float>(y));
    const std::size_t by_batch[] = {2, 0, 1, 3};
    call.give(0, cell.batch_first ? TRY(transposed(call, all, by_batch)) : std::move(all));
  }
  TRY(give_states(call, 1, cell, x.type, state.h));
  return gates == 4 ? give_states(call, 2, cell, x.type, state.c) : Status(Done{});
}

Status rnn(Call& call) {
  constexpr std::string_view usual[] = {"tanh"};
  return recurrent(call, 1, usual, rnn_step);
}
Status gru(Call& call) {
  constexpr std::string_view usual[] = {"sigmoid", "tanh"};
  return recurrent(call, 3, usual, gru_step);
}
Status lstm(Call& call) {
  constexpr std::string_view usual[] = {"sigmoid", "tanh", "tanh"};
  return recurrent(call, 4, usual, lstm_step);
}

constexpr Operator rows[] = {
    {"RNN", rnn, nullptr, 3, 6},
    {"GRU", gru, nullptr, 3, 6},
    {"LSTM", lstm, nullptr, 3, 8},
};

}  // namespace

std::span<const Operator> recurrent_operators() { return rows; }

}  // namespace hearth::graphs
