#include "models/weights.h"
#include "ops/late_packing.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/pages.h"
#include "models/values.h"
#include "models/weights_parts.h"

namespace hearth::models {
namespace {

using Place = TensorFinder::Place;
using Part = TensorFinder::Part;

Error missing(const TensorFinder& finder, const TensorRow& row, Place place,
              std::span<const std::uint64_t> shape) {
  return Error(ErrorKind::corrupt,
               fmt::format("{} is missing: needs {}", finder.name(row, place, Part::weight),
                           text_of_shape(shape)));
}

ops::StoredMatrix matrix_of(const TensorEntry& entry, std::span<const std::byte> data,
                            std::uint64_t rows, std::uint64_t columns) {
  return {entry.dtype, rows, columns, data, entry.file_mapped};
}

// Of a tensor that is put together when it is wanted; empty for others.
Result<Bytes> made_bytes(const TensorEntry& entry) {
  return entry.make ? entry.make() : Result<Bytes>(Bytes());
}

// One row of the table as it is loaded.
struct Loader {
  const TensorFinder& finder;
  const TensorRow& row;
  std::size_t layer;

  bool is_hf() const { return finder.package().naming == Naming::huggingface; }
  bool is_turned_here() const;
  Form form() const { return is_hf() ? row.hf_form : row.gguf_form; }
  Place at(std::size_t expert = 0) const { return {layer, expert}; }

  Status load(Weight& out) const;
  Status load_bias(Weight& out) const;

 private:
  Status load_vector(const TensorEntry& entry, Weight& out) const;
  Status load_matrix(const TensorEntry& entry, Weight& out) const;
  Status load_stacked_experts(const TensorEntry& entry, Weight& out) const;
  Status load_separate_experts(Weight& out) const;
  Status load_alternating_experts(Weight& out) const;
  Result<Bytes> turned_stack(const TensorEntry& entry, std::span<const std::uint64_t> shape,
                             std::span<const std::size_t> order) const;
  Result<Bytes> mxfp4_stack(std::span<const std::uint64_t> shape,
                            std::span<const std::size_t> order) const;
  Result<TensorEntry> made(const TensorEntry& entry, Weight& out) const;
  void rebuild(Weight& out, Bytes bytes) const;
};

Status Loader::load_vector(const TensorEntry& entry, Weight& out) const {
  const auto shape = finder.shape(row, layer, false);
  TRY(is_loose(row.role) ? check_elements(entry, shape) : check_shape(entry, shape));
  out.values = TRY(read_floats(entry));
  out.by_head = row.columns != Extent::none && !is_loose(row.role);
  if (row.role == Role::mixer_conv) {  // [channels][taps] to [taps][channels]
    const std::vector<float> held = out.values;
    for (std::size_t i = 0; i < held.size(); ++i)
      out.values[i % shape[1] * shape[0] + i / shape[1]] = held[i];
  }
  if (is_hf() && row.role == Role::mixer_decay)  // held as its logarithm
    for (float& value : out.values) value = -std::exp(value);
  if (is_hf() && finder.spec().hf_norm_plus_one && is_norm(row.role))
    for (float& value : out.values) value += 1;
  return Done{};
}

void Loader::rebuild(Weight& out, Bytes bytes) const {
  out.rebuilt = std::make_shared<const Bytes>(std::move(bytes));
  out.stored.data = *out.rebuilt;
  out.stored.file_mapped = false;
}

// A tensor that is put together when it is wanted, put together; `out` keeps its bytes.
Result<TensorEntry> Loader::made(const TensorEntry& entry, Weight& out) const {
  out.rebuilt = std::make_shared<const Bytes>(TRY(entry.make()));
  TensorEntry whole = entry;
  whole.make = nullptr;
  whole.data = *out.rebuilt;
  whole.file_mapped = false;
  return whole;
}

Status Loader::load_matrix(const TensorEntry& entry, Weight& out) const {
  auto shape = finder.shape(row, layer, false);
  const DtypeInfo& type = info(entry.dtype);
  if (form() == Form::transposed) std::swap(shape[0], shape[1]);
  // A single row may be stored as a vector.
  const bool may_be_one = row.rows == Extent::one || row.rows == Extent::labels;
  const bool flat = may_be_one && entry.shape.size() == 1;
  TRY(check_shape(entry, flat ? std::span(shape).subspan(1) : std::span(shape)));
  if (type.gguf_id < 0 || (!is_float(entry.dtype) && !is_quantised(entry.dtype)))
    return Error(ErrorKind::unsupported,
                 fmt::format("{} is stored as {}: we multiply floats and quantised blocks",
                             entry.name, type.name));
  out.stored = matrix_of(entry, entry.data, flat ? 1 : entry.shape[0], entry.shape.back());
  if (form() == Form::transposed) {
    rebuild(out, transpose(entry.data, entry.shape[0], entry.shape[1], type.block_bytes));
    std::swap(out.stored.rows, out.stored.columns);
  } else if (const auto order = row_order(finder, row); !order.empty()) {
    rebuild(out, pick_rows(entry.data, entry.data.size() / entry.shape[0], order));
  }
  return Done{};
}

}  // namespace

std::vector<std::size_t> order_of_form(const Hyper& hyper, Role role, Form form) {
  const MixerHyper& mixer = hyper.mixer;
  const std::size_t values = mixer.groups == 0 ? 0 : mixer.heads / mixer.groups;
  switch (form) {
    case Form::qkv_by_head:
      return order_by_head(hyper.heads, hyper.head_dim);
    case Form::query_gate_by_head:
      return order_by_group(hyper.heads,
                            std::array<std::size_t, 2>{hyper.head_dim, hyper.head_dim});
    case Form::mixer_by_group:
      if (role == Role::mixer_ba)
        return order_by_group(mixer.groups, std::array<std::size_t, 2>{values, values});
      return order_by_group(mixer.groups, std::array<std::size_t, 4>{mixer.state, mixer.state,
                                                                     values * mixer.head_dim,
                                                                     values * mixer.head_dim});
    default:
      return {};
  }
}

namespace {

Status Loader::load_stacked_experts(const TensorEntry& entry, Weight& out) const {
  TRY(check_shape(entry, finder.shape(row, layer, true)));
  const std::size_t bytes = entry.data.size() / entry.shape[0];
  for (std::size_t e = 0; e < entry.shape[0]; ++e)
    out.stored_experts.push_back(
        matrix_of(entry, entry.data.subspan(e * bytes, bytes), entry.shape[1], entry.shape[2]));
  return Done{};
}

Status Loader::load_separate_experts(Weight& out) const {
  const auto shape = finder.shape(row, layer, false);
  Bytes all;  // where experts are made
  std::vector<std::size_t> ends;
  for (std::size_t e = 0; e < finder.stack(row); ++e) {
    const TensorEntry* entry = finder.find(row, at(e), Part::weight);
    if (entry == nullptr) return missing(finder, row, at(e), shape);
    TRY(check_shape(*entry, shape));
    if (entry->make) {
      const Bytes bytes = TRY(entry->make());
      all.insert(all.end(), bytes.begin(), bytes.end());
    }
    ends.push_back(all.size());
    out.stored_experts.push_back(matrix_of(*entry, entry->data, shape[0], shape[1]));
  }
  if (all.empty()) return Done{};
  rebuild(out, std::move(all));
  out.stored = {};
  for (std::size_t e = 0, begin = 0; e < ends.size(); begin = ends[e++])
    if (ends[e] > begin)
      out.stored_experts[e].data = std::span(*out.rebuilt).subspan(begin, ends[e] - begin);
  return Done{};
}

// Form::expert_stack: each expert's matrix is rebuilt.
Status Loader::load_alternating_experts(Weight& out) const {
  const auto shape = finder.shape(row, layer, true);
  const std::size_t experts = shape[0], rows = shape[1], columns = shape[2];
  std::vector<std::size_t> order(rows);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (row.role == Role::experts_gate_up && form() == Form::expert_stack)
    order = order_of_alternating(rows);

  const TensorEntry* plain = finder.find(row, at(), Part::weight);
  if (plain != nullptr)
    rebuild(out, TRY(turned_stack(*plain, shape, order)));
  else
    rebuild(out, TRY(mxfp4_stack(shape, order)));
  const Dtype dtype = plain != nullptr ? plain->dtype : Dtype::mxfp4;
  const std::size_t each = out.stored.data.size() / experts;
  for (std::size_t e = 0; e < experts; ++e)
    out.stored_experts.push_back({dtype, rows, columns, out.stored.data.subspan(e * each, each)});
  out.stored = {};
  return Done{};
}

// [experts, columns, rows] of floats to `shape` = [experts, rows, columns], rows in `order`.
Result<Bytes> Loader::turned_stack(const TensorEntry& entry, std::span<const std::uint64_t> shape,
                                   std::span<const std::size_t> order) const {
  const std::size_t experts = shape[0], rows = shape[1], columns = shape[2];
  TRY(check_shape(entry, std::array<std::uint64_t, 3>{experts, columns, rows}));
  if (!is_float(entry.dtype))
    return Error(ErrorKind::unsupported,
                 fmt::format("{} is stored as {}", entry.name, name_of(entry.dtype)));
  const Bytes own = TRY(made_bytes(entry));
  const auto data = entry.make ? std::span<const std::byte>(own) : entry.data;
  const std::size_t each = data.size() / experts, element = info(entry.dtype).block_bytes;
  Bytes all;
  all.reserve(data.size());
  for (std::size_t e = 0; e < experts; ++e) {
    const Bytes turned = transpose(data.subspan(e * each, each), columns, rows, element);
    const Bytes sorted = pick_rows(turned, columns * element, order);
    all.insert(all.end(), sorted.begin(), sorted.end());
  }
  return all;
}

// *_blocks [experts, rows, columns / 32, 16] and *_scales without the last extent, as mxfp4 rows in
// `order`.
Result<Bytes> Loader::mxfp4_stack(std::span<const std::uint64_t> shape,
                                  std::span<const std::size_t> order) const {
  const std::size_t experts = shape[0], rows = shape[1], columns = shape[2];
  const TensorEntry* blocks = finder.find(row, at(), Part::blocks);
  const TensorEntry* scales = finder.find(row, at(), Part::scales);
  if (blocks == nullptr || scales == nullptr) return missing(finder, row, at(), shape);
  if (columns % 32 != 0)
    return Error(ErrorKind::corrupt,
                 fmt::format("{}: rows of {} are not whole blocks of 32", blocks->name, columns));
  TRY(check_shape(*blocks, std::array<std::uint64_t, 4>{experts, rows, columns / 32, 16}));
  TRY(check_shape(*scales, std::array<std::uint64_t, 3>{experts, rows, columns / 32}));
  for (const TensorEntry* part : {blocks, scales})
    if (part->dtype != Dtype::u8)
      return Error(ErrorKind::corrupt,
                   fmt::format("{} is stored as {}: needs u8", part->name, name_of(part->dtype)));
  const Bytes own_blocks = TRY(made_bytes(*blocks)), own_scales = TRY(made_bytes(*scales));
  const auto codes = blocks->make ? std::span<const std::byte>(own_blocks) : blocks->data;
  const auto exponents = scales->make ? std::span<const std::byte>(own_scales) : scales->data;
  const std::size_t block_bytes = codes.size() / experts, scale_bytes = exponents.size() / experts;
  Bytes all;
  all.reserve(codes.size() + exponents.size());
  for (std::size_t e = 0; e < experts; ++e) {
    const Bytes packed = mxfp4_blocks(codes.subspan(e * block_bytes, block_bytes),
                                      exponents.subspan(e * scale_bytes, scale_bytes));
    const Bytes sorted = pick_rows(packed, packed.size() / rows, order);
    all.insert(all.end(), sorted.begin(), sorted.end());
  }
  return all;
}

Status Loader::load_bias(Weight& out) const {
  if (row.bias == Presence::absent) return Done{};
  const TensorEntry* entry = finder.find(row, at(), Part::bias);
  std::vector<std::uint64_t> shape{finder.extent(row.rows, layer)};
  if (of_experts(row.role)) shape.insert(shape.begin(), finder.hyper().experts);
  if (entry == nullptr) {
    if (row.bias == Presence::optional) return Done{};
    return Error(ErrorKind::corrupt,
                 fmt::format("{} is missing: needs {}", finder.name(row, at(), Part::bias),
                             text_of_shape(shape)));
  }
  TRY(check_shape(*entry, shape));
  out.bias = TRY(read_floats(*entry));

  std::vector<std::size_t> order = row_order(finder, row);
  if (form() == Form::expert_stack && row.role == Role::experts_gate_up)
    order = order_of_alternating(shape[1]);
  const std::vector<float> held = out.bias;
  for (std::size_t i = 0; i < held.size() && !order.empty(); ++i)
    out.bias[i] = held[i / order.size() * order.size() + order[i % order.size()]];
  return Done{};
}

// Older folders hold a stack turned, those that transformers 5 writes do not.
bool Loader::is_turned_here() const {
  const TensorEntry* entry = finder.find(row, at(), Part::weight);
  return form() == Form::either_stack && entry != nullptr &&
         entry->shape != finder.shape(row, layer, true);
}

Status Loader::load(Weight& out) const {
  if (is_stack(row.role) && finder.held_by_expert(row, layer)) {
    TRY(load_separate_experts(out));
    return load_bias(out);
  }
  if (form() == Form::expert_stack || form() == Form::turned_stack || is_turned_here()) {
    TRY(load_alternating_experts(out));
    return load_bias(out);
  }
  const TensorEntry* entry = finder.find(row, at(), Part::weight);
  const bool stacked = is_stack(row.role);
  if (entry == nullptr) {
    if (row.weight == Presence::optional) return Done{};
    return missing(finder, row, at(), finder.shape(row, layer, stacked));
  }
  if (is_vector(row.role)) {
    TRY(load_vector(*entry, out));
    return load_bias(out);
  }
  TensorEntry whole;
  if (entry->make) {
    whole = TRY(made(*entry, out));
    entry = &whole;
  }
  if (stacked)
    TRY(load_stacked_experts(*entry, out));
  else
    TRY(load_matrix(*entry, out));
  return load_bias(out);
}

// Whether the parts of a fused tensor may stand in the file instead, and the other way round.
bool is_alternative(const TensorFinder& finder, const TensorRow& row, std::size_t layer) {
  using enum Role;
  const auto has = [&](std::initializer_list<Role> wanted) {
    for (const auto rows : finder.spec().tensors)
      for (const TensorRow& other : rows)
        if (std::ranges::find(wanted, other.role) != wanted.end() &&
            !finder.pattern(other).empty() &&
            finder.find(other, {layer, 0}, Part::weight) != nullptr)
          return true;
    return false;
  };
  switch (row.role) {
    case qkv:
      return has({q});
    case gate_up:
      return has({gate});
    case experts_gate_up:
      return has({experts_gate});
    case q:
    case k:
    case v:
      return has({qkv});
    case gate:
      return has({gate_up});
    case experts_gate:
    case experts_up:
      return has({experts_gate_up});
    case kv_b:
      return has({k_b});
    case k_b:
    case v_b:
      return has({kv_b}) && !has({k_b});
    case shared_gate:
    case shared_up:
      return has({shared_gate_up});
    case mixer_qkvz:
      return has({mixer_qkv});
    case mixer_qkv:
    case mixer_z:
      return has({mixer_qkvz});
    case mixer_ba:
      return has({mixer_b});
    case mixer_lerps:
      return has({lerp_r});
    case lerp_r:
    case lerp_w:
    case lerp_k:
    case lerp_v:
    case lerp_a:
    case lerp_g:
      return has({mixer_lerps});
    case mixer_b:
    case mixer_a:
      return has({mixer_ba});
    default:
      return false;
  }
}

Status refuse_extra_layers(const TensorFinder& finder) {
  if (finder.package().naming != Naming::gguf) return Done{};
  for (const TensorEntry& entry : finder.package().tensors) {
    if (!entry.name.starts_with("blk.")) continue;
    std::uint64_t layer = 0;
    for (const char c : std::string_view(entry.name).substr(4)) {
      if (c < '0' || c > '9' || layer > max_layers) break;
      layer = layer * 10 + static_cast<std::uint64_t>(c - '0');
    }
    if (layer >= finder.hyper().layers.size() + finder.hyper().extra_layers)
      return Error(ErrorKind::corrupt,
                   fmt::format("{} lies past {}.block_count = {}", entry.name, finder.hyper().arch,
                               finder.hyper().layers.size()));
  }
  return Done{};
}

Status tie_output(const TensorFinder& finder, Weights& weights) {
  if (finder.spec().kind != Kind::generator) return Done{};
  Weight& output = weights.whole[Role::output];
  // GGUF files do not say; those of tied models hold no output.
  const bool gguf = finder.package().naming == Naming::gguf;
  if (gguf ? output.present() : !finder.hyper().tied) return Done{};
  output = Weight();
  output.stored = weights.whole[Role::token_embedding].stored;
  return Done{};
}

}  // namespace

std::vector<std::size_t> row_order(const TensorFinder& finder, const TensorRow& row) {
  const bool is_hf = finder.package().naming == Naming::huggingface;
  return order_of_form(finder.hyper(), row.role, is_hf ? row.hf_form : row.gguf_form);
}

Status load_weight(const TensorFinder& finder, const TensorRow& row, std::size_t layer,
                   Weight& out) {
  return Loader{finder, row, layer}.load(out);
}

Status load_bias(const TensorFinder& finder, const TensorRow& row, std::size_t layer, Weight& out) {
  return Loader{finder, row, layer}.load_bias(out);
}

Result<Weights> load_weights(const TensorFinder& finder) {
  const Hyper& hyper = finder.hyper();
  Weights weights;
  weights.layers.resize(hyper.layers.size());
  TRY(refuse_extra_layers(finder));
  for (const auto rows : finder.spec().tensors)
    for (const TensorRow& row : rows) {
      if (finder.pattern(row).empty()) continue;
      if (!of_layer(row.role)) {
        if (finder.needed(row, 0)) TRY((Loader{finder, row, 0}.load(weights.whole[row.role])));
        continue;
      }
      for (std::size_t i = 0; i < hyper.layers.size(); ++i)
        if (finder.needed(row, i) && !is_alternative(finder, row, i))
          TRY((Loader{finder, row, i}.load(weights.layers[i][row.role])));
    }
  for (std::size_t i = 0; i < hyper.layers.size(); ++i)
    TRY(split_fused(hyper, i, weights.layers[i]));
  TRY(tie_output(finder, weights));
  return weights;
}

namespace {

// Of a matrix or of experts, as stored.
std::vector<ops::StoredMatrix> stored_in(const Weight& weight) {
  std::vector<ops::StoredMatrix> all = weight.stored_experts;
  if (weight.stored.rows > 0) all.insert(all.begin(), weight.stored);
  return all;
}

// Matrices that are packed together.
struct Batch {
  std::vector<Weight*> weights;
  std::vector<ops::StoredMatrix> stored;  // of the weights, in their order
  std::uint64_t bytes = 0;

  void ask_for_pages() const {
    for (const ops::StoredMatrix& matrix : stored)
      if (matrix.file_mapped) ask_for_file_pages(matrix.data);
  }
};

// Enough in each to keep every thread busy, little enough that what matrices were rebuilt from goes
// soon.
std::vector<Batch> batches_of(Weights& weights, int threads) {
  constexpr std::uint64_t bytes_per_thread = 32u << 20;
  const std::uint64_t limit = bytes_per_thread * static_cast<std::uint64_t>(threads);
  std::vector<Batch> batches(1);
  const auto add = [&](Weight& weight) {
    if (batches.back().bytes >= limit) batches.emplace_back();
    Batch& batch = batches.back();
    batch.weights.push_back(&weight);
    for (const ops::StoredMatrix& stored : stored_in(weight)) {
      batch.stored.push_back(stored);
      batch.bytes += stored.data.size();
    }
  };
  for (Layer& layer : weights.layers)
    for (Weight& weight : layer.weights) add(weight);
  add(weights.whole[Role::output]);
  for (const Role role : {Role::per_layer_projection, Role::stream_in, Role::stream_out})
    add(weights.whole[role]);
  return batches;
}

Status prepare_batch(ops::Context& ctx, const Batch& batch, ops::LatePacking& later) {
  std::vector<ops::Matrix> matrices = TRY(ops::Matrix::prepare_all(ctx, batch.stored, &later));
  auto next = matrices.begin();
  for (Weight* weight : batch.weights) {
    bool borrows = false;
    const auto take = [&] {
      borrows = borrows || next->borrows();
      return std::move(*next++);
    };
    if (weight->stored.rows > 0) weight->matrix = take();
    for (std::size_t e = 0; e < weight->stored_experts.size(); ++e)
      weight->experts.push_back(take());
    if (borrows) continue;
    weight->rebuilt.reset();
    weight->stored.data = {};
    weight->stored_experts.clear();
  }
  return Done{};
}

}  // namespace

Status prepare(ops::Context& ctx, Weights& weights, ops::LatePacking& later,
               const std::function<void(double)>& progress, std::stop_token stop) {
  const std::vector<Batch> batches = batches_of(weights, ctx.pool->threads());
  batches.front().ask_for_pages();
  for (std::size_t i = 0; i < batches.size(); ++i) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "loading was stopped");
    if (progress) progress(static_cast<double>(i) / static_cast<double>(batches.size()));
    // The disk reads the next ones while these are packed.
    if (i + 1 < batches.size()) batches[i + 1].ask_for_pages();
    TRY(prepare_batch(ctx, batches[i], later));
  }
  later.start();
  if (progress) progress(1);
  return Done{};
}

}  // namespace hearth::models
