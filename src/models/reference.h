// What the parts of the plain path share.
#pragma once

#include <vector>

#include "models/mixers.h"
#include "models/trunk.h"

namespace hearth::models {

using Floats = std::vector<float>;

// [rows, dim], row after row.
struct Table {
  std::size_t rows = 0, dim = 0;
  Floats values;

  Table(std::size_t row_count, std::size_t width)
      : rows(row_count), dim(width), values(row_count * width) {}
  float* row(std::size_t i) { return values.data() + i * dim; }
  const float* row(std::size_t i) const { return values.data() + i * dim; }
};

double dot(const float* a, const float* b, std::size_t n);
// y = x w^T + bias.
Table multiply(ops::Context& ctx, const Table& x, const ops::StoredMatrix& w,
               std::span<const float> bias);
Table multiply(ops::Context& ctx, const Table& x, const Weight& w);
float activation(ops::Activation f, float x);
// Every row; nothing where the model has no such norm.
void norm(const Trunk& trunk, Table& x, const Weight& w);
void turn(const Trunk& trunk, Table& x, std::size_t head_dim, const Rows& rows,
          const ops::RopeTable& rope);

// Where an f32 page keeps element (head, d) of a token's key or value.
float* key_at(const ops::KvLayer& layer, std::byte* page, std::size_t token, std::size_t element);
float* value_at(const ops::KvLayer& layer, std::byte* page, std::size_t token, std::size_t element);
// The first position that one at `position` sees.
std::size_t first_seen(const LayerHyper& layer, std::size_t position);

// Everything that goes from layer to layer.
struct Flow {
  Table x;                           // the residual stream, or the one of several that layers read
  std::vector<Table> streams;        // empty: one
  Table per_layer;                   // the vectors of layers' own; 0 rows: none
  Table first_values = Table(0, 0);  // of the first layer, which later ones follow (rwkv7)
};
Table embed(ops::Context& ctx, const Trunk& trunk, const Rows& rows);
// One layer.
void block(ops::Context& ctx, const Trunk& trunk, std::size_t index, const Rows& rows, Flow& flow);

// Attention through latents, its projection out included.  Every key and value is made of its
// latent.
Table attend_latent(ops::Context& ctx, const Trunk& trunk, std::size_t index, const Rows& rows,
                    const Table& x);
// What a mixer makes of the normed stream, before its projection out.
// first_values: [rows, inner] of rwkv7, which the first layer sets.
Table run_mixer_plainly(ops::Context& ctx, const Trunk& trunk, std::size_t index, const Rows& rows,
                        const Table& x, Table& first_values);
std::vector<RowRun> plain_runs(const Trunk& trunk, std::size_t index, const Rows& rows);
// Behind a row: copies what a run's state holds from `first` on, if the next row is its first
// guess.
void keep_certain_plainly(const RowRun& run, std::size_t row, std::size_t first,
                          std::size_t floats);
Table rwkv_plainly(ops::Context& ctx, const Trunk& trunk, const Layer& layer,
                   std::span<const RowRun> runs, const Table& x, bool is_first,
                   Table& first_values);
// An MLP's input that follows the row before.
Table follow_plainly(const Trunk& trunk, std::size_t index, const Rows& rows, const Table& x);

// Streams side by side: streams.h.
std::vector<Table> spread_plainly(ops::Context& ctx, const Trunk& trunk, const Table& x);
void predict_plainly(const Trunk& trunk, const Layer& layer, std::vector<Table>& streams);
void correct_plainly(const Trunk& trunk, const Layer& layer, std::vector<Table>& streams,
                     const Table& given);
Table gather_plainly(ops::Context& ctx, const Trunk& trunk, const std::vector<Table>& streams);
// Gates that mostly pass as zero: gates.h.
void cut_plainly(Table& x, float deviations);

}  // namespace hearth::models
