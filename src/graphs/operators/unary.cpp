// Operators of one operand, element by element.
// Source: ONNX operator specification, each operator's page.
#include <array>
#include <cmath>
#include <limits>

#include "graphs/infer.h"
#include "graphs/operators/elementwise.h"
#include "graphs/operators/families.h"
#include "kernels/kernels.h"

namespace hearth::graphs {
namespace {

template <typename F, typename T>
void loop(T* y, const T* x, std::size_t n, const double* p) {
  for (std::size_t i = 0; i < n; ++i) y[i] = F::template of<T>(x[i], p);
}
template <typename F>
constexpr UnaryLoops real{loop<F, float>, loop<F, double>, nullptr};
template <typename F>
constexpr UnaryLoops any{loop<F, float>, loop<F, double>, loop<F, std::int64_t>};

// One formula of x; p: the operator's parameters.
#define HEARTH_FORMULA(Name, formula)                    \
  struct Name {                                          \
    template <typename T>                                \
    static T of(T x, [[maybe_unused]] const double* p) { \
      return static_cast<T>(formula);                    \
    }                                                    \
  };

template <typename T>
T par(const double* p, int i) {
  return static_cast<T>(p[i]);
}

HEARTH_FORMULA(Neg, -x)
HEARTH_FORMULA(Abs, x < 0 ? -x : x)
HEARTH_FORMULA(Sign, (x > 0) - (x < 0))
HEARTH_FORMULA(Relu, x < 0 ? T(0) : x)
HEARTH_FORMULA(Not, x == 0)
HEARTH_FORMULA(Square, x* x)
HEARTH_FORMULA(Ceil, std::ceil(x))
HEARTH_FORMULA(Floor, std::floor(x))
HEARTH_FORMULA(Round, std::nearbyint(x))
HEARTH_FORMULA(Truncate, std::trunc(x))
HEARTH_FORMULA(Sqrt, std::sqrt(x))
HEARTH_FORMULA(Rsqrt, T(1) / std::sqrt(x))
HEARTH_FORMULA(Reciprocal, T(1) / x)
HEARTH_FORMULA(Exp, std::exp(x))
HEARTH_FORMULA(Expm1, std::expm1(x))
HEARTH_FORMULA(Log, std::log(x))
HEARTH_FORMULA(Log1p, std::log1p(x))
HEARTH_FORMULA(Erf, std::erf(x))
HEARTH_FORMULA(Sin, std::sin(x))
HEARTH_FORMULA(Cos, std::cos(x))
HEARTH_FORMULA(Tan, std::tan(x))
HEARTH_FORMULA(Asin, std::asin(x))
HEARTH_FORMULA(Acos, std::acos(x))
HEARTH_FORMULA(Atan, std::atan(x))
HEARTH_FORMULA(Sinh, std::sinh(x))
HEARTH_FORMULA(Cosh, std::cosh(x))
HEARTH_FORMULA(Tanh, std::tanh(x))
HEARTH_FORMULA(Asinh, std::asinh(x))
HEARTH_FORMULA(Acosh, std::acosh(x))
HEARTH_FORMULA(Atanh, std::atanh(x))
HEARTH_FORMULA(Sigmoid, T(1) / (T(1) + std::exp(-x)))
HEARTH_FORMULA(Softplus, x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)))
HEARTH_FORMULA(Softsign, x / (T(1) + std::fabs(x)))
HEARTH_FORMULA(Mish, x* std::tanh(Softplus::of(x, nullptr)))
HEARTH_FORMULA(HardSwish, x* std::fmax(T(0), std::fmin(T(1), x / T(6) + T(0.5))))
HEARTH_FORMULA(Relu6, x < 0 ? T(0) : x > 6 ? T(6) : x)
HEARTH_FORMULA(HardSigmoid, std::fmax(T(0), std::fmin(T(1), par<T>(p, 0) * x + par<T>(p, 1))))
HEARTH_FORMULA(Elu, x < 0 ? par<T>(p, 0) * std::expm1(x) : x)
HEARTH_FORMULA(Celu, x < 0 ? par<T>(p, 0) * std::expm1(x / par<T>(p, 0)) : x)
HEARTH_FORMULA(Selu, par<T>(p, 1) * (x > 0 ? x : par<T>(p, 0) * std::expm1(x)))
HEARTH_FORMULA(LeakyRelu, x < 0 ? par<T>(p, 0) * x : x)
HEARTH_FORMULA(ThresholdedRelu, x > par<T>(p, 0) ? x : T(0))
HEARTH_FORMULA(Swish, x / (T(1) + std::exp(-par<T>(p, 0) * x)))
HEARTH_FORMULA(Shrink,
               x<-par<T>(p, 0) ? x + par<T>(p, 1) : x> par<T>(p, 0) ? x - par<T>(p, 1) : T(0))
HEARTH_FORMULA(Gelu, T(0.5) * x * (T(1) + std::erf(x * T(0.70710678118654752440))))
HEARTH_FORMULA(GeluTanh,
               T(0.5) * x *
                   (T(1) + std::tanh(T(0.79788456080286535588) * (x + T(0.044715) * x * x * x))))
HEARTH_FORMULA(IsNan, x != x)
HEARTH_FORMULA(IsInf, (p[0] != 0 && x == -std::numeric_limits<T>::infinity()) ||
                          (p[1] != 0 && x == std::numeric_limits<T>::infinity()))
HEARTH_FORMULA(Affine, par<T>(p, 0) * x + par<T>(p, 1))
HEARTH_FORMULA(Binarize, x > par<T>(p, 0) ? 1 : 0)
#undef HEARTH_FORMULA

template <typename F>
Status real_only(Call& call) {
  return unary(call, real<F>);
}
template <typename F>
Status of_any(Call& call) {
  return unary(call, any<F>);
}
template <typename F>
Status to_boolean(Call& call) {
  return unary(call, any<F>, nullptr, Element::boolean);
}

// f32 goes to the kernel table's vectorised curve.
Status curve(Call& call, kernels::Curve which, const UnaryLoops& loops,
             const double* parameters = nullptr) {
  const Tensor* x = TRY(call.tensor(0));
  if (x->type != Element::f32 || call.machine.ctx == nullptr ||
      call.machine.ctx->kernels == nullptr)
    return unary(call, loops, parameters);
  Tensor* y = TRY(call.make(0, Element::f32, x->dims));
  const auto activate = call.machine.ctx->kernels->activate[static_cast<std::size_t>(which)];
  parallel(call.machine, y->count, 8192, [&](std::int64_t begin, std::int64_t end) {
    const auto n = static_cast<std::size_t>(end - begin);
    std::memcpy(y->data<float>() + begin, x->data<float>() + begin, n * sizeof(float));
    activate(y->data<float>() + begin, n);
  });
  return Done{};
}

Status sigmoid(Call& call) { return curve(call, kernels::Curve::sigmoid, real<Sigmoid>); }
Status tanh(Call& call) { return curve(call, kernels::Curve::tanh, real<Tanh>); }
Status gelu(Call& call) {
  return call.text("approximate", "none") == "tanh"
             ? curve(call, kernels::Curve::gelu_tanh, real<GeluTanh>)
             : curve(call, kernels::Curve::gelu, real<Gelu>);
}
Status swish(Call& call) {
  const double alpha = call.real("alpha", 1.0);
  if (alpha == 1) return curve(call, kernels::Curve::silu, real<Swish>, &alpha);
  return unary(call, real<Swish>, &alpha);
}
Status quick_gelu(Call& call) {
  const double alpha = call.real("alpha", 1.702);
  return unary(call, real<Swish>, &alpha);
}

// Source: ONNX, SwiGLU: a * sigmoid(alpha * a) * b.
Status swiglu(Call& call) {
  const Tensor* a = TRY(call.tensor(0));
  const Tensor* b = TRY(call.tensor(1));
  if (a->dims != b->dims || a->type != b->type || !is_float(a->type))
    return invalid(fmt::format("a gate {} and values {}", to_text(a->dims), to_text(b->dims)));
  const double alpha = call.real("alpha", 1.0);
  const Numbers<float> gate(*a), values(*b);
  std::vector<float> result(gate.size());
  for (std::size_t i = 0; i < result.size(); ++i)
    result[i] = Swish::of(gate[i], &alpha) * values[i];
  put(*TRY(call.make(0, a->type, a->dims)), std::span<const float>(result));
  return Done{};
}

template <typename F>
Status with_alpha(Call& call, double fallback) {
  const double alpha = call.real("alpha", fallback);
  return unary(call, any<F>, &alpha);
}
Status elu(Call& call) {
  const double alpha = call.real("alpha", 1.0);
  return unary(call, real<Elu>, &alpha);
}
Status celu(Call& call) {
  const double alpha = call.real("alpha", 1.0);
  if (alpha == 0) return invalid("alpha: needs a number other than 0");
  return unary(call, real<Celu>, &alpha);
}
Status leaky_relu(Call& call) { return with_alpha<LeakyRelu>(call, 0.01); }
Status thresholded_relu(Call& call) { return with_alpha<ThresholdedRelu>(call, 1.0); }
Status selu(Call& call) {
  const double p[] = {call.real("alpha", 1.67326319217681884765625),
                      call.real("gamma", 1.05070102214813232421875)};
  return unary(call, real<Selu>, p);
}
Status hard_sigmoid(Call& call) {
  const double p[] = {call.real("alpha", 0.2), call.real("beta", 0.5)};
  return unary(call, real<HardSigmoid>, p);
}
Status shrink(Call& call) {
  const double p[] = {call.real("lambd", 0.5), call.real("bias", 0.0)};
  return unary(call, any<Shrink>, p);
}
Status affine(Call& call) {
  const double p[] = {call.real("alpha", 1.0), call.real("beta", 0.0)};
  return unary(call, real<Affine>, p);
}
Status is_inf(Call& call) {
  const double p[] = {static_cast<double>(call.integer("detect_negative", 1)),
                      static_cast<double>(call.integer("detect_positive", 1))};
  return unary(call, real<IsInf>, p, Element::boolean);
}
Status is_nan(Call& call) { return unary(call, real<IsNan>, nullptr, Element::boolean); }
Status binarizer(Call& call) {
  const double threshold = call.real("threshold", 0.0);
  return unary(call, any<Binarize>, &threshold);
}

void invert(std::int64_t* y, const std::int64_t* x, std::size_t n, const double*) {
  for (std::size_t i = 0; i < n; ++i) y[i] = ~x[i];
}
Status bitwise_not(Call& call) { return unary(call, {nullptr, nullptr, invert}); }

constexpr Operator rows[] = {
    {"Neg", of_any<Neg>, infer_same, 1, 1, false, Blocks::alike},
    {"Abs", of_any<Abs>, infer_same, 1, 1, false, Blocks::alike},
    {"Sign", of_any<Sign>, infer_same, 1, 1},
    {"Relu", of_any<Relu>, infer_same, 1, 1, false, Blocks::alike},
    {"Not", to_boolean<Not>, infer_boolean, 1, 1},
    {"hearth.Square", of_any<Square>, infer_same, 1, 1},
    {"Ceil", real_only<Ceil>, infer_same, 1, 1},
    {"Floor", real_only<Floor>, infer_same, 1, 1},
    {"Round", real_only<Round>, infer_same, 1, 1},
    {"hearth.Truncate", real_only<Truncate>, infer_same, 1, 1},
    {"Sqrt", real_only<Sqrt>, infer_same, 1, 1, false, Blocks::alike},
    {"hearth.Rsqrt", real_only<Rsqrt>, infer_same, 1, 1},
    {"Reciprocal", real_only<Reciprocal>, infer_same, 1, 1},
    {"Exp", real_only<Exp>, infer_same, 1, 1, false, Blocks::alike},
    {"hearth.Expm1", real_only<Expm1>, infer_same, 1, 1},
    {"Log", real_only<Log>, infer_same, 1, 1},
    {"hearth.Log1p", real_only<Log1p>, infer_same, 1, 1},
    {"Erf", real_only<Erf>, infer_same, 1, 1},
    {"Sin", real_only<Sin>, infer_same, 1, 1},
    {"Cos", real_only<Cos>, infer_same, 1, 1},
    {"Tan", real_only<Tan>, infer_same, 1, 1},
    {"Asin", real_only<Asin>, infer_same, 1, 1},
    {"Acos", real_only<Acos>, infer_same, 1, 1},
    {"Atan", real_only<Atan>, infer_same, 1, 1},
    {"Sinh", real_only<Sinh>, infer_same, 1, 1},
    {"Cosh", real_only<Cosh>, infer_same, 1, 1},
    {"Tanh", tanh, infer_same, 1, 1, false, Blocks::alike},
    {"Asinh", real_only<Asinh>, infer_same, 1, 1},
    {"Acosh", real_only<Acosh>, infer_same, 1, 1},
    {"Atanh", real_only<Atanh>, infer_same, 1, 1},
    {"Sigmoid", sigmoid, infer_same, 1, 1, false, Blocks::alike},
    {"Softplus", real_only<Softplus>, infer_same, 1, 1, false, Blocks::alike},
    {"Softsign", real_only<Softsign>, infer_same, 1, 1},
    {"Mish", real_only<Mish>, infer_same, 1, 1, false, Blocks::alike},
    {"HardSwish", real_only<HardSwish>, infer_same, 1, 1, false, Blocks::alike},
    {"hearth.Relu6", of_any<Relu6>, infer_same, 1, 1, false, Blocks::alike},
    {"HardSigmoid", hard_sigmoid, infer_same, 1, 1, false, Blocks::alike},
    {"Elu", elu, infer_same, 1, 1, false, Blocks::alike},
    {"Celu", celu, infer_same, 1, 1},
    {"Selu", selu, infer_same, 1, 1},
    {"LeakyRelu", leaky_relu, infer_same, 1, 1, false, Blocks::alike},
    {"ThresholdedRelu", thresholded_relu, infer_same, 1, 1},
    {"Swish", swish, infer_same, 1, 1, false, Blocks::alike},
    {"SwiGLU", swiglu, infer_same, 2, 2},
    {"Gelu", gelu, infer_same, 1, 1, false, Blocks::alike},
    {"com.microsoft.Gelu", gelu, infer_same, 1, 1},
    {"com.microsoft.QuickGelu", quick_gelu, infer_same, 1, 1},
    {"Shrink", shrink, infer_same, 1, 1},
    {"Affine", affine, infer_same, 1, 1},
    {"IsNaN", is_nan, infer_boolean, 1, 1},
    {"IsInf", is_inf, infer_boolean, 1, 1},
    {"BitwiseNot", bitwise_not, infer_same, 1, 1},
    {"ai.onnx.ml.Binarizer", binarizer, infer_same, 1, 1},
};

}  // namespace

std::span<const Operator> unary_operators() { return rows; }

}  // namespace hearth::graphs
