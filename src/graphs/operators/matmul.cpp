// Matrix products: MatMul, Gemm, Einsum, Det.
// Source: ONNX operator specification, each operator's page.
#include "graphs/operators/matmul.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "graphs/infer.h"
#include "graphs/operators/elementwise.h"
#include "graphs/operators/families.h"
#include "graphs/operators/gemm.h"
#include "graphs/operators/move.h"
#include "graphs/walk.h"

namespace hearth::graphs {

Result<MatMulShape> matmul_shape(const Dims& a, const Dims& b) {
  if (a.empty() || b.empty()) return invalid("a product needs matrices or vectors");
  MatMulShape shape;
  Dims left = a, right = b;
  if (left.size() == 1) left.insert(left.begin(), 1);
  if (right.size() == 1) right.push_back(1);
  shape.m = left[left.size() - 2];
  shape.k = left.back();
  shape.n = right.back();
  if (right[right.size() - 2] != shape.k)
    return invalid(fmt::format("{} by {}: {} columns meet {} rows", to_text(a), to_text(b), shape.k,
                               right[right.size() - 2]));
  shape.a_batch.assign(left.begin(), left.end() - 2);
  shape.b_batch.assign(right.begin(), right.end() - 2);
  shape.batch = TRY(broadcast(shape.a_batch, shape.b_batch));
  shape.result = shape.batch;
  if (a.size() > 1) shape.result.push_back(shape.m);
  if (b.size() > 1) shape.result.push_back(shape.n);
  return shape;
}

void each_product(const MatMulShape& shape,
                  const std::function<void(std::int64_t, std::int64_t, std::int64_t)>& run) {
  const std::array<const Dims*, 2> shapes{&shape.a_batch, &shape.b_batch};
  const Walk walk = Walk::broadcasting(shape.batch, shapes);
  walk.each(0, walk.count(), [&](std::int64_t place, const auto& at, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i)
      run(at[0] + i * walk.step(0), at[1] + i * walk.step(1), place + i);
  });
}

namespace {

template <typename T>
void product_of(T* c, const T* a, const T* b, std::int64_t m, std::int64_t n, std::int64_t k) {
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      T sum = 0;
      for (std::int64_t p = 0; p < k; ++p) sum += a[i * k + p] * b[p * n + j];
      c[i * n + j] = sum;
    }
}

template <typename T>
void matmul_as(const MatMulShape& shape, Tensor& y, const Tensor& a, const Tensor& b) {
  const Numbers<T> left(a), right(b);
  std::vector<T> result(static_cast<std::size_t>(y.count));
  each_product(shape, [&](std::int64_t i, std::int64_t j, std::int64_t o) {
    product_of<T>(result.data() + o * shape.m * shape.n, left.data() + i * shape.m * shape.k,
                  right.data() + j * shape.k * shape.n, shape.m, shape.n, shape.k);
  });
  put(y, std::span<const T>(result));
}

}  // namespace

Result<Tensor> matmul(Call& call, const Tensor& a, const Tensor& b) {
  TRY(common_type(a, b));
  const MatMulShape shape = TRY(matmul_shape(a.dims, b.dims));
  Tensor y = TRY(call.scratch(a.type, shape.result));
  if (a.type == Element::f32) {
    // One matrix on the right serves all rows of the left in one product.
    if (shape.b_batch.empty() || product(shape.b_batch) == 1) {
      const std::int64_t rows = product(shape.a_batch) * shape.m;
      gemm(call.machine, {rows, shape.n, shape.k, a.data<float>(), shape.k, b.data<float>(),
                          shape.n, y.data<float>(), shape.n});
      return y;
    }
    each_product(shape, [&](std::int64_t i, std::int64_t j, std::int64_t o) {
      gemm(call.machine, {shape.m, shape.n, shape.k, a.data<float>() + i * shape.m * shape.k,
                          shape.k, b.data<float>() + j * shape.k * shape.n, shape.n,
                          y.data<float>() + o * shape.m * shape.n, shape.n});
    });
  } else if (is_float(a.type)) {
    matmul_as<double>(shape, y, a, b);
  } else {
    matmul_as<std::int64_t>(shape, y, a, b);
  }
  return y;
}

namespace {

Status matmul_operator(Call& call) {
  call.give(0, TRY(matmul(call, *TRY(call.tensor(0)), *TRY(call.tensor(1)))));
  return Done{};
}

// y = alpha * a * b + beta * c.
Status gemm_operator(Call& call) {
  const Tensor* a = TRY(call.tensor(0));
  const Tensor* b = TRY(call.tensor(1));
  const Tensor* c = call.tensor_or_null(2);
  if (a->rank() != 2 || b->rank() != 2)
    return invalid(fmt::format("{} by {}: needs matrices", to_text(a->dims), to_text(b->dims)));
  TRY(common_type(*a, *b));
  const bool ta = call.integer("transA", 0) != 0, tb = call.integer("transB", 0) != 0;
  const std::int64_t m = a->dims[ta ? 1 : 0], k = a->dims[ta ? 0 : 1], n = b->dims[tb ? 0 : 1];
  if (b->dims[tb ? 1 : 0] != k)
    return invalid(fmt::format("{} by {}", to_text(a->dims), to_text(b->dims)));
  const double alpha = call.real("alpha", 1.0), beta = call.real("beta", 1.0);
  const Numbers<float> left(*a), right(*b);
  std::vector<float> own;
  Tensor* y = TRY(call.make(0, a->type, {m, n}));
  float* result = y->data<float>();
  if (a->type != Element::f32) {
    own.resize(static_cast<std::size_t>(m * n));
    result = own.data();
  }
  gemm(call.machine,
       {m, n, k, left.data(), ta ? m : k, right.data(), tb ? k : n, result, n, ta, tb});
  if (alpha != 1)
    for (std::int64_t i = 0; i < m * n; ++i) result[i] *= static_cast<float>(alpha);
  if (c != nullptr) {
    if (c->type != a->type) return invalid(fmt::format("a bias of {}", name_of(c->type)));
    if (TRY(broadcast(y->dims, c->dims)) != y->dims)
      return invalid(fmt::format("a bias of {} to {}", to_text(c->dims), to_text(y->dims)));
    const Numbers<float> bias(*c);
    const std::array<const Dims*, 1> shapes{&c->dims};
    const Walk walk = Walk::broadcasting(y->dims, shapes);
    walk.each(0, y->count, [&](std::int64_t place, const auto& at, std::int64_t run) {
      for (std::int64_t i = 0; i < run; ++i)
        result[place + i] +=
            static_cast<float>(beta) * bias[static_cast<std::size_t>(at[0] + i * walk.step(0))];
    });
  }
  if (a->type != Element::f32) put(*y, std::span<const float>(own));
  return Done{};
}

// The terms of an equation "ij,jk->ik": letters, and -1, -2, ... for the axes of an ellipsis, from
// the last one backwards.
using Letters = std::vector<int>;

Result<Letters> letters_of(std::string_view term, std::size_t rank, std::size_t& ellipsis) {
  Letters letters;
  const std::size_t dots = term.find("...");
  std::size_t named = 0;
  for (const char c : term) named += c != '.' && c != ' ' ? 1 : 0;
  if (dots == std::string_view::npos ? named != rank : named > rank)
    return invalid(fmt::format("'{}' for {} axes", term, rank));
  for (std::size_t i = 0; i < term.size(); ++i) {
    if (term[i] == ' ') continue;
    if (term[i] == '.') {
      if (i != dots) return invalid(fmt::format("'{}'", term));
      ellipsis = std::max(ellipsis, rank - named);
      for (std::size_t k = rank - named; k > 0; --k) letters.push_back(-static_cast<int>(k));
      i += 2;
      continue;
    }
    letters.push_back(term[i]);
  }
  return letters;
}

struct Equation {
  std::vector<Letters> inputs;
  Letters output;
};

Result<Equation> parse_equation(Call& call, std::string_view text) {
  Equation equation;
  const std::size_t arrow = text.find("->");
  std::string_view left = text.substr(0, arrow);
  std::size_t ellipsis = 0, at = 0;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    if (at > left.size()) return invalid(fmt::format("'{}': fewer terms than inputs", text));
    const std::size_t comma = std::min(left.find(',', at), left.size());
    equation.inputs.push_back(
        TRY(letters_of(left.substr(at, comma - at), TRY(call.tensor(i))->rank(), ellipsis)));
    at = comma + 1;
  }
  if (arrow == std::string_view::npos) {  // each letter that stands once, in order
    std::map<int, int> seen;
    for (const Letters& letters : equation.inputs)
      for (const int letter : letters) ++seen[letter];
    for (std::size_t k = ellipsis; k > 0; --k) equation.output.push_back(-static_cast<int>(k));
    for (const auto& [letter, times] : seen)
      if (letter > 0 && times == 1) equation.output.push_back(letter);
    return equation;
  }
  const std::string_view right = text.substr(arrow + 2);
  std::size_t named = 0, none = 0;
  for (const char c : right) named += c != '.' && c != ' ' ? 1 : 0;
  const bool dots = right.find("...") != std::string_view::npos;
  equation.output = TRY(letters_of(right, named + (dots ? ellipsis : 0), none));
  return equation;
}

// The inputs are gone through together: all output axes, then all summed ones.
Status einsum(Call& call) {
  if (call.inputs.empty() || call.inputs.size() > most_walkers)
    return unsupported(fmt::format("{} inputs; at most {}", call.inputs.size(), most_walkers));
  const Equation equation = TRY(parse_equation(call, call.text("equation", "")));
  std::map<int, std::int64_t> extents;
  for (std::size_t i = 0; i < call.inputs.size(); ++i)
    for (std::size_t k = 0; k < equation.inputs[i].size(); ++k) {
      const std::int64_t extent = TRY(call.tensor(i))->dims[k];
      auto& known = extents.try_emplace(equation.inputs[i][k], 1).first->second;
      if (known != extent && known != 1 && extent != 1)
        return invalid(fmt::format("'{}': {} meets {}", call.text("equation", ""), known, extent));
      if (extent != 1) known = extent;
    }
  Letters all = equation.output;
  Dims out;
  for (const int letter : all) {
    if (!extents.contains(letter)) return invalid("an output axis that no input has");
    out.push_back(extents[letter]);
  }
  Dims dims = out;
  for (const auto& [letter, extent] : extents)
    if (std::ranges::find(all, letter) == all.end()) {
      all.push_back(letter);
      dims.push_back(extent);
    }
  TRY(count_of(dims));
  std::vector<Dims> strides;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    const Tensor* x = TRY(call.tensor(i));
    const Dims own = strides_of(x->dims);
    Dims stride(all.size(), 0);
    for (std::size_t k = 0; k < own.size(); ++k)
      if (x->dims[k] != 1)
        stride[static_cast<std::size_t>(std::ranges::find(all, equation.inputs[i][k]) -
                                        all.begin())] += own[k];
    strides.push_back(std::move(stride));
  }
  const Tensor* first = TRY(call.tensor(0));
  std::vector<Numbers<double>> numbers;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    TRY(common_type(*first, *TRY(call.tensor(i))));
    numbers.emplace_back(*TRY(call.tensor(i)));
  }
  Tensor* y = TRY(call.make(0, first->type, out));
  std::vector<double> result(static_cast<std::size_t>(y->count), 0.0);
  const std::int64_t summed = product(std::span(dims).subspan(out.size()));
  const Walk walk(dims, strides);
  walk.each(0, walk.count(), [&](std::int64_t place, const auto& at, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) {
      double term = 1;
      for (std::size_t k = 0; k < numbers.size(); ++k)
        term *= numbers[k][static_cast<std::size_t>(at[k] + i * walk.step(k))];
      result[static_cast<std::size_t>((place + i) / summed)] += term;
    }
  });
  put(*y, std::span<const double>(result));
  return Done{};
}

double determinant(std::vector<double> m, std::size_t n) {
  double result = 1;
  for (std::size_t column = 0; column < n; ++column) {
    std::size_t pivot = column;
    for (std::size_t row = column; row < n; ++row)
      if (std::fabs(m[row * n + column]) > std::fabs(m[pivot * n + column])) pivot = row;
    if (m[pivot * n + column] == 0) return 0;
    if (pivot != column) {
      result = -result;
      for (std::size_t k = 0; k < n; ++k) std::swap(m[pivot * n + k], m[column * n + k]);
    }
    result *= m[column * n + column];
    for (std::size_t row = column + 1; row < n; ++row) {
      const double factor = m[row * n + column] / m[column * n + column];
      for (std::size_t k = column; k < n; ++k) m[row * n + k] -= factor * m[column * n + k];
    }
  }
  return result;
}

Status det(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  if (x->rank() < 2 || x->dims.back() != x->dims[x->rank() - 2])
    return invalid(fmt::format("square matrices are needed, not {}", to_text(x->dims)));
  const auto n = static_cast<std::size_t>(x->dims.back());
  Tensor* y = TRY(call.make(0, x->type, Dims(x->dims.begin(), x->dims.end() - 2)));
  const Numbers<double> numbers(*x);
  std::vector<double> result;
  for (std::size_t i = 0; i < static_cast<std::size_t>(y->count); ++i)
    result.push_back(
        determinant({numbers.begin() + i * n * n, numbers.begin() + (i + 1) * n * n}, n));
  put(*y, std::span<const double>(result));
  return Done{};
}

constexpr Operator rows[] = {
    {"MatMul", matmul_operator, infer_matmul, 2, 2},
    {"Gemm", gemm_operator, infer_gemm, 2, 3},
    {"Einsum", einsum, nullptr, 1},
    {"Det", det, nullptr, 1, 1},
};

}  // namespace

std::span<const Operator> matmul_operators() { return rows; }

}  // namespace hearth::graphs
