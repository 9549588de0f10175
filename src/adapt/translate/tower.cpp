// The vision tower of a Hugging Face folder as the GGUF file that stands beside a language model's:
// tensors by the rows of its TowerSpec, numbers under the clip.* keys.
// Source: the key names of the GGUF specification; what the readers of these files look for.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "adapt/translate/tower_parts.h"
#include "formats/meta_llama.h"
#include "models/describe.h"
#include "models/tensors.h"
#include "models/transforms.h"
#include "models/values.h"

namespace hearth::adapt {
namespace {

using namespace models;

Result<Bytes> bytes_of(const TensorEntry& entry) {
  if (entry.make) return entry.make();
  return Bytes(entry.data.begin(), entry.data.end());
}

Bytes bytes_of_values(std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  return Bytes(bytes.begin(), bytes.end());
}

class TowerTranslator {
 public:
  TowerTranslator(SharedTower origin, std::set<std::string>& used)
      : origin_(std::move(origin)),
        spec_(origin_->spec),
        hyper_(origin_->hyper),
        finder_{origin_->package, spec_, hyper_},
        used_(used) {}

  Status row(const TowerRow& row, std::size_t layer);
  std::vector<TensorEntry> take() { return std::move(out_); }

 private:
  Status check(TowerPart part, const TensorEntry& entry) const;
  static std::string gguf_name(const TowerRow& row, std::size_t layer, std::string_view suffix);
  void put(std::string name, Dtype dtype, std::vector<std::uint64_t> shape,
           std::function<Result<Bytes>()> make) {
    out_.push_back(made_tensor(std::move(name), dtype, std::move(shape), std::move(make)));
  }
  void put_floats(std::string name, const TensorEntry& entry, float more);
  void put_frames(const TensorEntry& entry);
  void put_channels(const TensorEntry& entry);
  void put_bounds(const TowerRow& row, std::size_t layer, const TensorEntry& entry);
  void put_parts(const TensorEntry& weight, const TensorEntry* bias, std::size_t layer);
  void put_pairs(std::string name, const TensorEntry& entry);

  SharedTower origin_;
  const TowerSpec& spec_;
  const TowerHyper& hyper_;
  TowerFinder finder_;
  std::set<std::string>& used_;
  std::vector<TensorEntry> out_;
};

// The first of a row's names.
std::string TowerTranslator::gguf_name(const TowerRow& row, std::size_t layer,
                                       std::string_view suffix) {
  std::string name(row.gguf.substr(0, row.gguf.find('|')));
  if (const auto at = name.find("{}"); at != name.npos) name.replace(at, 2, std::to_string(layer));
  if (!name.ends_with('!')) return name + std::string(suffix);
  name.pop_back();
  return name;
}

// Readers want these as floats of four bytes.
void TowerTranslator::put_floats(std::string name, const TensorEntry& entry, float more) {
  auto shape = entry.shape;  // Hugging Face's may begin with extents of one
  while (shape.size() > 1 && shape.front() == 1) shape.erase(shape.begin());
  if (shape.empty()) shape.push_back(1);
  put(std::move(name), Dtype::f32, std::move(shape),
      [origin = origin_, &entry, more]() -> Result<Bytes> {
        std::vector<float> values = TRY(read_floats(entry));
        for (float& value : values) value += more;
        return bytes_of_values(values);
      });
}

// A convolution over two frames as one over each; readers convolve with f32 and f16.
void TowerTranslator::put_frames(const TensorEntry& entry) {
  const auto& shape = entry.shape;  // [dim, 3, frames, patch, patch], or without frames
  const bool has_frames = shape.size() == 5;
  std::vector<std::uint64_t> one = shape;
  if (shape.size() == 2) one = {shape[0], 3, hyper_.patch, hyper_.patch};
  if (has_frames) one.erase(one.begin() + 2);
  const std::size_t frames = has_frames ? shape[2] : 1, area = one[2] * one[3];
  const Dtype dtype = entry.dtype == Dtype::f16 ? Dtype::f16 : Dtype::f32;
  for (std::size_t frame = 0; frame < frames; ++frame)
    put(frame == 0 ? "v.patch_embd.weight" : fmt::format("v.patch_embd.weight.{}", frame), dtype,
        one, [origin = origin_, &entry, frame, frames, area, dtype]() -> Result<Bytes> {
          const Bytes all = entry.dtype == dtype ? TRY(bytes_of(entry))
                                                 : bytes_of_values(TRY(read_floats(entry)));
          const std::size_t plane = area * info(dtype).block_bytes;
          Bytes own;
          for (std::size_t at = frame * plane; at < all.size(); at += frames * plane)
            own.insert(own.end(), all.begin() + static_cast<std::ptrdiff_t>(at),
                       all.begin() + static_cast<std::ptrdiff_t>(at + plane));
          return own;
        });
}

// [dim, row, column, channel] as a convolution's weights.
void TowerTranslator::put_channels(const TensorEntry& entry) {
  const std::uint64_t edge = hyper_.patch, rows = entry.shape[0];
  put("v.patch_embd.weight", Dtype::f32, {rows, 3, edge, edge},
      [origin = origin_, &entry, rows]() -> Result<Bytes> {
        const std::vector<float> values = TRY(read_floats(entry));
        std::vector<float> sorted(values.size());
        const std::size_t columns = values.size() / rows, area = columns / 3;
        for (std::size_t i = 0; i < values.size(); ++i) {
          const std::size_t c = i % columns;
          sorted[i - c + c % 3 * area + c / 3] = values[i];
        }
        return bytes_of_values(sorted);
      });
}

// What a matrix reads and gives is held to numbers beside it.
void TowerTranslator::put_bounds(const TowerRow& row, std::size_t layer, const TensorEntry& entry) {
  std::string_view stem = entry.name;
  for (const std::string_view last : {".weight", ".linear"})
    if (stem.ends_with(last)) stem.remove_suffix(last.size());
  for (const std::string_view bound : {".input_min", ".input_max", ".output_min", ".output_max"}) {
    const TensorEntry* held = origin_->package.find(fmt::format("{}{}", stem, bound));
    if (held == nullptr) continue;
    used_.insert(held->name);
    put_floats(gguf_name(row, layer, bound), *held, 0);
  }
}

// Queries, keys and values that stand in one matrix, each by itself.
void TowerTranslator::put_parts(const TensorEntry& weight, const TensorEntry* bias,
                                std::size_t layer) {
  using enum TowerPart;
  std::size_t part = 0;
  for (const TowerPart role : {q, k, v}) {
    const TowerRow& row = *spec_.find(role);
    for (const auto& [entry, suffix] : {std::pair(&weight, ".weight"), std::pair(bias, ".bias")}) {
      if (entry == nullptr) continue;
      std::vector<std::uint64_t> shape = entry->shape;
      shape[0] /= 3;
      const bool is_bias = entry == bias;
      put(gguf_name(row, layer, suffix), is_bias ? Dtype::f32 : entry->dtype, std::move(shape),
          [origin = origin_, entry, part, is_bias]() -> Result<Bytes> {
            const Bytes all =
                is_bias ? bytes_of_values(TRY(read_floats(*entry))) : TRY(bytes_of(*entry));
            const auto each = static_cast<std::ptrdiff_t>(all.size() / 3);
            const auto first = all.begin() + static_cast<std::ptrdiff_t>(part) * each;
            return Bytes(first, first + each);
          });
    }
    ++part;
  }
}

// Rows of heads whose halves turn together become neighbours.
void TowerTranslator::put_pairs(std::string name, const TensorEntry& entry) {
  put(std::move(name), entry.dtype, entry.shape, [origin = origin_, &entry]() -> Result<Bytes> {
    const Bytes all = TRY(bytes_of(entry));
    const std::size_t dim = origin->hyper.head_dim;
    const auto order = order_of_pairs(origin->hyper.heads, dim, dim);
    return pick_rows(all, all.size() / entry.shape[0], order);
  });
}

// What is cut or sorted needs its shape; the rest is checked by who loads it.
Status TowerTranslator::check(TowerPart part, const TensorEntry& entry) const {
  using enum TowerPart;
  const std::uint64_t dim = hyper_.dim, patch_edge = hyper_.patch;
  const std::uint64_t all = std::uint64_t{hyper_.heads} * hyper_.head_dim;
  std::vector<std::uint64_t> needed;
  if (part == patch && entry.shape.size() == 2)
    needed = {dim, 3 * patch_edge * patch_edge};
  else if (part == patch && entry.shape.size() == 5)
    needed = {dim, 3, 2, patch_edge, patch_edge};
  else if (part == patch)
    needed = {dim, 3, patch_edge, patch_edge};
  else if (part == qkv)
    needed = {3 * all, dim};
  else if (part == q || part == k)
    needed = {all, dim};
  else
    return Done{};
  return check_shape(entry, needed);
}

Status TowerTranslator::row(const TowerRow& row, std::size_t layer) {
  using enum TowerPart;
  if (row.hf.empty()) return Done{};
  const TensorEntry* entry = finder_.find(row, layer, ".weight");
  const TensorEntry* bias = finder_.find(row, layer, ".bias");
  if (entry == nullptr) {
    if (!row.needed) return Done{};
    return Error(ErrorKind::corrupt,
                 fmt::format("{} is missing", finder_.name(row, row.hf, layer)));
  }
  TRY(check(row.part, *entry));
  used_.insert(entry->name);
  if (bias != nullptr) used_.insert(bias->name);
  if (row.part == qkv && !spec_.gguf_fused) {
    put_parts(*entry, bias, layer);
    return Done{};
  }
  const std::string name = gguf_name(row, layer, ".weight");
  const bool pairs = spec_.gguf_pairs && (row.part == q || row.part == k);
  if (is_vector(row.part))
    put_floats(name, *entry,
               row.part == pooled_norm && spec_.hf_pooled_norm_plus_one ? 1.0f : 0.0f);
  else if (row.part == positions)
    put_floats(name, *entry, 0);
  else if (row.part == patch && spec_.hf_patch_channels_last)
    put_channels(*entry);
  else if (row.part == patch)
    put_frames(*entry);
  else if (pairs)
    put_pairs(name, *entry);
  else {
    out_.push_back(*entry);
    out_.back().name = name;
  }
  if (bias != nullptr) put_floats(gguf_name(row, layer, ".bias"), *bias, 0);
  if (spec_.bounded && of_tower_layer(row.part)) put_bounds(row, layer, *entry);
  return Done{};
}

// Every so many layers one sees all; nothing: no such rule.
std::optional<std::uint32_t> window_pattern(const std::vector<bool>& sees_all) {
  for (std::uint32_t every = 1; every <= sees_all.size(); ++every) {
    bool fits = true;
    for (std::uint32_t i = 0; i < sees_all.size(); ++i)
      fits = fits && sees_all[i] == ((i + 1) % every == 0);
    if (fits) return every;
  }
  return std::nullopt;
}

Result<std::vector<GgufContents::Pair>> numbers(const TowerSpec& spec, const TowerHyper& hyper,
                                                std::uint32_t language_dim) {
  std::vector<GgufContents::Pair> pairs;
  const auto add = [&](std::string key, GgufValue value) {
    pairs.push_back({std::move(key), std::move(value)});
  };
  const auto count = [&](std::string_view key, std::uint64_t value) {
    add(fmt::format("clip.vision.{}", key), GgufValue::of(static_cast<std::uint32_t>(value)));
  };
  add("general.architecture", GgufValue::text("clip"));
  add("general.type", GgufValue::text("mmproj"));
  add("clip.has_vision_encoder", GgufValue::of(true));
  add("clip.projector_type", GgufValue::text(spec.name));
  if (hyper.activation == ops::Activation::silu) add("clip.use_silu", GgufValue::of(true));
  if (hyper.activation == ops::Activation::gelu || hyper.activation == ops::Activation::gelu_tanh)
    add("clip.use_gelu", GgufValue::of(true));
  // Readers want an edge where pictures of any are taken, too.
  constexpr std::uint32_t usual_edge = 560;
  const std::uint32_t edge = spec.sizing == Sizing::bounded ? hyper.longest_edge : hyper.image_size;
  count("image_size", edge > 0 ? edge : usual_edge);
  count("patch_size", hyper.patch);
  count("embedding_length", hyper.dim);
  count("feed_forward_length", hyper.hidden);
  count("projection_dim", language_dim);
  count("block_count", hyper.sees_all.size());
  count("attention.head_count", hyper.heads);
  add("clip.vision.attention.layer_norm_epsilon", GgufValue::of(hyper.norm_eps));
  static constexpr std::array<float, 3> no_mean{}, no_deviation{1, 1, 1};
  add("clip.vision.image_mean", GgufValue::array<float>(spec.own_colours ? no_mean : hyper.mean));
  add("clip.vision.image_std",
      GgufValue::array<float>(spec.own_colours ? no_deviation : hyper.deviation));
  const bool side_by_side = spec.rope && spec.joining == Joining::side_by_side;
  if (hyper.merge > 1)
    count(side_by_side ? "spatial_merge_size" : "projector.scale_factor", hyper.merge);
  if (spec.sizing == Sizing::budget)
    count("image_max_pixels", std::uint64_t{hyper.max_rows} * hyper.block() * hyper.block());
  if (spec.sizing == Sizing::shapes || spec.sizing == Sizing::canvases) {
    count("preproc_min_tiles", hyper.min_tiles);
    count("preproc_max_tiles", hyper.max_tiles);
  }
  if (spec.sizing == Sizing::smart) {
    count("image_min_pixels", hyper.min_pixels);
    count("image_max_pixels", hyper.max_pixels);
  }
  if (spec.sizing == Sizing::split) count("preproc_image_size", hyper.longest_edge);
  if (spec.feature_layer != -1) count("feature_layer", hyper.sees_all.size());
  if (spec.windows) {
    const auto every = window_pattern(hyper.sees_all);
    if (!every)
      return Error(ErrorKind::unsupported,
                   "layers that see all follow no rule: GGUF files hold every how many one does");
    count("window_size", std::uint64_t{hyper.window} * hyper.patch);
    count("n_wa_pattern", *every);
  }
  if (spec.find(TowerPart::deep_norm) != nullptr) {
    GgufValue deep{
        .type = MetaType::boolean, .is_array = true, .count = hyper.sees_all.size(), .bytes = {}};
    for (std::size_t i = 0; i < deep.count; ++i) deep.bytes += hyper.is_deep(i) ? '\1' : '\0';
    add("clip.vision.is_deepstack_layers", std::move(deep));
  }
  if (spec.sizing == Sizing::grids) {
    std::vector<std::uint32_t> edges;
    for (const TowerHyper::Grid& grid : hyper.grids)
      edges.insert(edges.end(), {grid.columns * hyper.image_size, grid.rows * hyper.image_size});
    add("clip.vision.image_grid_pinpoints", GgufValue::array<std::uint32_t>(edges));
    add("clip.vision.mm_patch_merge_type", GgufValue::text("spatial_unpad"));
  }
  return pairs;
}

// What a reader of the new file would do otherwise.
void tell_differences(const TowerHyper& before, const TowerHyper& after,
                      std::vector<std::string>& losses) {
  const auto tell = [&](std::string_view what, double a, double b) {
    if (a != b) losses.push_back(fmt::format("vision tower: {}: {:g} becomes {:g}", what, a, b));
  };
  tell("size of a head", before.head_dim, after.head_dim);
  tell("window", before.window, after.window);
  tell("kind of norms", static_cast<double>(before.norm), static_cast<double>(after.norm));
  tell("rows of a picture", before.max_rows, after.max_rows);
  tell("tiles of a picture", before.max_tiles, after.max_tiles);
  tell("epsilon of norms", before.norm_eps, after.norm_eps);
  tell("epsilon of the projector's norm", before.projector_eps, after.projector_eps);
  tell("rope base", before.rope_theta, after.rope_theta);
  tell("activation", static_cast<double>(before.activation), static_cast<double>(after.activation));
  tell("activation of the projector", static_cast<double>(before.between),
       static_cast<double>(after.between));
  tell("least points", static_cast<double>(before.min_pixels),
       static_cast<double>(after.min_pixels));
  tell("most points", static_cast<double>(before.max_pixels),
       static_cast<double>(after.max_pixels));
  tell("longest edge", before.longest_edge, after.longest_edge);
  tell("cutting of pictures", before.splits, after.splits);
  tell("resampling", static_cast<double>(before.filter), static_cast<double>(after.filter));
}

Result<std::shared_ptr<const Package>> translated(const Package& package, const TowerSpec& spec,
                                                  std::uint32_t language_dim,
                                                  std::set<std::string>& used,
                                                  std::vector<std::string>& losses) {
  const auto origin =
      std::make_shared<const TowerOrigin>(package, spec, TRY(read_tower_hyper(package, spec)));
  TowerTranslator translator(origin, used);
  for (const auto rows : {spec.tower, spec.projector})
    for (const TowerRow& row : rows) {
      const std::size_t layers = of_tower_layer(row.part) ? origin->hyper.sees_all.size() : 1;
      for (std::size_t i = 0; i < layers; ++i)
        if (!of_deep_layer(row.part) || origin->hyper.is_deep(i)) TRY(translator.row(row, i));
    }
  auto made = std::make_shared<Package>();
  made->naming = Naming::gguf;
  made->format = "gguf";
  made->path = package.path;
  made->storage.push_back(origin);
  TRY(add_tensors(*made, translator.take()));
  auto pairs = TRY(numbers(spec, origin->hyper, language_dim));
  pairs.push_back({"general.name", GgufValue::text(TRY(describe(package)).name)});
  pairs.push_back({"general.file_type", GgufValue::of(file_type(*made))});
  TRY(add_made_metadata(*made, std::move(pairs)));
  tell_differences(origin->hyper, TRY(read_tower_hyper(*made, spec)), losses);
  return std::shared_ptr<const Package>(std::move(made));
}

}  // namespace

std::shared_ptr<const Package> translate_tower(const Package& package, std::uint32_t language_dim,
                                               std::set<std::string>& used,
                                               std::vector<std::string>& losses) {
  const auto spec = tower_of(package);
  if (!spec || *spec == nullptr) return nullptr;
  std::set<std::string> taken;
  auto tower = translated(package, **spec, language_dim, taken, losses);
  if (!tower) {
    losses.push_back(fmt::format("the vision tower stays behind: {}", tower.error().message()));
    return nullptr;
  }
  used.merge(taken);
  return *std::move(tower);
}

}  // namespace hearth::adapt
