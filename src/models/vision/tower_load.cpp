// The weights of a tower: found, checked, and made rows of outputs.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "models/hyper_source.h"
#include "models/values.h"
#include "models/vision/tower.h"

namespace hearth::models {
namespace {

struct TowerLoader {
  ops::Context& ctx;
  Tower& tower;
  TowerFinder finder{tower.package, *tower.spec, tower.hyper};

  const TowerHyper& hyper() const { return tower.hyper; }
  bool is_hf() const { return tower.package.naming == Naming::huggingface; }

  Status load(const TowerRow& row, std::size_t layer);
  std::vector<std::uint64_t> shape(TowerPart part, const TensorEntry* entry) const;
  Status load_matrix(const TowerRow& row, const TensorEntry& entry, Weight& out);
  Status load_bounds(const TensorEntry& entry, TowerWeight& out);
  void order_heads(Weight& out) const;
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
      if (entry != nullptr && entry->shape.size() == 2)
        return {dim, std::uint64_t{3} * hyper().patch * hyper().patch};
      if (entry != nullptr && entry->shape.size() == 5)
        return {dim, 3, 2, hyper().patch, hyper().patch};
      return {dim, 3, hyper().patch, hyper().patch};
    case positions:
      if (entry != nullptr && entry->shape.size() == 3) {
        const bool crossed = tower.spec->places == Places::crossed;
        return {crossed ? 2u : 1u, 0, dim};
      }
      return {0, dim};
    case class_row:
      if (entry != nullptr && entry->shape.size() == 3) return {1, 1, dim};
      return {dim};
    case q_norm:
    case k_norm:
      return {tower.spec->heads_normed_alone ? hyper().head_dim : all};
    case joined_norm:
      return {joined};
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
      return {tower.spec->find(third) != nullptr ? 0u : hyper().out_dim, hyper().inner};
    case third:
      return {hyper().out_dim, tower.weights[second].stored.rows};
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
  } else if (row.part == patch && is_hf() && tower.spec->hf_patch_channels_last) {
    const auto values = TRY(floats(entry, rows, columns));
    const std::size_t area = columns / 3;
    std::vector<float> sorted(values.size());
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c)
        sorted[r * columns + c % 3 * area + c / 3] = values[r * columns + c];
    keep(out, sorted, rows, columns);
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
    out.values = TRY(floats(entry, rows, columns));
    if (tower.spec->class_last)
      std::ranges::rotate(out.values, out.values.end() - static_cast<std::ptrdiff_t>(hyper().dim));
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

// Numbers beside a matrix: what it reads and gives is cut to them.
Status TowerLoader::load_bounds(const TensorEntry& entry, TowerWeight& out) {
  std::string_view stem = entry.name;
  for (const std::string_view last : {".weight", ".linear"})
    if (stem.ends_with(last)) stem.remove_suffix(last.size());
  const auto read = [&](std::string_view name, float& bound) -> Status {
    const TensorEntry* held = tower.package.find(fmt::format("{}.{}", stem, name));
    if (held == nullptr) return Done{};
    const auto values = TRY(read_floats(*held));
    if (values.size() != 1 || std::isnan(values.front()))
      return Error(ErrorKind::corrupt, fmt::format("{}: needs one number", held->name));
    bound = values.front();
    return Done{};
  };
  TRY(read("input_min", out.reads.low));
  TRY(read("input_max", out.reads.high));
  TRY(read("output_min", out.gives.low));
  TRY(read("output_max", out.gives.high));
  for (const Bounds& bounds : {out.reads, out.gives})
    if (bounds.low > bounds.high)
      return Error(ErrorKind::corrupt, fmt::format("{}: held to {} and more, and to {} and less",
                                                   stem, bounds.low, bounds.high));
  return Done{};
}

// Rows of heads, or the weights of one head's norm, as queries and keys are turned.
void TowerLoader::order_heads(Weight& out) const {
  const auto of_head = rope_order_of(tower);
  if (of_head.empty()) return;
  const auto pick = [&](std::vector<float>& values) {
    std::vector<float> sorted(values.size());
    for (std::size_t i = 0; i < values.size(); ++i)
      sorted[i] = values[i / of_head.size() * of_head.size() + of_head[i % of_head.size()]];
    values = std::move(sorted);
  };
  pick(out.values);
  pick(out.bias);
  if (out.stored.rows == 0) return;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < out.stored.rows; ++i)
    order.push_back(i / of_head.size() * of_head.size() + of_head[i % of_head.size()]);
  out.rebuilt = std::make_shared<const Bytes>(
      pick_rows(out.stored.data, out.stored.data.size() / out.stored.rows, order));
  out.stored.data = *out.rebuilt;
  out.stored.file_mapped = false;
}

Status TowerLoader::load(const TowerRow& row, std::size_t layer) {
  using enum TowerPart;
  TowerWeight& out =
      of_tower_layer(row.part) ? tower.weights.at(layer, row.part) : tower.weights[row.part];
  const TensorEntry* entry = finder.find(row, layer, ".weight");
  if (entry == nullptr) {
    if (!row.needed) return Done{};
    return Error(
        ErrorKind::corrupt,
        fmt::format("{} is missing", finder.name(row, is_hf() ? row.hf : row.gguf, layer)));
  }
  auto needed = shape(row.part, entry);
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
  if (tower.spec->bounded && of_tower_layer(row.part)) TRY(load_bounds(*entry, out));
  if (const TensorEntry* bias = finder.find(row, layer, ".bias")) {
    TRY(check_shape(*bias, std::array{is_vector(row.part) ? needed[0] : out.stored.rows}));
    out.bias = TRY(read_floats(*bias));
  }
  if (row.part == q || row.part == k || row.part == q_norm || row.part == k_norm) order_heads(out);
  return Done{};
}

// A fused matrix of queries, keys and values becomes three.
void split_qkv(const TowerHyper& hyper, TowerWeights::Parts& layer) {
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

// What follows from the architecture: norms without weights, and pooled rows, which are made as
// long as rows of ones before they are moved and stretched.
void add_parts(Tower& tower) {
  using enum TowerPart;
  if (!tower.spec->unit_values) return;
  const std::size_t dim = tower.hyper.dim;
  for (std::size_t i = 0; i < tower.weights.layers.size(); ++i)
    tower.weights.at(i, v_norm).values.assign(tower.hyper.head_dim, 1);
  tower.weights[pooled_norm].values.assign(dim, 1);
  auto &stretches = tower.weights[stretch].values, &shifts = tower.weights[shift].values;
  stretches.resize(dim, 1);
  shifts.resize(dim, 0);
  const float length = std::sqrt(static_cast<float>(dim));
  for (std::size_t d = 0; d < dim; ++d) {
    shifts[d] *= stretches[d];
    stretches[d] *= length;
  }
}

Status check_parts(const Tower& tower, std::uint32_t language_dim) {
  using enum TowerPart;
  for (std::size_t i = 0; i < tower.weights.layers.size(); ++i)
    for (const TowerPart part : {q, k, v})
      if (!tower.weights.at(i, part).present())
        return Error(ErrorKind::corrupt,
                     fmt::format("layer {} of the vision tower lacks queries, keys or values", i));
  for (const TowerRow& row : tower.spec->tower)
    for (std::size_t i = 1;
         of_tower_layer(row.part) && !of_deep_layer(row.part) && i < tower.weights.layers.size();
         ++i)
      if (tower.weights.at(i, row.part).present() != tower.weights.at(0, row.part).present())
        return Error(
            ErrorKind::corrupt,
            fmt::format("layers 0 and {} of the vision tower differ: one of them has no {}", i,
                        row.gguf));
  std::uint64_t out = tower.hyper.inner;
  for (const TowerPart part : {second, third})
    if (tower.weights[part].present()) out = tower.weights[part].stored.rows;
  if (out != language_dim)
    return Error(ErrorKind::corrupt,
                 fmt::format("the vision tower makes rows of {}: the model takes rows of {}", out,
                             language_dim));
  const Weight& places = tower.weights[positions];
  if (!places.present()) return Done{};
  const std::uint64_t side = tower.hyper.image_size / tower.hyper.patch;
  std::uint64_t needed = side * side + (tower.weights[class_row].present() ? 1 : 0);
  if (tower.spec->places == Places::crossed)
    needed = std::uint64_t{2} * tower.hyper.max_rows * tower.hyper.merge;
  if (places.values.size() / tower.hyper.dim < needed)
    return Error(ErrorKind::corrupt, fmt::format("the vision tower has {} places of {}",
                                                 places.values.size() / tower.hyper.dim, needed));
  return Done{};
}

Status prepare_matrices(ops::Context& ctx, Tower& tower) {
  std::vector<Weight*> weights;
  for (TowerWeight& weight : tower.weights.whole) weights.push_back(&weight);
  for (auto& layer : tower.weights.layers)
    for (TowerWeight& weight : layer) weights.push_back(&weight);
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

}  // namespace

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
  add_parts(*tower);
  TRY(check_parts(*tower, language_dim));
  if (spec.rope) tower->frequencies = frequencies_of(spec, tower->hyper);
  if (!options.reference) TRY(prepare_matrices(ctx, *tower));
  return tower;
}

}  // namespace hearth::models
