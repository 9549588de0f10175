// Losses.
// Source: ONNX operator specification, NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss.
#include <algorithm>
#include <cmath>

#include "graphs/operators/families.h"
#include "graphs/operators/move.h"

namespace hearth::graphs {
namespace {

// logs: [batch, classes, ...] log-probabilities; target: [batch, ...].
Status likelihood(Call& call, const Tensor& x, const std::vector<double>& logs) {
  const Tensor* target = TRY(call.tensor(1));
  const auto classes = TRY(call.integers(1));
  const Tensor* weight = call.tensor_or_null(2);
  const std::int64_t n = x.dims[1], inner = product(std::span(x.dims).subspan(2));
  if (target->count != x.dims[0] * inner || target->rank() + 1 != x.rank() ||
      (weight != nullptr && weight->count != n))
    return invalid(fmt::format("scores {} and targets {}", to_text(x.dims), to_text(target->dims)));
  const Numbers<double> weights(weight == nullptr ? Tensor() : *weight);
  const bool ignores = call.has_attribute("ignore_index");
  const std::int64_t ignored = call.integer("ignore_index", 0);
  std::vector<double> losses;
  double sum = 0, weight_sum = 0;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const std::int64_t k = classes[i], at = static_cast<std::int64_t>(i);
    if (ignores && k == ignored) {
      losses.push_back(0);
      continue;
    }
    if (k < 0 || k >= n) return invalid(fmt::format("class {} of {}", k, n));
    const double w = weight == nullptr ? 1 : weights[static_cast<std::size_t>(k)];
    losses.push_back(-logs[static_cast<std::size_t>((at / inner * n + k) * inner + at % inner)] *
                     w);
    sum += losses.back();
    weight_sum += w;
  }
  const std::string_view reduction = call.text("reduction", "mean");
  if (reduction == "none") {
    put(*TRY(call.make(0, x.type, target->dims)), std::span<const double>(losses));
    return Done{};
  }
  if (reduction == "mean") sum /= weight_sum;
  put(*TRY(call.make(0, x.type, {})), std::span<const double>(&sum, 1));
  return Done{};
}

Status negative_log_likelihood(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  if (x->rank() < 2) return invalid("needs [batch, classes, ...]");
  const Numbers<double> numbers(*x);
  return likelihood(call, *x, {numbers.begin(), numbers.end()});
}

Status softmax_cross_entropy(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  if (x->rank() < 2) return invalid("needs [batch, classes, ...]");
  const Numbers<double> numbers(*x);
  std::vector<double> logs(numbers.begin(), numbers.end());
  const std::int64_t n = x->dims[1], inner = product(std::span(x->dims).subspan(2));
  for (std::int64_t row = 0; row < x->dims[0] * inner; ++row) {
    double* at = logs.data() + row / inner * n * inner + row % inner;
    double most = -INFINITY, sum = 0;
    for (std::int64_t k = 0; k < n; ++k) most = std::max(most, at[k * inner]);
    for (std::int64_t k = 0; k < n; ++k) sum += std::exp(at[k * inner] - most);
    for (std::int64_t k = 0; k < n; ++k) at[k * inner] -= most + std::log(sum);
  }
  if (call.wants(1)) put(*TRY(call.make(1, x->type, x->dims)), std::span<const double>(logs));
  return likelihood(call, *x, logs);
}

constexpr Operator rows[] = {
    {"NegativeLogLikelihoodLoss", negative_log_likelihood, nullptr, 2, 3},
    {"SoftmaxCrossEntropyLoss", softmax_cross_entropy, nullptr, 2, 3},
};

}  // namespace

std::span<const Operator> loss_operators() { return rows; }

}  // namespace hearth::graphs
