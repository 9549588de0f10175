// Which tower a package has, and where its tensors lie.
#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"
#include "models/vision/tower.h"

namespace hearth::models {
namespace {

std::string filled(std::string_view pattern, std::size_t layer) {
  std::string name(pattern);
  if (const auto at = name.find("{}"); at != std::string::npos)
    name.replace(at, 2, std::to_string(layer));
  return name;
}

Result<std::string_view> projector_type(const Package& package) {
  for (const std::string_view key : {"clip.vision.projector_type", "clip.projector_type"})
    if (package.metadata.has(key)) return package.metadata.string(key);
  // Files of LLaVA older than the key.
  if (package.metadata.has("clip.has_llava_projector")) return std::string_view("mlp");
  return Error(ErrorKind::corrupt, "clip.projector_type is missing");
}

}  // namespace

// Hugging Face numbers deep layers from 0.
std::string TowerFinder::name(const TowerRow& row, std::string_view pattern,
                              std::size_t layer) const {
  if (package.naming == Naming::huggingface && of_deep_layer(row.part))
    layer = static_cast<std::size_t>(std::ranges::find(hyper.deep, layer) - hyper.deep.begin());
  return filled(pattern, layer);
}

// Files of before 2025 name the two matrices of a plain MLP the other way round.
bool TowerFinder::swaps_mlp(std::size_t layer) const {
  if (package.naming == Naming::huggingface || hyper.dim == hyper.hidden) return false;
  const TensorEntry* entry = package.find(filled("v.blk.{}.ffn_up.weight", layer));
  return entry != nullptr && entry->shape.size() == 2 && entry->shape[0] == hyper.dim &&
         entry->shape[1] == hyper.hidden;
}

const TensorEntry* TowerFinder::find(const TowerRow& row, std::size_t layer,
                                     std::string_view suffix) const {
  if ((row.part == TowerPart::up || row.part == TowerPart::down) && swaps_mlp(layer)) {
    const std::string_view other = row.part == TowerPart::up ? "ffn_down" : "ffn_up";
    return package.find(fmt::format("v.blk.{}.{}{}", layer, other, suffix));
  }
  const auto named = [&](std::string_view prefix, std::string_view pattern) {
    std::string own = std::string(prefix) + name(row, pattern, layer);
    if (!own.ends_with('!')) return package.find(own + std::string(suffix));
    own.pop_back();
    return suffix == ".weight" ? package.find(own) : nullptr;
  };
  static constexpr std::string_view no_prefix[] = {""};
  const bool is_hf = package.naming == Naming::huggingface;
  const std::span<const std::string_view> prefixes = !is_hf ? no_prefix
                                                     : of_projector(row.part)
                                                         ? spec.projector_prefixes
                                                         : spec.tower_prefixes;
  std::string_view rest = is_hf ? row.hf : row.gguf;
  while (!rest.empty()) {
    const auto bar = rest.find('|');
    for (const std::string_view prefix : prefixes)
      if (const TensorEntry* entry = named(prefix, rest.substr(0, bar))) return entry;
    if (bar == std::string_view::npos) break;
    rest.remove_prefix(bar + 1);
  }
  return nullptr;
}

Result<const TowerSpec*> tower_of(const Package& package) {
  if (package.naming == Naming::gguf) {
    const std::string_view type = TRY(projector_type(package));
    std::string known;
    for (const TowerSpec* spec : towers()) {
      const bool joins = package.find("mm.patch_merger.weight") != nullptr;
      const bool cuts = package.metadata.has("clip.vision.image_grid_pinpoints");
      if (spec->name == type && (spec->name != "pixtral" || joins == spec->merge_by_channel) &&
          (spec->name != "mlp" || cuts == (spec->sizing == Sizing::grids)))
        return spec;
      if (known.find(spec->name) == std::string::npos)
        known += (known.empty() ? "" : ", ") + std::string(spec->name);
    }
    return Error(ErrorKind::unsupported,
                 fmt::format("a vision tower '{}' is not one we run; we know {}",
                             printable(type, 64), known));
  }
  if (!package.config.is_object()) return nullptr;
  const Json* vision = package.config.find("vision_config");
  if (vision == nullptr || !vision->is_object()) return nullptr;
  const auto type_of = [&](const Json& json) {
    const Json* type = json.find("model_type");
    return type != nullptr && type->is_string() ? type->as_string() : std::string();
  };
  const std::string type = type_of(package.config), tower = type_of(*vision);
  for (const TowerSpec* spec : towers())
    if (std::ranges::find(spec->hf_types, type) != spec->hf_types.end() &&
        (spec->hf_tower.empty() || spec->hf_tower == tower))
      return spec;
  return Error(ErrorKind::unsupported,
               fmt::format("the vision tower '{}' of a model '{}' is not one we run",
                           printable(tower, 64), printable(type, 64)));
}

Status check_language(const TowerSpec& spec, const ArchSpec& language) {
  if (std::ranges::find(spec.languages, language.name) != spec.languages.end()) return Done{};
  return Error(ErrorKind::unsupported,
               fmt::format("a vision tower '{}' is not of a model '{}'", spec.name, language.name));
}

const Package* tower_package(const Package& package) {
  return package.naming == Naming::gguf ? package.tower.get() : &package;
}

}  // namespace hearth::models
