// How large tensors are, and which layers have them.
#include "models/tensors.h"

namespace hearth::models {
namespace {

std::uint64_t of_mixer(const MixerHyper& mixer, Extent extent) {
  using enum Extent;
  switch (extent) {
    case mixer_rows:
      return mixer.in_rows();
    case mixer_all:
      return std::uint64_t{mixer.channels()} + mixer.inner();
    case mixer_inner:
      return mixer.inner();
    case mixer_channels:
      return mixer.channels();
    case mixer_kernel:
      return mixer.kernel;
    case mixer_heads:
      return mixer.heads;
    case mixer_heads2:
      return 2 * std::uint64_t{mixer.heads};
    case mixer_head_dim:
      return mixer.head_dim;
    case lerps:
      return lerp_roles.size();
    case decay_rank:
      return mixer.decay_rank;
    case rate_rank:
      return mixer.rate_rank;
    case first_rank:
      return mixer.first_rank;
    case gate_rank:
      return mixer.gate_rank;
    default:
      return 0;
  }
}

std::uint64_t of_heads(const Hyper& hyper, const LayerHyper& at, Extent extent) {
  using enum Extent;
  const std::uint64_t all = hyper.heads, own = std::uint64_t{at.kv_heads} * at.head_dim;
  const LatentHyper& latent = hyper.latent;
  switch (extent) {
    case heads:
      return all;
    case head:
      return at.head_dim;
    case q:
      return all * at.head_dim;
    case kv:
      return own;
    case kv_heads:
      return at.kv_heads;
    case qkv:
      return all * at.head_dim + 2 * own;
    case q2:
      return 2 * all * at.head_dim;
    case mixed:
      return all * hyper.value_dim;
    case q_rank:
      return latent.q_rank;
    case kv_rank:
      return latent.kv_rank;
    case kv_rank_rope:
      return std::uint64_t{latent.kv_rank} + latent.turning;
    case key_plain:
      return latent.plain;
    case value_dim:
      return hyper.value_dim;
    case kv_expanded:
      return all * (latent.plain + hyper.value_dim);
    default:
      return of_mixer(hyper.mixer, extent);
  }
}

std::uint64_t of_mlp(const Hyper& hyper, const LayerHyper& at, Extent extent) {
  using enum Extent;
  switch (extent) {
    case hidden:
      return at.hidden;
    case hidden2:
      return 2 * std::uint64_t{at.hidden};
    case experts:
      return hyper.experts;
    case expert_hidden:
      return hyper.expert_hidden;
    case expert_hidden2:
      return 2 * std::uint64_t{hyper.expert_hidden};
    case shared_hidden:
      return hyper.shared_hidden;
    case shared_hidden2:
      return 2 * std::uint64_t{hyper.shared_hidden};
    default:
      return of_heads(hyper, at, extent);
  }
}

}  // namespace

std::uint64_t TensorFinder::extent(Extent extent, std::size_t layer) const {
  using enum Extent;
  const LayerHyper none_of_them;
  const LayerHyper& at = layer < hyper_.layers.size() ? hyper_.layers[layer] : none_of_them;
  const std::uint64_t side_by_side = hyper_.streams.count;
  switch (extent) {
    case none:
    case context:
    case types:
    case labels:
    case per_layer_vocab:
      return 0;
    case one:
      return 1;
    case dim:
      return hyper_.dim;
    case dim2:
      return 2 * std::uint64_t{hyper_.dim};
    case vocab:
      return hyper_.vocab;
    case per_layer:
      return hyper_.per_layer_dim;
    case per_layer_all:
      return hyper_.per_layer_dim * hyper_.layers.size();
    case rotary_half:
      return hyper_.rotary_dims / 2;
    case streams:
      return side_by_side;
    case streams2:
      return side_by_side * side_by_side;
    case side:
      return hyper_.streams.side;
    default:
      return of_mlp(hyper_, at, extent);
  }
}

bool TensorFinder::needed(const TensorRow& row, std::size_t layer) const {
  const Where where = about(row.role).where;
  if (where == Where::all) return true;
  if (where == Where::own_vectors) return hyper_.per_layer_dim > 0;
  if (where == Where::streams) return hyper_.streams.count > 1;
  const LayerHyper& at = hyper_.layers[layer];
  const bool sparse = at.sparse && at.has_mlp, narrow = hyper_.latent.q_rank > 0;
  switch (where) {
    case Where::reader:
      return at.attends || at.recurs;
    case Where::attention:
      return at.attends;
    case Where::wide_queries:
      return at.attends && !narrow;
    case Where::narrow_queries:
      return at.attends && narrow;
    case Where::keys:
      return at.attends && !at.borrows_kv;
    case Where::recurrence:
      return at.recurs;
    case Where::later_recurrence:
      return at.recurs && layer > 0;
    case Where::mlp:
      return at.has_mlp;
    case Where::dense:
      return at.has_mlp && (!at.sparse || spec_.experts_beside_mlp);
    case Where::experts:
      return sparse;
    case Where::shared_experts:
      return sparse && hyper_.shared_hidden > 0;
    case Where::guesses:
      return at.guesses;
    default:
      return true;
  }
}

}  // namespace hearth::models
