// The weights of a tower: found, checked, and made rows of outputs.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/utf8.h"
#include "models/hyper_source.h"
#include "models/values.h"
#include "models/vision/tower.h"

namespace hearth::models {
namespace {

std::string filled(std::string_view pattern, std::size_t layer) {
  std::string name(pattern);
  if (const auto at = name.find("{}"); at != std::string::npos)
    name.replace(at, 2, std::to_string(layer));
  return name;
}

struct TowerLoader {
  ops::Context& ctx;
  Tower& tower;
  TowerFinder finder{tower.package, *tower.spec, tower.hyper};

  const TowerHyper& hyper() const { return tower.hyper; }
  bool is_hf() const { return tower.package.naming == Naming::huggingface; }

  Status load(const TowerRow& row, std::size_t layer);
  std::vector<std::uint64_t> shape(TowerPart part, const TensorEntry* entry) const;
  Status load_matrix(const TowerRow& row, const TensorEntry& entry, Weight& out);
  Result<std::vector<float>> floats(const TensorEntry& entry, std::size_t rows,
                                    std::size_t columns);
};

void keep(Weight& out, std::span<const float> values, std::size_t rows, std::size_t columns) {
  Bytes bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  out.rebuilt = std::make_shared<const Bytes>(std::move(bytes));
  out.stored = {Dtype::f32, rows, columns, *out.rebuilt, false};
}

// Outermost first; 0 stands for any size.
std::vector<std::uint64_t> TowerLoader::shape(TowerPart part, const TensorEntry* entry) const {
  using enum TowerPart;
  const std::uint64_t dim = hyper().dim, hidden = hyper().hidden;
  const std::uint64_t all = std::uint64_t{hyper().heads} * hyper().head_dim;
  const std::uint64_t block = std::uint64_t{hyper().merge} * hyper().merge;
  const bool joins = tower.spec->joining == Joining::side_by_side;
  const bool merges = tower.weights[merge].present();
  const std::uint64_t joined = joins && !merges ? dim * block : dim;
  switch (part) {
    case patch:
    case patch_second:
      if (entry != nullptr && entry->shape.size() == 5)
        return {dim, 3, 2, hyper().patch, hyper().patch};
      return {dim, 3, hyper().patch, hyper().patch};
    case positions:
      return {0, dim};
    case qkv:
      return {3 * all, dim};
    case q:
    case k:
    case v:
      return {all, dim};
    case attention_out:
      return {dim, all};
    case gate:
    case up:
      return {hidden, dim};
    case down:
      return {dim, hidden};
    case merge:
      return {dim, dim * block};
    case first:
      if (tower.spec->first_is_turned) return {dim, 0};
      return {0, joined};
    case second:
      return {hyper().out_dim, hyper().inner};
    case newline:
      return {hyper().out_dim};
    case deep_norm:
      return {joined};
    case deep_first:
      return {joined, joined};
    case deep_second:
      return {hyper().out_dim, joined};
    default:
      return {dim};
  }
}

// All of a matrix as numbers, whatever it is stored as.
Result<std::vector<float>> TowerLoader::floats(const TensorEntry& entry, std::size_t rows,
                                               std::size_t columns) {
  if (is_float(entry.dtype)) return read_floats(entry);
  if (!is_quantised(entry.dtype) || entry.make)
    return Error(ErrorKind::unsupported,
                 fmt::format("{} is stored as {}", entry.name, name_of(entry.dtype)));
  std::vector<float> values(rows * columns);
  const ops::StoredMatrix stored{entry.dtype, rows, columns, entry.data, false};
  for (std::size_t i = 0; i < rows; ++i) read_row(ctx, stored, i, values.data() + i * columns);
  return values;
}

Status TowerLoader::load_matrix(const TowerRow& row, const TensorEntry& entry, Weight& out) {
  using enum TowerPart;
  std::uint64_t rows = entry.shape.front(), columns = 1;
  for (std::size_t i = 1; i < entry.shape.size(); ++i) columns *= entry.shape[i];
  if (row.part == patch && entry.shape.size() == 5) {
    // Both frames are the same picture: their weights add up.
    const auto values = TRY(floats(entry, rows, columns));
    const std::size_t area = entry.shape[3] * entry.shape[4];
    std::vector<float> sums(values.size() / 2);
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const std::size_t at = i / area * 2 * area + i % area;
      sums[i] = values[at] + values[at + area];
    }
    keep(out, sums, rows, columns / 2);
  } else if (row.part == patch_second) {
    auto values = TRY(floats(entry, rows, columns));
    Weight& first_frame = tower.weights.whole[static_cast<std::size_t>(patch)];
    std::vector<float> other(columns);
    for (std::size_t i = 0; i < rows; ++i) {
      read_row(ctx, first_frame.stored, i, other.data());
      for (std::size_t c = 0; c < columns; ++c) values[i * columns + c] += other[c];
    }
    keep(first_frame, values, rows, columns);
  } else if (row.part == first && tower.spec->first_is_turned) {
    const auto values = TRY(floats(entry, rows, columns));
    std::vector<float> turned(values.size());
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c) turned[c * rows + r] = values[r * columns + c];
    keep(out, turned, columns, rows);
  } else if (row.part == merge && tower.spec->merge_by_channel) {
    const auto values = TRY(floats(entry, rows, columns));
    const std::size_t block = std::size_t{hyper().merge} * hyper().merge, dim = hyper().dim;
    std::vector<float> sorted(values.size());
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c)
        sorted[r * columns + c % block * dim + c / block] = values[r * columns + c];
    keep(out, sorted, rows, columns);
  } else if (row.part == positions) {
    const auto values = TRY(floats(entry, rows, columns));
    out.values = values;
  } else {
    out.stored = {entry.dtype, rows, columns, entry.data, entry.file_mapped};
    if (entry.make) {
      out.rebuilt = std::make_shared<const Bytes>(TRY(entry.make()));
      out.stored.data = *out.rebuilt;
      out.stored.file_mapped = false;
    }
    if (info(entry.dtype).gguf_id < 0 || (!is_float(entry.dtype) && !is_quantised(entry.dtype)))
      return Error(ErrorKind::unsupported,
                   fmt::format("{} is stored as {}: we multiply floats and quantised blocks",
                               entry.name, name_of(entry.dtype)));
  }
  return Done{};
}

Status TowerLoader::load(const TowerRow& row, std::size_t layer) {
  using enum TowerPart;
  Weight& out = of_tower_layer(row.part)
                    ? tower.weights.layers[layer][static_cast<std::size_t>(row.part)]
                    : tower.weights.whole[static_cast<std::size_t>(row.part)];
  const TensorEntry* entry = finder.find(row, layer, ".weight");
  if (entry == nullptr) {
    if (!row.needed) return Done{};
    return Error(
        ErrorKind::corrupt,
        fmt::format("{} is missing", finder.name(row, is_hf() ? row.hf : row.gguf, layer)));
  }
  auto needed = shape(row.part, entry);
  // Files of before 2025 name the two matrices of a plain MLP the other way round.
  if (!is_hf() && (row.part == up || row.part == down) && hyper().dim != hyper().hidden &&
      entry->shape.size() == 2 && entry->shape[0] == needed[1] && entry->shape[1] == needed[0]) {
    TowerRow other = row;
    other.gguf = row.part == up ? "v.blk.{}.ffn_down" : "v.blk.{}.ffn_up";
    const TensorEntry* swapped = finder.find(other, layer, ".weight");
    if (swapped != nullptr) {
      TRY(check_shape(*swapped, needed));
      TRY(load_matrix(row, *swapped, out));
      if (const TensorEntry* bias = finder.find(other, layer, ".bias")) {
        TRY(check_shape(*bias, std::span(needed).first(1)));
        out.bias = TRY(read_floats(*bias));
      }
      return Done{};
    }
  }
  TRY(check_shape(*entry, needed));
  for (const std::uint64_t extent : entry->shape)
    if (extent == 0)
      return Error(ErrorKind::corrupt,
                   fmt::format("{} is {}", entry->name, text_of_shape(entry->shape)));
  if (is_vector(row.part)) {
    out.values = TRY(read_floats(*entry));
    if (is_hf() && row.part == pooled_norm && tower.spec->hf_pooled_norm_plus_one)
      for (float& value : out.values) value += 1;
  } else {
    TRY(load_matrix(row, *entry, out));
  }
  if (row.part == first) tower.hyper.inner = static_cast<std::uint32_t>(out.stored.rows);
  if (const TensorEntry* bias = finder.find(row, layer, ".bias")) {
    TRY(check_shape(*bias, std::array{is_vector(row.part) ? needed[0] : out.stored.rows}));
    out.bias = TRY(read_floats(*bias));
  }
  return Done{};
}

// A fused matrix of queries, keys and values becomes three.
void split_qkv(const TowerHyper& hyper, std::array<Weight, tower_parts>& layer) {
  using enum TowerPart;
  Weight& whole = layer[static_cast<std::size_t>(qkv)];
  if (!whole.present()) return;
  const std::uint64_t rows = std::uint64_t{hyper.heads} * hyper.head_dim;
  std::uint64_t from = 0;
  for (const TowerPart part : {q, k, v}) {
    Weight& to = layer[static_cast<std::size_t>(part)];
    to.stored = slice_rows(whole.stored, from, rows);
    to.rebuilt = whole.rebuilt;
    if (!whole.bias.empty())
      to.bias.assign(whole.bias.begin() + static_cast<std::ptrdiff_t>(from),
                     whole.bias.begin() + static_cast<std::ptrdiff_t>(from + rows));
    from += rows;
  }
  whole = Weight();
}

Status check_parts(const Tower& tower, std::uint32_t language_dim) {
  using enum TowerPart;
  for (std::size_t i = 0; i < tower.weights.layers.size(); ++i)
    for (const TowerPart part : {q, k, v})
      if (!tower.weights.at(i, part).present())
        return Error(ErrorKind::corrupt,
                     fmt::format("layer {} of the vision tower lacks queries, keys or values", i));
  const bool has_second = tower.weights[second].present();
  const auto out = has_second ? tower.weights[second].stored.rows : tower.hyper.inner;
  if (out != language_dim)
    return Error(ErrorKind::corrupt,
                 fmt::format("the vision tower makes rows of {}: the model takes rows of {}", out,
                             language_dim));
  const Weight& places = tower.weights[positions];
  if (!places.present()) return Done{};
  const std::uint64_t side = tower.hyper.image_size / tower.hyper.patch;
  const std::uint64_t needed = side * side + (tower.weights[class_row].present() ? 1 : 0);
  if (places.values.size() / tower.hyper.dim < needed)
    return Error(ErrorKind::corrupt, fmt::format("the vision tower has {} places of {}",
                                                 places.values.size() / tower.hyper.dim, needed));
  return Done{};
}

Status prepare_matrices(ops::Context& ctx, Tower& tower) {
  std::vector<Weight*> weights;
  for (Weight& weight : tower.weights.whole) weights.push_back(&weight);
  for (auto& layer : tower.weights.layers)
    for (Weight& weight : layer) weights.push_back(&weight);
  std::erase_if(weights, [](const Weight* weight) { return weight->stored.rows == 0; });
  std::vector<ops::StoredMatrix> stored;
  for (const Weight* weight : weights) stored.push_back(weight->stored);
  auto matrices = TRY(ops::Matrix::prepare_all(ctx, stored));
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i]->matrix = std::move(matrices[i]);
    if (!weights[i]->matrix.borrows()) weights[i]->rebuilt.reset();
  }
  return Done{};
}

// [head_dim / 2]: those of the first half turn by row, the others by column.
std::vector<float> frequencies_of(const TowerSpec& spec, const TowerHyper& hyper) {
  const std::size_t half = hyper.head_dim / 2, quarter = half / 2;
  std::vector<float> all(half);
  for (std::size_t i = 0; i < half; ++i) {
    const std::size_t at = i % quarter;
    // Over half a head's pairs, or every second one over all of them.
    const double power = spec.rope_splits_frequencies
                             ? static_cast<double>(2 * at + i / quarter) / static_cast<double>(half)
                             : static_cast<double>(at) / static_cast<double>(quarter);
    all[i] = static_cast<float>(1 / std::pow(static_cast<double>(hyper.rope_theta), power));
  }
  return all;
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

const TensorEntry* TowerFinder::find(const TowerRow& row, std::size_t layer,
                                     std::string_view suffix) const {
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
  return nullptr;
}

Status check_language(const TowerSpec& spec, const ArchSpec& language) {
  if (std::ranges::find(spec.languages, language.name) != spec.languages.end()) return Done{};
  return Error(ErrorKind::unsupported,
               fmt::format("a vision tower '{}' is not of a model '{}'", spec.name, language.name));
}

const Package* tower_package(const Package& package) {
  return package.naming == Naming::gguf ? package.tower.get() : &package;
}

Result<std::unique_ptr<Tower>> load_tower(ops::Context& ctx, const Package& package,
                                          const TowerSpec& spec, std::uint32_t language_dim,
                                          const LoadOptions& options) {
  auto tower = std::make_unique<Tower>();
  tower->package = package;
  tower->spec = &spec;
  tower->hyper = TRY(read_tower_hyper(package, spec));
  tower->hyper.out_dim = language_dim;
  tower->weights.layers.resize(tower->hyper.sees_all.size());
  TowerLoader loader{ctx, *tower};
  for (const auto rows : {spec.tower, spec.projector})
    for (const TowerRow& row : rows) {
      if (!of_tower_layer(row.part)) {
        TRY(loader.load(row, 0));
        continue;
      }
      for (std::size_t i = 0; i < tower->weights.layers.size(); ++i) {
        if (options.stop.stop_requested())
          return Error(ErrorKind::cancelled, "loading was stopped");
        if (!of_deep_layer(row.part) || tower->hyper.is_deep(i)) TRY(loader.load(row, i));
      }
    }
  for (auto& layer : tower->weights.layers) split_qkv(tower->hyper, layer);
  TRY(check_parts(*tower, language_dim));
  if (spec.rope) tower->frequencies = frequencies_of(spec, tower->hyper);
  if (!options.reference) TRY(prepare_matrices(ctx, *tower));
  return tower;
}

}  // namespace hearth::models
