// How long one run of a graph takes: graphs_bench MODEL [THREADS [RUNS]].  Inputs are ones; unknown
// extents are 1.  Prints the fastest run, the median one and the processor time of one, in
// milliseconds.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>

#include "graphs/executor.h"
#include "graphs/open.h"
#include "kernels/select.h"

namespace {

using namespace hearth;

Result<std::vector<double>> measure(const std::string& path, int threads, int runs) {
  const graphs::Runner runner(TRY(graphs::open_graph(path)));
  const graphs::Graph& graph = *runner.program().graph;
  std::map<std::string, graphs::Value, std::less<>> inputs;
  for (const graphs::ValueId id : graph.inputs) {
    const graphs::ValueInfo& info = graph.values[static_cast<std::size_t>(id)];
    graphs::Dims dims;
    for (const graphs::Extent& extent : info.shape)
      dims.push_back(std::max<std::int64_t>(extent.value, 1));
    auto tensor = graphs::make_tensor(info.type, dims);
    if (!tensor) return std::move(tensor).error();
    const std::vector<double> ones(static_cast<std::size_t>(tensor->count), 1.0);
    graphs::store(info.type, tensor->bytes, graphs::Work::f64, ones.data(), ones.size());
    inputs.emplace(info.name, std::move(*tensor));
  }
  ThreadPool pool(threads);
  ops::Context ctx;
  ctx.kernels = TRY(kernels::choose(""));
  ctx.pool = &pool;
  std::vector<double> times;
  std::clock_t used = 0;
  for (int i = 0; i < runs + 2; ++i) {
    if (i == 2) used = std::clock();
    const auto start = std::chrono::steady_clock::now();
    auto outputs = runner.run(ctx, inputs);
    if (!outputs) return std::move(outputs).error();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    if (i >= 2) times.push_back(took.count());
  }
  std::ranges::sort(times);
  times.push_back(1e3 * static_cast<double>(std::clock() - used) / CLOCKS_PER_SEC / runs);
  return times;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const int threads = argc > 2 ? std::atoi(argv[2]) : 1, runs = argc > 3 ? std::atoi(argv[3]) : 20;
  const auto times = measure(argv[1], std::max(threads, 1), std::max(runs, 1));
  if (!times) {
    fmt::print(stderr, "{}\n", times.error().message());
    return 1;
  }
  fmt::print("{:.3f} {:.3f} {:.3f}\n", times->front(), (*times)[(times->size() - 1) / 2],
             times->back());
}
