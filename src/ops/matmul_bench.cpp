// matmul_bench [--cpu TABLE] [--threads N] [--types q4_k,f16] [--rows 1,128] [--shape N,K]
// GFLOP/s and GB/s of weights of every type and number of rows, beside what this machine can do.
#include <fmt/core.h>

#include <random>

#include "ops/bench_support.h"
#include "ops/dequantise.h"
#include "ops/matrix.h"

using namespace hearth;

namespace {

// Words that are ordinary numbers as f32, f16 and bf16: a subnormal one would cost a trap.
std::vector<std::byte> random_weights(Dtype dtype, std::size_t rows, std::size_t columns) {
  std::mt19937_64 random(1);
  std::vector<std::byte> bytes(byte_size(dtype, rows * columns).value());
  for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    const std::uint64_t word = (random() & 0x83FF83FF83FF83FFu) | 0x3800380038003800u;
    std::memcpy(bytes.data() + i, &word, 8);
  }
  return bytes;
}

struct Options {
  std::string types;
  std::vector<std::size_t> rows, shape;
};

void bench_type(ops::Context& ctx, Dtype dtype, const Options& options, double flops_peak,
                double read_peak) {
  const std::size_t n = options.shape[0], k = options.shape[1];
  const auto bytes = random_weights(dtype, n, k);
  const double weight_bytes = static_cast<double>(bytes.size());
  // Enough copies that none is found in a cache.
  const auto copies = static_cast<std::size_t>(std::max(1.0, 200e6 / weight_bytes));
  std::vector<ops::Matrix> matrices;
  for (std::size_t i = 0; i < copies; ++i) {
    auto matrix = ops::Matrix::prepare(ctx, {dtype, n, k, bytes});
    if (!matrix) return;
    matrices.push_back(std::move(matrix).value());
  }
  const double prepared = bench::best_rate(ctx.pool->threads(), weight_bytes, 3, [&](int) {
    matrices[0] = ops::Matrix::prepare(ctx, {dtype, n, k, bytes}).value();
  });
  fmt::print("{:>10} {:>8} prepared at {:.2f} GB/s\n", ctx.kernels->name, name_of(dtype), prepared);
  for (const std::size_t m : options.rows) {
    std::vector<float> x(m * k, 0.01f), y(m * n);
    const double flops = 2.0 * static_cast<double>(m * n) * static_cast<double>(k);
    const int times = std::max(5, static_cast<int>(2e10 / flops));
    const double rate =
        bench::best_rate(ctx.pool->threads(), flops, std::min(times, 300), [&](int i) {
          ops::matmul(ctx, View(y.data(), m, n), View(x.data(), m, k),
                      matrices[static_cast<std::size_t>(i) % copies]);
        });
    const double read = rate / flops * weight_bytes;
    fmt::print("{:>10} {:>8} {:>5} {:>9.1f} {:>5.0f} % {:>8.2f} {:>5.0f} %\n", ctx.kernels->name,
               name_of(dtype), m, rate, 100 * rate / flops_peak, read, 100 * read / read_peak);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string cpu = bench::argument(argc, argv, "--cpu", "");
  const int threads = std::atoi(bench::argument(argc, argv, "--threads", "1").c_str());
  Options options{
      bench::argument(argc, argv, "--types", "f32,f16,bf16,q8_0,q4_0,q5_0,q4_k,q5_k,q6_k,iq4_xs"),
      bench::numbers(bench::argument(argc, argv, "--rows", "1,4,8,32,128,512")),
      bench::numbers(bench::argument(argc, argv, "--shape", "4096,4096"))};
  ThreadPool pool(threads);
  const double read = bench::read_peak(pool);
  for (const kernels::Candidate& candidate : kernels::candidates()) {
    if (!candidate.supported() || (!cpu.empty() && cpu != candidate.table->name)) continue;
    ops::Context ctx{.kernels = candidate.table, .pool = &pool};
    const double flops = bench::multiply_add_peak(*candidate.table, pool);
    fmt::print("{}: {} thread(s), multiply-add peak {:.1f} GFLOP/s, read peak {:.2f} GB/s\n",
               candidate.table->name, threads, flops, read);
    fmt::print("{:>10} {:>8} {:>5} {:>9} {:>7} {:>8} {:>7}\n", "table", "type", "rows", "GFLOP/s",
               "of peak", "GB/s", "of peak");
    for (const DtypeInfo& type : dtypes())
      if (fmt::format(",{},", options.types).find(fmt::format(",{},", type.name)) !=
          std::string::npos)
        bench_type(ctx, type.dtype, options, flops, read);
  }
  return 0;
}
