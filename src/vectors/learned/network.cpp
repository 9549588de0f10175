#include "vectors/learned/network.h"

#include <algorithm>
#include <cmath>

namespace hearth::vectors {
namespace {

constexpr float distance_eps = 1e-6f;  // as in PyTorch's triplet_margin_loss
constexpr float length_eps = 1e-12f;   // as in PyTorch's normalize

void add_bias(Table& y, const std::vector<float>& bias) {
  for (std::size_t i = 0; i < y.rows; ++i)
    for (std::size_t j = 0; j < y.columns; ++j) y.row(i)[j] += bias[j];
}

void rectify(Table& y) {
  for (float& value : y.values) value = std::max(value, 0.0f);
}

// dy becomes zero where y is.
void rectify_back(Table& dy, const Table& y) {
  for (std::size_t i = 0; i < dy.values.size(); ++i)
    if (!(y.values[i] > 0)) dy.values[i] = 0;
}

std::vector<float> normalise_rows(Table& y) {
  std::vector<float> lengths(y.rows);
  for (std::size_t i = 0; i < y.rows; ++i) {
    float s = 0;
    for (std::size_t j = 0; j < y.columns; ++j) s += y.row(i)[j] * y.row(i)[j];
    lengths[i] = std::max(std::sqrt(s), length_eps);
    for (std::size_t j = 0; j < y.columns; ++j) y.row(i)[j] /= lengths[i];
  }
  return lengths;
}

// What passes of dy through y = x / |x|.
void normalise_back(Table& dy, const Table& y, const std::vector<float>& lengths) {
  for (std::size_t i = 0; i < dy.rows; ++i) {
    float s = 0;
    for (std::size_t j = 0; j < dy.columns; ++j) s += dy.row(i)[j] * y.row(i)[j];
    for (std::size_t j = 0; j < dy.columns; ++j)
      dy.row(i)[j] = (dy.row(i)[j] - s * y.row(i)[j]) / lengths[i];
  }
}

struct LayerGradient {
  Table weights;
  std::vector<float> bias;
  Table input;
};

LayerGradient backward(const Layer& layer, const Table& x, const Table& dy, bool wants_input) {
  LayerGradient g{product(transposed(dy), x), std::vector<float>(dy.columns), {}};
  for (std::size_t i = 0; i < dy.rows; ++i)
    for (std::size_t j = 0; j < dy.columns; ++j) g.bias[j] += dy.row(i)[j];
  if (wants_input) g.input = product(dy, layer.weights);
  return g;
}

// The distance of two rows, and what it adds to the gradients of both.
float row_distance(const float* a, const float* b, std::size_t n) {
  float s = 0;
  for (std::size_t j = 0; j < n; ++j) {
    const float d = a[j] - b[j] + distance_eps;
    s += d * d;
  }
  return std::sqrt(s);
}

void add_distance_gradient(float* da, float* db, const float* a, const float* b, std::size_t n,
                           float distance, float factor) {
  if (!(distance > 0)) return;
  for (std::size_t j = 0; j < n; ++j) {
    const float g = factor * (a[j] - b[j] + distance_eps) / distance;
    da[j] += g;
    db[j] -= g;
  }
}

// codes: [3 n, outputs]: anchors, positives, negatives.
float triplet_loss(const Table& codes, float margin, Table* gradient) {
  const std::size_t n = codes.rows / 3, dim = codes.columns;
  double total = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const float *a = codes.row(i), *p = codes.row(n + i), *q = codes.row(2 * n + i);
    const float near = row_distance(a, p, dim), far = row_distance(a, q, dim);
    const float loss = near - far + margin;
    if (!(loss > 0)) continue;
    total += loss;
    if (gradient == nullptr) continue;
    const float factor = 1 / static_cast<float>(n);
    add_distance_gradient(gradient->row(i), gradient->row(n + i), a, p, dim, near, factor);
    add_distance_gradient(gradient->row(i), gradient->row(2 * n + i), a, q, dim, far, -factor);
  }
  return static_cast<float>(total / static_cast<double>(n));
}

// Mean squared error, and its gradient if wanted, times `factor`.
float squared_error(const Table& got, const Table& want, float factor, Table* gradient) {
  double total = 0;
  const auto n = static_cast<double>(got.values.size());
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    const float d = got.values[i] - want.values[i];
    total += double{d} * d;
    if (gradient != nullptr) gradient->values[i] = static_cast<float>(2.0 * factor * d / n);
  }
  return static_cast<float>(total / n);
}

Table stacked(const Table& a, const Table& b, const Table& c) {
  Table all(a.rows + b.rows + c.rows, a.columns);
  auto out = std::copy(a.values.begin(), a.values.end(), all.values.begin());
  out = std::copy(b.values.begin(), b.values.end(), out);
  std::copy(c.values.begin(), c.values.end(), out);
  return all;
}

}  // namespace

float next_uniform(std::uint64_t& seed) {
  seed = seed * 6364136223846793005ull + 1442695040888963407ull;
  return static_cast<float>(static_cast<std::int32_t>(seed >> 32)) * 0x1p-31f;
}

Layer::Layer(std::size_t inputs, std::size_t outputs, std::uint64_t& seed)
    : weights(outputs, inputs), bias(outputs) {
  const float reach = 1 / std::sqrt(static_cast<float>(inputs));
  for (float& value : weights.values) value = reach * next_uniform(seed);
  for (float& value : bias) value = reach * next_uniform(seed);
}

Table Layer::forward(const Table& x) const {
  constexpr std::size_t few = 4;  // rows for which laying out the weights does not pay
  Table y(x.rows, weights.rows);
  if (x.rows > few) y = product_transposed(x, weights);
  for (std::size_t i = 0; i < x.rows && x.rows <= few; ++i)
    multiply_one(y.row(i), weights, x.row(i));
  add_bias(y, bias);
  return y;
}

Table Encoder::encode(const Table& x) const {
  Table h = hidden.forward(x);
  rectify(h);
  Table y = output.forward(h);
  normalise_rows(y);
  return y;
}

Autoencoder::Autoencoder(std::size_t inputs, std::size_t hidden, std::size_t outputs,
                         std::uint64_t seed) {
  encoder.hidden = Layer(inputs, hidden, seed);
  encoder.output = Layer(hidden, outputs, seed);
  decoder_hidden = Layer(outputs, hidden, seed);
  decoder_output = Layer(hidden, inputs, seed);
}

std::vector<std::span<float>> Autoencoder::parameters() {
  std::vector<std::span<float>> all;
  for (Layer* layer : {&encoder.hidden, &encoder.output, &decoder_hidden, &decoder_output}) {
    all.emplace_back(layer->weights.values);
    all.emplace_back(layer->bias);
  }
  return all;
}

Losses triplet_losses(const Autoencoder& net, const Table& anchors, const Table& positives,
                      const Table& negatives, const LossOptions& options,
                      std::vector<std::vector<float>>* gradients) {
  const Table x = stacked(anchors, positives, negatives);
  Table h1 = net.encoder.hidden.forward(x);
  rectify(h1);
  Table codes = net.encoder.output.forward(h1);
  const std::vector<float> lengths = normalise_rows(codes);
  Table h2 = net.decoder_hidden.forward(codes);
  rectify(h2);
  const Table back = net.decoder_output.forward(h2);

  const bool wanted = gradients != nullptr;
  Table dcodes(codes.rows, codes.columns), dback(back.rows, back.columns);
  Losses losses;
  losses.triplet = triplet_loss(codes, options.margin, wanted ? &dcodes : nullptr);
  losses.reconstruction = squared_error(back, x, options.reconstruction, wanted ? &dback : nullptr);
  if (!wanted) return losses;

  LayerGradient g4 = backward(net.decoder_output, h2, dback, true);
  rectify_back(g4.input, h2);
  LayerGradient g3 = backward(net.decoder_hidden, codes, g4.input, true);
  for (std::size_t i = 0; i < dcodes.values.size(); ++i) dcodes.values[i] += g3.input.values[i];
  normalise_back(dcodes, codes, lengths);
  LayerGradient g2 = backward(net.encoder.output, h1, dcodes, true);
  rectify_back(g2.input, h1);
  LayerGradient g1 = backward(net.encoder.hidden, x, g2.input, false);
  gradients->clear();
  for (LayerGradient* g : {&g1, &g2, &g3, &g4}) {
    gradients->push_back(std::move(g->weights.values));
    gradients->push_back(std::move(g->bias));
  }
  return losses;
}

void turn_encoder(Encoder& encoder, const Encoder& base, const Table& x,
                  const std::vector<float>& pull, float most) {
  constexpr float rate = 0.02f;
  Table h = encoder.hidden.forward(x);
  rectify(h);
  Table y = encoder.output.forward(h);
  const std::vector<float> lengths = normalise_rows(y);
  Table dy(1, y.columns);
  for (std::size_t j = 0; j < y.columns; ++j) dy.row(0)[j] = -pull[j];
  normalise_back(dy, y, lengths);
  LayerGradient g2 = backward(encoder.output, h, dy, true);
  rectify_back(g2.input, h);
  const LayerGradient g1 = backward(encoder.hidden, x, g2.input, false);
  const auto turn = [&](std::span<float> now, std::span<const float> then,
                        const std::vector<float>& gradient) {
    double moved = 0, length = 0;
    for (std::size_t i = 0; i < now.size(); ++i) {
      now[i] -= rate * gradient[i];
      const double d = double{now[i]} - double{then[i]};
      moved += d * d;
      length += double{then[i]} * double{then[i]};
    }
    const double allowed = double{most} * std::sqrt(length);
    if (std::sqrt(moved) <= allowed) return;
    const auto share = static_cast<float>(allowed / std::sqrt(moved));
    for (std::size_t i = 0; i < now.size(); ++i) now[i] = then[i] + share * (now[i] - then[i]);
  };
  turn(encoder.output.weights.values, base.output.weights.values, g2.weights.values);
  turn(encoder.output.bias, base.output.bias, g2.bias);
  turn(encoder.hidden.weights.values, base.hidden.weights.values, g1.weights.values);
  turn(encoder.hidden.bias, base.hidden.bias, g1.bias);
}

void Adam::step(std::span<const std::span<float>> parameters,
                const std::vector<std::vector<float>>& gradients) {
  constexpr float beta1 = 0.9f, beta2 = 0.999f, eps = 1e-8f;
  if (mean_.empty())
    for (const auto& values : parameters) {
      mean_.emplace_back(values.size());
      square_.emplace_back(values.size());
    }
  ++steps_;
  const auto t = static_cast<double>(steps_);
  const auto correct1 = static_cast<float>(1 - std::pow(double{beta1}, t));
  const auto correct2 = static_cast<float>(std::sqrt(1 - std::pow(double{beta2}, t)));
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    float *x = parameters[p].data(), *mean = mean_[p].data(), *square = square_[p].data();
    const float* g = gradients[p].data();
    for (std::size_t i = 0; i < parameters[p].size(); ++i) {
      mean[i] = beta1 * mean[i] + (1 - beta1) * g[i];
      square[i] = beta2 * square[i] + (1 - beta2) * g[i] * g[i];
      x[i] -= rate_ / correct1 * mean[i] / (std::sqrt(square[i]) / correct2 + eps);
    }
  }
}

}  // namespace hearth::vectors
