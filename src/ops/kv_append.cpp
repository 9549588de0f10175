// Writing keys and values into pages, rounded to what the pages hold.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/half.h"
#include "kernels/kernels.h"
#include "ops/attention.h"
#include "ops/kv_pages.h"
#include "ops/scratch.h"

namespace hearth::ops {
namespace {

using kernels::kv_block_dims;
using kernels::KvForm;

std::uint16_t to_bf16(float x) {  // nearest, ties to even
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (x != x) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// Puts one row of keys and values of all heads at token `slot` of a page.  Keys are turned: the 32
// tokens of one dim lie together, as the rows of a weight panel do.
template <typename T>
void put_plain(const KvLayer& layer, std::byte* page, std::size_t slot, const T* k, const T* v) {
  T* keys = reinterpret_cast<T*>(page);
  T* values = keys + layer.kv_heads * kv_page_tokens * layer.key_dim;
  for (std::size_t d = 0; d < layer.kv_heads * layer.key_dim; ++d)
    keys[d * kv_page_tokens + slot] = k[d];
  for (std::size_t head = 0; head < layer.kv_heads; ++head)
    std::memcpy(values + (head * kv_page_tokens + slot) * layer.value_dim,
                v + head * layer.value_dim, layer.value_dim * sizeof(T));
}

// The codes of a block, each in a byte, and its scale.  What is not finite makes the scale NaN.
struct Coded {
  std::uint16_t scale;
  std::uint8_t codes[kv_block_dims];
};

constexpr float round_to_integer = 0x1.8p23f;  // added: what is left in the low bits is rounded

float largest_magnitude(const float* x) {
  float tops[8] = {};
  for (std::size_t i = 0; i < kv_block_dims; i += 8)
    for (std::size_t j = 0; j < 8; ++j) {
      const float a = std::fabs(x[i + j]);
      tops[j] = tops[j] > a ? tops[j] : a;
    }
  return *std::ranges::max_element(tops);
}

// As the file type Q8_0: the largest magnitude is 127.
Coded code_q8(const float* x) {
  Coded block;
  float poison = 0;
  for (std::size_t i = 0; i < kv_block_dims; ++i) poison += x[i] * 0;
  block.scale = f32_to_f16(std::min(largest_magnitude(x) / 127, 65504.0f) + poison);
  const float scale = f16_to_f32(block.scale), inverse = scale > 0 ? 1 / scale : 0;
  for (std::size_t i = 0; i < kv_block_dims; ++i) {
    const float limited = std::min(std::max(x[i] * inverse, -127.0f), 127.0f);
    block.codes[i] =
        static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>(limited + round_to_integer));
  }
  return block;
}

// As Q4_0: codes 0 to 15 stand for -8 to 7, and what is farthest from zero is -8.
Coded code_q4(const float* x) {
  Coded block;
  float poison = 0, far = 0;
  for (std::size_t i = 0; i < kv_block_dims; ++i) {
    poison += x[i] * 0;
    far = std::fabs(x[i]) > std::fabs(far) ? x[i] : far;
  }
  block.scale = f32_to_f16(std::clamp(far / -8, -65504.0f, 65504.0f) + poison);
  const float scale = f16_to_f32(block.scale), inverse = scale != 0 ? 1 / scale : 0;
  for (std::size_t i = 0; i < kv_block_dims; ++i) {
    const float limited = std::min(std::max(x[i] * inverse, -8.0f), 7.0f);
    block.codes[i] =
        static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>(limited + round_to_integer) + 8);
  }
  return block;
}

Coded code_block(KvForm form, const float* x, std::size_t dims) {
  float filled[kv_block_dims] = {};
  if (dims < kv_block_dims) {
    std::copy_n(x, dims, filled);
    x = filled;
  }
  return form == KvForm::q8 ? code_q8(x) : code_q4(x);
}

void put_scale(std::byte* head, std::size_t block, std::size_t slot, std::uint16_t scale) {
  std::memcpy(head + 2 * (block * kv_page_tokens + slot), &scale, 2);
}

void put_coded_key(KvForm form, std::byte* head, std::size_t slot, const float* k,
                   std::size_t dim) {
  std::byte* codes = head + kernels::kv_scale_bytes(dim);
  const std::size_t group = form == KvForm::q8 ? 4 : 8;
  for (std::size_t d = 0; d < dim; d += kv_block_dims) {
    const Coded block = code_block(form, k + d, std::min(kv_block_dims, dim - d));
    put_scale(head, d / kv_block_dims, slot, block.scale);
    for (std::size_t i = 0; i < kv_block_dims; i += group) {
      std::uint8_t bytes[4];
      for (std::size_t j = 0; j < 4; ++j)
        bytes[j] = form == KvForm::q8 ? block.codes[i + j]
                                      : static_cast<std::uint8_t>(block.codes[i + 2 * j] |
                                                                  block.codes[i + 2 * j + 1] << 4);
      std::memcpy(codes + kernels::kv_key_offset(form, d + i, slot), bytes, 4);
    }
  }
}

void put_coded_value(KvForm form, std::byte* head, std::size_t slot, const float* v,
                     std::size_t dim) {
  std::byte* codes = head + kernels::kv_scale_bytes(dim);
  for (std::size_t d = 0; d < dim; d += kv_block_dims) {
    Coded block = code_block(form, v + d, std::min(kv_block_dims, dim - d));
    put_scale(head, d / kv_block_dims, slot, block.scale);
    if (form == KvForm::q4)
      for (std::size_t i = 0; i < kv_block_dims / 2; ++i)
        block.codes[i] =
            static_cast<std::uint8_t>(block.codes[i] | block.codes[kv_block_dims / 2 + i] << 4);
    std::memcpy(codes + kernels::kv_value_offset(form, d / kv_block_dims, slot), block.codes,
                kernels::kv_code_bytes(form));
  }
}

void append_row(const Context& ctx, const KvLayer& layer, std::byte* page, std::size_t slot,
                const float* k, const float* v) {
  const KvForm form = kv_form(layer.dtype);
  if (form == KvForm::f32) return put_plain(layer, page, slot, k, v);
  if (kernels::has_scales(form)) {
    const KvParts parts(layer);
    for (std::size_t head = 0; head < layer.kv_heads; ++head) {
      put_coded_key(form, page + head * parts.key_bytes, slot, k + head * layer.key_dim,
                    layer.key_dim);
      put_coded_value(form, page + parts.values + head * parts.value_bytes, slot,
                      v + head * layer.value_dim, layer.value_dim);
    }
    return;
  }
  const std::size_t keys = layer.kv_heads * layer.key_dim;
  const std::size_t values = layer.kv_heads * layer.value_dim;
  auto* halves = reinterpret_cast<std::uint16_t*>(scratch(Scratch::worker, 2 * (keys + values)));
  if (form == KvForm::f16) {
    ctx.kernels->to_half(halves, k, keys);
    ctx.kernels->to_half(halves + keys, v, values);
  } else {
    std::transform(k, k + keys, halves, to_bf16);
    std::transform(v, v + values, halves + keys, to_bf16);
  }
  put_plain(layer, page, slot, halves, halves + keys);
}

}  // namespace

bool is_kv_dtype(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::f16 || dtype == Dtype::bf16 ||
         dtype == Dtype::q8_0 || dtype == Dtype::q4_0;
}

KvForm kv_form(Dtype dtype) {
  HEARTH_CHECK(is_kv_dtype(dtype));
  return dtype == Dtype::f32    ? KvForm::f32
         : dtype == Dtype::f16  ? KvForm::f16
         : dtype == Dtype::bf16 ? KvForm::bf16
         : dtype == Dtype::q8_0 ? KvForm::q8
                                : KvForm::q4;
}

std::size_t KvLayer::bytes() const {
  const KvParts parts(*this);
  return (parts.values + kv_heads * parts.value_bytes + 63) / 64 * 64;
}

void kv_append(Context& ctx, const KvLayer& layer, std::span<const KvSequence> sequences,
               std::span<const RowPlace> places, View k, View v) {
  HEARTH_CHECK(places.size() == k.rows && places.size() == v.rows);
  HEARTH_CHECK(k.dim == layer.kv_heads * layer.key_dim &&
               v.dim == layer.kv_heads * layer.value_dim);
  ctx.pool->parallel_for(k.rows, 8, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      const auto& [sequence, position] = places[i];
      append_row(ctx, layer,
                 sequences[sequence].pages[position / kv_page_tokens] + layer.offset_bytes,
                 position % kv_page_tokens, k.row(i), v.row(i));
    }
  });
}

}  // namespace hearth::ops
