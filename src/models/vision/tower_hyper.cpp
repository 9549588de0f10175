// The numbers of a tower: config.json and preprocessor_config.json of a Hugging Face folder, or the
// clip.* keys of a GGUF file.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "models/hyper_source.h"
#include "models/vision/tower.h"

namespace hearth::models {
namespace {

// Far above any real tower: they bound memory before a number is believed.
constexpr std::uint32_t max_patch = 64, max_image_size = 4096, max_merge = 8;
constexpr std::uint32_t max_tower_dim = 1u << 14, max_tower_layers = 256;
constexpr std::uint64_t max_pixels = 1ull << 26;
constexpr std::uint32_t max_grid_edge = 1u << 16, max_places = 1u << 20, max_tiles = 1u << 10;

const Json& member_or(const Json& object, std::string_view name, const Json& otherwise) {
  const Json* found = object.find(name);
  return found != nullptr && found->is_object() ? *found : otherwise;
}

// What of the preprocessor's file a key says.
Result<std::optional<double>> number_in(const Json& file, std::string_view key) {
  const Json* found = file.is_object() ? file.find(key) : nullptr;
  if (found == nullptr || !found->is_number()) return std::optional<double>();
  const double value = found->as_number();
  if (!(value >= 0 && value <= static_cast<double>(max_pixels)))
    return Error(ErrorKind::corrupt, fmt::format("preprocessor_config.json: {} = {}: needs 0 to {}",
                                                 key, value, max_pixels));
  return std::optional(value);
}

Status take_colours(std::span<const double> values, std::string_view name,
                    std::array<float, 3>& out, bool is_divisor) {
  if (values.size() != 3)
    return Error(ErrorKind::corrupt,
                 fmt::format("{} holds {} numbers: needs 3", name, values.size()));
  for (std::size_t c = 0; c < 3; ++c) {
    if (!std::isfinite(values[c]) || std::abs(values[c]) > 1e6 || (is_divisor && values[c] < 1e-6))
      return Error(ErrorKind::corrupt, fmt::format("{} holds {}: needs {}", name, values[c],
                                                   is_divisor ? "1e-6 to 1e6" : "-1e6 to 1e6"));
    out[c] = static_cast<float>(values[c]);
  }
  return Done{};
}

Status read_colours(const HyperSource& source, Keys mean_keys, Keys deviation_keys,
                    const TowerSpec& spec, TowerHyper& hyper) {
  if (spec.own_colours) return Done{};
  if (const auto mean = TRY(source.reals(mean_keys, {-1e6, 1e6})))
    TRY(take_colours(*mean, source.name_of(mean_keys), hyper.mean, false));
  if (const auto deviation = TRY(source.reals(deviation_keys, {-1e6, 1e6})))
    TRY(take_colours(*deviation, source.name_of(deviation_keys), hyper.deviation, true));
  return Done{};
}

// A length that may be told for both edges of a square.
Result<std::optional<std::uint32_t>> edge_in(const HyperSource& source, Keys keys,
                                             std::uint32_t most) {
  const auto edges = TRY(source.counts(keys, 1, most));
  if (!edges) return std::optional<std::uint32_t>();
  if (edges->empty() || edges->size() > 2 || edges->front() != edges->back())
    return Error(
        ErrorKind::unsupported,
        fmt::format("{}: needs one number, or two that are the same", source.name_of(keys)));
  return std::optional(edges->front());
}

Result<ops::Activation> activation_of(std::string_view name) {
  if (name == "quick_gelu") return ops::Activation::quick_gelu;
  if (name == "gelu") return ops::Activation::gelu;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new") return ops::Activation::gelu_tanh;
  if (name == "silu") return ops::Activation::silu;
  return Error(ErrorKind::unsupported,
               fmt::format("activation '{}' of a vision tower", printable(name)));
}

// What both containers must make sense of.
Status check(const TowerSpec& spec, TowerHyper& hyper, std::uint32_t layers) {
  const auto wrong = [](std::string text) { return Error(ErrorKind::corrupt, std::move(text)); };
  if (hyper.heads == 0 || hyper.dim % hyper.heads != 0)
    return wrong(
        fmt::format("a vision tower of {} dimensions and {} heads", hyper.dim, hyper.heads));
  if (hyper.head_dim == 0) hyper.head_dim = hyper.dim / hyper.heads;
  if (spec.rope && hyper.head_dim % 4 != 0)
    return wrong(fmt::format("{} dimensions of a head of the vision tower: needs a multiple of 4",
                             hyper.head_dim));
  if (spec.places == Places::stretched && hyper.image_size < hyper.patch)
    return wrong(fmt::format("learned places of {} points along an edge, patches of {}",
                             hyper.image_size, hyper.patch));
  for (std::size_t i = 0; i < hyper.deep.size(); ++i)
    if (hyper.deep[i] >= layers || (i > 0 && hyper.deep[i] <= hyper.deep[i - 1]))
      return wrong(fmt::format("deep layer {} of a vision tower of {} layers: needs them in order",
                               hyper.deep[i], layers));
  const bool sized = spec.sizing != Sizing::smart && spec.sizing != Sizing::bounded &&
                     spec.sizing != Sizing::budget;
  if (sized && (hyper.image_size < hyper.block() || hyper.image_size % hyper.block() != 0))
    return wrong(fmt::format("pictures of {} points along an edge: needs a multiple of {}",
                             hyper.image_size, hyper.block()));
  if (layers == 0 || layers > max_tower_layers)
    return wrong(
        fmt::format("a vision tower of {} layers: needs 1 to {}", layers, max_tower_layers));
  hyper.sees_all.resize(layers, hyper.window == 0);
  // Larger pictures are made smaller: see max_picture_rows.
  const std::uint64_t most = std::uint64_t{hyper.block()} * hyper.block() * max_picture_rows;
  hyper.max_pixels = std::min(hyper.max_pixels, most);
  const auto edge = static_cast<std::uint32_t>(std::sqrt(static_cast<double>(most)));
  hyper.longest_edge =
      std::min(hyper.longest_edge, spec.sizing == Sizing::split ? max_image_size : edge);
  hyper.max_rows = std::min(hyper.max_rows, max_picture_rows);
  if (spec.sizing == Sizing::shapes || spec.sizing == Sizing::canvases) {
    const std::uint32_t side = hyper.image_size / hyper.block();
    const std::uint32_t most_tiles = max_picture_rows / (side * side);
    if (most_tiles == 0)
      return wrong(fmt::format("tiles of {} points along an edge", hyper.image_size));
    hyper.max_tiles = std::min(hyper.max_tiles, std::max(1u, most_tiles - 1));
    if (hyper.min_tiles > hyper.max_tiles)
      return wrong(fmt::format("pictures of at least {} tiles and at most {}", hyper.min_tiles,
                               hyper.max_tiles));
  }
  if (spec.sizing == Sizing::bounded || spec.sizing == Sizing::split)
    if (hyper.longest_edge < hyper.block())
      return wrong(fmt::format("pictures of at most {} points along an edge", hyper.longest_edge));
  if (spec.sizing == Sizing::smart && hyper.min_pixels > hyper.max_pixels)
    return wrong(fmt::format("pictures of at least {} points and at most {}", hyper.min_pixels,
                             hyper.max_pixels));
  return Done{};
}

// Counted from behind the last; the embeddings are number 0.
std::uint32_t layers_run(std::uint32_t layers, std::int32_t feature) {
  const std::int64_t run = feature < 0 ? std::int64_t{layers} + 1 + feature : feature;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(run, 0, layers));
}

// How the processor cuts pictures; files older than transformers 5 and newer ones.
Status read_processor(const Package& package, const TowerSpec& spec, TowerHyper& hyper) {
  const Json none = Json::object();
  Json file = TRY(json_file(package, "preprocessor_config.json"));
  if (!file.is_object()) {
    const Json whole = TRY(json_file(package, "processor_config.json"));
    file = whole.is_object() ? member_or(whole, "image_processor", none) : none;
  }
  const HyperSource source(package, "", file);
  TRY(read_colours(source, {"", "image_mean"}, {"", "image_std"}, spec, hyper));
  if (const auto filter = TRY(source.count({"", "resample"}, 0, 5))) {
    if (*filter < 1 || *filter > 3)
      return Error(ErrorKind::unsupported,
                   fmt::format("preprocessor_config.json: resample = {}", *filter));
    hyper.filter = *filter == 1 ? Filter::lanczos
                   : *filter == 2
                       ? (spec.filter == Filter::bilinear16 ? spec.filter : Filter::bilinear)
                       : Filter::bicubic;
  }
  if (const auto splits = TRY(source.flag({"", "do_image_splitting"}))) hyper.splits = *splits;
  if (TRY(source.flag({"", "resize_to_max_canvas"})).value_or(false))
    return Error(ErrorKind::unsupported, "preprocessor_config.json: resize_to_max_canvas = true");
  if (spec.sizing == Sizing::shapes || spec.sizing == Sizing::canvases) {
    if (const auto least = TRY(source.count({"", "min_patches"}, 1, max_tiles)))
      hyper.min_tiles = *least;
    if (const auto most = TRY(source.count({"", "max_patches"}, 1, max_tiles)))
      hyper.max_tiles = *most;
  }
  if (spec.sizing == Sizing::budget)
    if (const auto rows = TRY(source.count({"", "max_soft_tokens"}, 1, max_places)))
      hyper.max_rows = *rows;
  const Json& size = member_or(file, "size", none);
  const auto longest = TRY(number_in(size, "longest_edge"));
  const auto shortest = TRY(number_in(size, "shortest_edge"));
  if (spec.sizing == Sizing::smart) {
    const auto least = TRY(number_in(file, "min_pixels")),
               most = TRY(number_in(file, "max_pixels"));
    hyper.min_pixels = static_cast<std::uint64_t>(
        least.value_or(shortest.value_or(static_cast<double>(hyper.min_pixels))));
    hyper.max_pixels = static_cast<std::uint64_t>(
        most.value_or(longest.value_or(static_cast<double>(hyper.max_pixels))));
  } else if (longest) {
    hyper.longest_edge = static_cast<std::uint32_t>(*longest);
  }
  const auto tile = TRY(number_in(member_or(file, "max_image_size", none), "longest_edge"));
  if (spec.sizing == Sizing::split && tile) hyper.image_size = static_cast<std::uint32_t>(*tile);
  return Done{};
}

Status read_windows(const HyperSource& vision, TowerHyper& hyper, std::uint32_t layers) {
  hyper.window = TRY(vision.count({"", "window_size"}, 1, max_image_size)).value_or(112);
  hyper.window = std::max(1u, hyper.window / hyper.block()) * hyper.merge;
  hyper.sees_all.assign(std::min(layers, max_tower_layers), false);
  const auto whole = TRY(vision.counts({"", "fullatt_block_indexes"}, 0, max_tower_layers));
  for (const std::uint32_t layer : whole.value_or(std::vector<std::uint32_t>{7, 15, 23, 31}))
    if (layer < hyper.sees_all.size()) hyper.sees_all[layer] = true;
  return Done{};
}

// What pictures are cut into: pairs of points along the edges, of whole tiles.  Too large ones are
// left out: see max_picture_rows.
Status take_grids(std::span<const std::uint32_t> edges, bool height_first, TowerHyper& hyper) {
  const std::uint32_t tile = hyper.image_size;
  const std::uint64_t side = tile / hyper.block(), each = side * side;
  if (edges.empty() || edges.size() % 2 != 0)
    return Error(ErrorKind::corrupt, fmt::format("image_grid_pinpoints holds {} numbers: needs "
                                                 "pairs",
                                                 edges.size()));
  for (std::size_t i = 0; i < edges.size(); i += 2) {
    for (const std::uint32_t edge : edges.subspan(i, 2))
      if (edge == 0 || edge % tile != 0)
        return Error(ErrorKind::corrupt, fmt::format("image_grid_pinpoints holds {}: needs "
                                                     "multiples of {}",
                                                     edge, tile));
    const std::uint32_t first = edges[i] / tile, second = edges[i + 1] / tile;
    const TowerHyper::Grid grid =
        height_first ? TowerHyper::Grid{first, second} : TowerHyper::Grid{second, first};
    const std::uint64_t tiles = std::uint64_t{grid.rows} * grid.columns;
    if ((1 + tiles) * each + grid.rows * side <= max_picture_rows) hyper.grids.push_back(grid);
  }
  if (!hyper.grids.empty()) return Done{};
  return Error(ErrorKind::unsupported,
               fmt::format("image_grid_pinpoints: all of them make over {} rows of a picture",
                           max_picture_rows));
}

// Source: LLaVA 1.6, where nothing else is said.
constexpr std::uint32_t usual_grids[] = {336, 672, 672, 336, 672, 672, 1008, 336, 336, 1008};

Status read_grids(const Json& config, TowerHyper& hyper) {
  const Json* found = config.find("image_grid_pinpoints");
  if (found == nullptr || found->is_null()) return take_grids(usual_grids, true, hyper);
  const auto wrong = [] {
    return Error(ErrorKind::corrupt,
                 "config.json: image_grid_pinpoints: needs a list of pairs of whole numbers");
  };
  if (!found->is_array()) return wrong();
  std::vector<std::uint32_t> edges;
  for (const Json& pair : found->as_array()) {
    if (!pair.is_array() || pair.size() != 2) return wrong();
    for (const Json& edge : pair.as_array()) {
      if (!edge.is_integer() || edge.as_integer() < 0 || edge.as_integer() > max_grid_edge)
        return wrong();
      edges.push_back(static_cast<std::uint32_t>(edge.as_integer()));
    }
  }
  return take_grids(edges, true, hyper);
}

Result<TowerHyper> read_hf(const Package& package, const TowerSpec& spec, TowerHyper hyper) {
  const Json none = Json::object();
  const Json& config = member_or(package.config, "vision_config", none);
  const HyperSource vision(package, "", config), top(package, "", package.config);
  hyper.patch = TRY(edge_in(vision, {"", "patch_size|spatial_patch_size"}, max_patch)).value_or(14);
  hyper.dim = TRY(vision.count({"", "embed_dim|hidden_size"}, 1, max_tower_dim)).value_or(0);
  const auto layers =
      TRY(vision.required_count({"", "depth|num_hidden_layers"}, 1, max_tower_layers));
  hyper.heads = TRY(vision.required_count({"", "num_heads|num_attention_heads"}, 1, 1024));
  if (spec.rope) hyper.head_dim = TRY(vision.count({"", "head_dim"}, 1, max_tower_dim)).value_or(0);
  if (hyper.dim == 0) return Error(ErrorKind::corrupt, "vision_config: hidden_size is missing");
  const auto ratio = TRY(vision.real({"", "mlp_ratio"}, {0.01, 100}));
  const auto hidden = TRY(vision.count({"", "intermediate_size"}, 1, 1u << 18));
  hyper.hidden = hidden.value_or(static_cast<std::uint32_t>(hyper.dim * ratio.value_or(4)));
  hyper.image_size =
      TRY(edge_in(vision, {"", "image_size"}, max_image_size)).value_or(hyper.image_size);
  const Keys eps_keys{"", spec.norm == NormKind::layer ? "layer_norm_eps" : "rms_norm_eps"};
  if (const auto eps = TRY(vision.real(eps_keys, {1e-30, 1})))
    hyper.norm_eps = static_cast<float>(*eps);
  hyper.projector_eps = spec.projector_eps > 0 ? spec.projector_eps : hyper.norm_eps;
  if (const auto kind = TRY(vision.text({"", "norm_type"})))
    hyper.norm = *kind == "rms_norm" ? NormKind::rms : NormKind::layer;
  if (const auto name = TRY(vision.text({"", "hidden_act|hidden_activation"})))
    if (spec.activation_from_config) hyper.activation = TRY(activation_of(*name));
  if (const auto name = TRY(top.text({"", "projector_hidden_act"})))
    hyper.between = TRY(activation_of(*name));
  const Json& rope = member_or(config, "rope_parameters", config);
  if (const auto theta = TRY(HyperSource(package, "", rope).real({"", "rope_theta"}, {1, 1e9})))
    hyper.rope_theta = static_cast<float>(*theta);
  if (const auto merge =
          TRY(vision.count({"", "spatial_merge_size|pooling_kernel_size"}, 1, max_merge)))
    hyper.merge = *merge;
  auto ratio_kept = TRY(top.real({"", "downsample_ratio"}, {1.0 / max_merge, 1}));
  if (!ratio_kept) ratio_kept = TRY(vision.real({"", "pixel_shuffle_ratio"}, {1.0 / max_merge, 1}));
  if (ratio_kept) hyper.merge = static_cast<std::uint32_t>(1 / *ratio_kept);
  if (const auto merge = TRY(top.count({"", "spatial_merge_size|scale_factor"}, 1, max_merge)))
    hyper.merge = *merge;
  if (spec.joining == Joining::average && spec.sizing == Sizing::square) {
    const auto rows =
        TRY(top.count({"", "mm_tokens_per_image"}, 1, max_picture_rows)).value_or(256);
    const auto side = static_cast<std::uint32_t>(std::sqrt(static_cast<double>(rows)));
    hyper.merge = std::max(1u, hyper.image_size / hyper.patch / side);
  }
  if (spec.block_norm_eps_of_language)
    hyper.projector_eps = static_cast<float>(
        TRY(HyperSource(package, "").real({"", "rms_norm_eps"}, {1e-30, 1})).value_or(1e-5));
  if (spec.windows) TRY(read_windows(vision, hyper, layers));
  if (spec.places == Places::stretched) {
    const auto places =
        TRY(vision.count({"", "num_position_embeddings"}, 1, max_places)).value_or(2304);
    const auto side = static_cast<std::uint32_t>(std::sqrt(static_cast<double>(places)));
    hyper.image_size = side * hyper.patch;
  }
  if (spec.find(TowerPart::deep_norm) != nullptr) {
    const auto deep = TRY(vision.counts({"", "deepstack_visual_indexes"}, 0, max_tower_layers));
    if (deep) hyper.deep = *deep;
  }
  TRY(read_processor(package, spec, hyper));
  const auto rows = TRY(top.text({"", "vision_feature_select_strategy"}));
  if (rows && spec.feature_layer != -1 && *rows != "default")
    return Error(
        ErrorKind::unsupported,
        fmt::format("config.json: vision_feature_select_strategy = '{}'", printable(*rows)));
  std::int32_t feature = spec.feature_layer;
  if (const Json* layer = package.config.find("vision_feature_layer");
      layer != nullptr && !layer->is_null()) {
    if (!layer->is_integer() || std::abs(layer->as_integer()) > max_tower_layers)
      return Error(ErrorKind::unsupported,
                   "config.json: vision_feature_layer: we take one layer, by its number");
    feature = static_cast<std::int32_t>(layer->as_integer());
  }
  TRY(check(spec, hyper, layers));
  if (spec.sizing == Sizing::grids) TRY(read_grids(package.config, hyper));
  hyper.sees_all.resize(layers_run(layers, feature));
  return hyper;
}

Result<TowerHyper> read_gguf(const Package& package, const TowerSpec& spec, TowerHyper hyper) {
  const HyperSource source(package, "clip.vision"), top(package, "clip");
  hyper.patch = TRY(source.required_count({"patch_size", ""}, 1, max_patch));
  hyper.image_size =
      TRY(source.count({"image_size", ""}, 1, max_image_size)).value_or(hyper.image_size);
  hyper.dim = TRY(source.required_count({"embedding_length", ""}, 1, max_tower_dim));
  hyper.heads = TRY(source.required_count({"attention.head_count", ""}, 1, 1024));
  hyper.hidden = TRY(source.required_count({"feed_forward_length", ""}, 0, 1u << 18));
  const auto layers = TRY(source.required_count({"block_count", ""}, 1, max_tower_layers));
  if (const auto eps = TRY(source.real({"attention.layer_norm_epsilon", ""}, {1e-30, 1})))
    hyper.norm_eps = static_cast<float>(*eps);
  hyper.projector_eps = spec.projector_eps > 0 ? spec.projector_eps : hyper.norm_eps;
  // Files do not say it: norms of the other kind have a bias.
  if (spec.find(TowerPart::joined_norm) != nullptr && package.find("v.blk.0.ln1.bias") == nullptr)
    hyper.norm = NormKind::rms;
  if (const auto tiles = TRY(source.count({"preproc_min_tiles", ""}, 1, max_tiles)))
    hyper.min_tiles = *tiles;
  if (const auto tiles = TRY(source.count({"preproc_max_tiles", ""}, 1, max_tiles)))
    hyper.max_tiles = *tiles;
  if (const auto merge = TRY(source.count({"spatial_merge_size", ""}, 1, max_merge)))
    hyper.merge = *merge;
  if (const auto merge = TRY(source.count({"projector.scale_factor", ""}, 1, max_merge)))
    hyper.merge = *merge;
  if (spec.activation_from_config) {
    if (TRY(top.flag({"use_gelu", ""})).value_or(false))
      hyper.activation = ops::Activation::gelu_tanh;
    if (TRY(top.flag({"use_silu", ""})).value_or(false)) hyper.activation = ops::Activation::silu;
  }
  TRY(read_colours(source, {"image_mean", ""}, {"image_std", ""}, spec, hyper));
  const auto least = TRY(source.count({"image_min_pixels", ""}, 1, 1u << 26));
  const auto most = TRY(source.count({"image_max_pixels", ""}, 1, 1u << 26));
  if (spec.sizing == Sizing::budget && most)
    hyper.max_rows = std::max(1u, *most / (hyper.block() * hyper.block()));
  if (spec.sizing == Sizing::smart) {
    hyper.min_pixels = least.value_or(hyper.min_pixels);
    hyper.max_pixels = most.value_or(hyper.max_pixels);
  }
  // Files of before 2026 do not say it: what the published models have.
  if (spec.sizing == Sizing::split) hyper.longest_edge = 4 * hyper.image_size;
  if (const auto longest = TRY(source.count({"preproc_image_size", ""}, 1, 1u << 14)))
    hyper.longest_edge = *longest;
  if (spec.sizing == Sizing::bounded && hyper.image_size > 0) hyper.longest_edge = hyper.image_size;
  if (spec.windows) {
    hyper.window = TRY(source.count({"window_size", ""}, 1, max_image_size)).value_or(112);
    hyper.window = std::max(1u, hyper.window / hyper.block()) * hyper.merge;
    const auto pattern = TRY(source.count({"n_wa_pattern", ""}, 0, max_tower_layers)).value_or(0);
    hyper.sees_all.assign(layers, pattern == 0);
    for (std::uint32_t i = 0; i < layers && pattern > 0; ++i)
      hyper.sees_all[i] = (i + 1) % pattern == 0;
    if (pattern == 0) hyper.window = 0;
  }
  if (spec.find(TowerPart::deep_norm) != nullptr) {
    const auto deep = TRY(source.counts({"is_deepstack_layers", ""}, 0, 1));
    for (std::uint32_t i = 0; deep && i < deep->size(); ++i)
      if ((*deep)[i] != 0) hyper.deep.push_back(i);
  }
  TRY(check(spec, hyper, layers));
  if (spec.sizing == Sizing::grids) {
    const auto edges = TRY(source.counts({"image_grid_pinpoints", ""}, 1, max_grid_edge));
    TRY(take_grids(edges.value_or(std::vector<std::uint32_t>()), false, hyper));
  }
  // Files of LLaVA say the layer, or hold no layers behind it.
  const auto feature = TRY(source.counts({"feature_layer", ""}, 0, max_tower_layers));
  if (feature && feature->size() == 1) hyper.sees_all.resize(std::min(layers, feature->front()));
  return hyper;
}

}  // namespace

Result<TowerHyper> read_tower_hyper(const Package& package, const TowerSpec& spec) {
  TowerHyper hyper;
  hyper.merge = spec.merge;
  hyper.norm = spec.norm;
  hyper.norm_eps = spec.norm_eps;
  hyper.projector_eps = spec.norm_eps;
  hyper.rope_theta = spec.rope_theta;
  hyper.activation = spec.activation;
  hyper.between = spec.between;
  hyper.mean = spec.mean;
  hyper.deviation = spec.deviation;
  hyper.min_pixels = spec.min_pixels;
  hyper.max_pixels = spec.max_pixels;
  hyper.longest_edge = spec.longest_edge;
  hyper.filter = spec.filter;
  hyper.rounded_colours = spec.rounded_colours;
  hyper.max_tiles = spec.max_tiles;
  hyper.max_rows = spec.max_rows;
  return package.naming == Naming::gguf ? read_gguf(package, spec, hyper)
                                        : read_hf(package, spec, hyper);
}

}  // namespace hearth::models
