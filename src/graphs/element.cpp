#include "graphs/element.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "base/half.h"

namespace hearth::graphs {
namespace {

struct Row {
  std::string_view name;
  std::uint8_t bytes, packed_bits;
  Work work;
};

constexpr Row rows[elements] = {
    {"none", 0, 0, Work::i64},           {"float32", 4, 0, Work::f32},
    {"float64", 8, 0, Work::f64},        {"float16", 2, 0, Work::f32},
    {"bfloat16", 2, 0, Work::f32},       {"int8", 1, 0, Work::i64},
    {"int16", 2, 0, Work::i64},          {"int32", 4, 0, Work::i64},
    {"int64", 8, 0, Work::i64},          {"uint8", 1, 0, Work::i64},
    {"uint16", 2, 0, Work::i64},         {"uint32", 4, 0, Work::i64},
    {"uint64", 8, 0, Work::u64},         {"bool", 1, 0, Work::i64},
    {"string", 8, 0, Work::i64},         {"complex64", 8, 0, Work::f32},
    {"complex128", 16, 0, Work::f64},    {"float8e4m3fn", 1, 0, Work::f32},
    {"float8e4m3fnuz", 1, 0, Work::f32}, {"float8e5m2", 1, 0, Work::f32},
    {"float8e5m2fnuz", 1, 0, Work::f32}, {"float8e8m0", 1, 0, Work::f32},
    {"float4e2m1", 1, 4, Work::f32},     {"int4", 1, 4, Work::i64},
    {"uint4", 1, 4, Work::i64},          {"int2", 1, 2, Work::i64},
    {"uint2", 1, 2, Work::i64},
};

const Row& row(Element type) { return rows[static_cast<std::size_t>(type)]; }

// Bits of exponent and mantissa, the exponent's bias, and what the topmost codes mean.
struct Small {
  int exponent_bits, mantissa_bits, bias;
  enum { ieee, one_nan, unsigned_zero_nan, none } special;
};
Small small(Element type) {
  switch (type) {
    case Element::f8e4m3fn:
      return {4, 3, 7, Small::one_nan};
    case Element::f8e4m3fnuz:
      return {4, 3, 8, Small::unsigned_zero_nan};
    case Element::f8e5m2:
      return {5, 2, 15, Small::ieee};
    case Element::f8e5m2fnuz:
      return {5, 2, 16, Small::unsigned_zero_nan};
    default:
      return {2, 1, 1, Small::none};  // f4e2m1
  }
}

template <typename To, typename From>
To to_number(From value) {
  if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    if (!(value == value)) return 0;
    constexpr From low = static_cast<From>(std::is_signed_v<To> ? -0x1p63 : 0.0);
    constexpr From high = static_cast<From>(std::is_signed_v<To> ? 0x1p63 : 0x1p64);
    // Negative numbers wrap in unsigned types, as a cut of two's complement does.
    if (!std::is_signed_v<To> && value < 0 && value > From(-0x1p63))
      return static_cast<To>(static_cast<std::int64_t>(value));
    if (value < low) return std::is_signed_v<To> ? static_cast<To>(INT64_MIN) : To(0);
    if (value >= high) return static_cast<To>(std::is_signed_v<To> ? INT64_MAX : UINT64_MAX);
    return static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

template <typename To, typename From>
void widen(To* to, const From* from, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) to[i] = to_number<To>(from[i]);
}

template <typename To>
void load_as(To* to, Element type, const void* from, std::size_t n) {
  const auto* bytes = static_cast<const std::uint8_t*>(from);
  const auto* words = static_cast<const std::uint16_t*>(from);
  switch (type) {
    case Element::f32:
      return widen(to, static_cast<const float*>(from), n);
    case Element::f64:
      return widen(to, static_cast<const double*>(from), n);
    case Element::f16:
      for (std::size_t i = 0; i < n; ++i) to[i] = to_number<To>(f16_to_f32(words[i]));
      return;
    case Element::bf16:
      for (std::size_t i = 0; i < n; ++i) to[i] = to_number<To>(bf16_to_f32(words[i]));
      return;
    case Element::i8:
    case Element::i4:
    case Element::i2:
      return widen(to, static_cast<const std::int8_t*>(from), n);
    case Element::i16:
      return widen(to, static_cast<const std::int16_t*>(from), n);
    case Element::i32:
      return widen(to, static_cast<const std::int32_t*>(from), n);
    case Element::i64:
      return widen(to, static_cast<const std::int64_t*>(from), n);
    case Element::u8:
    case Element::u4:
    case Element::u2:
    case Element::boolean:
      return widen(to, bytes, n);
    case Element::u16:
      return widen(to, words, n);
    case Element::u32:
      return widen(to, static_cast<const std::uint32_t*>(from), n);
    case Element::u64:
      return widen(to, static_cast<const std::uint64_t*>(from), n);
    case Element::none:
    case Element::text:
    case Element::c64:
    case Element::c128:
      for (std::size_t i = 0; i < n; ++i) to[i] = 0;
      return;
    default:
      for (std::size_t i = 0; i < n; ++i) to[i] = to_number<To>(from_small_float(type, bytes[i]));
  }
}

template <typename To, typename From>
void narrow(void* to, const From* from, std::size_t n) {
  auto* out = static_cast<To*>(to);
  for (std::size_t i = 0; i < n; ++i) {
    if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>)
      out[i] = static_cast<To>(to_number<std::int64_t>(from[i]));
    else
      out[i] = static_cast<To>(from[i]);
  }
}

// The low bits of an integer, with its sign when there is one.
template <typename From>
void narrow_bits(void* to, const From* from, std::size_t n, unsigned bits, bool is_signed) {
  auto* out = static_cast<std::uint8_t*>(to);
  for (std::size_t i = 0; i < n; ++i) {
    const auto raw = static_cast<std::uint8_t>(to_number<std::int64_t>(from[i]));
    const auto low = static_cast<std::uint8_t>(raw & ((1u << bits) - 1));
    const bool negative = is_signed && (low >> (bits - 1) & 1u) != 0;
    out[i] = static_cast<std::uint8_t>(negative ? low | (0xFFu << bits) : low);
  }
}

template <typename From>
void store_from(Element type, void* to, const From* from, std::size_t n, Overflow overflow) {
  auto* bytes = static_cast<std::uint8_t*>(to);
  auto* words = static_cast<std::uint16_t*>(to);
  switch (type) {
    case Element::f32:
      return narrow<float>(to, from, n);
    case Element::f64:
      return narrow<double>(to, from, n);
    case Element::f16:
      for (std::size_t i = 0; i < n; ++i) words[i] = f32_to_f16(static_cast<float>(from[i]));
      return;
    case Element::bf16:
      for (std::size_t i = 0; i < n; ++i) words[i] = f32_to_bf16(static_cast<float>(from[i]));
      return;
    case Element::i8:
      return narrow<std::int8_t>(to, from, n);
    case Element::i16:
      return narrow<std::int16_t>(to, from, n);
    case Element::i32:
      return narrow<std::int32_t>(to, from, n);
    case Element::i64:
      return narrow<std::int64_t>(to, from, n);
    case Element::u8:
      return narrow<std::uint8_t>(to, from, n);
    case Element::u16:
      return narrow<std::uint16_t>(to, from, n);
    case Element::u32:
      return narrow<std::uint32_t>(to, from, n);
    case Element::u64:
      for (std::size_t i = 0; i < n; ++i)
        static_cast<std::uint64_t*>(to)[i] = to_number<std::uint64_t>(from[i]);
      return;
    case Element::boolean:
      for (std::size_t i = 0; i < n; ++i) bytes[i] = from[i] != 0;
      return;
    case Element::i4:
      return narrow_bits(to, from, n, 4, true);
    case Element::u4:
      return narrow_bits(to, from, n, 4, false);
    case Element::i2:
      return narrow_bits(to, from, n, 2, true);
    case Element::u2:
      return narrow_bits(to, from, n, 2, false);
    case Element::none:
    case Element::text:
    case Element::c64:
    case Element::c128:
      std::memset(to, 0, n * size_of(type));
      return;
    default:
      for (std::size_t i = 0; i < n; ++i)
        bytes[i] = to_small_float(type, static_cast<float>(from[i]), overflow);
  }
}

}  // namespace

std::size_t size_of(Element type) { return row(type).bytes; }
unsigned packed_bits_of(Element type) { return row(type).packed_bits; }
std::string_view name_of(Element type) { return row(type).name; }
Work work_of(Element type) { return row(type).work; }

bool is_float(Element type) {
  return row(type).work <= Work::f64 && type != Element::c64 && type != Element::c128;
}
bool is_integer(Element type) {
  return row(type).work >= Work::i64 && type != Element::none && type != Element::text &&
         type != Element::boolean;
}

float from_small_float(Element type, std::uint8_t bits) {
  if (type == Element::f8e8m0) return f8_e8m0_to_f32(bits);
  const Small s = small(type);
  const int width = s.exponent_bits + s.mantissa_bits;
  const bool negative = (bits >> width & 1) != 0;
  const int magnitude = bits & ((1 << width) - 1), top = (1 << width) - 1;
  if (s.special == Small::unsigned_zero_nan && negative && magnitude == 0) return NAN;
  if (s.special == Small::one_nan && magnitude == top) return negative ? -NAN : NAN;
  const int exponent = magnitude >> s.mantissa_bits;
  const int fraction = magnitude & ((1 << s.mantissa_bits) - 1);
  float value;
  if (s.special == Small::ieee && exponent == (1 << s.exponent_bits) - 1)
    value = fraction != 0 ? NAN : INFINITY;
  else if (exponent == 0)
    value = std::ldexp(static_cast<float>(fraction), 1 - s.bias - s.mantissa_bits);
  else
    value = std::ldexp(static_cast<float>(fraction + (1 << s.mantissa_bits)),
                       exponent - s.bias - s.mantissa_bits);
  return negative ? -value : value;
}

namespace {

// The nearest power of two, ties upwards; 0xFF is NaN.
std::uint8_t to_e8m0(float value, Overflow overflow) {
  if (!(value == value)) return 0xFF;
  if (value <= 0) return 0;
  int exponent;
  const float fraction = std::frexp(value, &exponent);  // [0.5, 1)
  const int code = exponent - 1 + 127 + (fraction >= 0.75f ? 1 : 0);
  if (std::isinf(value) || code > 254) return overflow == Overflow::saturate ? 254 : 255;
  return static_cast<std::uint8_t>(code < 0 ? 0 : code);
}

}  // namespace

std::uint8_t to_small_float(Element type, float value, Overflow overflow) {
  if (type == Element::f8e8m0) return to_e8m0(value, overflow);
  const Small s = small(type);
  const int width = s.exponent_bits + s.mantissa_bits, top = (1 << width) - 1;
  const auto sign = static_cast<std::uint8_t>(std::signbit(value) ? 1 << width : 0);
  const int infinity = ((1 << s.exponent_bits) - 1) << s.mantissa_bits;  // ieee only
  int largest = top;
  if (s.special == Small::ieee) largest = infinity - 1;
  if (s.special == Small::one_nan) largest = top - 1;
  const auto nan = static_cast<std::uint8_t>(
      s.special == Small::unsigned_zero_nan ? 1 << width
      : s.special == Small::none            ? 1 << width  // it has none: minus zero
      : s.special == Small::one_nan         ? sign | top
                                            : sign | (infinity + (1 << (s.mantissa_bits - 1))));
  if (!(value == value)) return nan;
  int above = nan;  // the code of what is too large
  if (s.special == Small::ieee) above = sign | infinity;
  if (overflow == Overflow::saturate || s.special == Small::none) above = sign | largest;
  const float magnitude = std::fabs(value);
  if (std::isinf(magnitude)) return static_cast<std::uint8_t>(above);
  if (magnitude == 0) return s.special == Small::unsigned_zero_nan ? std::uint8_t{0} : sign;
  int exponent = 0;
  std::frexp(magnitude, &exponent);  // magnitude < 2^exponent
  int field = exponent - 1 + s.bias;
  if (field < 1) field = 1;  // subnormal: the smallest step
  const float steps = std::ldexp(magnitude, s.bias + s.mantissa_bits - field);
  int code = static_cast<int>(std::nearbyint(steps));
  if (steps >= static_cast<float>(4 << s.mantissa_bits)) return static_cast<std::uint8_t>(above);
  code += (field - 1) << s.mantissa_bits;  // the implicit bit carries into the exponent
  if (code > largest) return static_cast<std::uint8_t>(above);
  if (code == 0 && s.special == Small::unsigned_zero_nan) return 0;
  return static_cast<std::uint8_t>(sign | code);
}

void load(Work work, void* to, Element type, const void* from, std::size_t n) {
  switch (work) {
    case Work::f32:
      return load_as(static_cast<float*>(to), type, from, n);
    case Work::f64:
      return load_as(static_cast<double*>(to), type, from, n);
    case Work::i64:
      return load_as(static_cast<std::int64_t*>(to), type, from, n);
    case Work::u64:
      return load_as(static_cast<std::uint64_t*>(to), type, from, n);
  }
}

void store(Element type, void* to, Work work, const void* from, std::size_t n, Overflow overflow) {
  switch (work) {
    case Work::f32:
      return store_from(type, to, static_cast<const float*>(from), n, overflow);
    case Work::f64:
      return store_from(type, to, static_cast<const double*>(from), n, overflow);
    case Work::i64:
      return store_from(type, to, static_cast<const std::int64_t*>(from), n, overflow);
    case Work::u64:
      return store_from(type, to, static_cast<const std::uint64_t*>(from), n, overflow);
  }
}

}  // namespace hearth::graphs
