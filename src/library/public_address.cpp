#include "library/public_address.h"

#include <algorithm>

namespace hearth {
namespace {

struct Block {
  std::uint8_t bytes[4];
  int bits;
};
constexpr Block not_public[] = {
    {{0, 0, 0, 0}, 8},      {{10, 0, 0, 0}, 8},    {{100, 64, 0, 0}, 10},   {{127, 0, 0, 0}, 8},
    {{169, 254, 0, 0}, 16}, {{172, 16, 0, 0}, 12}, {{192, 0, 0, 0}, 24},    {{192, 0, 2, 0}, 24},
    {{192, 168, 0, 0}, 16}, {{198, 18, 0, 0}, 15}, {{198, 51, 100, 0}, 24}, {{203, 0, 113, 0}, 24},
    {{224, 0, 0, 0}, 3},
};

bool begins_with(std::span<const std::uint8_t> address, std::span<const std::uint8_t> block,
                 int bits) {
  for (std::size_t i = 0; bits > 0; ++i, bits -= 8) {
    const unsigned mask = bits >= 8 ? 0xffu : 0xffu << (8 - bits) & 0xffu;
    if (((address[i] ^ block[i]) & mask) != 0) return false;
  }
  return true;
}

bool is_public_v4(std::span<const std::uint8_t> address) {
  return std::ranges::none_of(not_public, [&](const Block& block) {
    return begins_with(address, block.bytes, block.bits);
  });
}

// Addresses of version 6 that stand for one of version 4: where it begins in them.
struct Embedding {
  std::uint8_t bytes[12];
  int bits;
  std::size_t at;
};
constexpr Embedding embeddings[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 12},     // ::ffff:1.2.3.4
    {{0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}, 96, 12},  // 64:ff9b::1.2.3.4
    {{0x20, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 16, 2},      // 2002:0102:0304::
};

}  // namespace

bool is_public_address(std::span<const std::uint8_t> address) {
  if (address.size() == 4) return is_public_v4(address);
  if (address.size() != 16) return false;
  for (const Embedding& one : embeddings)
    if (begins_with(address, one.bytes, one.bits)) return is_public_v4(address.subspan(one.at, 4));
  constexpr std::uint8_t global[] = {0x20}, examples[] = {0x20, 0x01, 0x0d, 0xb8},
                         tunnels[] = {0x20, 0x01, 0, 0};
  return begins_with(address, global, 3) && !begins_with(address, examples, 32) &&
         !begins_with(address, tunnels, 32);
}

}  // namespace hearth
