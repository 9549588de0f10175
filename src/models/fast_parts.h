// What the parts of the fast path share: a step on its way through the layers.
#pragma once

#include "models/adapter.h"
#include "models/trunk.h"

namespace hearth::models::fast {

// One step on its way through the layers.
struct Step {
  ops::Context& ctx;
  const Trunk& trunk;
  const Rows& rows;
  Arena& arena;
  View x;  // the residual stream
  std::span<const std::uint32_t> positions;
  std::span<const ops::RowPlace> places;
  std::span<const ops::RopePlace> grid = {};  // empty, or [rows]
  std::span<const std::uint32_t> ahead = {};  // empty, or [rows]
  std::span<const RowInput> inputs = {};      // empty, or [rows]
  View per_layer = {};     // the vectors of layers' own, one layer after the other
  View streams = {};       // where several run side by side; x is then the one that a layer reads
  View first_values = {};  // what the first layer's mixer read, for later ones (rwkv7)
  std::span<const AdaptedRows> adapted = {};

  const Hyper& hyper() const { return trunk.hyper; }
};

// What reads the stream in one layer.  Behind the last layer's states only wanted rows matter: its
// views, and the stream, shrink to them.
struct Readers {
  View before = {};        // the normed stream
  View q = {}, gate = {};  // of attention
  View recurrent = {};     // what the mixer made of it
};

// One branch's last step.
struct Branch {
  Role weight, post_norm;
  float factor;  // of what it gives
};

// What adapters add to a product of the layer.
void adapt(Step& step, std::size_t layer, Role role, View y, View x);
void norm(Step& step, View y, View x, const Weight& w);
// x normed into memory of its own; x itself where the model has no such norm.
View normed(Step& step, View x, const Weight& w);
// Every head's vector gets length one.
void unite(Step& step, View x, std::size_t dim);
// The stream's own norm, where a layer has one behind a branch.
void sum_norm(Step& step, const Weight& w);
// x += factor * norm(input * w); straight into x where nothing stands between.
void add_branch(Step& step, std::size_t index, View input, const Branch& branch);

// A step before its first layer: the rows are embedded.
Step begin(ops::Context& ctx, const Trunk& trunk, const Rows& rows, Arena& arena);
// One layer.
void block(Step& step, std::size_t index);
// Copies the stream's wanted rows, to which the last layer may have shrunk it: [wanted, dim].
void take_wanted(const Step& step, View hidden);

// Queries of a layer that reads another's keys and values.
void read_queries(Step& step, std::size_t index, Readers& readers);
// Queries, keys and values of the stream; the latter two are kept for later rows.  Of encoders,
// which keep none, what they mix; otherwise an empty view.
View read_heads(Step& step, std::size_t index, Readers& readers);
// Queries and keys through latents.
void read_latents(Step& step, std::size_t index, Readers& readers);
// The mix of values every head of every row sees.
View attend(Step& step, std::size_t index, const Readers& readers);

// second: the normed stream; what the MLP makes of it is added to the stream.
void mlp_branch(Step& step, std::size_t index, View second);

}  // namespace hearth::models::fast
