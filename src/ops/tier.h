// Tier: how closely products with quantised weights keep to f32.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace hearth::ops {

// What each table of kernels rounds, and how much: kernels.h.
enum class Tier : std::uint8_t {
  accurate,  // tiles where the processor has them, else activations of 8 bits, exact weights; small
             // matrices as `exact`
  exact,     // activations of 16 bits, or f32
  turbo,     // whatever is fastest here
};
constexpr std::array<std::string_view, 3> tier_names = {"accurate", "exact", "turbo"};

constexpr std::optional<Tier> tier_named(std::string_view name) {
  for (std::size_t i = 0; i < tier_names.size(); ++i)
    if (tier_names[i] == name) return static_cast<Tier>(i);
  return std::nullopt;
}

}  // namespace hearth::ops
