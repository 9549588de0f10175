#include "graphs/operators/finish.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/kernels.h"

namespace hearth::graphs {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// In the order of Finish::Curve.
constexpr std::array<std::string_view, 9> curve_names = {
    "none", "silu", "gelu", "gelu_tanh", "sigmoid", "tanh", "hard_swish", "hard_sigmoid", "leaky"};

#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
void hard_curve(
    float* x, std::int64_t n, float alpha, float beta, bool multiply) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float s = alpha * x[i] + beta, gate = s < 0 ? 0 : s > 1 ? 1 : s;
    x[i] = multiply ? x[i] * gate : gate;
  }
}

#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
void leaky_curve(float* x,
                                                                              std::int64_t n,
                                                                              float alpha) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = x[i] < 0 ? alpha * x[i] : x[i];
}

float plain_curve(Finish::Curve curve, float x) {
  switch (curve) {
    case Finish::Curve::silu:
      return x / (1 + std::exp(-x));
    case Finish::Curve::gelu:
      return 0.5f * x * (1 + std::erf(x * 0.70710678f));
    case Finish::Curve::gelu_tanh:
      return 0.5f * x * (1 + std::tanh(0.79788456f * (x + 0.044715f * x * x * x)));
    case Finish::Curve::sigmoid:
      return 1 / (1 + std::exp(-x));
    default:
      return std::tanh(x);
  }
}

double number(const Node& node, std::string_view name, double fallback) {
  const auto found = node.attributes.find(name);
  if (found == node.attributes.end()) return fallback;
  const double* value = std::get_if<double>(&found->second);
  return value == nullptr ? fallback : *value;
}

std::string_view word(const Node& node, std::string_view name) {
  const auto found = node.attributes.find(name);
  const std::string* value =
      found == node.attributes.end() ? nullptr : std::get_if<std::string>(&found->second);
  return value == nullptr ? std::string_view() : *value;
}

void bend_to(Node& fused, std::string_view curve, double alpha = 0, double beta = 0) {
  fused.attributes.insert_or_assign("curve", std::string(curve));
  fused.attributes.insert_or_assign("alpha", alpha);
  fused.attributes.insert_or_assign("beta", beta);
}

void bound_to(Node& fused, double low, double high) {
  fused.attributes.insert_or_assign("low", low);
  fused.attributes.insert_or_assign("high", high);
}

// A bound of a Clip: an attribute once, an input since version 11.
bool clip_bound(const Node& node, const std::function<const Tensor*(std::size_t)>& constant,
                std::size_t input, std::string_view name, double& bound) {
  if (input >= node.inputs.size() || node.inputs[input] == absent) {
    bound = number(node, name, bound);
    return true;
  }
  const Tensor* given = constant(input);
  if (given == nullptr || given->type != Element::f32 || given->count != 1) return false;
  bound = static_cast<double>(given->data<float>()[0]);
  return true;
}

}  // namespace

Finish finish_of(const Call& call) {
  Finish finish;
  finish.low = static_cast<float>(call.real("low", static_cast<double>(-infinity)));
  finish.high = static_cast<float>(call.real("high", static_cast<double>(infinity)));
  const auto found = std::ranges::find(curve_names, call.text("curve", "none"));
  if (found != curve_names.end())
    finish.curve = static_cast<Finish::Curve>(found - curve_names.begin());
  finish.alpha = static_cast<float>(call.real("alpha", 0));
  finish.beta = static_cast<float>(call.real("beta", 0));
  return finish;
}

void bound(const Finish& finish, float* x, std::int64_t n) {
  if (finish.low == -infinity && finish.high == infinity) return;
  for (std::int64_t i = 0; i < n; ++i) {
    const float raised = finish.low > x[i] ? finish.low : x[i];
    x[i] = finish.high < raised ? finish.high : raised;
  }
}

void bend(const Machine& machine, const Finish& finish, float* x, std::int64_t n) {
  const kernels::Kernels* table = machine.ctx == nullptr ? nullptr : machine.ctx->kernels;
  switch (finish.curve) {
    case Finish::Curve::none:
      return;
    case Finish::Curve::hard_swish:
    case Finish::Curve::hard_sigmoid:
      return hard_curve(x, n, finish.alpha, finish.beta, finish.curve == Finish::Curve::hard_swish);
    case Finish::Curve::leaky:
      return leaky_curve(x, n, finish.alpha);
    default:
      break;
  }
  if (table == nullptr) {
    for (std::int64_t i = 0; i < n; ++i) x[i] = plain_curve(finish.curve, x[i]);
    return;
  }
  const kernels::Curve curve = finish.curve == Finish::Curve::silu   ? kernels::Curve::silu
                               : finish.curve == Finish::Curve::gelu ? kernels::Curve::gelu
                               : finish.curve == Finish::Curve::gelu_tanh
                                   ? kernels::Curve::gelu_tanh
                               : finish.curve == Finish::Curve::sigmoid ? kernels::Curve::sigmoid
                                                                        : kernels::Curve::tanh;
  table->activate[static_cast<std::size_t>(curve)](x, static_cast<std::size_t>(n));
}

bool take_finish(const Node& node, const std::function<const Tensor*(std::size_t)>& constant,
                 Node& fused) {
  const std::string_view name = node.op->name;
  if (name == "Relu") {
    bound_to(fused, 0, static_cast<double>(infinity));
  } else if (name == "hearth.Relu6") {
    bound_to(fused, 0, 6);
  } else if (name == "Clip") {
    double low = static_cast<double>(-infinity), high = static_cast<double>(infinity);
    if (!clip_bound(node, constant, 1, "min", low) || !clip_bound(node, constant, 2, "max", high))
      return false;
    bound_to(fused, low, high);
  } else if (name == "Sigmoid" || name == "Tanh") {
    bend_to(fused, name == "Sigmoid" ? "sigmoid" : "tanh");
  } else if (name == "Gelu") {
    bend_to(fused, word(node, "approximate") == "tanh" ? "gelu_tanh" : "gelu");
  } else if (name == "Swish" && number(node, "alpha", 1) == 1) {
    bend_to(fused, "silu");
  } else if (name == "HardSwish") {
    bend_to(fused, "hard_swish", 1.0 / 6, 0.5);
  } else if (name == "HardSigmoid") {
    bend_to(fused, "hard_sigmoid", number(node, "alpha", 0.2), number(node, "beta", 0.5));
  } else if (name == "LeakyRelu") {
    bend_to(fused, "leaky", number(node, "alpha", 0.01));
  } else {
    return false;
  }
  return true;
}

}  // namespace hearth::graphs
