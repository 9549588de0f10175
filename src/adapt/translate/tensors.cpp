// Tensors under the other naming.  The loader of the models floor brings what is stored to rows of
// outputs; here those rows take the form of the other side.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "adapt/translate/origin.h"
#include "models/rope_tables.h"
#include "models/values.h"
#include "models/weights.h"
#include "ops/dequantise.h"

namespace hearth::adapt {
namespace {

using namespace models;
using Part = TensorFinder::Part;

Bytes bytes_of_floats(std::span<const float> values) {
  Bytes out(values.size_bytes());
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}

// Rows of a stored tensor that a target is made of; count 0: all of them.
struct Source {
  const TensorRow* row;
  std::uint64_t first = 0, count = 0;
};

// One tensor of the target, for the time that it is put together.
class Maker {
 public:
  Maker(SharedOrigin origin, const TensorRow& row, std::size_t layer, bool to_gguf,
        std::vector<Source> sources)
      : origin_(std::move(origin)),
        row_(row),
        layer_(layer),
        to_gguf_(to_gguf),
        sources_(std::move(sources)) {}

  // Of a matrix: all its experts, or one.
  Result<Bytes> matrix(std::size_t first_expert, std::size_t experts, Dtype dtype) const;
  Result<Bytes> vector() const;
  Result<Bytes> bias() const;
  // gpt-oss: the 16 bytes of 32 weights apart from their scales.
  Result<Bytes> blocks(bool scales) const;

 private:
  struct Rows {
    Dtype dtype;
    std::uint64_t columns = 0;
    Bytes bytes;
  };
  Result<Rows> rows_of(const std::vector<Weight>& weights, std::size_t expert) const;
  Result<std::vector<Weight>> load() const;
  Result<Rows> ordered(const std::vector<Weight>& weights, std::size_t expert) const;
  std::vector<std::size_t> order(std::size_t rows) const;
  Form form() const { return to_gguf_ ? Form::plain : row_.hf_form; }

  SharedOrigin origin_;
  const TensorRow& row_;
  std::size_t layer_;
  bool to_gguf_;
  std::vector<Source> sources_;
};

Result<std::vector<Weight>> Maker::load() const {
  std::vector<Weight> weights(sources_.size());
  for (std::size_t i = 0; i < sources_.size(); ++i)
    TRY(load_weight(origin_->finder, *sources_[i].row, layer_, weights[i]));
  return weights;
}

// The rows of all sources, one after another, in the order of outputs.
Result<Maker::Rows> Maker::rows_of(const std::vector<Weight>& weights, std::size_t expert) const {
  Rows out{};
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const ops::StoredMatrix& stored =
        weights[i].stored_experts.empty() ? weights[i].stored : weights[i].stored_experts[expert];
    if (i > 0 && (stored.dtype != out.dtype || stored.columns != out.columns))
      return Error(
          ErrorKind::unsupported,
          fmt::format("{} is stored as {} beside {}: they cannot be joined",
                      origin_->finder.name(*sources_[i].row, {layer_, expert}, Part::weight),
                      name_of(stored.dtype), name_of(out.dtype)));
    out.dtype = stored.dtype;
    out.columns = stored.columns;
    const std::size_t row_bytes = stored.data.size() / stored.rows;
    const std::uint64_t count = sources_[i].count > 0 ? sources_[i].count : stored.rows;
    const auto data = stored.data.subspan(sources_[i].first * row_bytes, count * row_bytes);
    out.bytes.insert(out.bytes.end(), data.begin(), data.end());
  }
  if (row_.role == Role::position_embedding && !origin_->is_gguf()) {
    const std::size_t row_bytes = TRY(byte_size(out.dtype, out.columns));
    out.bytes.erase(out.bytes.begin(),
                    out.bytes.begin() +
                        static_cast<std::ptrdiff_t>(origin_->hyper.position_offset * row_bytes));
  }
  return out;
}

// Which row of outputs each row of the target is; empty: as they are.
std::vector<std::size_t> Maker::order(std::size_t rows) const {
  const Hyper& hyper = origin_->hyper;
  const bool rotates = row_.role == Role::q || row_.role == Role::k;
  if (rotates && origin_->spec.rope_interleaved_gguf != origin_->spec.rope_interleaved_hf) {
    const auto pairs = order_of_pairs(rows / hyper.head_dim, hyper.head_dim, hyper.rotary_dims);
    return to_gguf_ == origin_->spec.rope_interleaved_gguf ? pairs : inverse_order(pairs);
  }
  if (form() == Form::qkv_by_head) return inverse_order(order_by_head(hyper.heads, hyper.head_dim));
  if (form() == Form::expert_stack && row_.role == Role::experts_gate_up)
    return inverse_order(order_of_alternating(rows));
  return {};
}

Result<Maker::Rows> Maker::ordered(const std::vector<Weight>& weights, std::size_t expert) const {
  Rows rows = TRY(rows_of(weights, expert));
  const std::size_t row_bytes = TRY(byte_size(rows.dtype, rows.columns));
  const auto wanted = order(rows.bytes.size() / row_bytes);
  if (!wanted.empty()) rows.bytes = pick_rows(rows.bytes, row_bytes, wanted);
  return rows;
}

Result<Bytes> Maker::matrix(std::size_t first_expert, std::size_t experts, Dtype dtype) const {
  const auto weights = TRY(load());
  Bytes all;
  for (std::size_t e = first_expert; e < first_expert + experts; ++e) {
    Rows rows = TRY(ordered(weights, e));
    const std::size_t count = rows.bytes.size() / TRY(byte_size(rows.dtype, rows.columns));
    if (dtype != rows.dtype) {
      rows.bytes =
          bytes_of_floats(TRY(ops::dequantise(rows.dtype, rows.bytes, count * rows.columns)));
      rows.dtype = Dtype::f32;
    }
    if (form() == Form::transposed || form() == Form::expert_stack)
      rows.bytes = transpose(rows.bytes, count, rows.columns, info(rows.dtype).block_bytes);
    if (experts == 1) return std::move(rows.bytes);
    all.insert(all.end(), rows.bytes.begin(), rows.bytes.end());
  }
  return all;
}

Result<Bytes> Maker::vector() const {
  auto weights = TRY(load());
  std::vector<float>& values = weights.front().values;
  if (!to_gguf_ && origin_->spec.hf_norm_plus_one && is_norm(row_.role))
    for (float& value : values) value -= 1;
  return bytes_of_floats(values);
}

Result<Bytes> Maker::bias() const {
  std::vector<float> joined;
  const std::size_t experts = of_experts(row_.role) ? origin_->hyper.experts : 1;
  std::vector<std::vector<float>> held(sources_.size());
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    Weight weight;
    TRY(load_bias(origin_->finder, *sources_[i].row, layer_, weight));
    held[i] = std::move(weight.bias);
  }
  for (std::size_t e = 0; e < experts; ++e)
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      const std::size_t rows = held[i].size() / experts;
      const std::size_t count = sources_[i].count > 0 ? sources_[i].count : rows;
      const auto first =
          held[i].begin() + static_cast<std::ptrdiff_t>(e * rows + sources_[i].first);
      joined.insert(joined.end(), first, first + static_cast<std::ptrdiff_t>(count));
    }
  const std::size_t rows = joined.size() / experts;
  const auto wanted = order(rows);
  std::vector<float> out = joined;
  for (std::size_t i = 0; i < joined.size() && !wanted.empty(); ++i)
    out[i] = joined[i / rows * rows + wanted[i % rows]];
  return bytes_of_floats(out);
}

Result<Bytes> Maker::blocks(bool scales) const {
  constexpr std::size_t half = 16, whole = 17;
  const auto weights = TRY(load());
  Bytes out;
  for (std::size_t e = 0; e < origin_->hyper.experts; ++e) {
    const Rows rows = TRY(ordered(weights, e));
    for (std::size_t at = 0; at < rows.bytes.size(); at += whole) {
      const std::byte* from = rows.bytes.data() + at;
      if (scales) {
        out.push_back(from[0]);
        continue;
      }
      const auto code = [&](std::size_t i) {
        return i < half ? from[1 + i] & std::byte{15} : from[1 + i - half] >> 4;
      };
      for (std::size_t i = 0; i < half; ++i) out.push_back(code(2 * i) | code(2 * i + 1) << 4);
    }
  }
  return out;
}

// Which parts a fused role has.
std::span<const Role> parts_of(Role role) {
  using enum Role;
  static constexpr Role attention[] = {q, k, v}, dense[] = {gate, up},
                        sparse[] = {experts_gate, experts_up};
  if (role == qkv) return attention;
  if (role == gate_up) return dense;
  if (role == experts_gate_up) return sparse;
  return {};
}

class Translator {
 public:
  Translator(SharedOrigin origin, const TensorFinder& to, std::set<std::string>& used,
             std::vector<std::string>& losses)
      : origin_(std::move(origin)),
        from_(origin_->finder),
        to_(to),
        to_gguf_(to.package().naming == Naming::gguf),
        used_(used),
        losses_(losses) {}

  Status row(const TensorRow& row, std::size_t layer);
  std::vector<TensorEntry> take() { return std::move(out_); }

 private:
  // What stands in the origin for one row of one layer.
  struct Held {
    std::vector<Source> sources;
    Dtype dtype = Dtype::f32;
    std::vector<std::uint64_t> shape;  // [rows, columns], or the vector's own
    bool has_bias = false;
    const TensorEntry* single = nullptr;  // the one tensor it is, as it lies
  };

  const TensorRow* row_of(Role role, bool in_target) const;
  bool stored(const TensorRow& row, std::size_t layer) const;
  std::vector<Source> sources_of(const TensorRow& row, std::size_t layer) const;
  void mark(const TensorRow& row, std::size_t layer);
  Result<Held> find(const TensorRow& row, std::size_t layer, std::vector<Source> sources);
  Dtype target_dtype(const TensorRow& row, const Held& held);
  bool passes(const TensorRow& row, const Held& held, Dtype dtype) const;

  void put(std::string name, Dtype dtype, std::vector<std::uint64_t> shape,
           std::function<Result<Bytes>()> make);
  void put_vector(const TensorRow& row, std::size_t layer, const Held& held);
  void put_matrix(const TensorRow& row, std::size_t layer, const Held& held);
  void put_experts(const TensorRow& row, std::size_t layer, const Held& held, Dtype dtype);
  void put_bias(const TensorRow& row, std::size_t layer, const Held& held);

  SharedOrigin origin_;
  const TensorFinder& from_;
  const TensorFinder& to_;
  bool to_gguf_;
  std::set<std::string>& used_;
  std::vector<std::string>& losses_;
  std::vector<TensorEntry> out_;
};

const TensorRow* Translator::row_of(Role role, bool in_target) const {
  for (const auto rows : origin_->spec.tensors)
    for (const TensorRow& row : rows)
      if (row.role == role && !(in_target ? to_ : from_).pattern(row).empty()) return &row;
  return nullptr;
}

bool Translator::stored(const TensorRow& row, std::size_t layer) const {
  return !from_.pattern(row).empty() && (from_.find(row, {layer, 0}, Part::weight) != nullptr ||
                                         from_.find(row, {layer, 0}, Part::blocks) != nullptr);
}

// The row itself, rows of the fused one, or the parts of it.  Empty: not there.
std::vector<Source> Translator::sources_of(const TensorRow& row, std::size_t layer) const {
  if (stored(row, layer)) return {{&row}};
  for (const Role fused : {Role::qkv, Role::gate_up, Role::experts_gate_up}) {
    const auto parts = parts_of(fused);
    const TensorRow* whole = row_of(fused, false);
    if (std::ranges::find(parts, row.role) == parts.end() || whole == nullptr ||
        !stored(*whole, layer))
      continue;
    std::uint64_t first = 0;
    for (const Role role : parts) {
      const TensorRow* part = row_of(role, true);
      if (part == nullptr) break;
      const std::uint64_t count = from_.extent(part->rows, layer);
      if (role == row.role) return {{whole, first, count}};
      first += count;
    }
  }
  std::vector<Source> all;
  for (const Role role : parts_of(row.role)) {
    const TensorRow* part = row_of(role, false);
    if (part == nullptr || !stored(*part, layer)) return {};
    all.push_back({part});
  }
  return all;
}

void Translator::mark(const TensorRow& row, std::size_t layer) {
  const std::size_t experts = from_.by_expert(row) ? origin_->hyper.experts : 1;
  for (std::size_t e = 0; e < experts; ++e)
    for (const Part part : {Part::weight, Part::bias, Part::blocks, Part::scales})
      if (const TensorEntry* entry = from_.find(row, {layer, e}, part)) used_.insert(entry->name);
}

Result<Translator::Held> Translator::find(const TensorRow& row, std::size_t layer,
                                          std::vector<Source> sources) {
  Held held;
  const TensorEntry* entry = nullptr;
  for (const Source& source : sources) {
    mark(*source.row, layer);
    entry = from_.find(*source.row, {layer, 0}, Part::weight);
    held.dtype = entry != nullptr ? entry->dtype : Dtype::mxfp4;
    held.has_bias = held.has_bias || (source.row->bias != Presence::absent &&
                                      from_.find(*source.row, {layer, 0}, Part::bias) != nullptr);
  }
  held.shape = from_.shape(row, layer, false);
  if (held.shape.front() == 0 && entry != nullptr) {  // rows of any number
    held.shape.front() = entry->shape.size() < held.shape.size() ? 1 : entry->shape.front();
    if (row.role == Role::position_embedding && !origin_->is_gguf())
      held.shape.front() -=
          std::min<std::uint64_t>(held.shape.front() - 1, origin_->hyper.position_offset);
  }
  // What the loader would refuse is refused before anything is written.
  if (entry != nullptr && !is_float(entry->dtype) && !is_quantised(entry->dtype))
    return Error(ErrorKind::unsupported,
                 fmt::format("{} is stored as {}", entry->name, name_of(entry->dtype)));
  if (sources.size() == 1 && sources.front().count == 0) held.single = entry;
  held.sources = std::move(sources);
  return held;
}

// Readers of GGUF multiply these as floats of four bytes only.
bool wants_f32(Role role) {
  using enum Role;
  return role == position_embedding || role == type_embedding || role == router ||
         role == shared_router;
}

Dtype Translator::target_dtype(const TensorRow& row, const Held& held) {
  const bool turned = !to_gguf_ && row.hf_form != Form::plain && row.hf_form != Form::qkv_by_head;
  if (to_gguf_ && held.dtype == Dtype::f64) {
    const std::string loss = "f64 weights become f32";
    if (std::ranges::find(losses_, loss) == losses_.end()) losses_.push_back(loss);
    return Dtype::f32;
  }
  if (to_gguf_ && wants_f32(row.role) && is_float(held.dtype)) return Dtype::f32;
  if (turned && is_quantised(held.dtype) &&
      !(row.hf_form == Form::expert_stack && held.dtype == Dtype::mxfp4))
    return Dtype::f32;
  return held.dtype;
}

// Whether the bytes stay what they are.
bool Translator::passes(const TensorRow& row, const Held& held, Dtype dtype) const {
  const bool rotates = (row.role == Role::q || row.role == Role::k) &&
                       origin_->spec.rope_interleaved_gguf != origin_->spec.rope_interleaved_hf;
  const bool cut = row.role == Role::position_embedding && !origin_->is_gguf() &&
                   origin_->hyper.position_offset > 0;
  return held.single != nullptr && held.single->dtype == dtype && row.hf_form == Form::plain &&
         !rotates && !cut;
}

void Translator::put(std::string name, Dtype dtype, std::vector<std::uint64_t> shape,
                     std::function<Result<Bytes>()> make) {
  out_.push_back({.name = std::move(name),
                  .dtype = dtype,
                  .shape = std::move(shape),
                  .data = {},
                  .make = std::move(make)});
}

void Translator::put_vector(const TensorRow& row, std::size_t layer, const Held& held) {
  put(to_.name(row, {layer, 0}, Part::weight), Dtype::f32, held.shape,
      [maker = Maker(origin_, row, layer, to_gguf_, held.sources)] { return maker.vector(); });
}

void Translator::put_matrix(const TensorRow& row, std::size_t layer, const Held& held) {
  const Dtype dtype = target_dtype(row, held);
  if (of_experts(row.role)) return put_experts(row, layer, held, dtype);
  auto shape = held.shape;
  if (!to_gguf_ && row.hf_form == Form::transposed) std::swap(shape[0], shape[1]);
  if (to_gguf_ && row.rows == Extent::one) shape.erase(shape.begin());
  std::string name = to_.name(row, {layer, 0}, Part::weight);
  if (passes(row, held, dtype)) {
    TensorEntry entry = *held.single;
    entry.name = std::move(name);
    entry.shape = std::move(shape);
    out_.push_back(std::move(entry));
    return;
  }
  put(std::move(name), dtype, std::move(shape),
      [maker = Maker(origin_, row, layer, to_gguf_, held.sources), dtype] {
        return maker.matrix(0, 1, dtype);
      });
}

void Translator::put_experts(const TensorRow& row, std::size_t layer, const Held& held,
                             Dtype dtype) {
  const std::size_t experts = origin_->hyper.experts;
  const Maker maker(origin_, row, layer, to_gguf_, held.sources);
  const std::uint64_t rows = held.shape[0], columns = held.shape[1];
  if (!to_gguf_ && row.hf_form == Form::expert_stack) {
    if (dtype == Dtype::mxfp4) {
      put(to_.name(row, {layer, 0}, Part::blocks), Dtype::u8, {experts, rows, columns / 32, 16},
          [maker] { return maker.blocks(false); });
      put(to_.name(row, {layer, 0}, Part::scales), Dtype::u8, {experts, rows, columns / 32},
          [maker] { return maker.blocks(true); });
      return;
    }
    return put(to_.name(row, {layer, 0}, Part::weight), dtype, {experts, columns, rows},
               [maker, experts, dtype] { return maker.matrix(0, experts, dtype); });
  }
  if (!to_.by_expert(row))
    return put(to_.name(row, {layer, 0}, Part::weight), dtype, {experts, rows, columns},
               [maker, experts, dtype] { return maker.matrix(0, experts, dtype); });
  for (std::size_t e = 0; e < experts; ++e) {
    std::string name = to_.name(row, {layer, e}, Part::weight);
    if (held.single != nullptr && !held.single->make && !held.single->data.empty()) {
      const std::size_t bytes = held.single->data.size() / experts;
      TensorEntry entry = *held.single;
      entry.name = std::move(name);
      entry.shape = {rows, columns};
      entry.data = entry.data.subspan(e * bytes, bytes);
      out_.push_back(std::move(entry));
    } else {
      put(std::move(name), dtype, {rows, columns},
          [maker, e, dtype] { return maker.matrix(e, 1, dtype); });
    }
  }
}

void Translator::put_bias(const TensorRow& row, std::size_t layer, const Held& held) {
  std::vector<std::uint64_t> shape{held.shape.front()};
  if (of_experts(row.role)) shape.insert(shape.begin(), origin_->hyper.experts);
  // A norm's bias is the vector's own.
  put(to_.name(row, {layer, 0}, Part::bias), Dtype::f32, std::move(shape),
      [maker = Maker(origin_, row, layer, to_gguf_, held.sources)] { return maker.bias(); });
}

Status Translator::row(const TensorRow& row, std::size_t layer) {
  if (to_.pattern(row).empty() || !from_.needed(row, layer)) return Done{};
  // The fused tensor holds this one.
  for (const Role fused : {Role::qkv, Role::gate_up, Role::experts_gate_up}) {
    const auto parts = parts_of(fused);
    if (std::ranges::find(parts, row.role) != parts.end() && row_of(fused, true) != nullptr)
      return Done{};
  }
  if (row.role == Role::output && !origin_->is_gguf() && origin_->hyper.tied) {
    mark(row, layer);
    return Done{};
  }
  auto sources = sources_of(row, layer);
  if (sources.empty()) {
    if (row.weight == Presence::optional) return Done{};
    return Error(ErrorKind::corrupt,
                 fmt::format("{} is missing", from_.name(row, {layer, 0}, Part::weight)));
  }
  const Held held = TRY(find(row, layer, std::move(sources)));
  if (is_vector(row.role))
    put_vector(row, layer, held);
  else
    put_matrix(row, layer, held);
  if (held.has_bias) put_bias(row, layer, held);
  return Done{};
}

// Tables of the rotation, which config.json says in numbers.
void put_divisors(const Hyper& hyper, std::vector<TensorEntry>& out) {
  const auto put = [&](const char* name, std::vector<float> values) {
    out.push_back(
        {.name = name, .dtype = Dtype::f32, .shape = {values.size()}, .data = {}, .make = [values] {
           return Result<Bytes>(bytes_of_floats(values));
         }});
  };
  const RopeScaling& scaling = hyper.rope.scaling;
  if (scaling.kind == RopeScalingKind::llama3)
    put("rope_freqs.weight", llama3_divisors(hyper.rope, hyper.rotary_dims));
  if (scaling.kind == RopeScalingKind::longrope) {
    put("rope_factors_long.weight", {scaling.long_factors.begin(), scaling.long_factors.end()});
    put("rope_factors_short.weight", {scaling.short_factors.begin(), scaling.short_factors.end()});
  }
}

}  // namespace

Result<std::vector<TensorEntry>> translate_tensors(const SharedOrigin& origin,
                                                   const TensorFinder& to,
                                                   std::set<std::string>& used,
                                                   std::vector<std::string>& losses) {
  Translator translator(origin, to, used, losses);
  const auto pass = [&](bool of_layers, std::size_t layer) -> Status {
    for (const auto rows : origin->spec.tensors)
      for (const TensorRow& row : rows)
        if (of_layer(row.role) == of_layers) TRY(translator.row(row, layer));
    return Done{};
  };
  TRY(pass(false, 0));
  for (std::size_t layer = 0; layer < origin->hyper.layers.size(); ++layer) TRY(pass(true, layer));
  auto tensors = translator.take();
  const bool to_gguf = to.package().naming == Naming::gguf;
  if (to_gguf && !origin->is_gguf()) put_divisors(origin->hyper, tensors);
  if (!to_gguf)
    for (const char* name :
         {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"})
      used.insert(name);
  return tensors;
}

}  // namespace hearth::adapt
