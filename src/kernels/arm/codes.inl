// Registers of bytes for NEON, and the codes of panels in them.  Included after vectors.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

typedef uint8x16_t Bits;
inline Bits load_bits(const u8* p) { return vld1q_u8(p); }
inline Bits all_bytes(int value) { return vdupq_n_u8(static_cast<u8>(value)); }
inline Bits repeat_16(const void* p) { return vld1q_u8(static_cast<const u8*>(p)); }
inline Bits both(Bits a, Bits b) { return vandq_u8(a, b); }
inline Bits either(Bits a, Bits b) { return vorrq_u8(a, b); }
inline Bits pick(Bits a, Bits order) { return vqtbl1q_u8(a, order); }
template <int bits>
inline Bits shift_left(Bits a) {
  return vshlq_n_u8(a, bits);
}
template <int bits>
inline Bits shift_right(Bits a) {
  return vshrq_n_u8(a, bits);
}
inline Bits high_nibbles(Bits a) { return vshrq_n_u8(a, 4); }
// The bits of a where the mask has ones, else those of b.
inline Bits choose(Bits mask, Bits a, Bits b) { return vbslq_u8(mask, a, b); }
// 16 where a byte of a has a bit of b, else 0.
inline Bits sixteen_where(Bits a, Bits b) { return both(vtstq_u8(a, b), all_bytes(16)); }
inline Ints bytes_to_ints(const u8* p) {
  const uint8x8_t four = vreinterpret_u8_u32(vdup_n_u32(load_u32(p, 0)));
  return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(four))));
}
inline Vec bytes_to_floats(const u8* p) { return vcvtq_f32_s32(bytes_to_ints(p)); }
inline Vec signed_to_floats(const u8* p) {
  const int8x8_t four = vreinterpret_s8_u32(vdup_n_u32(load_u32(p, 0)));
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(four))));
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA

#include "kernels/codes.inl"

namespace hearth::kernels::HEARTH_ISA {
namespace {

// Eight columns of four rows: byte 4r + c of `low` is column c of row r, of `high` column c + 4.
struct SignedCodes {
  int8x16_t low, high;
};

// Step v of a group as what is multiplied by the scale.
template <Panel kind>
inline SignedCodes signed_codes_of(const u8* group, std::size_t v, std::size_t quarter) {
  CodeBytes codes = codes_of<kind>(group, v, quarter);
  if constexpr (offset_bits(kind) != 0) {
    const Bits offset = all_bytes(1 << offset_bits(kind));
    codes = {vsubq_u8(codes.low, offset), vsubq_u8(codes.high, offset)};
  }
  return {vreinterpretq_s8_u8(codes.low), vreinterpretq_s8_u8(codes.high)};
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
