// How fast stored rows become panels: GB/s of stored bytes, one thread, processor time.
#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <vector>

#include "kernels/pack.h"

using namespace hearth::kernels;

namespace {

double now() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Kind {
  Panel panel;
  const char* name;
  std::size_t columns, bytes;  // of a stored block
};
constexpr Kind kinds[] = {
    {Panel::f32, "f32", 1, 4},       {Panel::f16, "f16", 1, 2},
    {Panel::bf16, "bf16", 1, 2},     {Panel::q8_0, "q8_0", 32, 34},
    {Panel::q4_0, "q4_0", 32, 18},   {Panel::q5_0, "q5_0", 32, 22},
    {Panel::q4_k, "q4_k", 256, 144}, {Panel::q5_k, "q5_k", 256, 176},
    {Panel::q6_k, "q6_k", 256, 210}, {Panel::iq4_xs, "iq4_xs", 256, 136},
    {Panel::mxfp4, "mxfp4", 32, 17}, {Panel::grid, "grid", 256, 146},
};

// The best of some passes over `panels` panels of 2048 columns.
template <typename Pack>
double rate(const Kind& kind, std::size_t panels, Pack pack) {
  constexpr std::size_t k = 2048;
  const std::size_t row_bytes = k / kind.columns * kind.bytes;
  const std::size_t out_bytes = panel_bytes(kind.panel, k);
  const std::vector<unsigned char> stored(panels * 16 * row_bytes, 0x5A);
  std::vector<unsigned char> out(panels * out_bytes);
  double best = 1e9;
  for (int pass = 0; pass < 5; ++pass) {
    const double began = now();
    for (std::size_t p = 0; p < panels; ++p)
      pack(out.data() + p * out_bytes, stored.data() + p * 16 * row_bytes, row_bytes, k);
    best = std::min(best, now() - began);
  }
  return static_cast<double>(stored.size()) / best * 1e-9;
}

}  // namespace

int main() {
  fmt::print("{:<8} {:>12} {:>12} {:>18}\n", "kind", "row by row", "sixteen", "sixteen, 100 MB");
  for (const Kind& kind : kinds) {
    const auto by_rows = [&](unsigned char* out, const unsigned char* in, std::size_t row_bytes,
                             std::size_t k) { pack_rows(kind.panel, out, in, row_bytes, 16, k); };
    const auto at_once = [&](unsigned char* out, const unsigned char* in, std::size_t row_bytes,
                             std::size_t k) { pack_sixteen(kind.panel, out, in, row_bytes, k); };
    const std::size_t many = (100u << 20) / (16 * 2048 / kind.columns * kind.bytes);
    fmt::print("{:<8} {:>12.2f} {:>12.2f} {:>18.2f}\n", kind.name, rate(kind, 8, by_rows),
               rate(kind, 8, at_once), rate(kind, many, at_once));
  }
}
