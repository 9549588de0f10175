// Norms, positions, activations: operations on rows of activations.  In place where they say so.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "ops/context.h"
#include "tensor/view.h"

namespace hearth::ops {

// y = x * w / sqrt(mean(x^2) + eps), per row.  w: [dim], empty = ones.  y may be x.
// Source: Zhang and Sennrich 2019.
void rms_norm(Context& ctx, View y, View x, std::span<const float> w, float eps);
// y = (x - mean) / sqrt(variance + eps) * w + b, per row.  w, b: [dim] or empty.  y may be x.
void layer_norm(Context& ctx, View y, View x, std::span<const float> w, std::span<const float> b,
                float eps);
// y = x / max(|x|, eps), per row.  y may be x.
void l2_norm(Context& ctx, View y, View x, float eps);

// Rotation angles of one kind of layer.
struct RopeTable {
  std::uint32_t rotary_dims = 0;  // even; the first dims of each head turn, the rest pass
  bool interleaved = false;       // pairs (2i, 2i+1); otherwise (i, i + rotary_dims / 2)
  std::span<const float> inverse_frequencies;  // [rotary_dims / 2], scaling already applied
  float magnitude = 1.0f;                      // multiplies cos and sin (yarn, longrope)
};
// Turns every head of every row by its position, in place.  x: [rows, heads * head_dim].
// Source: Su et al. 2021.
void rope(Context& ctx, View x, std::uint32_t head_dim, std::span<const std::uint32_t> positions,
          const RopeTable& table);
// A place along several axes: of time, height and width, or of row and column.
using RopePlace = std::array<std::uint32_t, 3>;
// The same where pair d turns by places[i][axes[d]].  axes: [rotary_dims / 2].
// Source: Wang et al. 2024, section 2.1.
void rope(Context& ctx, View x, std::uint32_t head_dim, std::span<const RopePlace> places,
          std::span<const std::uint8_t> axes, const RopeTable& table);

enum class Activation { silu, gelu, gelu_tanh, quick_gelu, relu, relu_squared, tanh, sigmoid };
// x = f(x).
void activate(Context& ctx, View x, Activation f);
// gate = f(gate) * up.
void activate_mul(Context& ctx, View gate, View up, Activation f);
// gpt-oss: gate = min(gate, limit), up = clamp(up, -limit, limit);
// gate = gate * sigmoid(alpha * gate) * (up + 1).
void swiglu_clamped(Context& ctx, View gate, View up, float alpha, float limit);

void add(Context& ctx, View x, View y);                         // x += y
void add_bias(Context& ctx, View x, std::span<const float> b);  // x += b, per row
void scale(Context& ctx, View x, float factor);                 // x *= factor
void softcap(Context& ctx, View x, float cap);                  // x = cap * tanh(x / cap)
void softmax(Context& ctx, View x);                             // per row, in place

}  // namespace hearth::ops
