// Operators of two or more operands, element by element.
// Source: ONNX operator specification, each operator's page.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "graphs/infer.h"
#include "graphs/operators/elementwise.h"
#include "graphs/operators/families.h"
#include "graphs/walk.h"

namespace hearth::graphs {
namespace {

template <typename F, typename T>
void loop(T* y, const T* a, const T* b, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = F::of(a[i], b[i]);
}
template <typename F>
constexpr BinaryLoops all{loop<F, float>, loop<F, double>, loop<F, std::int64_t>,
                          loop<F, std::uint64_t>};
template <typename F>
constexpr BinaryLoops whole{nullptr, nullptr, loop<F, std::int64_t>, loop<F, std::uint64_t>};

// Signed sums and products wrap: they are taken in the unsigned type.
template <typename T>
constexpr bool is_signed_whole = std::is_same_v<T, std::int64_t>;
constexpr std::uint64_t bits(std::int64_t v) { return static_cast<std::uint64_t>(v); }

struct Add {
  template <typename T>
  static T of(T a, T b) {
    if constexpr (is_signed_whole<T>)
      return static_cast<T>(bits(a) + bits(b));
    else
      return a + b;
  }
};
struct Sub {
  template <typename T>
  static T of(T a, T b) {
    if constexpr (is_signed_whole<T>)
      return static_cast<T>(bits(a) - bits(b));
    else
      return a - b;
  }
};
struct Mul {
  template <typename T>
  static T of(T a, T b) {
    if constexpr (is_signed_whole<T>)
      return static_cast<T>(bits(a) * bits(b));
    else
      return a * b;
  }
};
struct Div {  // whole numbers: towards zero; by zero: 0
  template <typename T>
  static T of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
      return a / b;
    else if (b == 0)
      return 0;
    else if constexpr (is_signed_whole<T>)
      return b == -1 ? static_cast<T>(0 - bits(a)) : a / b;
    else
      return a / b;
  }
};
struct FloorMod {  // the sign of the divisor
  template <typename T>
  static T of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      const T rest = std::fmod(a, b);
      return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    } else if (b == 0) {
      return 0;
    } else if constexpr (is_signed_whole<T>) {
      if (b == -1) return 0;
      const T rest = a % b;
      return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    } else {
      return a % b;
    }
  }
};
struct CutMod {  // the sign of the dividend
  template <typename T>
  static T of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
      return std::fmod(a, b);
    else if (b == 0)
      return 0;
    else if constexpr (is_signed_whole<T>)
      return b == -1 ? 0 : a % b;
    else
      return a % b;
  }
};
struct FloorDiv {
  template <typename T>
  static T of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      return std::floor(a / b);
    } else {
      const T quotient = Div::of(a, b);
      if constexpr (is_signed_whole<T>)
        if (b != 0 && b != -1 && a % b != 0 && (a < 0) != (b < 0)) return quotient - 1;
      return quotient;
    }
  }
};
struct Pow {
  template <typename T>
  static T of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      return std::pow(a, b);
    } else {
      if constexpr (is_signed_whole<T>)
        if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 == 0 ? 1 : -1) : 0;
      T result = 1;
      for (; b != 0; b = static_cast<T>(b / 2)) {
        if (b % 2 != 0) result = Mul::of(result, a);
        a = Mul::of(a, a);
      }
      return result;
    }
  }
};
struct Least {  // NaN wins
  template <typename T>
  static T of(T a, T b) {
    return a != a || a < b ? a : b;
  }
};
struct Greatest {
  template <typename T>
  static T of(T a, T b) {
    return a != a || a > b ? a : b;
  }
};
struct SquaredDifference {
  template <typename T>
  static T of(T a, T b) {
    const T d = Sub::of(a, b);
    return Mul::of(d, d);
  }
};
struct Equals {
  template <typename T>
  static T of(T a, T b) {
    return a == b;
  }
};
struct Differs {
  template <typename T>
  static T of(T a, T b) {
    return a != b;
  }
};
struct Less {
  template <typename T>
  static T of(T a, T b) {
    return a < b;
  }
};
struct LessOrEqual {
  template <typename T>
  static T of(T a, T b) {
    return a <= b;
  }
};
struct Greater {
  template <typename T>
  static T of(T a, T b) {
    return a > b;
  }
};
struct GreaterOrEqual {
  template <typename T>
  static T of(T a, T b) {
    return a >= b;
  }
};
struct And {
  template <typename T>
  static T of(T a, T b) {
    return (a != 0) & (b != 0);
  }
};
struct Or {
  template <typename T>
  static T of(T a, T b) {
    return (a != 0) | (b != 0);
  }
};
struct Xor {
  template <typename T>
  static T of(T a, T b) {
    return (a != 0) != (b != 0);
  }
};
struct BitAnd {
  template <typename T>
  static T of(T a, T b) {
    return a & b;
  }
};
struct BitOr {
  template <typename T>
  static T of(T a, T b) {
    return a | b;
  }
};
struct BitXor {
  template <typename T>
  static T of(T a, T b) {
    return a ^ b;
  }
};
struct ShiftLeft {
  template <typename T>
  static T of(T a, T b) {
    const auto by = static_cast<std::uint64_t>(b);
    return by > 63 ? 0 : static_cast<T>(static_cast<std::uint64_t>(a) << by);
  }
};
struct ShiftRight {
  template <typename T>
  static T of(T a, T b) {
    const auto by = static_cast<std::uint64_t>(b);
    if (by > 63) return a < T(0) ? static_cast<T>(-1) : T(0);  // the sign fills the result
    return static_cast<T>(a >> by);
  }
};

template <typename F>
Status arithmetic(Call& call) {
  return binary(call, all<F>);
}
template <typename F>
Status bitwise(Call& call) {
  return binary(call, whole<F>);
}
template <typename F>
Status compare(Call& call) {
  return binary(call, all<F>, Element::boolean);
}

Status equal_texts(Call& call, const Tensor& a, const Tensor& b, bool wanted) {
  Tensor* y = TRY(call.make(0, Element::boolean, TRY(broadcast(a.dims, b.dims))));
  const std::array<const Dims*, 2> shapes{&a.dims, &b.dims};
  const Walk walk = Walk::broadcasting(y->dims, shapes);
  walk.each(0, y->count, [&](std::int64_t place, const auto& at, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i)
      y->data<bool>()[place + i] =
          (a.text(at[0] + i * walk.step(0)) == b.text(at[1] + i * walk.step(1))) == wanted;
  });
  return Done{};
}

template <typename F, bool wanted>
Status equal(Call& call) {
  const Tensor* a = TRY(call.tensor(0));
  const Tensor* b = TRY(call.tensor(1));
  if (a->type == Element::text && b->type == Element::text)
    return equal_texts(call, *a, *b, wanted);
  return binary(call, all<F>, Element::boolean);
}

Status mod(Call& call) {
  return binary(call, call.integer("fmod", 0) != 0 ? all<CutMod> : all<FloorMod>);
}

Status shift(Call& call) {
  return binary(call,
                call.text("direction", "LEFT") == "RIGHT" ? whole<ShiftRight> : whole<ShiftLeft>);
}

// The exponent may be of another type; the result is of the base's.
Status pow(Call& call) {
  const Tensor* a = TRY(call.tensor(0));
  const Tensor* b = TRY(call.tensor(1));
  Dims dims = TRY(broadcast(a->dims, b->dims));
  Tensor* y = TRY(call.make(0, a->type, std::move(dims)));
  const bool mixed = !is_float(a->type) && is_float(b->type);
  return binary_into(call, *y, *a, *b, mixed ? Work::f64 : work_of(a->type), all<Pow>);
}

Status fold(Call& call, const BinaryLoops& loops, double divisor) {
  const Tensor* first = TRY(call.tensor(0));
  Dims dims = first->dims;
  for (std::size_t i = 1; i < call.inputs.size(); ++i) {
    const Tensor* next = TRY(call.tensor(i));
    TRY(common_type(*first, *next));
    dims = TRY(broadcast(dims, next->dims));
  }
  if (call.inputs.size() == 1 && divisor == 1) {
    call.give(0, *first);
    return Done{};
  }
  Tensor so_far = *first;
  const Work work = work_of(first->type);
  for (std::size_t i = 1; i < call.inputs.size(); ++i) {
    const Tensor* next = TRY(call.tensor(i));
    Tensor sum = TRY(call.scratch(first->type, TRY(broadcast(so_far.dims, next->dims))));
    TRY(binary_into(call, sum, so_far, *next, work, loops));
    so_far = std::move(sum);
  }
  if (divisor != 1) {
    Tensor by = TRY(call.scratch(first->type, {}));
    put(by, std::span<const double>(&divisor, 1));
    Tensor mean = TRY(call.scratch(first->type, so_far.dims));
    TRY(binary_into(call, mean, so_far, by, work, all<Div>));
    so_far = std::move(mean);
  }
  call.give(0, std::move(so_far));
  return Done{};
}

Status min(Call& call) { return fold(call, all<Least>, 1); }
Status max(Call& call) { return fold(call, all<Greatest>, 1); }
Status sum(Call& call) { return fold(call, all<Add>, 1); }
Status mean(Call& call) { return fold(call, all<Add>, static_cast<double>(call.inputs.size())); }

// Source: ONNX, PRelu; the slope broadcasts to x.
struct Slope {
  template <typename T>
  static T of(T a, T b) {
    return a < 0 ? Mul::of(a, b) : a;
  }
};
// Before version 7 a slope of one axis was one for each channel.
Status prelu(Call& call) {
  const Tensor *x = TRY(call.tensor(0)), *slope = TRY(call.tensor(1));
  const bool by_channel = call.node.version != 0 && call.node.version < 7 && slope->rank() == 1 &&
                          x->rank() > 2 && slope->dims[0] == x->dims[1];
  if (!by_channel) return arithmetic<Slope>(call);
  Dims dims(x->rank() - 1, 1);
  dims[0] = slope->dims[0];
  const Tensor wide = reshaped(*slope, std::move(dims));
  Tensor* y = TRY(call.make(0, x->type, x->dims));
  return binary_into(call, *y, *x, wide, work_of(x->type), all<Slope>);
}

Status where(Call& call) {
  const Tensor* chosen = TRY(call.typed(0, Element::boolean));
  const Tensor* a = TRY(call.tensor(1));
  const Tensor* b = TRY(call.tensor(2));
  if (a->type != b->type)
    return invalid(fmt::format("choices of {} and {}", name_of(a->type), name_of(b->type)));
  Dims dims = TRY(broadcast(chosen->dims, TRY(broadcast(a->dims, b->dims))));
  Tensor* y = TRY(call.make(0, a->type, std::move(dims)));
  const std::array<const Dims*, 3> shapes{&chosen->dims, &a->dims, &b->dims};
  const Walk walk = Walk::broadcasting(y->dims, shapes);
  const auto size = static_cast<std::int64_t>(size_of(a->type));
  parallel(call.machine, y->count, 16384, [&](std::int64_t begin, std::int64_t end) {
    walk.each(begin, end, [&](std::int64_t place, const auto& at, std::int64_t n) {
      for (std::int64_t i = 0; i < n; ++i) {
        const bool first = chosen->data<bool>()[at[0] + i * walk.step(0)];
        const std::byte* from = first ? a->bytes + (at[1] + i * walk.step(1)) * size
                                      : b->bytes + (at[2] + i * walk.step(2)) * size;
        std::memcpy(y->bytes + (place + i) * size, from, static_cast<std::size_t>(size));
      }
    });
  });
  return Done{};
}

constexpr Operator rows[] = {
    {"Add", arithmetic<Add>, infer_broadcast, 2, 2, false, Blocks::alike},
    {"Sub", arithmetic<Sub>, infer_broadcast, 2, 2, false, Blocks::alike},
    {"Mul", arithmetic<Mul>, infer_broadcast, 2, 2, false, Blocks::alike},
    {"Div", arithmetic<Div>, infer_broadcast, 2, 2, false, Blocks::alike},
    {"hearth.FloorDiv", arithmetic<FloorDiv>, infer_broadcast, 2, 2},
    {"hearth.FloorMod", arithmetic<FloorMod>, infer_broadcast, 2, 2},
    {"hearth.SquaredDifference", arithmetic<SquaredDifference>, infer_broadcast, 2, 2},
    {"Mod", mod, infer_broadcast, 2, 2},
    {"Pow", pow, infer_broadcast, 2, 2},
    {"PRelu", prelu, infer_same, 2, 2, false, Blocks::alike},
    {"BitShift", shift, infer_broadcast, 2, 2},
    {"BitwiseAnd", bitwise<BitAnd>, infer_broadcast, 2, 2},
    {"BitwiseOr", bitwise<BitOr>, infer_broadcast, 2, 2},
    {"BitwiseXor", bitwise<BitXor>, infer_broadcast, 2, 2},
    {"And", compare<And>, infer_compare, 2, 2},
    {"Or", compare<Or>, infer_compare, 2, 2},
    {"Xor", compare<Xor>, infer_compare, 2, 2},
    {"Equal", equal<Equals, true>, infer_compare, 2, 2},
    {"hearth.NotEqual", equal<Differs, false>, infer_compare, 2, 2},
    {"Less", compare<Less>, infer_compare, 2, 2},
    {"LessOrEqual", compare<LessOrEqual>, infer_compare, 2, 2},
    {"Greater", compare<Greater>, infer_compare, 2, 2},
    {"GreaterOrEqual", compare<GreaterOrEqual>, infer_compare, 2, 2},
    {"Min", min, infer_broadcast, 1, 1 << 20, false, Blocks::alike},
    {"Max", max, infer_broadcast, 1, 1 << 20, false, Blocks::alike},
    {"Sum", sum, infer_broadcast, 1, 1 << 20, false, Blocks::alike},
    {"Mean", mean, infer_broadcast, 1},
    {"Where", where, infer_where, 3, 3},
};

}  // namespace

std::span<const Operator> arithmetic_operators() { return rows; }

}  // namespace hearth::graphs
