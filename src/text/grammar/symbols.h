// Symbols: what tokens are written with, few enough to be a small set: the characters of ASCII,
// and one symbol for all others.
#pragma once

#include <bit>
#include <bitset>
#include <cstddef>
#include <cstdint>

namespace hearth::grammar {

constexpr std::size_t symbol_count = 128;
using Symbols = std::bitset<symbol_count>;

// Printable characters are 0 to 94.
constexpr std::size_t symbol_line = 95, symbol_tab = 96, symbol_return = 97;
constexpr std::size_t symbol_control = 98;  // any other character below 128
constexpr std::size_t symbol_wide = 99;     // any character from 128 on
constexpr std::size_t symbol_broken = 100;  // bytes that are no character

constexpr std::size_t symbol_of(std::uint8_t byte) {  // below 128
  if (byte >= 0x20 && byte < 0x7F) return byte - 0x20u;
  return byte == '\n'   ? symbol_line
         : byte == '\t' ? symbol_tab
         : byte == '\r' ? symbol_return
                        : symbol_control;
}

template <typename Use>
void for_each(const Symbols& symbols, const Use& use) {
  const Symbols low(~std::uint64_t{0});
  for (std::size_t half = 0; half < 2; ++half)
    for (std::uint64_t bits = ((symbols >> (64 * half)) & low).to_ullong(); bits != 0;
         bits &= bits - 1)
      use(64 * half + static_cast<std::size_t>(std::countr_zero(bits)));
}

}  // namespace hearth::grammar
