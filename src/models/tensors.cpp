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
  const std::string_view usual = pattern(row).substr(0, pattern(row).find('|'));
  return usual.find("{e}") != std::string_view::npos;
}

bool TensorFinder::held_by_expert(const TensorRow& row, std::size_t layer) const {
  for (std::string_view rest = pattern(row); !rest.empty();) {
    const auto bar = rest.find('|');
    TensorRow one = row;
    one.gguf = one.hf = rest.substr(0, bar);
    if (find(one, {layer, 0}, Part::weight) != nullptr) return by_expert(one);
    if (bar == rest.npos) break;
    rest.remove_prefix(bar + 1);
  }
  return by_expert(row);
}

std::size_t TensorFinder::stack(const TensorRow& row) const {
  switch (about(row.role).held) {
    case Held::of_experts:
      return hyper_.experts;
    case Held::of_heads:
      return hyper_.heads;
    case Held::of_streams:
      return hyper_.streams.count - 1;
    default:
      return 1;
  }
}

std::vector<std::string> TensorFinder::names(const TensorRow& row, Place place, Part part) const {
  std::vector<std::string> all;
  std::string_view rest = pattern(row);
  while (!rest.empty()) {
    const auto bar = rest.find('|');
    std::string_view one = rest.substr(0, bar);
    const std::string_view apart = spec_.hf_guessing_layer, usual = "layers.{}.";
    std::string stands_apart;
    if (package_.naming == Naming::huggingface && !apart.empty() && one.starts_with(usual) &&
        place.layer >= hyper_.trunk_layers())
      one = stands_apart = fmt::format("/{}{}", apart, one.substr(usual.size()));
    std::string name = filled(one, place);
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

std::vector<std::uint64_t> TensorFinder::shape(const TensorRow& row, std::size_t layer,
                                               bool stacked) const {
  std::vector<std::uint64_t> shape;
  if (stacked) shape.push_back(stack(row));
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
