// The plain path of streams side by side and of what stands beside attention, from the equations.
#include <algorithm>
#include <cmath>

#include "models/reference.h"

namespace hearth::models {
namespace {

double mean_square(const float* x, std::size_t n) { return dot(x, x, n) / static_cast<double>(n); }

// The root mean square of a row of x becomes that of a row of `like`.
void match(Table& x, const Table& like) {
  for (std::size_t i = 0; i < x.rows; ++i) {
    const double wanted = std::sqrt(mean_square(like.row(i), x.dim));
    const double held = std::sqrt(std::max(mean_square(x.row(i), x.dim), 1e-5));
    for (std::size_t d = 0; d < x.dim; ++d) x.row(i)[d] *= static_cast<float>(wanted / held);
  }
}

Floats modes_of(const Trunk& trunk, const Layer& layer, const float* x) {
  const std::size_t dim = trunk.hyper.dim;
  const double scale =
      1 / std::sqrt(mean_square(x, dim) + static_cast<double>(trunk.hyper.norm_eps));
  Floats modes;
  for (std::size_t s = 0; s < trunk.hyper.streams.count; ++s) {
    double sum = 0;
    for (std::size_t d = 0; d < dim; ++d)
      sum += x[d] * scale * layer[Role::stream_router_norm].values[d] / static_cast<double>(dim) *
             layer[Role::stream_router].values[s * dim + d];
    modes.push_back(static_cast<float>(std::tanh(sum)));
  }
  return modes;
}

}  // namespace

std::vector<Table> spread_plainly(ops::Context& ctx, const Trunk& trunk, const Table& x) {
  std::vector<Table> streams{x};
  for (const ops::StoredMatrix& w : trunk.weights.whole[Role::stream_in].stored_experts) {
    streams.push_back(multiply(ctx, x, w, {}));
    match(streams.back(), x);
  }
  return streams;
}

void predict_plainly(const Trunk& trunk, const Layer& layer, std::vector<Table>& streams) {
  const std::vector<Table> before = streams;
  const std::size_t count = streams.size();
  const Floats& w = layer[Role::stream_predict].values;
  for (std::size_t i = 0; i < streams[0].rows; ++i) {
    const Floats modes = modes_of(trunk, layer, before[trunk.hyper.streams.active].row(i));
    for (std::size_t to = 0; to < count; ++to)
      for (std::size_t from = 0; from < count; ++from) {
        const double factor = dot(&w[(to * count + from) * count], modes.data(), count);
        for (std::size_t d = 0; d < streams[0].dim; ++d)
          streams[to].row(i)[d] += static_cast<float>(factor * before[from].row(i)[d]);
      }
  }
}

void correct_plainly(const Trunk& trunk, const Layer& layer, std::vector<Table>& streams,
                     const Table& given) {
  const Table guessed = streams[trunk.hyper.streams.active];
  const std::size_t count = streams.size();
  for (std::size_t i = 0; i < given.rows; ++i) {
    const Floats modes = modes_of(trunk, layer, given.row(i));
    for (std::size_t s = 0; s < count; ++s) {
      const double factor =
          dot(&layer[Role::stream_correct].values[s * count], modes.data(), count) + 1;
      for (std::size_t d = 0; d < given.dim; ++d)
        streams[s].row(i)[d] += static_cast<float>(factor * (given.row(i)[d] - guessed.row(i)[d]));
    }
  }
}

Table gather_plainly(ops::Context& ctx, const Trunk& trunk, const std::vector<Table>& streams) {
  Table sum = streams[0];
  for (std::size_t s = 1; s < streams.size(); ++s) {
    const auto& w = trunk.weights.whole[Role::stream_out].stored_experts[s - 1];
    Table y = multiply(ctx, streams[s], w, {});
    match(y, streams[0]);
    for (std::size_t i = 0; i < y.values.size(); ++i) sum.values[i] += y.values[i];
  }
  for (float& value : sum.values) value /= static_cast<float>(streams.size());
  return sum;
}

void cut_plainly(Table& x, float deviations) {
  for (std::size_t i = 0; i < x.rows; ++i) {
    double mean = 0, variance = 0;
    for (std::size_t d = 0; d < x.dim; ++d) mean += x.row(i)[d] / static_cast<double>(x.dim);
    for (std::size_t d = 0; d < x.dim; ++d)
      variance += (x.row(i)[d] - mean) * (x.row(i)[d] - mean) / static_cast<double>(x.dim);
    for (std::size_t d = 0; d < x.dim; ++d)
      x.row(i)[d] = static_cast<float>(std::max(
          x.row(i)[d] - mean - static_cast<double>(deviations) * std::sqrt(variance), 0.0));
  }
}

}  // namespace hearth::models
