// Blocks of GGUF as MLX's codes, scales and biases, number for number.
// Source: mlx.core.quantize of MLX's documentation; the block layouts of the GGUF specification.
#include <array>
#include <cstring>

#include "adapt/recode.h"
#include "base/half.h"

namespace hearth::adapt {
namespace {

constexpr struct {
  Dtype dtype;
  MlxForm form;
} forms[] = {
    {Dtype::q4_0, {4, 32, Dtype::f16, "affine"}}, {Dtype::q4_1, {4, 32, Dtype::f16, "affine"}},
    {Dtype::q5_0, {5, 32, Dtype::f16, "affine"}}, {Dtype::q5_1, {5, 32, Dtype::f16, "affine"}},
    {Dtype::q8_0, {8, 32, Dtype::f16, "affine"}}, {Dtype::q4_k, {4, 32, Dtype::f32, "affine"}},
    {Dtype::q5_k, {5, 32, Dtype::f32, "affine"}}, {Dtype::mxfp4, {4, 32, Dtype::u8, "mxfp4"}},
    {Dtype::nvfp4, {4, 16, Dtype::u8, "nvfp4"}},
};

std::uint8_t byte_at(const std::byte* from) { return std::to_integer<std::uint8_t>(*from); }

float half_at(const std::byte* from) {
  std::uint16_t half;
  std::memcpy(&half, from, sizeof half);
  return f16_to_f32(half);
}

class Writer {
 public:
  Writer(const MlxForm& form, MlxParts& out) : form_(form), out_(out) {}

  // One group of 32.
  void group(const std::array<std::uint8_t, 32>& codes, float scale, float bias) {
    put_codes(codes.data(), 32);
    put(out_.scales, scale);
    put(out_.biases, bias);
  }
  void put_codes(const std::uint8_t* codes, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      held_ |= std::uint64_t{codes[i]} << have_;
      have_ += form_.bits;
      if (have_ < 32) continue;
      out_.codes.push_back(static_cast<std::uint32_t>(held_));
      held_ >>= 32;
      have_ -= 32;
    }
  }
  void scale_byte(std::byte byte) { out_.scales.push_back(byte); }

 private:
  void put(std::vector<std::byte>& to, float value) {
    const auto append = [&](auto bits) {
      const auto* bytes = reinterpret_cast<const std::byte*>(&bits);
      to.insert(to.end(), bytes, bytes + sizeof bits);
    };
    if (form_.scales == Dtype::f16)
      append(f32_to_f16(value));
    else
      append(value);
  }

  const MlxForm& form_;
  MlxParts& out_;
  std::uint64_t held_ = 0;
  int have_ = 0;
};

// Codes of four or five bits, i low and i + 16 high; `high` holds the fifth.
std::array<std::uint8_t, 32> nibbles(const std::byte* from, std::uint32_t high) {
  std::array<std::uint8_t, 32> codes;
  for (std::size_t i = 0; i < 16; ++i) {
    codes[i] = static_cast<std::uint8_t>((byte_at(from + i) & 15) | (high >> i & 1) << 4);
    codes[i + 16] =
        static_cast<std::uint8_t>((byte_at(from + i) >> 4) | (high >> (i + 16) & 1) << 4);
  }
  return codes;
}

std::uint32_t word_at(const std::byte* from) {
  std::uint32_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

// Scales and minima of six bits each, packed in twelve bytes.
std::pair<std::uint8_t, std::uint8_t> k_scale(const std::byte* s, std::size_t i) {
  if (i < 4)
    return {static_cast<std::uint8_t>(byte_at(s + i) & 63),
            static_cast<std::uint8_t>(byte_at(s + i + 4) & 63)};
  return {static_cast<std::uint8_t>((byte_at(s + i + 4) & 15) | (byte_at(s + i - 4) >> 6) << 4),
          static_cast<std::uint8_t>((byte_at(s + i + 4) >> 4) | (byte_at(s + i) >> 6) << 4)};
}

void k_block(const std::byte* block, bool five, Writer& out) {
  const float d = half_at(block), least = half_at(block + 2);
  const std::byte* scales = block + 4;
  const std::byte* high = block + 16;
  const std::byte* low = block + (five ? 48 : 16);
  for (std::size_t g = 0; g < 8; ++g) {
    std::array<std::uint8_t, 32> codes;
    for (std::size_t i = 0; i < 32; ++i) {
      const std::uint8_t byte = byte_at(low + g / 2 * 32 + i);
      codes[i] = g % 2 == 0 ? byte & 15 : byte >> 4;
      if (five) codes[i] |= static_cast<std::uint8_t>((byte_at(high + i) >> g & 1) << 4);
    }
    const auto [scale, minimum] = k_scale(scales, g);
    out.group(codes, d * static_cast<float>(scale), -least * static_cast<float>(minimum));
  }
}

void fp4_block(const std::byte* block, bool nv, Writer& out) {
  // Nibbles that lie `half` apart become neighbours.
  const auto codes = [&](const std::byte* from, std::size_t half) {
    std::array<std::uint8_t, 32> split;
    for (std::size_t i = 0; i < half; ++i) {
      split[i] = byte_at(from + i) & 15;
      split[i + half] = byte_at(from + i) >> 4;
    }
    out.put_codes(split.data(), 2 * half);
  };
  if (!nv) {
    out.scale_byte(block[0]);
    return codes(block + 1, 16);
  }
  for (std::size_t g = 0; g < 4; ++g) {
    out.scale_byte(block[g]);
    codes(block + 4 + 8 * g, 8);
  }
}

void put_block(Dtype dtype, const std::byte* block, Writer& out) {
  switch (dtype) {
    case Dtype::q4_0:
      return out.group(nibbles(block + 2, 0), half_at(block), -8 * half_at(block));
    case Dtype::q4_1:
      return out.group(nibbles(block + 4, 0), half_at(block), half_at(block + 2));
    case Dtype::q5_0:
      return out.group(nibbles(block + 6, word_at(block + 2)), half_at(block),
                       -16 * half_at(block));
    case Dtype::q5_1:
      return out.group(nibbles(block + 8, word_at(block + 4)), half_at(block), half_at(block + 2));
    case Dtype::q8_0: {
      std::array<std::uint8_t, 32> codes;
      for (std::size_t i = 0; i < 32; ++i) codes[i] = byte_at(block + 2 + i) ^ 0x80;
      return out.group(codes, half_at(block), -128 * half_at(block));
    }
    case Dtype::q4_k:
    case Dtype::q5_k:
      return k_block(block, dtype == Dtype::q5_k, out);
    default:
      return fp4_block(block, dtype == Dtype::nvfp4, out);
  }
}

}  // namespace

const MlxForm* mlx_form(Dtype dtype) {
  for (const auto& row : forms)
    if (row.dtype == dtype) return &row.form;
  return nullptr;
}

void to_mlx(Dtype dtype, std::span<const std::byte> blocks, MlxParts& out) {
  out.codes.clear();
  out.scales.clear();
  out.biases.clear();
  Writer writer(*mlx_form(dtype), out);
  const std::size_t bytes = info(dtype).block_bytes;
  for (std::size_t at = 0; at < blocks.size(); at += bytes)
    put_block(dtype, blocks.data() + at, writer);
}

}  // namespace hearth::adapt
