#include "models/tensors.h"

#include <fmt/core.h>

#include <array>

namespace hearth::models {
namespace {

// Where the trunk of a model hangs in its file: language models under "model.", bare trunks at the
// root, language models inside multimodal ones deeper.
constexpr std::array<std::string_view, 11> prefixes = {
    "model.",      "",          "transformer.",          "gpt_neox.",
    "bert.",       "roberta.",  "language_model.model.", "model.language_model.",
    "nomic_bert.", "backbone.", "model.text_model."};

std::string filled(std::string_view pattern, TensorFinder::Place place) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern.substr(i).starts_with("{}")) {
      out += std::to_string(place.layer);
      i += 1;
    } else if (pattern.substr(i).starts_with("{e}")) {
      out += std::to_string(place.expert);
      i += 2;
    } else {
      out += pattern[i];
    }
  }
  return out;
}

std::string with_part(std::string name, TensorFinder::Part part) {
  using enum TensorFinder::Part;
  const bool bare = name.ends_with('!');
  if (bare) name.pop_back();
  switch (part) {
    case weight:
      return bare ? name : name + ".weight";
    case bias:
      return name + (bare ? "_bias" : ".bias");
    case blocks:
      return name + "_blocks";
    case scales:
      return name + "_scales";
  }
  return name;
}

}  // namespace

std::span<const std::string_view> known_prefixes() { return prefixes; }

TensorFinder::TensorFinder(const Package& package, const ArchSpec& spec, const Hyper& hyper)
    : package_(package), spec_(spec), hyper_(hyper) {
  if (package.naming == Naming::gguf) return;
  for (const auto rows : spec.tensors)
    for (const TensorRow& row : rows) {
      if (row.role != Role::token_embedding) continue;
      for (const std::string_view prefix : prefixes) {
        prefix_ = prefix;
        if (find(row, {}, Part::weight) != nullptr) return;
      }
    }
  prefix_ = prefixes.front();
}

TensorFinder::TensorFinder(const Package& package, const ArchSpec& spec, const Hyper& hyper,
                           std::string prefix)
    : package_(package), spec_(spec), hyper_(hyper), prefix_(std::move(prefix)) {}

std::string_view TensorFinder::pattern(const TensorRow& row) const {
  return package_.naming == Naming::gguf ? row.gguf : row.hf;
}

bool TensorFinder::by_expert(const TensorRow& row) const {
  return pattern(row).find("{e}") != std::string_view::npos;
}

std::vector<std::string> TensorFinder::names(const TensorRow& row, Place place, Part part) const {
  std::vector<std::string> all;
  std::string_view rest = pattern(row);
  while (!rest.empty()) {
    const auto bar = rest.find('|');
    std::string name = filled(rest.substr(0, bar), place);
    if (name.starts_with('/'))
      name.erase(0, 1);
    else if (package_.naming == Naming::huggingface)
      name.insert(0, prefix_);
    all.push_back(with_part(std::move(name), part));
    if (bar == std::string_view::npos) break;
    rest.remove_prefix(bar + 1);
  }
  return all;
}

std::string TensorFinder::name(const TensorRow& row, Place place, Part part) const {
  const auto all = names(row, place, part);
  return all.empty() ? std::string() : all.front();
}

const TensorEntry* TensorFinder::find(const TensorRow& row, Place place, Part part) const {
  for (const std::string& each : names(row, place, part))
    if (const TensorEntry* entry = package_.find(each)) return entry;
  return nullptr;
}

bool TensorFinder::needed(const TensorRow& row, std::size_t layer) const {
  using enum Role;
  const bool own = row.role == per_layer_embedding || row.role == per_layer_projection ||
                   row.role == per_layer_norm || (row.role >= layer_gate && row.role <= layer_norm);
  if (own) return hyper_.per_layer_dim > 0;
  if (!of_layer(row.role)) return true;
  const LayerHyper& at = hyper_.layers[layer];
  const bool sparse = at.sparse && at.has_mlp;
  const bool narrow = hyper_.latent.q_rank > 0;
  if (row.role >= q_a && row.role <= q_b) return at.attends && narrow;
  if (row.role == q) return at.attends && !narrow;
  if (row.role == k || row.role == v || row.role == k_norm) return at.attends && !at.borrows_kv;
  if (row.role > attention_norm && row.role <= v_b) return at.attends;
  if (row.role >= mixer_in && row.role <= mixer_out) return at.recurs;
  switch (row.role) {
    case attention_norm:
      return at.attends || at.recurs;
    case mlp_norm:
      return at.has_mlp;
    case gate_up:
    case gate:
    case up:
    case down:
      return at.has_mlp && !at.sparse;
    case router:
    case router_bias:
    case experts_gate_up:
    case experts_gate:
    case experts_up:
    case experts_down:
      return sparse;
    case shared_router:
    case shared_gate_up:
    case shared_gate:
    case shared_up:
    case shared_down:
      return sparse && hyper_.shared_hidden > 0;
    default:
      return true;
  }
}

std::uint64_t TensorFinder::extent(Extent extent, std::size_t layer) const {
  const LayerHyper none;
  const LayerHyper& at = layer < hyper_.layers.size() ? hyper_.layers[layer] : none;
  const std::uint64_t q = std::uint64_t{hyper_.heads} * at.head_dim;
  const std::uint64_t kv = std::uint64_t{at.kv_heads} * at.head_dim;
  switch (extent) {
    case Extent::none:
      return 0;
    case Extent::one:
      return 1;
    case Extent::dim:
      return hyper_.dim;
    case Extent::vocab:
      return hyper_.vocab;
    case Extent::context:
    case Extent::types:
    case Extent::labels:
      return 0;
    case Extent::heads:
      return hyper_.heads;
    case Extent::head:
      return at.head_dim;
    case Extent::q:
      return q;
    case Extent::kv:
      return kv;
    case Extent::kv_heads:
      return at.kv_heads;
    case Extent::qkv:
      return q + 2 * kv;
    case Extent::q2:
      return 2 * q;
    case Extent::mixed:
      return std::uint64_t{hyper_.heads} * hyper_.value_dim;
    case Extent::q_rank:
      return hyper_.latent.q_rank;
    case Extent::kv_rank:
      return hyper_.latent.kv_rank;
    case Extent::kv_rank_rope:
      return std::uint64_t{hyper_.latent.kv_rank} + hyper_.latent.turning;
    case Extent::key_plain:
      return hyper_.latent.plain;
    case Extent::value_dim:
      return hyper_.value_dim;
    case Extent::kv_expanded:
      return std::uint64_t{hyper_.heads} * (hyper_.latent.plain + hyper_.value_dim);
    case Extent::mixer_rows:
      return hyper_.mixer.in_rows();
    case Extent::mixer_all:
      return std::uint64_t{hyper_.mixer.channels()} + hyper_.mixer.inner();
    case Extent::mixer_inner:
      return hyper_.mixer.inner();
    case Extent::mixer_channels:
      return hyper_.mixer.channels();
    case Extent::mixer_kernel:
      return hyper_.mixer.kernel;
    case Extent::mixer_heads:
      return hyper_.mixer.heads;
    case Extent::mixer_heads2:
      return 2 * std::uint64_t{hyper_.mixer.heads};
    case Extent::mixer_head_dim:
      return hyper_.mixer.head_dim;
    case Extent::hidden:
      return at.hidden;
    case Extent::hidden2:
      return 2 * std::uint64_t{at.hidden};
    case Extent::experts:
      return hyper_.experts;
    case Extent::expert_hidden:
      return hyper_.expert_hidden;
    case Extent::expert_hidden2:
      return 2 * std::uint64_t{hyper_.expert_hidden};
    case Extent::shared_hidden:
      return hyper_.shared_hidden;
    case Extent::shared_hidden2:
      return 2 * std::uint64_t{hyper_.shared_hidden};
    case Extent::per_layer:
      return hyper_.per_layer_dim;
    case Extent::per_layer_all:
      return hyper_.per_layer_dim * hyper_.layers.size();
    case Extent::rotary_half:
      return hyper_.rotary_dims / 2;
  }
  return 0;
}

std::vector<std::uint64_t> TensorFinder::shape(const TensorRow& row, std::size_t layer,
                                               bool stacked) const {
  std::vector<std::uint64_t> shape;
  if (stacked) shape.push_back(of_heads(row.role) ? hyper_.heads : hyper_.experts);
  shape.push_back(extent(row.rows, layer));
  if (row.columns != Extent::none) shape.push_back(extent(row.columns, layer));
  return shape;
}

std::string text_of_shape(std::span<const std::uint64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += shape[i] == 0 ? std::string("any") : std::to_string(shape[i]);
  }
  return text + "]";
}

Status check_elements(const TensorEntry& entry, std::span<const std::uint64_t> needed) {
  std::uint64_t elements = 1;
  for (const std::uint64_t extent : needed) elements *= extent;
  if (entry.elements() == elements) return Done{};
  return Error(ErrorKind::corrupt, fmt::format("{} is {}: needs {}", entry.name,
                                               text_of_shape(entry.shape), text_of_shape(needed)));
}

Status check_shape(const TensorEntry& entry, std::span<const std::uint64_t> needed) {
  bool equal = entry.shape.size() == needed.size();
  for (std::size_t i = 0; equal && i < needed.size(); ++i)
    equal = needed[i] == 0 ? entry.shape[i] > 0 : entry.shape[i] == needed[i];
  if (equal) return Done{};
  return Error(ErrorKind::corrupt, fmt::format("{} is {}: needs {}", entry.name,
                                               text_of_shape(entry.shape), text_of_shape(needed)));
}

}  // namespace hearth::models
