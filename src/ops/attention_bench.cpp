// attention_bench [--cpu TABLE] [--threads N] [--heads 14] [--kv-heads 2] [--dim 64]
//                 [--context 512,4096] [--rows 1,8,128]
// The last rows of a sequence attend to all of it: GFLOP/s, and GB/s of keys and values.
#include <fmt/core.h>

#include "ops/attention.h"
#include "ops/bench_support.h"

using namespace hearth;

namespace {

struct Shape {
  std::uint32_t heads, kv_heads, dim;
  Dtype dtype;
};

void measure(ops::Context& ctx, const Shape& shape, std::size_t context, std::size_t rows) {
  const ops::KvLayer layer{shape.kv_heads, shape.dim, shape.dim, shape.dtype, 0};
  const std::size_t count = (context + ops::kv_page_tokens - 1) / ops::kv_page_tokens;
  const PageBuffer memory = PageBuffer::allocate(count * layer.bytes()).value();
  std::vector<std::byte*> pages;
  for (std::size_t p = 0; p < count; ++p) pages.push_back(memory.data() + p * layer.bytes());
  const ops::KvSequence sequence{pages};

  const std::size_t kv = shape.kv_heads * shape.dim, width = shape.heads * shape.dim;
  std::vector<float> k(context * kv, 0.1f), q(rows * width, 0.1f), out(rows * width);
  std::vector<ops::RowPlace> places;
  for (std::uint32_t i = 0; i < context; ++i) places.push_back({0, i});
  ops::kv_append(ctx, layer, {&sequence, 1}, places, View(k.data(), context, kv),
                 View(k.data(), context, kv));

  const auto last = std::span(places).last(rows);
  const ops::AttentionOptions options{
      .heads = shape.heads, .scale = 0.125f, .sinks = {}, .alibi = {}};
  double seen = 0;
  for (const auto& place : last) seen += place.position + 1.0;
  const double flops = 4 * seen * shape.heads * shape.dim;
  const double rate = bench::best_rate(
      ctx.pool->threads(), flops, std::clamp(static_cast<int>(3e9 / flops), 5, 1000), [&](int) {
        ops::attend(ctx, View(out.data(), rows, width), View(q.data(), rows, width), layer,
                    {&sequence, 1}, last, options);
      });
  fmt::print("{:>10} {:>5} {:>8} {:>5} {:>9.1f} {:>8.2f}\n", ctx.kernels->name,
             name_of(shape.dtype), context, rows, rate,
             rate / flops * static_cast<double>(count * layer.bytes()));
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](std::string_view name, std::string_view fallback) {
    return static_cast<std::uint32_t>(
        std::atoi(bench::argument(argc, argv, name, fallback).c_str()));
  };
  const std::string cpu = bench::argument(argc, argv, "--cpu", "");
  const auto contexts = bench::numbers(bench::argument(argc, argv, "--context", "512,4096"));
  const auto rows = bench::numbers(bench::argument(argc, argv, "--rows", "1,8,128"));
  ThreadPool pool(static_cast<int>(number("--threads", "1")));
  for (const kernels::Candidate& candidate : kernels::candidates()) {
    if (!candidate.supported() || (!cpu.empty() && cpu != candidate.table->name)) continue;
    ops::Context ctx{.kernels = candidate.table, .pool = &pool};
    fmt::print("{}: {} thread(s), multiply-add peak {:.1f} GFLOP/s\n", candidate.table->name,
               pool.threads(), bench::multiply_add_peak(*candidate.table, pool));
    fmt::print("{:>10} {:>5} {:>8} {:>5} {:>9} {:>8}\n", "table", "kv", "context", "rows",
               "GFLOP/s", "GB/s");
    for (const Dtype dtype : {Dtype::f32, Dtype::f16, Dtype::q8_0, Dtype::q4_0})
      for (const std::size_t context : contexts)
        for (const std::size_t some : rows)
          measure(
              ctx,
              {number("--heads", "14"), number("--kv-heads", "2"), number("--dim", "64"), dtype},
              context, std::min(some, context));
  }
  return 0;
}
