// How a page holds the keys, or the values, of one head for 32 tokens.
//
// f32, f16, bf16: keys [dim][32], values [32][dim].
// q8, q4: dims in blocks of 32, the last one filled up; first the scales (IEEE half) [blocks][32]
// of every token, then codes, so that a number is code * scale:
//   q8  keys   [blocks][8 groups of dims][32 tokens][4] signed bytes
//       values [blocks][32 tokens][32] signed bytes
//   q4  keys   [blocks][4 groups][32 tokens] words of 8 dims, the first in the lowest four bits
//       values [blocks][32 tokens][16] bytes, dim i in the low, dim 16 + i in the high four bits
//       of byte i; codes are stored plus 8
#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth::kernels {

enum class KvForm : std::uint8_t { f32, f16, bf16, q8, q4 };
constexpr std::size_t kv_forms = 5;

constexpr std::size_t kv_tokens = 32;      // of a page
constexpr std::size_t kv_block_dims = 32;  // that share a scale

constexpr bool has_scales(KvForm form) { return form == KvForm::q8 || form == KvForm::q4; }
constexpr std::size_t kv_blocks(std::size_t dim) {
  return (dim + kv_block_dims - 1) / kv_block_dims;
}

// Of one block and token.
constexpr std::size_t kv_code_bytes(KvForm form) { return form == KvForm::q8 ? 32 : 16; }

constexpr std::size_t kv_head_bytes(KvForm form, std::size_t dim) {
  if (has_scales(form)) return kv_tokens * kv_blocks(dim) * (2 + kv_code_bytes(form));
  return kv_tokens * dim * (form == KvForm::f32 ? 4 : 2);
}

// Where the codes begin.
constexpr std::size_t kv_scale_bytes(std::size_t dim) { return kv_tokens * kv_blocks(dim) * 2; }

// Of the 4 (q8) or 8 (q4) dims from `dim` on of a token's key; behind the scales.
constexpr std::size_t kv_key_offset(KvForm form, std::size_t dim, std::size_t token) {
  return (dim / (form == KvForm::q8 ? 4 : 8) * kv_tokens + token) * 4;
}
// Of a block of a token's value; behind the scales.
constexpr std::size_t kv_value_offset(KvForm form, std::size_t block, std::size_t token) {
  return (block * kv_tokens + token) * kv_code_bytes(form);
}

}  // namespace hearth::kernels
