#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "base/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif
#endif

namespace hearth {
namespace {

#if defined(__x86_64__)

struct Registers {
  std::uint32_t a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf = 0) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d);  // zero where the leaf is missing
  return r;
}

bool bit(std::uint32_t word, int index) { return (word >> index & 1) != 0; }

// Which register states the operating system saves (XCR0).
std::uint64_t saved_states() {
  std::uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return std::uint64_t{high} << 32 | low;
}

CpuFeatures detect() {
  CpuFeatures f;
  const Registers one = cpuid(1), seven = cpuid(7), seven_one = cpuid(7, 1);
  if (!bit(one.c, 27)) return f;  // OSXSAVE: without it there is nothing to ask
  const std::uint64_t saved = saved_states();
  const auto saves = [saved](std::uint64_t mask) { return (saved & mask) == mask; };
  constexpr std::uint64_t ymm = 0x6, zmm = 0xE6, tiles = 0x60000;
  f.avx2 = saves(ymm) && bit(one.c, 28) && bit(one.c, 12) && bit(one.c, 29) && bit(seven.b, 5);
  f.avx_vnni = f.avx2 && bit(seven_one.a, 4);
  f.avx512 = f.avx2 && saves(zmm) && bit(seven.b, 16) && bit(seven.b, 17) && bit(seven.b, 30) &&
             bit(seven.b, 31);
  f.avx512_vnni = f.avx512 && bit(seven.c, 11);
  f.avx512_bf16 = f.avx512 && bit(seven_one.a, 5);
  f.avx512_fp16 = f.avx512 && bit(seven.d, 23);
  f.amx_tile = f.avx512 && saves(tiles) && bit(seven.d, 24);
  f.amx_bf16 = f.amx_tile && bit(seven.d, 22);
  f.amx_int8 = f.amx_tile && bit(seven.d, 25);
  return f;
}

#elif defined(__aarch64__) && defined(__linux__)

CpuFeatures detect() {
  CpuFeatures f;
  const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
  f.dot_product = (first >> 20 & 1) != 0;  // ASIMDDP
  f.crc32 = (first >> 7 & 1) != 0;
  f.sve = (first >> 22 & 1) != 0;
  f.int8_matmul = (second >> 13 & 1) != 0;
  f.bf16 = (second >> 14 & 1) != 0;
  return f;
}

#else

CpuFeatures detect() { return {}; }

#endif

}  // namespace

std::vector<std::string> CpuFeatures::names() const {
  const struct {
    const char* name;
    bool there;
  } rows[] = {
      {"avx2", avx2},
      {"avx512", avx512},
      {"avx_vnni", avx_vnni},
      {"avx512_vnni", avx512_vnni},
      {"avx512_bf16", avx512_bf16},
      {"avx512_fp16", avx512_fp16},
      {"amx_tile", amx_tile},
      {"amx_bf16", amx_bf16},
      {"amx_int8", amx_int8},
      {"dotprod", dot_product},
      {"i8mm", int8_matmul},
      {"bf16", bf16},
      {"sve", sve},
  };
  std::vector<std::string> list;
  for (const auto& row : rows)
    if (row.there) list.emplace_back(row.name);
  return list;
}

const CpuFeatures& detect_cpu_features() {
  static const CpuFeatures found = detect();
  return found;
}

std::string cpu_brand() {
  std::string brand;
#if defined(__x86_64__)
  if (cpuid(0x80000000).a < 0x80000004) return brand;
  for (std::uint32_t leaf = 0x80000002; leaf <= 0x80000004; ++leaf) {
    const Registers r = cpuid(leaf);
    std::array<char, 16> text;
    std::memcpy(text.data(), &r, sizeof r);
    brand.append(text.data(), text.size());
  }
  brand.erase(std::find(brand.begin(), brand.end(), '\0'), brand.end());
  brand.erase(0, std::min(brand.find_first_not_of(' '), brand.size()));
#endif
  return brand;
}

bool allow_amx_tiles() {
#if defined(__x86_64__) && defined(__linux__) && defined(SYS_arch_prctl)
  constexpr long request_permission = 0x1023, tile_data = 18;
  return ::syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

}  // namespace hearth
