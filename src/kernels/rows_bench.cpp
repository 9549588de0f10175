// rows_bench [--cpu TABLE] [--columns K]
// What more rows cost: nanoseconds of one core for 32 columns of a panel whose weights come from
// memory, by panels as they lie (`few`) and by unpacked blocks, in turn in short bursts: medians,
// so that what else runs weighs on both alike.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "kernels/select.h"

using namespace hearth::kernels;

namespace {

constexpr std::size_t weight_bytes = 96u << 20;  // more than any cache holds
constexpr std::size_t together = 4, bursts = 120, most_rows = 16;

struct Kind {
  Panel panel;
  const char* name;
};
constexpr Kind kinds[] = {{Panel::q4_0, "q4_0"}, {Panel::q5_0, "q5_0"}, {Panel::q8_0, "q8_0"},
                          {Panel::q4_k, "q4_k"}, {Panel::q6_k, "q6_k"}, {Panel::grid, "grid"}};

struct Memory {
  explicit Memory(std::size_t bytes)
      : data(static_cast<unsigned char*>(aligned_alloc(4096, (bytes + 8191) / 4096 * 4096))) {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { free(data); }
  unsigned char* const data;
};

class Bench {
 public:
  Bench(const Gemm& gemm, Panel kind, std::size_t columns)
      : gemm_(gemm),
        kind_(kind),
        columns_(columns),
        bytes_(panel_bytes(kind, columns)),
        panels_(weight_bytes / bytes_),
        weights_(panels_ * bytes_),
        few_(rows_bytes()),
        blocks_(rows_bytes()),
        unpacked_(2 * gemm.b_step_bytes * (block_columns / gemm.k_step)),
        y_((most_rows + 8) * together * panel_rows) {
    for (std::size_t i = 0; i < panels_ * bytes_; ++i)  // scales that are ordinary numbers
      weights_.data[i] = static_cast<unsigned char>(i * 2654435761u >> 13 & 0x3B);
  }

  // Median nanoseconds of 32 columns by few rows, if that is possible, and by blocks.
  void measure(std::size_t m, double* few, double* blocks) {
    std::mt19937 random(1);
    std::vector<float> x(m * columns_);
    for (float& value : x) value = static_cast<float>(random() % 1000) / 500 - 1;
    if (m <= gemm_.most_few) gemm_.pack_few(few_.data, x.data(), columns_, m, columns_);
    for (std::size_t first = 0; first < columns_; first += block_columns)
      gemm_.pack(block_at(m, first), x.data() + first, columns_, m, some(first));
    std::vector<double> times[2];
    for (std::size_t i = 0; i < bursts; ++i) {
      if (m <= gemm_.most_few) times[0].push_back(burst([&] { by_few(m); }));
      times[1].push_back(burst([&] { by_blocks(m); }));
    }
    *few = times[0].empty() ? 0 : median(times[0]);
    *blocks = median(times[1]);
  }

 private:
  std::size_t rows_bytes() const {
    return (most_rows + gemm_.tile_rows) * (columns_ / gemm_.k_step + 1) * gemm_.a_step_bytes;
  }
  std::size_t some(std::size_t first) const { return std::min(block_columns, columns_ - first); }
  unsigned char* block_at(std::size_t m, std::size_t first) const {
    const std::size_t tall = (m + gemm_.tile_rows - 1) / gemm_.tile_rows * gemm_.tile_rows;
    return blocks_.data + first / gemm_.k_step * tall * gemm_.a_step_bytes;
  }
  const unsigned char* panel_at(std::size_t index) const { return weights_.data + index * bytes_; }

  // What is unpacked after two panels from a column on.
  Ahead ahead_of(std::size_t p, std::size_t first) const {
    const bool same = first + block_columns < columns_;
    const std::size_t next = same ? first + block_columns : 0, panel = next_ + p + (same ? 0 : 2);
    const PanelShape shape = shape_of(kind_);
    const std::size_t offset = next / shape.unit_columns * shape.unit_bytes;
    return {{panel_at(panel) + offset, panel_at(panel + 1) + offset},
            panel_bytes(kind_, some(next))};
  }

  void by_few(std::size_t m) {
    gemm_.few(kind_, y_.data(), together * panel_rows, few_.data, m, panel_at(next_), together,
              columns_);
  }

  void by_blocks(std::size_t m) {
    std::fill(y_.begin(), y_.end(), 0.0f);
    for (std::size_t p = 0; p < together; p += 2)
      for (std::size_t first = 0; first < columns_; first += block_columns) {
        const std::size_t k = some(first), stride = k / gemm_.k_step * gemm_.b_step_bytes;
        for (std::size_t i = 0; i < 2; ++i)
          gemm_.unpack(kind_, unpacked_.data + i * stride, panel_at(next_ + p + i), first, k);
        const Ahead ahead = ahead_of(p, first);
        gemm_.block(kind_, y_.data() + p * panel_rows, together * panel_rows, block_at(m, first),
                    unpacked_.data, m, k, 2, &ahead);
      }
  }

  template <typename F>
  double burst(F f) {
    using Clock = std::chrono::steady_clock;
    constexpr std::size_t times = 6;
    const auto begin = Clock::now();
    for (std::size_t i = 0; i < times; ++i) {
      next_ = next_ + 2 * together < panels_ ? next_ + together : 0;
      f();
    }
    const std::chrono::duration<double, std::nano> spent = Clock::now() - begin;
    return spent.count() / static_cast<double>(times * together * columns_ / group_columns);
  }

  static double median(std::vector<double>& values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  }

  const Gemm& gemm_;
  const Panel kind_;
  const std::size_t columns_, bytes_, panels_;
  const Memory weights_, few_, blocks_, unpacked_;
  std::vector<float> y_;
  std::size_t next_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  std::string table;
  std::size_t columns = 1024;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--cpu") == 0) table = argv[i + 1];
    if (strcmp(argv[i], "--columns") == 0) columns = static_cast<std::size_t>(atoi(argv[i + 1]));
  }
  columns = std::max(columns / super_columns, std::size_t{1}) * super_columns;
  const auto kernels = choose(table);
  if (!kernels.ok()) return fprintf(stderr, "%s\n", kernels.error().message().c_str()), 1;
  printf("%s, %zu columns: ns for 32 columns of a panel, few / blocks (times one row)\n",
         (*kernels)->name, columns);
  for (const Kind& kind : kinds) {
    const Gemm* bytes = (*kernels)->bytes;
    const Gemm& gemm = (bytes->kinds & kind_bit(kind.panel)) != 0 ? *bytes : *(*kernels)->rounded;
    Bench bench(gemm, kind.panel, columns);
    printf("%-5s", kind.name);
    double one = 0;
    for (const std::size_t m : {1, 2, 4, 6, 8, 12, 16}) {
      double few = 0, blocks = 0;
      bench.measure(m, &few, &blocks);
      const double best = few > 0 ? few : blocks;
      one = m == 1 ? best : one;
      printf("  %zu: %.0f / %.0f (%.2f)", m, few, blocks, best / one);
    }
    printf("\n");
    fflush(stdout);
  }
  return 0;
}
