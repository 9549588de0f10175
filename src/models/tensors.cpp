#include "models/tensors.h"

#include <fmt/core.h>

#include <array>

namespace hearth::models {
namespace {

// Where the trunk of a model hangs in its file: language models under "model.", bare trunks at the
// root, language models inside multimodal ones deeper.
constexpr std::array<std::string_view, 10> prefixes = {"model.",
                                                       "",
                                                       "transformer.",
                                                       "gpt_neox.",
                                                       "bert.",
                                                       "roberta.",
                                                       "language_model.model.",
                                                       "model.language_model.",
                                                       "nomic_bert.",
                                                       "model.text_model."};

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
  if (!of_layer(row.role)) return true;
  const bool sparse = hyper_.layers[layer].sparse;
  switch (row.role) {
    case gate_up:
    case gate:
    case up:
    case down:
      return !sparse;
    case router:
    case experts_gate_up:
    case experts_gate:
    case experts_up:
    case experts_down:
      return sparse;
    case shared_router:
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
  const std::uint64_t q = std::uint64_t{hyper_.heads} * hyper_.head_dim;
  const std::uint64_t kv = std::uint64_t{at.kv_heads} * hyper_.head_dim;
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
      return hyper_.head_dim;
    case Extent::q:
      return q;
    case Extent::kv:
      return kv;
    case Extent::kv_heads:
      return at.kv_heads;
    case Extent::qkv:
      return q + 2 * kv;
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
    case Extent::rotary_half:
      return hyper_.rotary_dims / 2;
  }
  return 0;
}

std::vector<std::uint64_t> TensorFinder::shape(const TensorRow& row, std::size_t layer,
                                               bool stacked) const {
  std::vector<std::uint64_t> shape;
  if (stacked) shape.push_back(hyper_.experts);
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

Status check_shape(const TensorEntry& entry, std::span<const std::uint64_t> needed) {
  bool equal = entry.shape.size() == needed.size();
  for (std::size_t i = 0; equal && i < needed.size(); ++i)
    equal = needed[i] == 0 ? entry.shape[i] > 0 : entry.shape[i] == needed[i];
  if (equal) return Done{};
  return Error(ErrorKind::corrupt, fmt::format("{} is {}: needs {}", entry.name,
                                               text_of_shape(entry.shape), text_of_shape(needed)));
}

}  // namespace hearth::models
