// Attention, page by page, with the softmax kept up to date as pages come.
//
// The unit of work is a block of rows of one sequence and one kv head: the query heads of a group
// share its keys and values.  Pages are gathered in segments at fixed places of the sequence; each
// segment is computed from nothing and merged in order, so that a long sequence may be spread over
// threads without changing its result.
#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "base/check.h"
#include "kernels/kernels.h"
#include "ops/kv_pages.h"
#include "ops/scratch.h"

namespace hearth::ops {
namespace {

constexpr std::size_t segment_pages = 16;
constexpr std::size_t block_queries = 64;  // query heads times rows of a block, about
constexpr float infinity = std::numeric_limits<float>::infinity();

// What a row sees of its sequence: positions [first, last); `self` is its own place.
struct Seen {
  std::uint32_t first, last, self;
};

// Everything the blocks of one call share.
struct Job {
  const Context& ctx;
  const KvLayer& layer;
  const AttentionOptions& options;
  std::span<const KvSequence> sequences;
  View q, out;

  std::size_t group() const { return options.heads / layer.kv_heads; }
};

// Rows [first, first + seen.size()) of q, all of one sequence, for one kv head.
struct Block {
  std::size_t first_row = 0, kv_head = 0, sequence = 0;
  std::span<const Seen> seen;

  std::uint32_t begin() const { return std::ranges::min(seen, {}, &Seen::first).first; }
  std::uint32_t end() const { return std::ranges::max(seen, {}, &Seen::last).last; }
};

// Running softmax of some queries: [queries] maxima and sums, [queries, dim] weighted values.
struct State {
  float *max, *sum, *values;

  static std::size_t floats(std::size_t queries, std::size_t dim) { return queries * (dim + 2); }
  static State in(float* memory, std::size_t queries) {
    return {memory, memory + queries, memory + 2 * queries};
  }
  void clear(std::size_t queries, std::size_t dim) const {
    std::fill_n(max, queries, -infinity);
    std::fill_n(sum, queries, 0.0f);
    std::fill_n(values, queries * dim, 0.0f);
  }
};

void gather_queries(const Job& job, const Block& block, float* q) {
  const std::size_t dim = job.layer.key_dim, group = job.group();
  for (std::size_t i = 0; i < block.seen.size(); ++i)
    std::memcpy(q + i * group * dim, job.q.row(block.first_row + i) + block.kv_head * group * dim,
                group * dim * sizeof(float));
}

// One page's part in the softmax of a block.  s: [queries, 32]; factors: [queries].
void visit_page(const Job& job, const Block& block, std::size_t page, const float* q, float* s,
                float* factors, const State& state) {
  const KvLayer& layer = job.layer;
  const kernels::Kernels& table = *job.ctx.kernels;
  const std::size_t group = job.group(), queries = block.seen.size() * group;
  const auto start = static_cast<std::uint32_t>(page * kv_page_tokens);
  const auto limit = static_cast<std::uint32_t>(start + kv_page_tokens);
  const auto form = static_cast<std::size_t>(kv_form(layer.dtype));
  const KvParts parts(layer);
  const std::byte* base = job.sequences[block.sequence].pages[page] + layer.offset_bytes;
  const std::byte* keys = base + block.kv_head * parts.key_bytes;
  const std::byte* values = base + parts.values + block.kv_head * parts.value_bytes;
  table.scores[form](s, q, layer.key_dim, keys, queries, layer.key_dim);

  std::uint32_t first = kv_page_tokens, last = 0;  // seen by any row
  const auto seen_here = [&](const Seen& seen) {
    return std::pair(std::max(seen.first, start), std::min(seen.last, limit));
  };
  const bool has_slopes = !job.options.alibi.empty();
  for (std::size_t i = 0, end; i < block.seen.size(); i = end) {
    const auto [from, to] = seen_here(block.seen[i]);
    for (end = i + 1; end < block.seen.size(); ++end)
      if (has_slopes || seen_here(block.seen[end]) != std::pair(from, to)) break;
    const std::size_t rows = (end - i) * group;
    float* scores = s + i * group * kv_page_tokens;
    if (from >= to) {
      std::fill_n(scores, rows * kv_page_tokens, 0.0f);
      std::fill_n(factors + i * group, rows, 1.0f);
      continue;
    }
    kernels::SoftmaxStep step{
        .scale = job.options.scale,
        .softcap = job.options.softcap,
        .slope = 0,
        .self = static_cast<std::int32_t>(block.seen[i].self) - static_cast<std::int32_t>(start),
        .first = from - start,
        .last = to - start};
    const std::size_t at_once = has_slopes ? 1 : rows;
    for (std::size_t r = i * group; r < i * group + rows; r += at_once) {
      if (has_slopes) step.slope = job.options.alibi[block.kv_head * group + r % group];
      table.softmax_step(s + r * kv_page_tokens, state.max + r, state.sum + r, factors + r, at_once,
                         &step);
    }
    first = std::min(first, step.first);
    last = std::max(last, step.last);
  }
  if (first < last)
    table.mix[form](state.values, layer.value_dim, factors, s, values, queries, layer.value_dim,
                    first, last);
}

// Pages [first, last) of a block, from nothing.
void visit_segment(const Job& job, const Block& block, std::size_t first, std::size_t last,
                   const float* q, float* s, const State& state) {
  const std::size_t queries = block.seen.size() * job.group();
  state.clear(queries, job.layer.value_dim);
  for (std::size_t page = first; page < last; ++page)
    visit_page(job, block, page, q, s, s + queries * kv_page_tokens, state);
}

// into = into and then part.
void merge(const State& into, const State& part, std::size_t queries, std::size_t dim) {
  for (std::size_t r = 0; r < queries; ++r) {
    if (part.max[r] == -infinity) continue;
    const float max = std::max(into.max[r], part.max[r]);
    const float old = std::exp(into.max[r] - max), added = std::exp(part.max[r] - max);
    into.sum[r] = into.sum[r] * old + part.sum[r] * added;
    into.max[r] = max;
    float* to = into.values + r * dim;
    const float* from = part.values + r * dim;
    for (std::size_t d = 0; d < dim; ++d) to[d] = to[d] * old + from[d] * added;
  }
}

// Divides by the sums, after the sinks have had their share, and writes the rows.
void finish(const Job& job, const Block& block, const State& state) {
  const std::size_t group = job.group(), dim = job.layer.value_dim;
  for (std::size_t i = 0; i < block.seen.size(); ++i)
    for (std::size_t g = 0; g < group; ++g) {
      const std::size_t r = i * group + g, head = block.kv_head * group + g;
      float factor = 1, sum = state.sum[r];
      if (!job.options.sinks.empty()) {
        const float sink = job.options.sinks[head], max = std::max(state.max[r], sink);
        factor = std::exp(state.max[r] - max);
        sum = sum * factor + std::exp(sink - max);
      }
      factor = sum > 0 ? factor / sum : 0;
      float* out = job.out.row(block.first_row + i) + head * dim;
      for (std::size_t d = 0; d < dim; ++d) out[d] = state.values[r * dim + d] * factor;
    }
}

// Segments that a block needs: [first, last).
struct Segments {
  std::size_t first, last, last_page;
};
Segments segments_of(const Block& block) {
  const std::size_t tokens = segment_pages * kv_page_tokens;
  return {block.begin() / tokens, (block.end() + tokens - 1) / tokens,
          (block.end() + kv_page_tokens - 1) / kv_page_tokens};
}

std::size_t first_page(const Block& block, std::size_t segment) {
  return std::max<std::size_t>(block.begin() / kv_page_tokens, segment * segment_pages);
}

std::size_t end_page(const Segments& segments, std::size_t segment) {
  return std::min(segments.last_page, (segment + 1) * segment_pages);
}

void run_block(const Job& job, const Block& block) {
  const std::size_t queries = block.seen.size() * job.group(), dim = job.layer.value_dim;
  const std::size_t state_floats = State::floats(queries, dim);
  float* q = float_scratch(Scratch::worker,
                           queries * (job.layer.key_dim + kv_page_tokens + 1) + 2 * state_floats);
  float* s = q + queries * job.layer.key_dim;
  float* states = s + queries * (kv_page_tokens + 1);
  const State total = State::in(states, queries), part = State::in(states + state_floats, queries);
  gather_queries(job, block, q);
  const Segments segments = segments_of(block);
  total.clear(queries, dim);
  for (std::size_t i = segments.first; i < segments.last; ++i) {
    visit_segment(job, block, first_page(block, i), end_page(segments, i), q, s, part);
    merge(total, part, queries, dim);
  }
  finish(job, block, total);
}

// The segments of all blocks as items of their own, then the merging.
void run_segments(const Job& job, std::span<const Block> blocks) {
  struct Item {
    std::size_t block, segment, state;
  };
  std::vector<Item> items;
  std::vector<std::size_t> first_item;
  std::size_t floats = 0;
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    first_item.push_back(items.size());
    const Segments segments = segments_of(blocks[b]);
    for (std::size_t i = segments.first; i < segments.last; ++i) {
      items.push_back({b, i, floats});
      floats += State::floats(blocks[b].seen.size() * job.group(), job.layer.value_dim);
    }
  }
  first_item.push_back(items.size());
  float* states = float_scratch(Scratch::shared, floats);
  job.ctx.pool->parallel_for(items.size(), 1, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      const Block& block = blocks[items[i].block];
      const std::size_t queries = block.seen.size() * job.group();
      float* q = float_scratch(Scratch::worker, queries * (job.layer.key_dim + kv_page_tokens + 1));
      gather_queries(job, block, q);
      visit_segment(job, block, first_page(block, items[i].segment),
                    end_page(segments_of(block), items[i].segment), q,
                    q + queries * job.layer.key_dim, State::in(states + items[i].state, queries));
    }
  });
  job.ctx.pool->parallel_for(blocks.size(), 1, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t b = begin; b < end; ++b) {
      const std::size_t queries = blocks[b].seen.size() * job.group(), dim = job.layer.value_dim;
      const State total =
          State::in(float_scratch(Scratch::worker, State::floats(queries, dim)), queries);
      total.clear(queries, dim);
      for (std::size_t i = first_item[b]; i < first_item[b + 1]; ++i)
        merge(total, State::in(states + items[i].state, queries), queries, dim);
      finish(job, blocks[b], total);
    }
  });
}

// rows: [first row of each run of one sequence, ..., end]; sequence_of: of each run.
void run(const Job& job, std::span<const Seen> seen, std::span<const std::size_t> runs,
         std::span<const std::size_t> sequence_of) {
  const std::size_t height = std::max<std::size_t>(1, block_queries / job.group());
  std::vector<Block> blocks;
  std::size_t segments = 0;
  for (std::size_t run = 0; run + 1 < runs.size(); ++run)
    for (std::size_t row = runs[run]; row < runs[run + 1]; row += height) {
      const std::size_t rows = std::min(height, runs[run + 1] - row);
      for (std::size_t head = 0; head < job.layer.kv_heads; ++head) {
        blocks.push_back({row, head, sequence_of[run], seen.subspan(row, rows)});
        const Segments needed = segments_of(blocks.back());
        segments += needed.last - needed.first;
      }
    }
  const auto threads = static_cast<std::size_t>(job.ctx.pool->threads());
  if (blocks.size() < 4 * threads && segments > blocks.size()) return run_segments(job, blocks);
  // The last rows of a prompt see the most: they go first.
  job.ctx.pool->parallel_for(blocks.size(), 1, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t b = begin; b < end; ++b) run_block(job, blocks[blocks.size() - 1 - b]);
  });
}

void check(const KvLayer& layer, const AttentionOptions& options, View q, View out) {
  HEARTH_CHECK(layer.kv_heads > 0 && options.heads % layer.kv_heads == 0);
  HEARTH_CHECK(q.dim == options.heads * layer.key_dim);
  HEARTH_CHECK(out.dim == options.heads * layer.value_dim && out.rows == q.rows);
  HEARTH_CHECK(options.sinks.empty() || options.sinks.size() == options.heads);
  HEARTH_CHECK(options.alibi.empty() || options.alibi.size() == options.heads);
}

}  // namespace

void attend(Context& ctx, View out, View q, const KvLayer& layer,
            std::span<const KvSequence> sequences, std::span<const RowPlace> places,
            const AttentionOptions& options) {
  check(layer, options, q, out);
  HEARTH_CHECK(places.size() == q.rows);
  HEARTH_CHECK(options.ahead.empty() || options.ahead.size() == q.rows);
  std::vector<Seen> seen;
  std::vector<std::size_t> runs, sequence_of;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const std::uint32_t after = places[i].position + 1;
    const bool limited = options.window > 0 && after > options.window;
    const std::uint32_t ahead = options.ahead.empty() ? 0 : options.ahead[i];
    const std::uint32_t chunk =
        options.chunk > 0 ? places[i].position / options.chunk * options.chunk : 0;
    const std::uint32_t first = std::max(chunk, limited ? after - options.window : 0);
    seen.push_back({std::max(first, options.from), after + ahead, places[i].position});
    if (i > 0 && places[i].sequence == places[i - 1].sequence) continue;
    runs.push_back(i);
    sequence_of.push_back(places[i].sequence);
  }
  if (places.empty()) return;
  runs.push_back(places.size());
  run({ctx, layer, options, sequences, q, out}, seen, runs, sequence_of);
}

void attend_both_ways(Context& ctx, View out, View q, View k, View v,
                      std::span<const std::size_t> starts, std::uint32_t kv_heads,
                      const AttentionOptions& options) {
  if (starts.size() < 2) return;
  const KvLayer layer{.kv_heads = kv_heads,
                      .key_dim = static_cast<std::uint32_t>(k.dim / kv_heads),
                      .value_dim = static_cast<std::uint32_t>(v.dim / kv_heads),
                      .dtype = Dtype::f32};
  check(layer, options, q, out);
  std::size_t page_count = 0;
  for (std::size_t s = 0; s + 1 < starts.size(); ++s)
    page_count += (starts[s + 1] - starts[s] + kv_page_tokens - 1) / kv_page_tokens;
  std::byte* memory = scratch(Scratch::gathered, page_count * layer.bytes());
  std::vector<std::byte*> pages(page_count);
  for (std::size_t p = 0; p < page_count; ++p) pages[p] = memory + p * layer.bytes();

  std::vector<KvSequence> sequences;
  std::vector<RowPlace> places;
  std::vector<Seen> seen;
  std::vector<std::size_t> runs, sequence_of;
  for (std::size_t s = 0, page = 0; s + 1 < starts.size(); ++s) {
    const auto length = static_cast<std::uint32_t>(starts[s + 1] - starts[s]);
    const std::size_t needed = (length + kv_page_tokens - 1) / kv_page_tokens;
    const std::uint32_t reach = options.window > 0 ? options.window / 2 : length;
    sequences.push_back({std::span(pages).subspan(page, needed)});
    page += needed;
    for (std::uint32_t i = 0; i < length; ++i) {
      places.push_back({static_cast<std::uint32_t>(s), i});
      seen.push_back({i > reach ? i - reach : 0, length - i > reach ? i + reach + 1 : length, i});
    }
    if (length == 0) continue;
    runs.push_back(starts[s] - starts[0]);
    sequence_of.push_back(s);
  }
  const std::size_t first = starts.front(), rows = places.size();
  if (rows == 0) return;
  runs.push_back(rows);
  kv_append(ctx, layer, sequences, places, k.slice_rows(first, rows), v.slice_rows(first, rows));
  run({ctx, layer, options, sequences, q.slice_rows(first, rows), out.slice_rows(first, rows)},
      seen, runs, sequence_of);
}

}  // namespace hearth::ops
