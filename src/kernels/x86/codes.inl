// Registers of bits, of 8 or 16 lanes, and the codes of panels in them.  Included after
// vectors.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

#if HEARTH_LANES == 16
typedef __m512i Bits;
inline Bits load_bits(const u8* p) { return _mm512_loadu_si512(p); }
inline Bits all_bytes(char value) { return _mm512_set1_epi8(value); }
inline Bits repeat_16(const void* p) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
inline Bits both(Bits a, Bits b) { return _mm512_and_si512(a, b); }
inline Bits either(Bits a, Bits b) { return _mm512_or_si512(a, b); }
inline Bits minus_words(Bits a, Bits b) { return _mm512_sub_epi16(a, b); }
inline Bits all_words(short value) { return _mm512_set1_epi16(value); }
inline Bits all_ints(std::int32_t value) { return _mm512_set1_epi32(value); }
inline Bits minus_ints(Bits a, Bits b) { return _mm512_sub_epi32(a, b); }
inline Bits plus_ints(Bits a, Bits b) { return _mm512_add_epi32(a, b); }
template <int bits>
inline Bits shift_left_ints(Bits a) {
  return _mm512_slli_epi32(a, bits);
}
template <int bits>
inline Bits shift_left(Bits a) {
  return _mm512_slli_epi16(a, bits);
}
template <int bits>
inline Bits shift_right_signed(Bits a) {
  return _mm512_srai_epi16(a, bits);
}
// sums + the products of both words of every lane.
inline Bits add_products(Bits sums, Bits a, Bits b) {
#if defined(__AVX512VNNI__)
  // Not the intrinsic: GCC 12 copies its accumulator back and forth.
  asm("vpdpwssd %2, %1, %0" : "+v"(sums) : "v"(a), "v"(b));
  return sums;
#else
  return _mm512_add_epi32(sums, _mm512_madd_epi16(a, b));
#endif
}
inline void store_bits(void* p, Bits a) { _mm512_storeu_si512(p, a); }
inline Bits pick(Bits a, Bits order) { return _mm512_shuffle_epi8(a, order); }
template <int bits>
inline Bits shift_right(Bits a) {
  return _mm512_srli_epi16(a, bits);
}
// 16 where a byte of a has a bit of b, else 0.
inline Bits sixteen_where(Bits a, Bits b) {
  return _mm512_maskz_mov_epi8(_mm512_test_epi8_mask(a, b), all_bytes(16));
}
// The bits of a where the mask has ones, else those of b.
inline Bits choose(Bits mask, Bits a, Bits b) {
  return _mm512_ternarylogic_epi32(mask, a, b, 0xCA);
}
inline Bits high_nibbles(Bits a) { return both(shift_right<4>(a), all_bytes(15)); }
inline Vec to_floats(Bits a) { return _mm512_cvtepi32_ps(a); }
inline Vec bytes_to_floats(const u8* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)));
}
inline Vec signed_to_floats(const u8* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p)));
}
inline Ints bytes_to_ints(const u8* p) {
  return (Ints)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p));
}
#else
typedef __m256i Bits;
inline Bits load_bits(const u8* p) { return _mm256_loadu_si256((const __m256i*)p); }
inline Bits all_bytes(char value) { return _mm256_set1_epi8(value); }
inline Bits repeat_16(const void* p) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
inline Bits both(Bits a, Bits b) { return _mm256_and_si256(a, b); }
inline Bits either(Bits a, Bits b) { return _mm256_or_si256(a, b); }
inline Bits minus_words(Bits a, Bits b) { return _mm256_sub_epi16(a, b); }
inline Bits all_words(short value) { return _mm256_set1_epi16(value); }
inline Bits all_ints(std::int32_t value) { return _mm256_set1_epi32(value); }
inline Bits minus_ints(Bits a, Bits b) { return _mm256_sub_epi32(a, b); }
inline Bits plus_ints(Bits a, Bits b) { return _mm256_add_epi32(a, b); }
template <int bits>
inline Bits shift_left_ints(Bits a) {
  return _mm256_slli_epi32(a, bits);
}
template <int bits>
inline Bits shift_left(Bits a) {
  return _mm256_slli_epi16(a, bits);
}
template <int bits>
inline Bits shift_right_signed(Bits a) {
  return _mm256_srai_epi16(a, bits);
}
inline Bits add_products(Bits sums, Bits a, Bits b) {
  return _mm256_add_epi32(sums, _mm256_madd_epi16(a, b));
}
inline void store_bits(void* p, Bits a) { _mm256_storeu_si256((__m256i*)p, a); }
inline Bits pick(Bits a, Bits order) { return _mm256_shuffle_epi8(a, order); }
template <int bits>
inline Bits shift_right(Bits a) {
  return _mm256_srli_epi16(a, bits);
}
inline Bits sixteen_where(Bits a, Bits b) {
  return _mm256_andnot_si256(_mm256_cmpeq_epi8(both(a, b), _mm256_setzero_si256()), all_bytes(16));
}
// Of whole bytes.
inline Bits choose(Bits mask, Bits a, Bits b) { return _mm256_blendv_epi8(b, a, mask); }
inline Bits high_nibbles(Bits a) { return both(shift_right<4>(a), all_bytes(15)); }
inline Vec to_floats(Bits a) { return _mm256_cvtepi32_ps(a); }
inline Vec bytes_to_floats(const u8* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p)));
}
inline Vec signed_to_floats(const u8* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p)));
}
inline Ints bytes_to_ints(const u8* p) {
  return (Ints)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p));
}
#endif

// Asks for the next `size` bytes of each of some panels side by side, `bytes` apart, a stretch
// before they are multiplied: a processor's own prefetching ends with every page.  end: of the
// first panel; behind the last one the next ones of as many begin.
template <std::size_t panels>
inline void ask_ahead(const u8* at, std::size_t bytes, const u8* end, std::size_t size) {
  constexpr std::size_t stretch = 3072;
  const u8* ahead = at + stretch;
  if (ahead >= end) ahead += (panels - 1) * bytes;
#pragma GCC unroll 4
  for (std::size_t p = 0; p < panels; ++p, ahead += bytes)
    for (std::size_t i = 0; i < size; i += 64) __builtin_prefetch(ahead + i);
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA

#include "kernels/codes.inl"
