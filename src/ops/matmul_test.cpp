#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "base/files.h"
#include "base/store_files.h"
#include "ops/dequantise.h"
#include "ops/late_packing.h"
#include "ops/matrix.h"
#include "ops/packed.h"
#include "ops/test_support.h"

using namespace hearth;
using namespace hearth::ops;

namespace {

// Random blocks whose half scales are ordinary numbers: every 16-bit word is one of moderate size.
std::vector<std::byte> random_matrix(Dtype dtype, std::size_t rows, std::size_t columns,
                                     unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(byte_size(dtype, rows * columns).value());
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  const std::size_t block = info(dtype).block_bytes;
  const auto values = random_floats(bytes.size() / 2 + 1, seed, 0.02f);
  const auto put_half = [&](std::size_t at, float value) {
    std::uint16_t half;
    kernels::reference().to_half(&half, &value, 1);
    std::memcpy(bytes.data() + at, &half, 2);
  };
  for (std::size_t b = 0; b * block < bytes.size(); ++b) {
    const std::size_t at = b * block;
    switch (dtype) {
      case Dtype::f32:
        std::memcpy(bytes.data() + at, &values[b], 4);
        break;
      case Dtype::f16:
        put_half(at, values[b]);
        break;
      case Dtype::bf16:
        std::memcpy(bytes.data() + at, reinterpret_cast<const char*>(&values[b]) + 2, 2);
        break;
      case Dtype::mxfp4:
        bytes[at] = static_cast<std::byte>(118 + b % 9);
        break;
      case Dtype::f64: {
        const double wide = values[b];
        std::memcpy(bytes.data() + at, &wide, 8);
        break;
      }
      case Dtype::q4_1:
      case Dtype::q5_1:
      case Dtype::q4_k:
      case Dtype::q5_k:
        put_half(at + 2, values[2 * b]);
        [[fallthrough]];
      case Dtype::q4_0:
      case Dtype::q5_0:
      case Dtype::q8_0:
      case Dtype::iq4_nl:
      case Dtype::iq4_xs:
      case Dtype::iq2_xxs:
      case Dtype::iq2_xs:
      case Dtype::iq2_s:
      case Dtype::iq3_xxs:
      case Dtype::iq3_s:
      case Dtype::iq1_s:
        put_half(at, values[2 * b + 1]);
        break;
      case Dtype::q2_k:
        put_half(at + 80, values[b]);
        put_half(at + 82, values[b + 1]);
        break;
      case Dtype::q3_k:
        put_half(at + 108, values[b]);
        break;
      case Dtype::q6_k:
        put_half(at + 208, values[b]);
        break;
      default:
        break;
    }
  }
  return bytes;
}

const Dtype tested[] = {Dtype::f32,    Dtype::f16,   Dtype::bf16,    Dtype::f64,   Dtype::q8_0,
                        Dtype::q4_0,   Dtype::q4_1,  Dtype::q5_0,    Dtype::q5_1,  Dtype::q2_k,
                        Dtype::q3_k,   Dtype::q4_k,  Dtype::q5_k,    Dtype::q6_k,  Dtype::iq4_nl,
                        Dtype::iq4_xs, Dtype::mxfp4, Dtype::iq2_xxs, Dtype::iq3_s, Dtype::iq1_s};

struct Problem {
  std::vector<std::byte> bytes;
  StoredMatrix stored;
  std::vector<float> x, wanted;  // [m, columns], [m, rows]
};

Problem problem(Dtype dtype, std::size_t m, std::size_t rows, std::size_t columns) {
  Problem p{random_matrix(dtype, rows, columns, 5), {}, random_floats(m * columns, 6), {}};
  p.stored = {dtype, rows, columns, p.bytes};
  std::vector<float> w(rows * columns);
  dequantiser(dtype)(p.bytes.data(), w.data(), w.size());
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t n = 0; n < rows; ++n) {
      double sum = 0;
      for (std::size_t k = 0; k < columns; ++k)
        sum += static_cast<double>(p.x[i * columns + k]) * w[n * columns + k];
      p.wanted.push_back(static_cast<float>(sum));
    }
  return p;
}

// Of one product, and of most.
struct Tolerance {
  double worst, typical;
};
Tolerance tolerance(const Context& ctx, Dtype dtype) {
  const bool rounds = ctx.tier != Tier::exact && dtype != Dtype::f32;
  if (rounds && ctx.kernels->bytes != ctx.kernels->rounded) return {1.2e-1, 2.5e-2};
  return rounds && ctx.kernels->tiles != nullptr ? Tolerance{5e-2, 4e-3} : Tolerance{5e-4, 1e-4};
}

}  // namespace

TEST_CASE("products with every type agree with the dequantised weights") {
  constexpr std::size_t most = 130;
  for (const Dtype dtype : tested) {
    if (dequantiser(dtype) == nullptr) continue;
    INFO(std::string(name_of(dtype)));
    const std::size_t block = info(dtype).block_elements;
    for (const auto& shape :
         {std::pair<std::size_t, std::size_t>{70, std::max<std::size_t>(block, 96) / block * block},
          {33, block * 3},
          {5, 768}}) {
      const std::size_t rows = shape.first, columns = shape.second;
      Problem p = problem(dtype, most, rows, columns);
      each_context([&](Context& ctx) {
        INFO(std::string(ctx.kernels->name), ", rows ", rows, ", columns ", columns);
        auto prepared = Matrix::prepare(ctx, p.stored);
        REQUIRE(prepared);
        for (std::size_t m : {1, 2, 4, 5, 9, 31, 130}) {
          INFO("m ", m);
          std::vector<float> y(m * rows, 7.0f);
          matmul(ctx, View(y.data(), m, rows), View(p.x.data(), m, columns), *prepared);
          const auto wanted = std::span(p.wanted).first(m * rows);
          CHECK(error_of(y, wanted) < tolerance(ctx, dtype).worst);
          CHECK(typical_error_of(y, wanted) < tolerance(ctx, dtype).typical);
        }
      });
    }
  }
}

TEST_CASE("small matrices are multiplied as exactly by the tier `accurate`, larger ones are not") {
  ThreadPool pool(2);
  for (const Dtype dtype : {Dtype::q8_0, Dtype::q4_0, Dtype::q6_k})
    for (const std::size_t rows : {256u, 272u}) {
      constexpr std::size_t m = 20, columns = 256;
      const auto bytes = random_matrix(dtype, rows, columns, 5);
      auto x = random_floats(m * columns, 6);
      for (const kernels::Candidate& candidate : kernels::tables_to_test()) {
        if (!candidate.supported()) continue;
        const kernels::Kernels& table = *candidate.table;
        INFO(std::string(table.name), ", ", std::string(name_of(dtype)), ", rows ", rows);
        std::vector<float> results[2];
        bool rounds = table.tiles != nullptr;
        for (const Tier tier : {Tier::accurate, Tier::exact}) {
          Context ctx{.kernels = &table, .pool = &pool, .tier = tier};
          const Matrix w = Matrix::prepare(ctx, {dtype, rows, columns, bytes}).value();
          const bool takes_kind = (table.bytes->kinds & kernels::kind_bit(*w.packed().panel)) != 0;
          rounds = rounds || (table.bytes != table.rounded && takes_kind);
          std::vector<float>& y = results[tier == Tier::exact];
          y.resize(m * rows);
          matmul(ctx, View(y.data(), m, rows), View(x.data(), m, columns), w);
        }
        CHECK((results[0] == results[1]) == (rows == 256 || !rounds));
      }
    }
}

TEST_CASE("bias, addition, strides, several matrices at once") {
  constexpr std::size_t m = 7, rows = 40, columns = 64;
  Problem p = problem(Dtype::q8_0, m, rows, columns);
  const auto bias = random_floats(rows, 3), start = random_floats(m * 50, 4);
  double squares = 0;
  for (const float value : p.wanted) squares += static_cast<double>(value) * value;
  const double near = 0.05 * std::sqrt(squares / static_cast<double>(p.wanted.size()));
  each_context([&](Context& ctx) {
    const Matrix w = Matrix::prepare(ctx, p.stored).value();
    for (std::size_t some : {std::size_t{2}, m}) {
      std::vector<float> y = start, two(m * rows), three(m * rows), wanted, plain;
      matmul_add(ctx, View(y.data(), some, rows, 50), View(p.x.data(), some, columns), w, bias);
      const MatmulJob jobs[] = {{View(two.data(), some, rows), &w, bias},
                                {View(three.data(), some, rows), &w, {}}};
      matmul_many(ctx, jobs, View(p.x.data(), some, columns));
      for (std::size_t i = 0; i < some; ++i)
        for (std::size_t n = 0; n < rows; ++n) {
          const float product = p.wanted[i * rows + n];
          CHECK(std::abs(y[i * 50 + n] - product - bias[n] - start[i * 50 + n]) < near);
          CHECK(std::abs(two[i * rows + n] - product - bias[n]) < near);
          CHECK(std::abs(three[i * rows + n] - product) < near);
        }
      for (std::size_t i = 0; i < some; ++i)
        for (std::size_t n = rows; n < 50; ++n) CHECK(y[i * 50 + n] == start[i * 50 + n]);
    }
  });
}

TEST_CASE("experts: every pair is the row times its expert") {
  constexpr std::size_t experts = 5, rows = 24, columns = 96, tokens = 20;
  Problem p = problem(Dtype::f32, tokens, experts * rows, columns);
  std::vector<ExpertPair> pairs;
  for (std::uint32_t expert : {0, 1, 3, 4})
    for (std::uint32_t row = 0; row < tokens; ++row)
      if (expert == 1 || (row + expert) % 7 == 0) pairs.push_back({row, expert});
  each_context([&](Context& ctx) {
    std::vector<Matrix> list;
    for (std::size_t e = 0; e < experts; ++e) {
      StoredMatrix one = p.stored;
      one.rows = rows;
      one.data = p.stored.data.subspan(e * rows * columns * 4, rows * columns * 4);
      list.push_back(Matrix::prepare(ctx, one).value());
    }
    std::vector<float> y(pairs.size() * rows), wanted;
    matmul_experts(ctx, View(y.data(), pairs.size(), rows), View(p.x.data(), tokens, columns), list,
                   pairs);
    for (const ExpertPair& pair : pairs)
      for (std::size_t n = 0; n < rows; ++n)
        wanted.push_back(p.wanted[pair.row * experts * rows + pair.expert * rows + n]);
    CHECK(error_of(y, wanted) < 1e-5);
  });
}

TEST_CASE("deterministic: a row's result does not depend on its batch or on the threads") {
  constexpr std::size_t m = 600, rows = 104, columns = 640;  // no small matrix
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::q8_0, Dtype::q4_0, Dtype::f64}) {
    if (dequantiser(dtype) == nullptr) continue;
    const auto bytes = random_matrix(dtype, rows, columns, 5);
    const StoredMatrix stored{dtype, rows, columns, bytes};
    auto x = random_floats(m * columns, 6);
    for (const kernels::Candidate& candidate : kernels::tables_to_test()) {
      if (!candidate.supported()) continue;
      INFO(std::string(candidate.table->name), ", ", std::string(name_of(dtype)));
      std::vector<float> first;
      for (const int threads : {1, 2, 5}) {
        ThreadPool pool(threads);
        Context ctx{.kernels = candidate.table, .pool = &pool, .deterministic = true};
        const Matrix w = Matrix::prepare(ctx, stored).value();
        std::vector<float> all(m * rows);
        matmul(ctx, View(all.data(), m, rows), View(x.data(), m, columns), w);
        if (first.empty()) first = all;
        CHECK(all == first);
        for (std::size_t some : {1, 3, 17, 100}) {
          std::vector<float> y(some * rows);
          matmul(ctx, View(y.data(), some, rows), View(x.data(), some, columns), w);
          CHECK(std::memcmp(y.data(), all.data(), y.size() * sizeof(float)) == 0);
        }
      }
    }
  }
}

TEST_CASE("gathering rows; matrices that cannot be") {
  ThreadPool pool(2);
  Context ctx{.kernels = &kernels::reference(), .pool = &pool};
  const auto bytes = random_matrix(Dtype::q4_0, 10, 64, 1);
  const StoredMatrix table{Dtype::q4_0, 10, 64, bytes};
  std::vector<float> all(640), y(3 * 70, 5.0f);
  dequantiser(Dtype::q4_0)(bytes.data(), all.data(), 640);
  const std::int32_t ids[] = {9, 0, 9};
  gather_rows(ctx, View(y.data(), 3, 64, 70), table, ids);
  for (int i = 0; i < 3; ++i)
    CHECK(std::memcmp(&y[70 * static_cast<std::size_t>(i)],
                      &all[64 * static_cast<std::size_t>(ids[i])], 256) == 0);
  CHECK(y[64] == 5.0f);

  const auto is_kind = [&](const StoredMatrix& stored, ErrorKind kind) {
    const auto got = Matrix::prepare(ctx, stored);
    REQUIRE(!got);
    CHECK(got.error().kind() == kind);
  };
  is_kind({Dtype::boolean, 2, 2, std::span(bytes).first(4)}, ErrorKind::unsupported);
  is_kind({Dtype::q4_0, 10, 63, bytes}, ErrorKind::corrupt);
  is_kind({Dtype::q4_0, 11, 64, bytes}, ErrorKind::corrupt);
}

TEST_CASE("matrices packed late give the same bits, before and after") {
  constexpr std::size_t rows = 100, columns = 512;
  char folder[] = "/tmp/hearth-late-XXXXXX";
  REQUIRE(::mkdtemp(folder) != nullptr);
  const std::string path = std::string(folder) + "/weights";
  for (const Dtype dtype : {Dtype::q4_k, Dtype::q8_0, Dtype::f16, Dtype::q5_1}) {
    INFO(std::string(name_of(dtype)));
    const auto bytes = random_matrix(dtype, rows, columns, 5);
    REQUIRE(replace_file(path, bytes).ok());
    const auto file = MappedFile::open(path).value();
    const StoredMatrix stored{dtype, rows, columns, file->bytes(), true};
    each_context([&](Context& ctx) {
      INFO(std::string(ctx.kernels->name));
      const Matrix now = Matrix::prepare(ctx, {dtype, rows, columns, bytes, false}).value();
      LatePacking packing;
      const auto late = Matrix::prepare_all(ctx, std::span(&stored, 1), &packing).value();
      packing.start();
      for (int step = 0; step < 2; ++step) {
        packing.before_step(ctx);  // the first time it packs nothing
        for (const std::size_t count : {1, 7, 40}) {
          auto x = random_floats(count * columns, 9);
          std::vector<float> wanted(count * rows), got(count * rows);
          matmul(ctx, View(wanted.data(), count, rows), View(x.data(), count, columns), now);
          matmul(ctx, View(got.data(), count, rows), View(x.data(), count, columns), late.front());
          CHECK(std::memcmp(wanted.data(), got.data(), got.size() * sizeof(float)) == 0);
        }
      }
      CHECK(late.front().packed().is_packed());
    });
  }
  CHECK(remove_all(folder).ok());
}
