// Random numbers, and Dropout and Clip.
// Source: ONNX operator specification, each operator's page.
#include <algorithm>
#include <cmath>
#include <limits>

#include "graphs/infer.h"
#include "graphs/operators/elementwise.h"
#include "graphs/operators/families.h"
#include "graphs/operators/move.h"

namespace hearth::graphs {
namespace {

// The node's own seed, or the run's stream.
std::mt19937 generator(Call& call) {
  if (!call.has_attribute("seed")) return std::mt19937(call.machine.random());
  const double seed = std::max(call.real("seed", 0), static_cast<double>(call.integer("seed", 0)));
  return std::mt19937(static_cast<std::uint32_t>(static_cast<std::int64_t>(seed)));
}

// [0, 1) with 53 bits.
double uniform(std::mt19937& random) {
  const auto high = static_cast<double>(random() >> 5), low = static_cast<double>(random() >> 6);
  return (high * 67108864.0 + low) / 9007199254740992.0;
}

double normal(std::mt19937& random) {
  const double radius = std::sqrt(-2 * std::log(1 - uniform(random)));
  return radius * std::cos(2 * 3.14159265358979323846 * uniform(random));
}

Element type_or(Call& call, Element fallback) {
  const auto type = static_cast<Element>(call.integer("dtype", 0));
  return type == Element::none ? fallback : type;
}

template <bool is_normal>
Status fill_random(Call& call, Element type, Dims dims) {
  Tensor* y = TRY(call.make(0, type, std::move(dims)));
  if (!is_float(type)) return unsupported(fmt::format("random {}", name_of(type)));
  std::mt19937 random = generator(call);
  const double a = is_normal ? call.real("mean", 0) : call.real("low", 0);
  const double b = is_normal ? call.real("scale", 1) : call.real("high", 1);
  std::vector<double> numbers(static_cast<std::size_t>(y->count));
  for (double& number : numbers)
    number = is_normal ? a + b * normal(random) : a + (b - a) * uniform(random);
  put(*y, std::span<const double>(numbers));
  return Done{};
}

template <bool is_normal>
Status random_shaped(Call& call) {
  return fill_random<is_normal>(call, type_or(call, Element::f32), call.list("shape"));
}
template <bool is_normal>
Status random_like(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  return fill_random<is_normal>(call, type_or(call, x->type), x->dims);
}

Status bernoulli(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  Tensor* y = TRY(call.make(0, type_or(call, x->type), x->dims));
  std::mt19937 random = generator(call);
  const Numbers<double> chances(*x);
  std::vector<double> drawn(chances.size());
  for (std::size_t i = 0; i < drawn.size(); ++i) drawn[i] = uniform(random) < chances[i] ? 1 : 0;
  put(*y, std::span<const double>(drawn));
  return Done{};
}

// x: [batch, classes], unnormalised log-probabilities.
Status multinomial(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const std::int64_t n = call.integer("sample_size", 1);
  if (x->rank() != 2 || n < 0 || x->dims[1] < 1) return invalid("needs [batch, classes]");
  Tensor* y = TRY(call.make(0, type_or(call, Element::i32), {x->dims[0], n}));
  std::mt19937 random = generator(call);
  const Numbers<double> logs(*x);
  std::vector<std::int64_t> drawn;
  for (std::int64_t row = 0; row < x->dims[0]; ++row) {
    const double* log = logs.data() + row * x->dims[1];
    const double most = *std::max_element(log, log + x->dims[1]);
    double sum = 0;
    for (std::int64_t k = 0; k < x->dims[1]; ++k) sum += std::exp(log[k] - most);
    for (std::int64_t i = 0; i < n; ++i) {
      double left = uniform(random) * sum;
      std::int64_t k = 0;
      while (k + 1 < x->dims[1] && (left -= std::exp(log[k] - most)) > 0) ++k;
      drawn.push_back(k);
    }
  }
  put(*y, std::span<const std::int64_t>(drawn));
  return Done{};
}

Status dropout(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  double ratio = call.real("ratio", 0.5);
  if (call.has(1)) {
    const auto given = TRY(call.reals(1));
    if (given.size() == 1) ratio = given[0];
  }
  const bool training = TRY(call.integer_input(2, 0)) != 0;
  if (!training || ratio == 0) {
    call.give(0, *x);
    if (!call.wants(1)) return Done{};
    Tensor* mask = TRY(call.make(1, Element::boolean, x->dims));
    std::fill_n(mask->data<bool>(), mask->count, true);
    return Done{};
  }
  if (!(ratio > 0 && ratio < 1)) return invalid(fmt::format("ratio {}", ratio));
  Tensor kept = TRY(call.scratch(Element::boolean, x->dims));
  std::mt19937 random = generator(call);
  const Numbers<float> from(*x);
  std::vector<float> result(from.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    kept.data<bool>()[i] = uniform(random) >= ratio;
    result[i] = kept.data<bool>()[i] ? from[i] / static_cast<float>(1 - ratio) : 0;
  }
  put(*TRY(call.make(0, x->type, x->dims)), std::span<const float>(result));
  call.give(1, std::move(kept));
  return Done{};
}

struct Greater {
  template <typename T>
  static void of(T* y, const T* a, const T* b, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) y[i] = a[i] < b[i] ? b[i] : a[i];
  }
};
struct Lesser {
  template <typename T>
  static void of(T* y, const T* a, const T* b, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) y[i] = a[i] > b[i] ? b[i] : a[i];
  }
};
template <typename F>
constexpr BinaryLoops loops{F::template of<float>, F::template of<double>,
                            F::template of<std::int64_t>, F::template of<std::uint64_t>};

// Bounds are inputs, or attributes before version 11; each may be absent.
Result<Tensor> bound(Call& call, const Tensor& x, std::size_t input, std::string_view name) {
  if (const Tensor* given = call.tensor_or_null(input)) {
    if (given->count != 1 || given->type != x.type)
      return invalid(fmt::format("{}: needs one {}", name, name_of(x.type)));
    return reshaped(*given, {});
  }
  if (!call.has_attribute(name)) return Tensor();
  Tensor made = TRY(call.scratch(x.type, {}));
  const double number = call.real(name, 0);
  put(made, std::span<const double>(&number, 1));
  return made;
}

#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
void clamp_floats(
    float* y, const float* x, std::int64_t n, float low, float high) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float above = x[i] < low ? low : x[i];
    y[i] = above > high ? high : above;
  }
}

Status clip(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor low = TRY(bound(call, *x, 1, "min")), high = TRY(bound(call, *x, 2, "max"));
  if (x->type == Element::f32) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    const float least = low.type == Element::none ? -infinity : low.data<float>()[0];
    const float most = high.type == Element::none ? infinity : high.data<float>()[0];
    Tensor* clamped = TRY(call.make(0, Element::f32, x->dims));
    parallel(call.machine, x->count, 16384, [&](std::int64_t begin, std::int64_t end) {
      clamp_floats(clamped->data<float>() + begin, x->data<float>() + begin, end - begin, least,
                   most);
    });
    return Done{};
  }
  Tensor y = *x;
  for (const auto* each : {&low, &high}) {
    if (each->type == Element::none) continue;
    Tensor next = TRY(call.scratch(x->type, x->dims));
    TRY(binary_into(call, next, y, *each, work_of(x->type),
                    each == &low ? loops<Greater> : loops<Lesser>));
    y = std::move(next);
  }
  call.give(0, std::move(y));
  return Done{};
}

constexpr Operator rows[] = {
    {"RandomUniform", random_shaped<false>, nullptr, 0, 0, true},
    {"RandomNormal", random_shaped<true>, nullptr, 0, 0, true},
    {"RandomUniformLike", random_like<false>, infer_same, 1, 1, true},
    {"RandomNormalLike", random_like<true>, infer_same, 1, 1, true},
    {"Bernoulli", bernoulli, nullptr, 1, 1, true},
    {"Multinomial", multinomial, nullptr, 1, 1, true},
    {"Dropout", dropout, infer_same, 1, 3},
    {"Clip", clip, infer_same, 1, 3},
};

}  // namespace

std::span<const Operator> random_operators() { return rows; }

}  // namespace hearth::graphs
