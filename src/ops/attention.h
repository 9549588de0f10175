// Attention over paged keys and values.
// Source: Vaswani et al. 2017, section 3.2; online softmax: Milakov and Gimelshein 2018.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ops/context.h"
#include "tensor/dtype.h"
#include "tensor/view.h"

namespace hearth::ops {

// Tokens per page.  Page p of a sequence holds positions [32 p, 32 p + 32).
constexpr std::size_t kv_page_tokens = 32;

// What keys and values may be kept in: f32, f16, bf16, or blocks of 32 dims as q8_0 or q4_0.
bool is_kv_dtype(Dtype dtype);

// One layer's part of every page: keys of all heads, then values, as kernels/kv_page.h says,
// starting `offset_bytes` into the page.
struct KvLayer {
  std::uint32_t kv_heads = 0, key_dim = 0, value_dim = 0;
  Dtype dtype = Dtype::f16;
  std::size_t offset_bytes = 0;

  std::size_t bytes() const;  // of this layer in one page; a multiple of 64
};

// The pages of one sequence, in order.  Owned by the runtime; 64-byte aligned.
struct KvSequence {
  std::span<std::byte* const> pages;
  // What recurrent layers hold of the positions so far; a model without them needs none.
  std::byte* state = nullptr;
  // Of its rows in a step the last so many are guesses, which may have to be taken back: the state
  // before them is copied to `certain`, which needs as much memory.  Fewer than its rows.
  std::uint32_t guesses = 0;
  std::byte* certain = nullptr;
};

// Which row of a batch belongs where.
struct RowPlace {
  std::uint32_t sequence;  // index into the sequences
  std::uint32_t position;  // place in that sequence, from 0
};

// Stores k [rows, kv_heads * key_dim] and v [rows, kv_heads * value_dim] at their places.
void kv_append(Context& ctx, const KvLayer& layer, std::span<const KvSequence> sequences,
               std::span<const RowPlace> places, View k, View v);

struct AttentionOptions {
  std::uint32_t heads = 0;
  float scale = 0;               // of q . k
  float softcap = 0;             // > 0: s = cap * tanh(s / cap)
  std::uint32_t window = 0;      // > 0: a row sees only the last `window` positions, its own
                                 // included
  std::uint32_t chunk = 0;       // > 0: a row sees only positions of its own chunk of so many
  std::uint32_t from = 0;        // no row sees a position before this one
  std::span<const float> sinks;  // empty, or one logit per head that only takes probability
  std::span<const float> alibi;  // empty, or one slope per head: s -= slope * distance
  // Of attend(): empty, or how many positions behind its own each row sees as well (rows of one
  // picture see each other); they are appended before.
  std::span<const std::uint32_t> ahead = {};
};

// Causal: row i attends to positions [max(from, p + 1 - window), p] of its sequence, or from where
// its chunk begins, p included (so append first); to none before `from`, which gives zeros.  q:
// [rows, heads * key_dim]; out: [rows, heads * value_dim]; out may be q when key_dim == value_dim.
// heads is a multiple of kv_heads.
void attend(Context& ctx, View out, View q, const KvLayer& layer,
            std::span<const KvSequence> sequences, std::span<const RowPlace> places,
            const AttentionOptions& options);

// Both directions, without a cache, for encoders.  Sequence s is rows [starts[s], starts[s + 1]) of
// q, k and v.  window > 0: a row sees positions at most window / 2 away.
void attend_both_ways(Context& ctx, View out, View q, View k, View v,
                      std::span<const std::size_t> starts, std::uint32_t kv_heads,
                      const AttentionOptions& options);

}  // namespace hearth::ops
