#include "graphs/operators/scores.h"

#include <algorithm>
#include <cmath>

namespace hearth::graphs {
namespace {

// Source: Winitzki 2008, "A handy approximation for the error function and its inverse".
float inverse_erf(float x) {
  const float log = std::log((1 - x) * (1 + x)), a = 4.3307467f + 0.5f * log, b = log / 0.147f;
  return (x < 0 ? -1.0f : 1.0f) * std::sqrt(-a + std::sqrt(a * a - b));
}

float logistic(float x) {
  const float y = 1 / (1 + std::exp(-std::fabs(x)));
  return x < 0 ? 1 - y : y;
}

}  // namespace

Result<int> transform_named(std::string_view name) {
  constexpr std::string_view names[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
  for (int i = 0; i < 5; ++i)
    if (names[i] == name) return i;
  return unsupported(fmt::format("post_transform '{}'", name));
}

void transform_scores(int transform, std::span<float> row) {
  if (row.empty() || transform == 0) return;
  if (transform == 2)
    for (float& x : row) x = logistic(x);
  if (transform == 4)
    for (float& x : row) x = 1.41421356f * inverse_erf(2 * x - 1);
  if (transform != 1 && transform != 3) return;
  const float most = *std::ranges::max_element(row);
  float sum = 0;
  for (float& x : row) {
    const bool zero = transform == 3 && std::fabs(x) <= 1e-7f;
    x = zero ? 0 : std::exp(x - most);
    sum += x;
  }
  for (float& x : row) x = sum == 0 ? 0 : x / sum;
}

std::size_t labels_named(Call& call, std::string_view texts, std::string_view numbers) {
  return std::max(call.texts_of(texts).size(), call.list(numbers).size());
}

Status give_labels(Call& call, std::size_t i, std::span<const std::int64_t> classes,
                   std::string_view texts, std::string_view numbers) {
  const auto& names = call.texts_of(texts);
  const auto& ids = call.list(numbers);
  const auto n = static_cast<std::int64_t>(classes.size());
  Tensor* y = TRY(call.make(i, names.empty() ? Element::i64 : Element::text, {n}));
  for (std::size_t row = 0; row < classes.size(); ++row) {
    const auto k = static_cast<std::size_t>(classes[row]);
    if (names.empty())
      y->data<std::int64_t>()[row] = k < ids.size() ? ids[k] : classes[row];
    else
      y->data<const std::string*>()[row] = call.keep(k < names.size() ? names[k] : std::string());
  }
  return Done{};
}

Result<Table> table_of(const Tensor& x) {
  if (x.rank() == 1) return Table{1, x.dims[0]};
  if (x.rank() == 2) return Table{x.dims[0], x.dims[1]};
  return invalid(fmt::format("[rows, features] is needed, not {}", to_text(x.dims)));
}

}  // namespace hearth::graphs
