// Reductions, softmax and sums along axes.
// Source: ONNX operator specification, each operator's page.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "graphs/infer.h"
#include "graphs/operators/families.h"
#include "graphs/operators/move.h"
#include "kernels/kernels.h"

namespace hearth::graphs {
namespace {

enum class Fold {
  sum,
  mean,
  product,
  max,
  min,
  l1,
  l2,
  log_sum,
  log_sum_exp,
  sum_square,
  any,
  all
};

constexpr double infinity = std::numeric_limits<double>::infinity();

template <typename T>
double sum_of(const T* row, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(row[i]);
  return sum;
}

template <typename T>
double extreme(const T* row, std::int64_t n, bool greatest) {
  double best = greatest ? -infinity : infinity;
  for (std::int64_t i = 0; i < n; ++i) {
    const double value = static_cast<double>(row[i]);
    if (value != value) return value;
    if (greatest ? value > best : value < best) best = value;
  }
  return best;
}

template <typename T>
double fold_row(Fold fold, const T* row, std::int64_t n) {
  double result = fold == Fold::product ? 1 : 0;
  switch (fold) {
    case Fold::sum:
      return sum_of(row, n);
    case Fold::mean:
      return sum_of(row, n) / static_cast<double>(n);
    case Fold::log_sum:
      return std::log(sum_of(row, n));
    case Fold::max:
      return extreme(row, n, true);
    case Fold::min:
      return extreme(row, n, false);
    case Fold::product:
      for (std::int64_t i = 0; i < n; ++i) result *= static_cast<double>(row[i]);
      return result;
    case Fold::l1:
      for (std::int64_t i = 0; i < n; ++i) result += std::fabs(static_cast<double>(row[i]));
      return result;
    case Fold::l2:
    case Fold::sum_square:
      for (std::int64_t i = 0; i < n; ++i)
        result += static_cast<double>(row[i]) * static_cast<double>(row[i]);
      return fold == Fold::l2 ? std::sqrt(result) : result;
    case Fold::log_sum_exp: {
      const double most = extreme(row, n, true);
      if (std::isinf(most)) return most;
      for (std::int64_t i = 0; i < n; ++i) result += std::exp(static_cast<double>(row[i]) - most);
      return std::log(result) + most;
    }
    case Fold::any:
      for (std::int64_t i = 0; i < n; ++i) result = result != 0 || row[i] != 0;
      return result;
    case Fold::all:
      result = 1;
      for (std::int64_t i = 0; i < n; ++i) result = result != 0 && row[i] != 0;
      return result;
  }
  return 0;
}

// Integers, without the detour over floats that would lose their low bits.
std::int64_t fold_whole(Fold fold, const std::int64_t* row, std::int64_t n, Element type) {
  std::uint64_t sum = fold == Fold::product ? 1 : 0;
  std::int64_t best = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto value = static_cast<std::uint64_t>(row[i]);
    switch (fold) {
      case Fold::product:
        sum *= value;
        break;
      case Fold::l1:
        sum += row[i] < 0 ? 0 - value : value;
        break;
      case Fold::sum_square:
        sum += value * value;
        break;
      case Fold::max:
        best = i == 0 ? row[i] : std::max(best, row[i]);
        break;
      case Fold::min:
        best = i == 0 ? row[i] : std::min(best, row[i]);
        break;
      default:
        sum += value;
    }
  }
  if (n == 0 && (fold == Fold::max || fold == Fold::min)) {
    const bool low = fold == Fold::max;
    if (type == Element::i64) return low ? INT64_MIN : INT64_MAX;
    if (type == Element::i32) return low ? INT32_MIN : INT32_MAX;
    if (type == Element::i8) return low ? INT8_MIN : INT8_MAX;
    if (type == Element::boolean) return low ? 0 : 1;
    return low ? 0 : 255;  // u8
  }
  if (fold == Fold::max || fold == Fold::min) return best;
  const auto total = static_cast<std::int64_t>(sum);
  return fold == Fold::mean && n != 0 ? total / n : total;
}

bool keeps_whole(Fold fold) {
  return fold == Fold::sum || fold == Fold::mean || fold == Fold::product || fold == Fold::max ||
         fold == Fold::min || fold == Fold::l1 || fold == Fold::sum_square;
}

// The axes to reduce go last, so that each result is one row of the operand.
struct Rows {
  Tensor operand;  // [results, length]
  Dims dims;       // of the result
  std::int64_t length = 1;
};

Result<Rows> rows_of(Call& call, const Tensor& x, std::span<const std::size_t> axes, bool keep) {
  Rows rows;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < x.rank(); ++i) {
    const bool reduced = std::ranges::find(axes, i) != axes.end();
    if (!reduced) order.push_back(i);
    if (!reduced) rows.dims.push_back(x.dims[i]);
    if (reduced && keep) rows.dims.push_back(1);
    if (reduced) rows.length *= x.dims[i];
  }
  bool in_order = true;
  for (std::size_t i = 0; i < x.rank(); ++i)
    if (std::ranges::find(axes, i) != axes.end()) {
      order.push_back(i);
    }
  for (std::size_t i = 0; i < order.size(); ++i) in_order = in_order && order[i] == i;
  rows.operand = in_order ? x : TRY(transposed(call, x, order));
  return rows;
}

template <Fold fold>
Status reduce(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  auto named = TRY(axes_of(call, 1));
  if (named.empty() && call.integer("noop_with_empty_axes", 0) != 0) {
    // Each element is a reduction of one.
    if (fold == Fold::sum || fold == Fold::mean || fold == Fold::product || fold == Fold::max ||
        fold == Fold::min) {
      call.give(0, *x);
      return Done{};
    }
    Tensor* y = TRY(call.make(0, x->type, x->dims));
    const Numbers<double> numbers(*x);
    std::vector<double> folded(numbers.size());
    for (std::size_t i = 0; i < folded.size(); ++i) folded[i] = fold_row(fold, &numbers[i], 1);
    put(*y, std::span<const double>(folded));
    return Done{};
  }
  std::vector<std::size_t> axes = TRY(checked_axes(named, x->rank()));
  if (axes.empty())
    for (std::size_t i = 0; i < x->rank(); ++i) axes.push_back(i);
  const Rows rows = TRY(rows_of(call, *x, axes, call.integer("keepdims", 1) != 0));
  Tensor* y = TRY(call.make(0, x->type, rows.dims));
  const std::int64_t n = rows.length;
  const std::int64_t grain = std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(n, 1));
  const auto size = static_cast<std::int64_t>(size_of(x->type));
  if (!is_float(x->type) && keeps_whole(fold)) {
    const Numbers<std::int64_t> numbers(rows.operand);
    parallel(call.machine, y->count, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t result = fold_whole(fold, numbers.data() + i * n, n, x->type);
        store(y->type, y->bytes + i * size, Work::i64, &result, 1);
      }
    });
    return Done{};
  }
  const bool single = x->type == Element::f32;
  const Tensor none;
  const Numbers<double> numbers(single ? none : rows.operand);
  parallel(call.machine, y->count, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const double result = single ? fold_row(fold, rows.operand.data<float>() + i * n, n)
                                   : fold_row(fold, numbers.data() + i * n, n);
      store(y->type, y->bytes + i * size, Work::f64, &result, 1);
    }
  });
  return Done{};
}

template <bool greatest>
Status arg_extreme(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto axis = TRY(checked_axis(
      call.has(1) ? TRY(call.integer_input(1, 0)) : call.integer("axis", 0), x->rank()));
  const bool last = call.integer("select_last_index", 0) != 0;
  const std::size_t axes[] = {axis};
  const Rows rows = TRY(rows_of(call, *x, axes, call.integer("keepdims", 1) != 0));
  if (rows.length == 0) return invalid("an axis of no elements");
  const auto type = call.has_attribute("output_type")
                        ? static_cast<Element>(call.integer("output_type", 0))
                        : Element::i64;
  Tensor* y = TRY(call.make(0, type, rows.dims));
  const Numbers<double> numbers(rows.operand);
  for (std::int64_t i = 0; i < y->count; ++i) {
    const double* row = numbers.data() + i * rows.length;
    std::int64_t best = 0;
    for (std::int64_t k = 1; k < rows.length; ++k) {
      const bool beats = greatest ? row[k] > row[best] : row[k] < row[best];
      if (beats || (last && row[k] == row[best])) best = k;
    }
    store(type, y->bytes + i * static_cast<std::int64_t>(size_of(type)), Work::i64, &best, 1);
  }
  return Done{};
}

enum class Soft { softmax, log_softmax, hardmax };

void soft_row(Soft soft, double* row, std::int64_t n) {
  const double most = extreme(row, n, true);
  if (soft == Soft::hardmax) {
    bool found = false;
    for (std::int64_t i = 0; i < n; ++i) {
      const bool here = !found && row[i] == most;
      found |= here;
      row[i] = here ? 1 : 0;
    }
    return;
  }
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += std::exp(row[i] - most);
  const double log_sum = std::log(sum);
  for (std::int64_t i = 0; i < n; ++i)
    row[i] = soft == Soft::softmax ? std::exp(row[i] - most) / sum : row[i] - most - log_sum;
}

void round_to(Element type, double* x, std::size_t n, std::vector<std::byte>& raw) {
  raw.resize(n * size_of(type));
  store(type, raw.data(), Work::f64, x, n);
  load(Work::f64, x, type, raw.data(), n);
}

// Numbers of 16 bits are rounded after each step of the function that the specification has for
// Softmax, but for a sum that 16 bits cannot hold.
void softmax_row_by_steps(Element type, double* row, std::size_t n, std::vector<std::byte>& raw) {
  const double most = extreme(row, static_cast<std::int64_t>(n), true);
  for (std::size_t i = 0; i < n; ++i) row[i] -= most;
  round_to(type, row, n, raw);
  for (std::size_t i = 0; i < n; ++i) row[i] = std::exp(row[i]);
  round_to(type, row, n, raw);
  const double sum = std::accumulate(row, row + n, 0.0);
  double rounded = sum;
  round_to(type, &rounded, 1, raw);
  for (std::size_t i = 0; i < n; ++i) row[i] /= std::isfinite(rounded) ? rounded : sum;
}

template <Soft soft>
Status softmax(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const bool old = call.node.version != 0 && call.node.version < 13;
  if (x->rank() == 0) {
    Tensor* y = TRY(call.make(0, x->type, {}));
    double value = 0;
    load(Work::f64, &value, x->type, x->bytes, 1);
    soft_row(soft, &value, 1);
    store(x->type, y->bytes, Work::f64, &value, 1);
    return Done{};
  }
  const auto axis = TRY(checked_axis(call.integer("axis", old ? 1 : -1), x->rank()));
  // Before version 13 everything from the axis on is one row.
  const std::int64_t n = old ? product(std::span(x->dims).subspan(axis)) : x->dims[axis];
  const std::int64_t inner = old ? 1 : product(std::span(x->dims).subspan(axis + 1));
  Tensor* y = TRY(call.make(0, x->type, x->dims));
  if (y->count == 0) return Done{};
  const auto* table = call.machine.ctx == nullptr ? nullptr : call.machine.ctx->kernels;
  if (soft == Soft::softmax && x->type == Element::f32 && inner == 1 && table != nullptr) {
    parallel(call.machine, y->count / n, std::max<std::int64_t>(1, 8192 / n),
             [&](std::int64_t begin, std::int64_t end) {
               std::memcpy(y->data<float>() + begin * n, x->data<float>() + begin * n,
                           static_cast<std::size_t>((end - begin) * n) * sizeof(float));
               for (std::int64_t i = begin; i < end; ++i)
                 table->softmax(y->data<float>() + i * n, static_cast<std::size_t>(n));
             });
    return Done{};
  }
  const auto size = static_cast<std::int64_t>(size_of(x->type));
  parallel(
      call.machine, y->count / n, std::max<std::int64_t>(1, 8192 / n),
      [&](std::int64_t begin, std::int64_t end) {
        std::vector<double> row(static_cast<std::size_t>(n));
        std::vector<std::byte> raw(static_cast<std::size_t>(n * size));
        for (std::int64_t i = begin; i < end; ++i) {
          const std::int64_t first = (i / inner * n * inner + i % inner) * size;
          copy_elements(raw.data(), 1, x->bytes + first, inner, n, static_cast<std::size_t>(size));
          load(Work::f64, row.data(), x->type, raw.data(), row.size());
          if (soft == Soft::softmax && (x->type == Element::f16 || x->type == Element::bf16))
            softmax_row_by_steps(x->type, row.data(), row.size(), raw);
          else
            soft_row(soft, row.data(), n);
          raw.resize(row.size() * static_cast<std::size_t>(size));
          store(x->type, raw.data(), Work::f64, row.data(), row.size());
          copy_elements(y->bytes + first, inner, raw.data(), 1, n, static_cast<std::size_t>(size));
        }
      });
  return Done{};
}

template <bool multiply>
Status running(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto axis = TRY(checked_axis(TRY(call.integer_input(1, 0)), x->rank()));
  const bool exclusive = call.integer("exclusive", 0) != 0;
  const bool reverse = call.integer("reverse", 0) != 0;
  Tensor* y = TRY(call.make(0, x->type, x->dims));
  if (y->count == 0) return Done{};
  const std::int64_t n = x->dims[axis];
  const std::int64_t inner = product(std::span(x->dims).subspan(axis + 1));
  const bool real = is_float(x->type);
  const Tensor none;
  const Numbers<double> reals(real ? *x : none);
  const Numbers<std::int64_t> wholes(real ? none : *x);
  const auto size = static_cast<std::int64_t>(size_of(x->type));
  for (std::int64_t row = 0; row < x->count / n; ++row) {
    double sum = multiply ? 1 : 0;
    std::uint64_t whole = multiply ? 1 : 0;
    for (std::int64_t step = 0; step < n; ++step) {
      const std::int64_t k = reverse ? n - 1 - step : step;
      const std::int64_t at = row / inner * n * inner + k * inner + row % inner;
      const auto place = static_cast<std::size_t>(at);
      const double before = sum;
      const std::uint64_t whole_before = whole;
      if (real) sum = multiply ? sum * reals[place] : sum + reals[place];
      if (!real) {
        const auto next = static_cast<std::uint64_t>(wholes[place]);
        whole = multiply ? whole * next : whole + next;
      }
      const double out = exclusive ? before : sum;
      const auto out_whole = static_cast<std::int64_t>(exclusive ? whole_before : whole);
      if (real)
        store(x->type, y->bytes + at * size, Work::f64, &out, 1);
      else
        store(x->type, y->bytes + at * size, Work::i64, &out_whole, 1);
    }
  }
  return Done{};
}

Status lp_normalization(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto axis = TRY(checked_axis(call.integer("axis", -1), x->rank()));
  const bool l1 = call.integer("p", 2) == 1;
  Tensor* y = TRY(call.make(0, x->type, x->dims));
  const std::int64_t n = x->dims[axis], inner = product(std::span(x->dims).subspan(axis + 1));
  if (y->count == 0) return Done{};
  const Numbers<double> numbers(*x);
  std::vector<double> result(numbers.size());
  for (std::int64_t row = 0; row < x->count / n; ++row) {
    const std::int64_t first = row / inner * n * inner + row % inner;
    double norm = 0;
    for (std::int64_t k = 0; k < n; ++k) {
      const double value = numbers[static_cast<std::size_t>(first + k * inner)];
      norm += l1 ? std::fabs(value) : value * value;
    }
    if (!l1) norm = std::sqrt(norm);
    for (std::int64_t k = 0; k < n; ++k) {
      const auto at = static_cast<std::size_t>(first + k * inner);
      result[at] = norm == 0 ? 0 : numbers[at] / norm;
    }
  }
  put(*y, std::span<const double>(result));
  return Done{};
}

constexpr Operator rows[] = {
    {"ReduceSum", reduce<Fold::sum>, infer_reduce, 1, 2},
    {"ReduceMean", reduce<Fold::mean>, infer_reduce, 1, 2},
    {"ReduceProd", reduce<Fold::product>, infer_reduce, 1, 2},
    {"ReduceMax", reduce<Fold::max>, infer_reduce, 1, 2},
    {"ReduceMin", reduce<Fold::min>, infer_reduce, 1, 2},
    {"ReduceL1", reduce<Fold::l1>, infer_reduce, 1, 2},
    {"ReduceL2", reduce<Fold::l2>, infer_reduce, 1, 2},
    {"ReduceLogSum", reduce<Fold::log_sum>, infer_reduce, 1, 2},
    {"ReduceLogSumExp", reduce<Fold::log_sum_exp>, infer_reduce, 1, 2},
    {"ReduceSumSquare", reduce<Fold::sum_square>, infer_reduce, 1, 2},
    {"hearth.ReduceAny", reduce<Fold::any>, infer_reduce, 1, 2},
    {"hearth.ReduceAll", reduce<Fold::all>, infer_reduce, 1, 2},
    {"ArgMax", arg_extreme<true>, nullptr, 1, 2},
    {"ArgMin", arg_extreme<false>, nullptr, 1, 2},
    {"Softmax", softmax<Soft::softmax>, infer_same, 1, 1},
    {"LogSoftmax", softmax<Soft::log_softmax>, infer_same, 1, 1},
    {"Hardmax", softmax<Soft::hardmax>, infer_same, 1, 1},
    {"CumSum", running<false>, infer_same, 2, 2},
    {"CumProd", running<true>, infer_same, 2, 2},
    {"LpNormalization", lp_normalization, infer_same, 1, 1},
};

}  // namespace

std::span<const Operator> reduce_operators() { return rows; }

}  // namespace hearth::graphs
