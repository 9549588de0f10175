// Matrix products.  One list of jobs is cut into items, which all threads work off together.
//
// Few rows: panels are multiplied as they lie.  Many rows: activations are packed once, and weights
// are unpacked block by block into a buffer that stays in the second-level cache.  Both give the
// same bits, so neither the number of rows nor the threads change a result; only a table with tiles
// computes few and many rows differently, unless it must be deterministic.
#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "ops/packed.h"
#include "ops/scratch.h"

namespace hearth::ops {
namespace {

using kernels::block_columns;
using kernels::few_rows;
using kernels::Gemm;
using kernels::panel_rows;

constexpr std::size_t most_panels = 8;     // of one item
constexpr std::size_t few_panels = 4;      // of one item of few rows
constexpr std::size_t rows_in_cache = 32;  // of 512 columns
// Weights of a matrix that costs a step next to nothing: it is multiplied as `exact` would.
constexpr std::size_t small_matrix = 1 << 16;

struct Job {
  View x, y;
  const Matrix::Packed* w = nullptr;
  std::span<const float> bias{};
  bool adds = false;

  const Gemm* gemm = nullptr;  // how x is packed, if it is, and many rows are multiplied
  bool few = false;            // rows, straight from the panels
  const std::byte* packed_x = nullptr;
  View sums = {};               // of x, group by group, where the weights have minima
  std::size_t item_panels = 0;  // panels of one item
  std::size_t row_blocks = 1;
  std::size_t first_item = 0, items = 0;
};

std::size_t up_to(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// How a job is computed: a choice by the table, the matrix and, unless deterministic, the rows.
void choose_way(const Context& ctx, Job& job) {
  const kernels::Kernels& table = *ctx.kernels;
  const Matrix::Packed& w = *job.w;
  const bool exact = ctx.tier == Tier::exact || (ctx.tier == Tier::accurate &&
                                                 w.stored.rows * w.stored.columns <= small_matrix);
  const bool tiles = table.tiles != nullptr && !exact && !w.is_f32();
  const bool grouped = w.panel && kernels::has_groups(*w.panel);
  const bool rounds_less = exact || (tiles && ctx.tier == Tier::accurate);
  const bool bytes = grouped && !rounds_less && (table.bytes->kinds & kind_bit(*w.panel)) != 0;
  const Gemm* own = !grouped ? table.plain : bytes ? table.bytes : table.rounded;
  const std::size_t most_few = grouped && !tiles ? own->most_few : few_rows;
  const bool small = job.x.rows <= most_few && !(tiles && ctx.deterministic);
  job.few = small && w.panel.has_value();
  job.gemm = tiles && !small ? table.tiles : own;
  if (job.few && !grouped) job.gemm = nullptr;
}

// Packed activations: blocks of rows, each a run of blocks of columns.
struct PackedRows {
  const Gemm* gemm;
  std::size_t rows, columns;

  std::size_t row_blocks() const { return (rows + gemm->most_rows - 1) / gemm->most_rows; }
  // All blocks but the last have so many.
  std::size_t block_rows() const {
    return row_blocks() == 0 ? 0 : up_to((rows + row_blocks() - 1) / row_blocks(), gemm->tile_rows);
  }
  std::size_t steps() const { return (columns + gemm->k_step - 1) / gemm->k_step; }
  std::size_t bytes() const { return up_to(rows, gemm->tile_rows) * steps() * gemm->a_step_bytes; }
  std::size_t rows_of(std::size_t row_block) const {
    return std::min(block_rows(), rows - row_block * block_rows());
  }
  std::size_t offset(std::size_t row_block, std::size_t first_column) const {
    return (row_block * block_rows() * steps() +
            up_to(rows_of(row_block), gemm->tile_rows) * (first_column / gemm->k_step)) *
           gemm->a_step_bytes;
  }
};

void pack_few(Context& ctx, const Gemm& gemm, View x, std::byte* out) {
  if (x.rows <= few_rows) return gemm.pack_few(out, x.data, x.stride, x.rows, x.dim);
  const std::size_t column_blocks = (x.dim + block_columns - 1) / block_columns;
  ctx.pool->parallel_for(column_blocks, 1, [&](std::size_t begin, std::size_t end, int) {
    const std::size_t first = begin * block_columns, last = std::min(end * block_columns, x.dim);
    gemm.pack_few(out + first / gemm.k_step * x.rows * gemm.a_step_bytes, x.data + first, x.stride,
                  x.rows, last - first);
  });
}

void pack_rows(Context& ctx, const PackedRows& shape, View x, std::byte* out) {
  const std::size_t column_blocks = (shape.columns + block_columns - 1) / block_columns;
  ctx.pool->parallel_for(
      shape.row_blocks() * column_blocks, 1, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t i = begin; i < end; ++i) {
          const std::size_t row_block = i / column_blocks,
                            first = i % column_blocks * block_columns;
          shape.gemm->pack(
              out + shape.offset(row_block, first), x.row(row_block * shape.block_rows()) + first,
              x.stride, shape.rows_of(row_block), std::min(block_columns, shape.columns - first));
        }
      });
}

// Packs the inputs of all jobs that need it; jobs over the same rows share them.
void pack_inputs(Context& ctx, std::span<Job> jobs) {
  std::size_t total = 0;
  const auto shares = [](const Job& a, const Job& b) {
    return a.gemm == b.gemm && a.few == b.few && a.x.data == b.x.data && a.x.rows == b.x.rows;
  };
  std::vector<std::size_t> offsets(jobs.size());
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (jobs[i].gemm == nullptr) continue;
    if (i > 0 && shares(jobs[i - 1], jobs[i])) {
      offsets[i] = offsets[i - 1];
      continue;
    }
    offsets[i] = total;
    total += up_to(PackedRows{jobs[i].gemm, jobs[i].x.rows, jobs[i].x.dim}.bytes(), 64);
  }
  if (total == 0) return;
  std::byte* buffer = scratch(Scratch::shared, total);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (jobs[i].gemm == nullptr) continue;
    jobs[i].packed_x = buffer + offsets[i];
    if (i > 0 && shares(jobs[i - 1], jobs[i])) continue;
    const Job& job = jobs[i];
    if (job.few)
      pack_few(ctx, *job.gemm, job.x, buffer + offsets[i]);
    else
      pack_rows(ctx, {job.gemm, job.x.rows, job.x.dim}, job.x, buffer + offsets[i]);
  }
}

// Adds what belongs to the results and puts them in their place.  c: rows of `width`, ldc apart.
void finish(const Job& job, const float* c, std::size_t ldc, std::size_t first_row,
            std::size_t rows, std::size_t first_output, std::size_t width) {
  for (std::size_t i = 0; i < rows; ++i) {
    float* y = job.y.row(first_row + i) + first_output;
    const float* from = c + i * ldc;
    const float* bias = job.bias.empty() ? nullptr : job.bias.data() + first_output;
    if (bias == nullptr && !job.adds) {
      std::memcpy(y, from, width * sizeof(float));
    } else if (bias == nullptr) {
      for (std::size_t n = 0; n < width; ++n) y[n] += from[n];
    } else if (!job.adds) {
      for (std::size_t n = 0; n < width; ++n) y[n] = from[n] + bias[n];
    } else {
      for (std::size_t n = 0; n < width; ++n) y[n] += from[n] + bias[n];
    }
  }
}

// Some panels of a matrix, made on the spot where they are not packed yet.
const std::byte* panels_at(const Matrix::Packed& w, std::size_t first, std::size_t count) {
  if (!w.panel) return nullptr;
  if (w.is_packed()) return w.panel_at(first);
  std::byte* made = scratch(Scratch::panels, count * w.panel_bytes());
  copy_panels(w, first, first + count, made);
  return made;
}

void few_rows_item(const Context& ctx, const Job& job, std::size_t first_panel,
                   std::size_t panels) {
  const Matrix::Packed& w = *job.w;
  const std::size_t ldc = panels * panel_rows, first_output = first_panel * panel_rows;
  const std::size_t k = w.stored.columns;
  alignas(64) float c[kernels::several_rows * few_panels * panel_rows];
  const std::byte* from = panels_at(w, first_panel, panels);
  if (job.packed_x != nullptr)
    job.gemm->few(*w.panel, c, ldc, job.packed_x, job.x.rows, from, panels, k);
  else
    ctx.kernels->few(*w.panel, c, ldc, job.x.data, job.x.stride, job.x.rows, from, panels, k);
  const std::size_t width = std::min(ldc, w.stored.rows - first_output);
  finish(job, c, ldc, 0, job.x.rows, first_output, width);
  if (w.minima == nullptr) return;
  for (std::size_t row = 0; row < job.sums.rows; row += few_rows)
    ctx.kernels->few(kernels::Panel::f32, c + row * ldc, ldc, job.sums.row(row), job.sums.stride,
                     std::min(few_rows, job.sums.rows - row), w.minima->panel_at(first_panel),
                     panels, w.minima->stored.columns);
  Job rest;
  rest.y = job.y;
  rest.adds = true;
  finish(rest, c, ldc, 0, job.x.rows, first_output, width);
}

// Columns [first, first + k) of some panels, which lie at `from`, unpacked into b.
void unpack_weights(const Job& job, const std::byte* from, std::size_t first_panel,
                    std::size_t panels, std::size_t first, std::size_t k, std::byte* b,
                    float* rows) {
  const Matrix::Packed& w = *job.w;
  const std::size_t bytes = up_to(k, job.gemm->k_step) / job.gemm->k_step * job.gemm->b_step_bytes;
  for (std::size_t p = first_panel; p < first_panel + panels; ++p, b += bytes) {
    if (w.panel) {
      job.gemm->unpack(*w.panel, b, from + (p - first_panel) * w.panel_bytes(), first, k);
      continue;
    }
    const DtypeInfo& type = info(w.stored.dtype);
    const std::size_t offset = first / type.block_elements * type.block_bytes;
    for (std::size_t n = 0; n < panel_rows; ++n) {
      const std::size_t row = p * panel_rows + n;
      if (row < w.stored.rows)
        w.dequantise(w.stored.data.data() + row * w.row_bytes + offset, rows + n * k, k);
      else
        std::memset(rows + n * k, 0, k * sizeof(float));
    }
    job.gemm->unpack_rows(b, rows, k, k);
  }
}

// The weights of two panels from a column on, as far as one block goes.
std::optional<kernels::Ahead> weights_at(const Job& job, std::size_t panel, std::size_t first) {
  const Matrix::Packed& w = *job.w;
  if (!w.panel || !w.is_packed() || panel + 1 >= w.panels()) return std::nullopt;
  const kernels::PanelShape shape = kernels::shape_of(*w.panel);
  const std::size_t k = std::min(block_columns, w.stored.columns - first);
  const std::size_t offset = first / shape.unit_columns * shape.unit_bytes;
  return kernels::Ahead{{w.panel_at(panel) + offset, w.panel_at(panel + 1) + offset},
                        kernels::panel_bytes(*w.panel, k)};
}

void many_rows_item(const Job& job, std::size_t row_block, std::size_t first_panel,
                    std::size_t panels) {
  const Gemm& gemm = *job.gemm;
  const std::size_t columns = job.w->stored.columns;
  const PackedRows shape{&gemm, job.x.rows, columns};
  const std::size_t rows = shape.rows_of(row_block), ldc = panels * panel_rows;
  const std::size_t c_floats = up_to(rows, gemm.tile_rows) * ldc;
  const std::size_t b_bytes =
      up_to(block_columns, gemm.k_step) / gemm.k_step * gemm.b_step_bytes * gemm.most_panels;
  const std::size_t row_floats = panel_rows * block_columns;
  std::byte* b = scratch(Scratch::worker, b_bytes + (c_floats + row_floats) * sizeof(float));
  float* c = reinterpret_cast<float*>(b + b_bytes);
  std::memset(c, 0, c_floats * sizeof(float));
  const bool by_panels = rows <= rows_in_cache;
  const std::byte* from = panels_at(*job.w, first_panel, panels);
  const std::size_t panel_bytes = job.w->panel_bytes();
  const auto multiply = [&](std::size_t p, std::size_t first) {
    const std::size_t k = std::min(block_columns, columns - first);
    const std::size_t together = std::min(gemm.most_panels, panels - p);
    unpack_weights(job, from + p * panel_bytes, first_panel + p, together, first, k, b,
                   c + c_floats);
    const bool columns_left = by_panels && first + k < columns;
    const auto ahead = columns_left
                           ? weights_at(job, first_panel + p, first + k)
                           : weights_at(job, first_panel + p + together, by_panels ? 0 : first);
    gemm.block(job.w->panel.value_or(kernels::Panel::f32), c + p * panel_rows, ldc,
               job.packed_x + shape.offset(row_block, first), b, rows, k, together,
               ahead ? &*ahead : nullptr);
  };
  // Few rows fit the first-level cache whole, and weights come in the order of memory.  Of many,
  // the rows of a block of columns stay in the second-level cache for all panels.
  if (by_panels)
    for (std::size_t p = 0; p < panels; p += gemm.most_panels)
      for (std::size_t first = 0; first < columns; first += block_columns) multiply(p, first);
  else
    for (std::size_t first = 0; first < columns; first += block_columns)
      for (std::size_t p = 0; p < panels; p += gemm.most_panels) multiply(p, first);
  const std::size_t first_output = first_panel * panel_rows;
  finish(job, c, ldc, row_block * shape.block_rows(), rows, first_output,
         std::min(ldc, job.w->stored.rows - first_output));
}

void run_item(const Context& ctx, const Job& job, std::size_t item) {
  const std::size_t strip = item / job.row_blocks, first_panel = strip * job.item_panels;
  const std::size_t panels = std::min(job.item_panels, job.w->panels() - first_panel);
  if (job.few) return few_rows_item(ctx, job, first_panel, panels);
  many_rows_item(job, item % job.row_blocks, first_panel, panels);
}

// Cuts jobs into items small enough that the last of them keeps no thread waiting for long.
std::size_t cut_into_items(const Context& ctx, std::span<Job> jobs) {
  std::size_t panels = 0;
  for (const Job& job : jobs) panels += job.w->panels() * job.row_blocks;
  const auto threads = static_cast<std::size_t>(ctx.pool->threads());
  const std::size_t fair = panels / (8 * threads);
  std::size_t items = 0;
  for (Job& job : jobs) {
    if (job.few)  // panels of one item are read at once: more loads wait for memory together
      job.item_panels = panels >= 3 * few_panels * threads ? few_panels : fair >= 2 ? 2 : 1;
    else
      job.item_panels = fair >= most_panels ? most_panels : fair >= 4 ? 4 : 2;
    job.first_item = items;
    job.items = (job.w->panels() + job.item_panels - 1) / job.item_panels * job.row_blocks;
    items += job.items;
  }
  return items;
}

// Sums of the inputs over each group of columns.  Jobs over the same rows share them.
void sum_groups(Context& ctx, std::span<Job> jobs) {
  const auto shares = [](const Job& a, const Job& b) {
    return b.sums.data != nullptr && a.x.data == b.x.data && a.x.rows == b.x.rows &&
           a.w->groups() == b.sums.dim;
  };
  std::size_t total = 0;
  for (const Job& job : jobs)
    if (job.w->minima != nullptr) total += job.x.rows * job.w->groups();
  if (total == 0) return;
  float* next = float_scratch(Scratch::sums, total);
  for (std::size_t j = 0; j < jobs.size(); ++j) {
    Job& job = jobs[j];
    if (job.w->minima == nullptr) continue;
    if (j > 0 && shares(job, jobs[j - 1])) {
      job.sums = jobs[j - 1].sums;
      continue;
    }
    const std::size_t columns = job.w->recoding->group_columns;
    job.sums = View(next, job.x.rows, job.w->groups());
    next += job.x.rows * job.w->groups();
    ctx.pool->parallel_for(job.x.rows, 8, [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t row = begin; row < end; ++row)
        for (std::size_t g = 0; g < job.sums.dim; ++g) {
          const float* x = job.x.row(row) + g * columns;
          float sum = 0;
          for (std::size_t k = 0; k < columns; ++k) sum += x[k];
          job.sums.row(row)[g] = sum;
        }
    });
  }
}

void run_plain_jobs(Context& ctx, std::span<Job> jobs) {
  for (Job& job : jobs) {
    HEARTH_CHECK(job.x.dim == job.w->stored.columns && job.y.dim >= job.w->stored.rows);
    HEARTH_CHECK(job.bias.empty() || job.bias.size() >= job.w->stored.rows);
    choose_way(ctx, job);
    job.row_blocks = !job.few ? PackedRows{job.gemm, job.x.rows, job.x.dim}.row_blocks() : 1;
  }
  pack_inputs(ctx, jobs);
  const std::size_t items = cut_into_items(ctx, jobs);
  ctx.pool->parallel_for(items, 1, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      const auto after =
          std::upper_bound(jobs.begin(), jobs.end(), i,
                           [](std::size_t item, const Job& job) { return item < job.first_item; });
      const Job& job = *(after - 1);
      run_item(ctx, job, i - job.first_item);
    }
  });
}

// What minima add comes after the rest, whichever way that was computed: few rows and many agree.
void run_jobs(Context& ctx, std::span<Job> jobs) {
  sum_groups(ctx, jobs);
  run_plain_jobs(ctx, jobs);
  std::vector<Job> rest;
  for (const Job& job : jobs)
    if (job.w->minima != nullptr && !job.few)
      rest.push_back({.x = job.sums, .y = job.y, .w = job.w->minima.get(), .adds = true});
  if (!rest.empty()) run_plain_jobs(ctx, rest);
}

void run_one(Context& ctx, View y, View x, const Matrix& w, std::span<const float> bias,
             bool adds) {
  if (x.rows == 0) return;
  Job job{.x = x, .y = y, .w = &w.packed(), .bias = bias, .adds = adds};
  run_jobs(ctx, {&job, 1});
}

void watch(const Context& ctx, const Matrix& w, View x) {
  if (ctx.watcher != nullptr) ctx.watcher->saw(w, x);
}

}  // namespace

void matmul(Context& ctx, View y, View x, const Matrix& w, std::span<const float> bias) {
  watch(ctx, w, x);
  run_one(ctx, y, x, w, bias, false);
}

void matmul_add(Context& ctx, View y, View x, const Matrix& w, std::span<const float> bias) {
  watch(ctx, w, x);
  run_one(ctx, y, x, w, bias, true);
}

void matmul_many(Context& ctx, std::span<const MatmulJob> jobs, View x) {
  if (x.rows == 0) return;
  std::vector<Job> list;
  for (const MatmulJob& job : jobs) watch(ctx, *job.w, x);
  for (const MatmulJob& job : jobs)
    list.push_back({.x = x, .y = job.y, .w = &job.w->packed(), .bias = job.bias});
  run_jobs(ctx, list);
}

void matmul_experts(Context& ctx, View y, View x, std::span<const Matrix> experts,
                    std::span<const ExpertPair> pairs) {
  if (pairs.empty()) return;
  float* gathered = float_scratch(Scratch::gathered, pairs.size() * x.dim);
  ctx.pool->parallel_for(pairs.size(), 16, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t p = begin; p < end; ++p)
      std::memcpy(gathered + p * x.dim, x.row(pairs[p].row), x.dim * sizeof(float));
  });
  std::vector<Job> list;
  for (std::size_t first = 0, last = 0; first < pairs.size(); first = last) {
    while (last < pairs.size() && pairs[last].expert == pairs[first].expert) ++last;
    watch(ctx, experts[pairs[first].expert], View(gathered + first * x.dim, last - first, x.dim));
    list.push_back({.x = View(gathered + first * x.dim, last - first, x.dim),
                    .y = y.slice_rows(first, last - first),
                    .w = &experts[pairs[first].expert].packed()});
  }
  run_jobs(ctx, list);
}

}  // namespace hearth::ops
