#include "library/towers.h"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "base/ascii.h"
#include "base/files.h"
#include "base/log.h"
#include "library/local_models.h"

namespace hearth {
namespace {

// Names shorter than this say nothing of what they belong to: "mmproj-F16".
constexpr std::size_t least_telling = 4;

// What a tower's name says of its model: "mmproj-Qwen2.5-VL-f16.gguf" says "qwen2.5-vl-f16".
std::string telling_part(std::string_view name) {
  std::string text = ascii_lower(name);
  if (const auto at = text.find("mmproj"); at != std::string::npos) text.erase(at, 6);
  while (!text.empty() && (text.front() == '-' || text.front() == '_' || text.front() == '.'))
    text.erase(0, 1);
  if (text.starts_with("model-")) text.erase(0, 6);
  return text;
}

std::size_t common_beginning(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

bool is_tower(const Package& package) {
  const auto architecture = package.metadata.string("general.architecture");
  return package.naming == Naming::gguf && architecture && *architecture == "clip";
}

// How well a tower's name fits a model's; nothing: it is another's.
std::optional<std::size_t> fit(std::string_view tower, std::string_view model, bool is_alone) {
  const std::string told = telling_part(tower);
  const std::size_t common = common_beginning(told, ascii_lower(model));
  if (common < least_telling && !is_alone) return std::nullopt;
  // Of one model the one of halves, whatever its label has in common with the model's.
  return 2 * common + (told.find("f16") != std::string::npos ? 5 : 0);
}

// The file beside the model that is its tower by its name; empty: none is.
std::string tower_beside(const std::string& path) {
  const std::string folder = parent_folder(path), own = file_name(path);
  const auto names = list_folder(folder);
  if (!names) return {};
  const auto models = std::ranges::count_if(*names, [&](const std::string& name) {
    return name.ends_with(".gguf") && !is_tower_file(name) && split_place(name).part == 1 &&
           common_beginning(ascii_lower(name), ascii_lower(own)) < least_telling;
  });
  std::string best;
  std::size_t best_fit = 0;
  for (const std::string& name : *names) {
    if (!is_tower_file(name)) continue;
    const auto fits = fit(name, own, models == 0);
    if (!fits || (!best.empty() && *fits <= best_fit)) continue;
    best = name;
    best_fit = *fits;
  }
  return best.empty() ? best : join_path(folder, best);
}

}  // namespace

bool is_tower_file(std::string_view name) {
  return name.ends_with(".gguf") &&
         ascii_lower(file_name(name)).find("mmproj") != std::string::npos;
}

Status attach_tower(Package& package, const std::string& wished) {
  if (package.naming != Naming::gguf || package.format != "gguf" || is_tower(package))
    return Done{};
  if (!wished.empty()) {
    auto tower = std::make_shared<Package>(TRY(open_package(wished)));
    if (!is_tower(*tower))
      return Error(ErrorKind::unsupported, fmt::format("{}: holds no vision tower", wished));
    package.tower = std::move(tower);
    return Done{};
  }
  const std::string path = tower_beside(package.path);
  if (path.empty()) return Done{};
  auto tower = open_package(path);
  if (!tower) {
    log_warning("vision_tower_unusable file={} why={}", path, tower.error().message());
    return Done{};
  }
  if (is_tower(*tower)) package.tower = std::make_shared<const Package>(*std::move(tower));
  return Done{};
}

}  // namespace hearth
