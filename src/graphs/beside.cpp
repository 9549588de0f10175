// Source: Hugging Face transformers, PretrainedConfig.id2label; image processors.
#include "graphs/beside.h"

#include <array>
#include <charconv>

#include "base/files.h"
#include "base/json.h"

namespace hearth::graphs {
namespace {

constexpr std::uint64_t most_bytes = 16u << 20;
constexpr std::size_t most_labels = 1u << 20;

// An object; null where there is none.
Json read_settings(const std::string& path) {
  const auto text = read_file(path, most_bytes);
  auto json = text ? parse_json(*text) : Result<Json>(Json());
  return json && json->is_object() ? *std::move(json) : Json();
}

std::vector<std::string> labels_of(const Json& config) {
  std::vector<std::string> labels;
  const Json* names = config.find("id2label");
  if (names == nullptr || !names->is_object()) return labels;
  for (const auto& [key, name] : names->as_object()) {
    std::size_t id = 0;
    const auto [end, failed] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (failed != std::errc() || id >= most_labels || !name.is_string()) continue;
    if (labels.size() <= id) labels.resize(id + 1);
    labels[id] = name.as_string();
  }
  return labels;
}

bool is_done(const Json& config, std::string_view step) {
  const Json* flag = config.find(step);
  return flag == nullptr || !flag->is_bool() || flag->as_bool();
}

// A number for each channel, given as one or as a list.
std::array<double, 3> by_channel(const Json& config, std::string_view key, double fallback) {
  std::array<double, 3> list{fallback, fallback, fallback};
  const Json* given = config.find(key);
  if (given == nullptr || !is_done(config, "do_normalize")) return list;
  for (std::size_t c = 0; c < 3; ++c)
    if (given->is_number())
      list[c] = given->as_number();
    else if (given->is_array() && c < given->size() && given->as_array()[c].is_number())
      list[c] = given->as_array()[c].as_number();
  return list;
}

// (value * factor - mean) / deviation
std::optional<Pixels> pixels_of(const Json& config) {
  if (config.is_null()) return {};
  const Json* given = config.find("rescale_factor");
  double factor = given != nullptr && given->is_number() ? given->as_number() : 1.0 / 255;
  if (!is_done(config, "do_rescale")) factor = 1;
  const auto mean = by_channel(config, "image_mean", 0),
             deviation = by_channel(config, "image_std", 1);
  Pixels pixels;
  for (std::size_t c = 0; c < 3; ++c) {
    if (factor == 0 || deviation[c] == 0) return {};
    pixels.mean[c] = static_cast<float>(mean[c] / factor);
    pixels.deviation[c] = static_cast<float>(deviation[c] / factor);
  }
  return pixels;
}

}  // namespace

void read_beside(Program& program) {
  const std::string folder = parent_folder(program.path);
  if (program.labels.empty())
    program.labels = labels_of(read_settings(join_path(folder, "config.json")));
  if (!program.pixels)
    program.pixels = pixels_of(read_settings(join_path(folder, "preprocessor_config.json")));
}

}  // namespace hearth::graphs
