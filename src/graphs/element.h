// Element types of graph values, and the conversions between them.
// Source: ONNX IR specification, "Tensor element types"; OCP Microscaling Formats 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hearth::graphs {

// In memory every element has whole bytes: types of 4 and 2 bits are unpacked, one to a byte
// (signed ones with their sign); text is a `const std::string*` into a StringPool.
enum class Element : std::uint8_t {
  none,
  f32,
  f64,
  f16,
  bf16,
  i8,
  i16,
  i32,
  i64,
  u8,
  u16,
  u32,
  u64,
  boolean,
  text,
  c64,
  c128,
  f8e4m3fn,
  f8e4m3fnuz,
  f8e5m2,
  f8e5m2fnuz,
  f8e8m0,
  f4e2m1,
  i4,
  u4,
  i2,
  u2,
};
constexpr std::size_t elements = 27;

std::size_t size_of(Element type);      // bytes of one element in memory
unsigned packed_bits_of(Element type);  // 4 or 2 for what files store packed; otherwise 0
std::string_view name_of(Element type);
bool is_float(Element type);  // real floating-point numbers of any width
bool is_integer(Element type);

// The number types in which arithmetic is done.  Integers of up to 64 bits are computed modulo 2^64
// and cut to their width when stored, which is what wrapping arithmetic in the width itself gives.
enum class Work : std::uint8_t { f32, f64, i64, u64 };
Work work_of(Element type);
constexpr std::size_t work_bytes(Work work) { return work == Work::f32 ? 4 : 8; }

// How a number too large for an 8-bit float is stored: as the largest one, or as infinity or NaN.
enum class Overflow : std::uint8_t { saturate, infinite };

// `n` elements as numbers of a working type.  Floats to integers are cut towards zero; NaN is 0.
// text and complex types are read as zeros.
void load(Work work, void* to, Element type, const void* from, std::size_t n);
// And back; an integer type gets the low bits.
void store(Element type, void* to, Work work, const void* from, std::size_t n,
           Overflow overflow = Overflow::saturate);

// A float of 8 bits or fewer, nearest with ties to even.
std::uint8_t to_small_float(Element type, float value, Overflow overflow);
float from_small_float(Element type, std::uint8_t bits);

}  // namespace hearth::graphs
