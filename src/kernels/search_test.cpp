#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "base/half.h"
#include "kernels/search_select.h"

namespace hearth::kernels {

#if defined(__x86_64__)
extern const SearchKernels amx_emulated_search_table;
#endif

namespace {

template <typename F>
void each_search_table(F check) {
  for (const SearchCandidate& candidate : search_candidates()) {
    if (!candidate.supported()) continue;
    INFO(std::string(candidate.table->name));
    check(*candidate.table);
  }
#if defined(__x86_64__)
  if (!detect_cpu_features().avx512_vnni) return;
  INFO(std::string("amx-emulated"));
  check(amx_emulated_search_table);
#endif
}

std::vector<std::uint8_t> random_bytes(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> bytes(n);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

std::vector<float> random_floats(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

const std::size_t dims[] = {0, 1, 3, 4, 15, 16, 17, 31, 33, 63, 64, 65, 100, 128, 129, 300, 768};

void check_near(const std::vector<float>& got, const std::vector<float>& want, float tolerance) {
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    INFO("entry ", i);
    CHECK(std::abs(got[i] - want[i]) <= tolerance);
  }
}

// Rows of each type, 3 bytes beyond what they need apart.
std::vector<std::uint8_t> typed_rows(RowType type, const std::vector<float>& values,
                                     std::size_t rows, std::size_t dim, std::size_t stride) {
  std::vector<std::uint8_t> bytes(rows * stride + 8, 0xEE);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < dim; ++j) {
      const float x = values[i * dim + j];
      if (type == RowType::f32) {
        std::memcpy(&bytes[i * stride + 4 * j], &x, 4);
        continue;
      }
      const std::uint16_t h = type == RowType::f16 ? f32_to_f16(x) : f32_to_bf16(x);
      std::memcpy(&bytes[i * stride + 2 * j], &h, 2);
    }
  return bytes;
}

TEST_CASE("search: distances to rows of floats agree with the reference") {
  const std::uint32_t ids[] = {4, 0, 4, 2, 1, 3, 3};
  const SearchKernels& want = search_reference();
  for (const std::size_t dim : dims)
    for (std::size_t t = 0; t < row_types; ++t) {
      const auto values = random_floats(5 * dim, 1), query = random_floats(dim, 2);
      const std::size_t stride = dim * (t == 0 ? 4 : 2) + 2 * (t + 1);
      const auto rows = typed_rows(static_cast<RowType>(t), values, 5, dim, stride);
      const float tolerance = 4e-5f * (static_cast<float>(dim) + 1);
      each_search_table([&](const SearchKernels& table) {
        INFO("dim ", dim, " type ", t);
        std::vector<float> got(5), wanted(5), got_at(7), wanted_at(7);
        table.l2[t](got.data(), query.data(), rows.data(), stride, 5, dim);
        want.l2[t](wanted.data(), query.data(), rows.data(), stride, 5, dim);
        check_near(got, wanted, tolerance);
        table.dot[t](got.data(), query.data(), rows.data(), stride, 5, dim);
        want.dot[t](wanted.data(), query.data(), rows.data(), stride, 5, dim);
        check_near(got, wanted, tolerance);
        table.l2_at[t](got_at.data(), query.data(), rows.data(), stride, ids, 7, dim);
        want.l2_at[t](wanted_at.data(), query.data(), rows.data(), stride, ids, 7, dim);
        check_near(got_at, wanted_at, tolerance);
        table.dot_at[t](got_at.data(), query.data(), rows.data(), stride, ids, 7, dim);
        want.dot_at[t](wanted_at.data(), query.data(), rows.data(), stride, ids, 7, dim);
        check_near(got_at, wanted_at, tolerance);
      });
    }
}

TEST_CASE("search: products of bytes and differing bits are exact") {
  const std::uint32_t ids[] = {8, 0, 8, 2, 1, 3, 3, 7, 6, 5, 4};
  const SearchKernels& want = search_reference();
  for (const std::size_t dim : dims) {
    const std::size_t stride = dim + 5;
    const auto rows = random_bytes(9 * stride, 3), signed_bytes = random_bytes(dim, 4);
    const std::int8_t* query = reinterpret_cast<const std::int8_t*>(signed_bytes.data());
    each_search_table([&](const SearchKernels& table) {
      INFO("dim ", dim);
      std::vector<std::int32_t> got(11), wanted(11);
      table.dots_u8(got.data(), query, rows.data(), stride, 9, dim);
      want.dots_u8(wanted.data(), query, rows.data(), stride, 9, dim);
      CHECK(got == wanted);
      table.dots_u8_at(got.data(), query, rows.data(), stride, ids, 11, dim);
      want.dots_u8_at(wanted.data(), query, rows.data(), stride, ids, 11, dim);
      CHECK(got == wanted);
      std::vector<std::uint32_t> bits(9), wanted_bits(9);
      table.hamming(bits.data(), signed_bytes.data(), rows.data(), stride, 9, dim);
      want.hamming(wanted_bits.data(), signed_bytes.data(), rows.data(), stride, 9, dim);
      CHECK(bits == wanted_bits);
    });
  }
}

TEST_CASE("search: rows of bytes by panels, and the nearest columns") {
  const SearchKernels& want = search_reference();
  for (const std::size_t dim : {64, 128, 192, 768})
    for (const std::size_t panels : {1, 2, 3, 4, 5, 9, 17})
      for (const std::size_t m : {1, 3, 4, 7, 8, 16, 17, 33}) {
        if (m * panels > 150) continue;
        const std::size_t stride = dim + 3, ldo = panels * 16 + 1;
        const auto rows = random_bytes(m * stride, 5), bytes = random_bytes(panels * 16 * dim, 6);
        const std::int8_t* columns = reinterpret_cast<const std::int8_t*>(bytes.data());
        const auto terms = random_floats(panels * 16, 7), factors = random_floats(m, 8);
        std::vector<std::int32_t> wanted(m * ldo);
        want.dots_panels(wanted.data(), ldo, rows.data(), stride, m, columns, panels, dim);
        std::vector<LaneMinima> wanted_minima(m);
        for (LaneMinima& lanes : wanted_minima) std::fill_n(lanes.key, 16, 0.0f);
        auto minima = wanted_minima;
        std::vector<std::int32_t> offsets(panels * 16);
        for (std::size_t c = 0; c < offsets.size(); ++c)
          offsets[c] = static_cast<std::int32_t>(c * 7919 % 20000) - 10000;
        std::vector<float> wanted_keys(panels * 16);
        const float least = want.panel_keys(wanted_keys.data(), rows.data(), 0.5f, columns,
                                            terms.data(), offsets.data(), panels, dim);
        want.nearest(wanted_minima.data(), rows.data(), stride, factors.data(), m, columns,
                     terms.data(), offsets.data(), 1000, panels, dim);
        each_search_table([&](const SearchKernels& table) {
          INFO("dim ", dim, " panels ", panels, " rows ", m);
          std::vector<std::int32_t> got(m * ldo);
          table.dots_panels(got.data(), ldo, rows.data(), stride, m, columns, panels, dim);
          CHECK(got == wanted);
          std::vector<float> keys(panels * 16);
          CHECK(table.panel_keys(keys.data(), rows.data(), 0.5f, columns, terms.data(),
                                 offsets.data(), panels, dim) == doctest::Approx(least));
          check_near(keys, wanted_keys, 1.0f);
          auto lanes = minima;
          table.nearest(lanes.data(), rows.data(), stride, factors.data(), m, columns, terms.data(),
                        offsets.data(), 1000, panels, dim);
          bool same = true;
          for (std::size_t i = 0; i < m; ++i)
            for (std::size_t l = 0; l < 16; ++l)
              same = same && (lanes[i].column[l] == wanted_minima[i].column[l] ||
                              std::abs(lanes[i].key[l] - wanted_minima[i].key[l]) <
                                  1e-5f * std::abs(lanes[i].key[l]) + 1);
          CHECK(same);
        });
      }
}

TEST_CASE("search: pairs that may be near") {
  const SearchKernels& want = search_reference();
  for (const std::size_t panels : {1, 4, 5, 8})
    for (const std::size_t m : {1, 7, 16}) {
      const std::size_t dim = 128, columns = panels * 16;
      const auto rows = random_bytes(m * dim, 21), bytes = random_bytes(columns * dim, 22);
      const auto terms = random_floats(m, 23), factors = random_floats(m, 24),
                 slacks = random_floats(m, 25), scales = random_floats(columns, 26),
                 norms = random_floats(columns, 27), limits = random_floats(columns, 28);
      std::vector<std::int32_t> offsets(columns);
      for (std::size_t c = 0; c < columns; ++c) offsets[c] = static_cast<std::int32_t>(c * 31);
      const PairScan scan = {.rows = rows.data(),
                             .stride = dim,
                             .m = m,
                             .terms = terms.data(),
                             .factors = factors.data(),
                             .slacks = slacks.data(),
                             .panels = reinterpret_cast<const std::int8_t*>(bytes.data()),
                             .count = panels,
                             .dim = dim,
                             .scales = scales.data(),
                             .norms = norms.data(),
                             .limits = limits.data(),
                             .offsets = offsets.data()};
      std::vector<PairHit> wanted(m * columns);
      wanted.resize(want.near_pairs(wanted.data(), &scan));
      each_search_table([&](const SearchKernels& table) {
        std::vector<PairHit> got(m * columns);
        got.resize(table.near_pairs(got.data(), &scan));
        REQUIRE(got.size() == wanted.size());
        std::sort(got.begin(), got.end(), [](const PairHit& a, const PairHit& b) {
          return a.row != b.row ? a.row < b.row : a.column < b.column;
        });
        for (std::size_t i = 0; i < got.size(); ++i) {
          CHECK(got[i].row == wanted[i].row);
          CHECK(got[i].column == wanted[i].column);
          CHECK(got[i].value == doctest::Approx(wanted[i].value).epsilon(1e-4));
        }
      });
    }
}

TEST_CASE("search: the scan of codes keeps the same vectors with the same values") {
  const SearchKernels& want = search_reference();
  for (const std::size_t groups : {8, 16, 32, 192, 1024}) {
    const std::size_t blocks = 3;
    auto bytes = random_bytes(blocks * block_bytes(groups), 9);
    for (std::size_t b = 0; b < blocks; ++b)  // terms that are finite; the last vectors are padding
      for (std::size_t v = 0; v < 2 * block_vectors; ++v) {
        const bool padding = b == blocks - 1 && v < block_vectors && v >= 30;
        const float term = padding ? INFINITY : static_cast<float>(v * 7 % 40) - 20.0f;
        const std::uint16_t half = f32_to_f16(term);
        std::memcpy(&bytes[b * block_bytes(groups) + groups * 16 + 2 * v], &half, 2);
      }
    auto tables = random_bytes(groups * 32, 10);
    for (std::size_t i = 0; i < tables.size(); ++i)  // both halves of 32 bytes are the same table
      tables[i] = i % 32 < 16 ? std::max<std::uint8_t>(tables[i] % 64, 40) : tables[i - 16];
    for (const float limit : {INFINITY, 0.0f, -INFINITY}) {
      const CodeScan scan = {.blocks = bytes.data(),
                             .count = blocks,
                             .tables = tables.data(),
                             .groups = groups,
                             .scale = 0.125f,
                             .offset = -4,
                             .limit = limit,
                             .place = 500,
                             .next = bytes.data()};
      std::vector<float> wanted(96);
      std::vector<std::uint32_t> wanted_places(96);
      const std::size_t kept = want.scan_codes(wanted.data(), wanted_places.data(), &scan);
      each_search_table([&](const SearchKernels& table) {
        INFO("groups ", groups, " limit ", limit);
        std::vector<float> got(96);
        std::vector<std::uint32_t> places(96);
        REQUIRE(table.scan_codes(got.data(), places.data(), &scan) == kept);
        CHECK(places == wanted_places);
        for (std::size_t i = 0; i < kept; ++i)
          CHECK(std::abs(got[i] - wanted[i]) <= 1e-3f * std::abs(wanted[i]) + 1e-2f);
      });
    }
  }
}

TEST_CASE("search: keys at most a limit, and tables of signs") {
  const SearchKernels& want = search_reference();
  for (const std::size_t n : {0, 1, 15, 16, 17, 100}) {
    const auto keys = random_floats(n, 13);
    std::vector<float> values(n), wanted(n);
    std::vector<std::uint32_t> places(n), wanted_places(n);
    const std::size_t kept =
        want.at_most(wanted.data(), wanted_places.data(), keys.data(), n, 0.3f);
    each_search_table([&](const SearchKernels& table) {
      REQUIRE(table.at_most(values.data(), places.data(), keys.data(), n, 0.3f) == kept);
      for (std::size_t i = 0; i < kept; ++i) CHECK(places[i] == wanted_places[i]);
    });
  }
  for (const std::size_t groups : {8, 32, 192}) {
    auto q = random_floats(4 * groups, 14);
    q[5] = 0;
    std::vector<std::uint8_t> tables(groups * 32), wanted(groups * 32);
    float scale, offset, wanted_scale, wanted_offset;
    want.sign_tables(wanted.data(), q.data(), groups, &wanted_scale, &wanted_offset);
    each_search_table([&](const SearchKernels& table) {
      table.sign_tables(tables.data(), q.data(), groups, &scale, &offset);
      CHECK(scale == doctest::Approx(wanted_scale));
      CHECK(offset == doctest::Approx(wanted_offset));
      int worst = 0;
      for (std::size_t i = 0; i < tables.size(); ++i) {
        worst = std::max(worst, std::abs(tables[i] - wanted[i]));
        REQUIRE(tables[i] <= max_code_entry);
      }
      CHECK(worst <= 1);
    });
  }
}

TEST_CASE("search: numbers as bytes, and their sum") {
  const SearchKernels& want = search_reference();
  for (const std::size_t n : dims) {
    for (const float scale : {0.0f, 1e-20f, 1.0f, 1e30f}) {
      auto x = random_floats(n, 15);
      for (float& value : x) value *= scale;
      for (const int zero : {0, 128}) {
        std::vector<std::uint8_t> wanted(n);
        const float step = want.to_bytes(wanted.data(), x.data(), n, zero);
        each_search_table([&](const SearchKernels& table) {
          INFO("n ", n, " scale ", scale, " zero ", zero);
          std::vector<std::uint8_t> bytes(n + 1, 7);
          CHECK(table.to_bytes(bytes.data(), x.data(), n, zero) == doctest::Approx(step));
          for (std::size_t j = 0; j < n; ++j)  // halves may go either way
            REQUIRE(std::abs(static_cast<std::int8_t>(bytes[j] - wanted[j])) <= 1);
          CHECK(bytes[n] == 7);
        });
      }
      each_search_table([&](const SearchKernels& table) {
        CHECK(std::abs(table.sum(x.data(), n) - want.sum(x.data(), n)) <=
              1e-5f * scale * static_cast<float>(n));
      });
    }
  }
}

TEST_CASE("search: the Hadamard transform") {
  const SearchKernels& want = search_reference();
  for (std::size_t n = 1; n <= 1024; n *= 2) {
    const auto values = random_floats(n, 11), signs = random_floats(n, 12);
    auto wanted = values;
    want.hadamard(wanted.data(), signs.data(), n);
    each_search_table([&](const SearchKernels& table) {
      INFO("n ", n);
      auto got = values;
      table.hadamard(got.data(), signs.data(), n);
      check_near(got, wanted, 1e-4f * static_cast<float>(n + 4));
    });
  }
}

TEST_CASE("search: a table is chosen as --cpu says") {
  CHECK(choose_search("portable").value()->name == std::string("portable"));
  CHECK(choose_search("sse9").error().kind() == ErrorKind::invalid);
  CHECK(choose_search("").ok());
}

}  // namespace
}  // namespace hearth::kernels
