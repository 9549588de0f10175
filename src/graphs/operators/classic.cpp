// Linear models and support vector machines.
// Source: ONNX operator specification, ai.onnx.ml; Chang and Lin 2011 (LIBSVM), section 8.
#include <algorithm>
#include <cmath>

#include "graphs/operators/families.h"
#include "graphs/operators/scores.h"

namespace hearth::graphs {
namespace {

Status linear_classifier(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Table table = TRY(table_of(*x));
  const auto &weights = call.reals_of("coefficients"), &shifts = call.reals_of("intercepts");
  if (table.columns < 1 || weights.size() % static_cast<std::size_t>(table.columns) != 0)
    return invalid("coefficients of another size");
  const std::size_t classes = weights.size() / static_cast<std::size_t>(table.columns);
  const int transform = TRY(transform_named(call.text("post_transform", "NONE")));
  const bool second =
      classes == 1 && labels_named(call, "classlabels_strings", "classlabels_ints") == 2;
  if (classes == 0 || (!shifts.empty() && shifts.size() != classes))
    return invalid("intercepts of another size");
  const Numbers<float> numbers(*x);
  std::vector<float> all;
  std::vector<std::int64_t> best;
  for (std::int64_t i = 0; i < table.rows; ++i) {
    std::vector<float> row;
    for (std::size_t k = 0; k < classes; ++k) {
      double sum = shifts.empty() ? 0 : shifts[k];
      for (std::int64_t c = 0; c < table.columns; ++c)
        sum += weights[k * static_cast<std::size_t>(table.columns) + static_cast<std::size_t>(c)] *
               numbers[static_cast<std::size_t>(i * table.columns + c)];
      row.push_back(static_cast<float>(sum));
    }
    if (second) {
      best.push_back(row[0] > 0 ? 1 : 0);
      row.insert(row.begin(), transform == 0 || transform == 4 ? 1 - row[0] : -row[0]);
    } else {
      best.push_back(std::ranges::max_element(row) - row.begin());
    }
    transform_scores(transform, row);
    all.insert(all.end(), row.begin(), row.end());
  }
  TRY(give_labels(call, 0, best, "classlabels_strings", "classlabels_ints"));
  put(*TRY(call.make(1, Element::f32,
                     {table.rows, static_cast<std::int64_t>(second ? 2 : classes)})),
      std::span<const float>(all));
  return Done{};
}

Status linear_regressor(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Table table = TRY(table_of(*x));
  const auto &weights = call.reals_of("coefficients"), &shifts = call.reals_of("intercepts");
  const std::int64_t targets = call.integer("targets", 1);
  if (targets < 1 || targets > (1 << 24) ||
      static_cast<std::int64_t>(weights.size()) != targets * table.columns ||
      (!shifts.empty() && static_cast<std::int64_t>(shifts.size()) != targets))
    return invalid("coefficients or intercepts of another size");
  const int transform = TRY(transform_named(call.text("post_transform", "NONE")));
  const Numbers<float> numbers(*x);
  std::vector<float> all;
  for (std::int64_t i = 0; i < table.rows; ++i) {
    std::vector<float> row;
    for (std::int64_t k = 0; k < targets; ++k) {
      double sum = shifts.empty() ? 0 : shifts[static_cast<std::size_t>(k)];
      for (std::int64_t c = 0; c < table.columns; ++c)
        sum += weights[static_cast<std::size_t>(k * table.columns + c)] *
               numbers[static_cast<std::size_t>(i * table.columns + c)];
      row.push_back(static_cast<float>(sum));
    }
    transform_scores(transform, row);
    all.insert(all.end(), row.begin(), row.end());
  }
  put(*TRY(call.make(0, Element::f32, {table.rows, targets})), std::span<const float>(all));
  return Done{};
}

struct Kernelled {
  int kind = 0;  // linear, polynomial, radial, sigmoid
  double gamma = 0, coef0 = 0, degree = 0;

  double operator()(const float* x, const double* v, std::int64_t n) const {
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i)
      sum += kind == 2 ? (x[i] - v[i]) * (x[i] - v[i]) : x[i] * v[i];
    if (kind == 1) return std::pow(gamma * sum + coef0, degree);
    if (kind == 2) return std::exp(-gamma * sum);
    if (kind == 3) return std::tanh(gamma * sum + coef0);
    return sum;
  }
};

Result<Kernelled> kernel_of(Call& call) {
  Kernelled kernel;
  constexpr std::string_view names[] = {"LINEAR", "POLY", "RBF", "SIGMOID"};
  const auto found = std::ranges::find(names, call.text("kernel_type", "LINEAR"));
  if (found == std::end(names)) return unsupported("kernel_type");
  kernel.kind = static_cast<int>(found - std::begin(names));
  const auto& p = call.reals_of("kernel_params");
  if (p.size() >= 3) kernel.gamma = p[0], kernel.coef0 = p[1], kernel.degree = p[2];
  return kernel;
}

Status svm_regressor(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Table table = TRY(table_of(*x));
  const Kernelled kernel = TRY(kernel_of(call));
  const auto &weights = call.reals_of("coefficients"), &vectors = call.reals_of("support_vectors"),
             &rho = call.reals_of("rho");
  const std::int64_t supports = call.integer("n_supports", 0), n = table.columns;
  const bool by_vectors = supports > 0;
  const std::int64_t needed = by_vectors ? supports : n;
  if (rho.empty() || supports < 0 || static_cast<std::int64_t>(weights.size()) < needed ||
      (by_vectors && static_cast<std::int64_t>(vectors.size()) != supports * n))
    return invalid("support vectors or coefficients of another size");
  const int transform = TRY(transform_named(call.text("post_transform", "NONE")));
  const bool one_class = call.integer("one_class", 0) != 0;
  const Numbers<float> numbers(*x);
  std::vector<float> all;
  for (std::int64_t i = 0; i < table.rows; ++i) {
    const float* row = numbers.data() + i * n;
    double sum = rho[0];
    if (by_vectors)
      for (std::int64_t s = 0; s < supports; ++s)
        sum += weights[static_cast<std::size_t>(s)] * kernel(row, vectors.data() + s * n, n);
    else
      sum += kernel(row, weights.data(), n);
    float score = static_cast<float>(one_class ? (sum > 0 ? 1 : -1) : sum);
    transform_scores(transform, {&score, 1});
    all.push_back(score);
  }
  put(*TRY(call.make(0, Element::f32, {table.rows, 1})), std::span<const float>(all));
  return Done{};
}

// Probabilities of classes from those of pairs.  pairs: [k, k], pairs[i][j] = P(i | i or j).
// Source: Wu, Lin and Weng 2004, second method.
std::vector<double> coupled(const std::vector<std::vector<double>>& pairs) {
  const std::size_t k = pairs.size();
  std::vector<std::vector<double>> q(k, std::vector<double>(k, 0.0));
  std::vector<double> p(k, 1.0 / static_cast<double>(k)), qp(k);
  for (std::size_t t = 0; t < k; ++t)
    for (std::size_t j = 0; j < k; ++j)
      if (j != t) {
        q[t][t] += pairs[j][t] * pairs[j][t];
        q[t][j] = -pairs[j][t] * pairs[t][j];
      }
  for (std::size_t round = 0; round < std::max<std::size_t>(100, k); ++round) {
    double all = 0, worst = 0;
    for (std::size_t t = 0; t < k; ++t) {
      qp[t] = 0;
      for (std::size_t j = 0; j < k; ++j) qp[t] += q[t][j] * p[j];
      all += p[t] * qp[t];
    }
    for (std::size_t t = 0; t < k; ++t) worst = std::max(worst, std::fabs(qp[t] - all));
    if (worst < 0.005 / static_cast<double>(k)) break;
    for (std::size_t t = 0; t < k; ++t) {
      const double diff = (all - qp[t]) / q[t][t];
      p[t] += diff;
      all = (all + diff * (diff * q[t][t] + 2 * qp[t])) / (1 + diff) / (1 + diff);
      for (std::size_t j = 0; j < k; ++j) {
        qp[j] = (qp[j] + diff * q[t][j]) / (1 + diff);
        p[j] /= 1 + diff;
      }
    }
  }
  return p;
}

struct Supports {  // a support vector classifier
  std::vector<std::int64_t> per_class, first;
  std::int64_t vectors = 0, classes = 0, features = 0;
};

Status svm_classifier(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Table table = TRY(table_of(*x));
  const Kernelled kernel = TRY(kernel_of(call));
  const auto &weights = call.reals_of("coefficients"), &vectors = call.reals_of("support_vectors"),
             &rho = call.reals_of("rho"), &prob_a = call.reals_of("prob_a"),
             &prob_b = call.reals_of("prob_b");
  Supports m;
  m.per_class = call.list("vectors_per_class");
  m.features = table.columns;
  m.classes = static_cast<std::int64_t>(
      m.per_class.empty() ? labels_named(call, "classlabels_strings", "classlabels_ints")
                          : m.per_class.size());
  for (const std::int64_t n : m.per_class) {
    if (n < 0 || n > (1 << 28)) return invalid("vectors_per_class");
    m.first.push_back(m.vectors);
    m.vectors += n;
  }
  const std::int64_t k = m.classes, pairs = k * (k - 1) / 2;
  const bool linear = m.vectors == 0;
  if (k < 1 || k > 4096 ||
      (linear ? static_cast<std::int64_t>(weights.size()) != k * m.features || rho.empty()
              : static_cast<std::int64_t>(vectors.size()) != m.vectors * m.features ||
                    static_cast<std::int64_t>(weights.size()) != m.vectors * (k - 1) ||
                    static_cast<std::int64_t>(rho.size()) < pairs))
    return invalid("support vectors, coefficients or rho of another size");
  const bool probable = !linear && !prob_a.empty();
  if (probable && (static_cast<std::int64_t>(prob_a.size()) < pairs ||
                   static_cast<std::int64_t>(prob_b.size()) < pairs))
    return invalid("prob_a or prob_b");
  const int transform = TRY(transform_named(call.text("post_transform", "NONE")));
  const Numbers<float> numbers(*x);
  std::vector<float> all;
  std::vector<std::int64_t> best;
  std::int64_t width = 0;
  for (std::int64_t i = 0; i < table.rows; ++i) {
    const float* row = numbers.data() + i * m.features;
    std::vector<float> scores;
    std::vector<std::int64_t> votes(static_cast<std::size_t>(k), 0);
    if (linear) {
      for (std::int64_t c = 0; c < k; ++c)
        scores.push_back(
            static_cast<float>(kernel(row, weights.data() + c * m.features, m.features) + rho[0]));
      best.push_back(std::ranges::max_element(scores) - scores.begin());
    } else {
      std::vector<double> near;
      for (std::int64_t v = 0; v < m.vectors; ++v)
        near.push_back(kernel(row, vectors.data() + v * m.features, m.features));
      for (std::int64_t a = 0; a < k; ++a)
        for (std::int64_t b = a + 1; b < k; ++b) {
          double sum = rho[scores.size()];
          const auto at = [](std::int64_t n) { return static_cast<std::size_t>(n); };
          for (std::int64_t v = 0; v < m.per_class[at(a)]; ++v)
            sum += weights[at((b - 1) * m.vectors + m.first[at(a)] + v)] *
                   near[at(m.first[at(a)] + v)];
          for (std::int64_t v = 0; v < m.per_class[at(b)]; ++v)
            sum += weights[at(a * m.vectors + m.first[at(b)] + v)] * near[at(m.first[at(b)] + v)];
          scores.push_back(static_cast<float>(sum));
          ++votes[at(sum > 0 ? a : b)];
        }
      best.push_back(std::ranges::max_element(votes) - votes.begin());
      if (probable) {
        std::vector<std::vector<double>> chance(
            static_cast<std::size_t>(k), std::vector<double>(static_cast<std::size_t>(k), 0.0));
        std::size_t at = 0;
        for (std::size_t a = 0; a < chance.size(); ++a)
          for (std::size_t b = a + 1; b < chance.size(); ++b, ++at) {
            const double p = std::clamp(1 / (1 + std::exp(scores[at] * prob_a[at] + prob_b[at])),
                                        1e-7, 1 - 1e-7);
            chance[a][b] = p;
            chance[b][a] = 1 - p;
          }
        scores.clear();
        for (const double p : coupled(chance)) scores.push_back(static_cast<float>(p));
        best.back() = std::ranges::max_element(scores) - scores.begin();
      }
    }
    if (!probable && scores.size() == 1 && k == 2)
      scores.insert(scores.begin(), -scores[0]), std::swap(scores[0], scores[1]);
    transform_scores(transform, scores);
    width = static_cast<std::int64_t>(scores.size());
    all.insert(all.end(), scores.begin(), scores.end());
  }
  TRY(give_labels(call, 0, best, "classlabels_strings", "classlabels_ints"));
  put(*TRY(call.make(1, Element::f32, {table.rows, width})), std::span<const float>(all));
  return Done{};
}

constexpr Operator rows[] = {
    {"ai.onnx.ml.LinearClassifier", linear_classifier, nullptr, 1, 1},
    {"ai.onnx.ml.LinearRegressor", linear_regressor, nullptr, 1, 1},
    {"ai.onnx.ml.SVMRegressor", svm_regressor, nullptr, 1, 1},
    {"ai.onnx.ml.SVMClassifier", svm_classifier, nullptr, 1, 1},
};

}  // namespace

std::span<const Operator> classic_operators() { return rows; }

}  // namespace hearth::graphs
