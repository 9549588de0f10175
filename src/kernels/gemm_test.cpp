// Multiplication: every table, panel kind and size against the reference.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "kernels/pack.h"
#include "kernels/test_tables.h"

using namespace hearth::kernels;

namespace {

struct Kind {
  Panel panel;
  const char* name;
  std::size_t block_columns, block_bytes;  // of the stored rows
  std::size_t half_at;                     // where a block has its half scales, of which it has
  std::size_t halves;                      // so many
};
constexpr Kind kinds[] = {
    {Panel::f32, "f32", 1, 4, 0, 0},           {Panel::f16, "f16", 1, 2, 0, 0},
    {Panel::bf16, "bf16", 1, 2, 0, 0},         {Panel::q8_0, "q8_0", 32, 34, 0, 1},
    {Panel::q4_0, "q4_0", 32, 18, 0, 1},       {Panel::iq4_nl, "iq4_nl", 32, 18, 0, 1},
    {Panel::q5_0, "q5_0", 32, 22, 0, 1},       {Panel::q4_k, "q4_k", 256, 144, 0, 2},
    {Panel::q5_k, "q5_k", 256, 176, 0, 2},     {Panel::q6_k, "q6_k", 256, 210, 208, 1},
    {Panel::iq4_xs, "iq4_xs", 256, 136, 0, 1}, {Panel::mxfp4, "mxfp4", 32, 17, 0, 0},
    {Panel::grid, "grid", 256, 146, 144, 1},
};
static_assert(std::size(kinds) == panel_kinds);

// Rows of random blocks whose scales are ordinary numbers.
std::vector<unsigned char> random_rows(const Kind& kind, std::size_t rows, std::size_t k,
                                       unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  const std::size_t blocks = k / kind.block_columns * rows;
  std::vector<unsigned char> bytes(blocks * kind.block_bytes);
  for (auto& byte : bytes) byte = static_cast<unsigned char>(random());
  for (std::size_t i = 0; i < blocks; ++i) {
    unsigned char* block = bytes.data() + i * kind.block_bytes;
    const float value = normal(random);
    std::uint32_t bits;
    std::memcpy(&bits, &value, 4);
    std::uint16_t half;
    if (kind.panel == Panel::f32) std::memcpy(block, &value, 4);
    if (kind.panel == Panel::bf16) std::memcpy(block, reinterpret_cast<char*>(&bits) + 2, 2);
    if (kind.panel == Panel::f16) {
      reference().to_half(&half, &value, 1);
      std::memcpy(block, &half, 2);
    }
    if (kind.panel == Panel::mxfp4) block[0] = static_cast<unsigned char>(120 + random() % 10);
    for (std::size_t h = 0; h < kind.halves; ++h) {
      const float scale = 0.01f * normal(random);
      reference().to_half(&half, &scale, 1);
      std::memcpy(block + kind.half_at + 2 * h, &half, 2);
    }
  }
  return bytes;
}

struct Panels {
  std::vector<unsigned char> memory;
  const unsigned char* data;  // 64-byte aligned
};

Panels pack_all(const Kind& kind, const std::vector<unsigned char>& stored, std::size_t rows,
                std::size_t k) {
  const std::size_t panels = (rows + 15) / 16, bytes = panel_bytes(kind.panel, k);
  Panels result{std::vector<unsigned char>(panels * bytes + 64), nullptr};
  auto* start = result.memory.data();
  start += (64 - reinterpret_cast<std::uintptr_t>(start) % 64) % 64;
  const std::size_t row_bytes = k / kind.block_columns * kind.block_bytes;
  for (std::size_t p = 0; p < panels; ++p)
    pack_panel(kind.panel, start + p * bytes, stored.data() + 16 * p * row_bytes, row_bytes,
               std::min<std::size_t>(16, rows - 16 * p), k);
  result.data = start;
  return result;
}

float* aligned(std::vector<float>& v) {
  const auto address = reinterpret_cast<std::uintptr_t>(v.data());
  return v.data() + (64 - address % 64) % 64 / 4;
}

std::size_t up_to(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Multiplies by way of pack, unpack and block, as ops does.
std::vector<float> multiply(const Gemm& gemm, const Kind& kind, const std::vector<float>& x,
                            std::size_t m, const Panels& w, std::size_t panels, std::size_t k) {
  const std::size_t tall = up_to(m, gemm.tile_rows);
  const std::size_t most_steps = (block_columns + gemm.k_step - 1) / gemm.k_step;
  std::vector<float> c(tall * panels * 16);
  std::vector<float> a(tall * most_steps * gemm.a_step_bytes / 4 + 16);
  std::vector<float> b(panels * most_steps * gemm.b_step_bytes / 4 + 16);
  for (std::size_t first = 0; first < k; first += block_columns) {
    const std::size_t some = std::min(block_columns, k - first);
    const Ahead ahead = {{w.data, w.data + 64}, panel_bytes(kind.panel, k)};
    const std::size_t stride = up_to(some, gemm.k_step) / gemm.k_step * gemm.b_step_bytes;
    gemm.pack(aligned(a), x.data() + first, k, m, some);
    for (std::size_t p = 0; p < panels; ++p)
      gemm.unpack(kind.panel, reinterpret_cast<char*>(aligned(b)) + p * stride,
                  w.data + p * panel_bytes(kind.panel, k), first, some);
    gemm.block(kind.panel, c.data(), panels * 16, aligned(a), aligned(b), m, some, panels,
               first + some < k ? &ahead : nullptr);
  }
  c.resize(m * panels * 16);
  return c;
}

std::vector<float> multiply_few(const Kernels& table, const Gemm& gemm, const Kind& kind,
                                const std::vector<float>& x, std::size_t m, const Panels& w,
                                std::size_t panels, std::size_t k) {
  std::vector<float> y(m * 80);
  if (!has_groups(kind.panel)) {
    table.few(kind.panel, y.data(), 80, x.data(), k, m, w.data, panels, k);
    return y;
  }
  std::vector<float> a(up_to(m, gemm.tile_rows) * k / gemm.k_step * gemm.a_step_bytes / 4 + 16);
  gemm.pack_few(aligned(a), x.data(), k, m, k);
  gemm.few(kind.panel, y.data(), 80, aligned(a), m, w.data, panels, k);
  return y;
}

// The multiplications of a table that take a kind, each once.
std::vector<const Gemm*> ways_of(const Kernels& table, const Kind& kind) {
  std::vector<const Gemm*> ways;
  for (const Gemm* gemm : {has_groups(kind.panel) ? nullptr : table.plain, table.rounded,
                           table.bytes == table.rounded ? nullptr : table.bytes, table.tiles})
    if (gemm != nullptr && (gemm->kinds & kind_bit(kind.panel)) != 0 &&
        (has_groups(kind.panel) || gemm != table.rounded))
      ways.push_back(gemm);
  return ways;
}

// The largest error, as a share of the norm of what is summed.
double error_of(const std::vector<float>& got, const std::vector<float>& wanted) {
  double worst = 0, norm = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(static_cast<double>(got[i]) - wanted[i]);
    worst = error <= worst ? worst : error;
    norm += static_cast<double>(wanted[i]) * wanted[i];
  }
  return worst / std::sqrt(norm / static_cast<double>(got.size()) + 1e-30);
}

std::vector<float> random_floats(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

}  // namespace

TEST_CASE("sixteen rows at once are packed as row by row") {
  for (const Kind& kind : kinds)
    for (const std::size_t units : {1, 2, 3, 5, 8, 9, 31}) {
      const std::size_t k = units * kind.block_columns;
      INFO(std::string(kind.name), ", ", k, " columns");
      // Rows that lie apart, at an odd place.
      const std::size_t used = units * kind.block_bytes, apart = used + 3;
      const auto bytes = random_rows(kind, 64, k, 11);
      std::vector<unsigned char> want(panel_bytes(kind.panel, k), 0xAA), got = want;
      pack_rows(kind.panel, want.data(), bytes.data() + 1, apart, 16, k);
      pack_sixteen(kind.panel, got.data(), bytes.data() + 1, apart, k);
      CHECK(got == want);
    }
}

TEST_CASE("products of every kind of panel agree with the reference") {
  constexpr std::size_t most_rows = 130, outputs = 72;
  for (const Kind& kind : kinds) {
    INFO(std::string(kind.name));
    const bool any = kind.block_columns == 1;
    for (std::size_t k : {any ? std::size_t{1} : kind.block_columns, kind.block_columns * 3,
                          any ? std::size_t{77} : std::size_t{256}, std::size_t{768},
                          any ? std::size_t{1031} : std::size_t{1280}}) {
      const auto stored = random_rows(kind, outputs, k, 3);
      const Panels w = pack_all(kind, stored, outputs, k);
      const auto x = random_floats(most_rows * k, 4);
      const auto wanted = multiply(*reference().plain, kind, x, most_rows, w, 5, k);
      std::set<const Gemm*> seen;  // tables share some
      for (const Candidate& candidate : tables_to_test()) {
        if (!candidate.supported()) continue;
        const Kernels& table = *candidate.table;
        INFO(std::string(table.name), ", k ", k);
        for (const Gemm* gemm : ways_of(table, kind)) {
          if (!seen.insert(gemm).second) continue;
          const auto all = multiply(*gemm, kind, x, most_rows, w, 5, k);
          CHECK(error_of(all, wanted) < 3 * gemm->tolerance);
          for (std::size_t m : {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 16, 17, 31, 32, 33, 64}) {
            INFO("m ", m);
            const auto some = multiply(*gemm, kind, x, m, w, 5, k);
            CHECK(std::memcmp(some.data(), all.data(), some.size() * sizeof(float)) == 0);
            const auto narrow = multiply(*gemm, kind, x, m, w, 1, k);
            for (std::size_t i = 0; i < m; ++i)
              CHECK(std::memcmp(&narrow[i * 16], &all[i * 80], 16 * sizeof(float)) == 0);
            const std::size_t most_few = has_groups(kind.panel) ? gemm->most_few : few_rows;
            if (m > most_few || gemm == table.tiles) continue;
            for (std::size_t panels : {1, 2, 3, 4, 5}) {
              const auto y = multiply_few(table, *gemm, kind, x, m, w, panels, k);
              for (std::size_t i = 0; i < m; ++i)
                CHECK(std::memcmp(&y[i * 80], &all[i * 80], panels * 16 * sizeof(float)) == 0);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("what is not a number is not lost") {
  for (const Kind& kind : kinds) {
    INFO(std::string(kind.name));
    const auto stored = random_rows(kind, 16, 512, 3);
    const Panels w = pack_all(kind, stored, 16, 512);
    for (const float poison : {NAN, INFINITY}) {
      auto x = random_floats(6 * 512, 4);
      x[3 * 512 + 300] = poison;
      for (const Candidate& candidate : tables_to_test()) {
        if (!candidate.supported()) continue;
        const Kernels& table = *candidate.table;
        INFO(std::string(table.name));
        for (const Gemm* gemm : ways_of(table, kind)) {
          if (gemm == table.tiles) continue;
          const auto many = multiply(*gemm, kind, x, 6, w, 1, 512);
          const auto few = multiply_few(table, *gemm, kind, x, 4, w, 1, 512);
          for (std::size_t i = 0; i < 6; ++i) {
            CHECK(std::isfinite(many[i * 16]) == (i != 3));
            if (i < 4) CHECK(std::isfinite(few[i * 80]) == (i != 3));
          }
        }
      }
    }
  }
}

TEST_CASE("rows of floats become the same block as a panel of floats") {
  const auto rows = random_floats(16 * 100, 9);
  for (const Candidate& candidate : tables_to_test()) {
    if (!candidate.supported()) continue;
    INFO(std::string(candidate.table->name));
    std::vector<float> panel(16 * 96 + 16), direct(panel), turned(panel);
    pack_panel(Panel::f32, panel.data(), rows.data(), 400, 16, 96);
    for (const Gemm* gemm : {candidate.table->plain, candidate.table->tiles}) {
      if (gemm == nullptr) continue;
      if (gemm == candidate.table->tiles)
        gemm->unpack_rows(direct.data(), rows.data(), 100, 96);
      else
        gemm->unpack(Panel::f32, direct.data(), panel.data(), 0, 96);
      gemm->unpack_rows(turned.data(), rows.data(), 100, 96);
      CHECK(direct == turned);
    }
  }
}

TEST_CASE("choosing a table") {
  for (const Candidate& candidate : tables_to_test())
    if (!candidate.supported())
      MESSAGE("not tested, this machine lacks it: " << std::string(candidate.table->name));
  REQUIRE(choose(""));
  CHECK(std::string((*choose("portable"))->name) == "portable");
  const auto wrong = choose("quantum");
  REQUIRE(!wrong);
  CHECK(wrong.error().message().find("portable") != std::string::npos);
}
