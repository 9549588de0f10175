// Tensors under the other naming: which there are, and what each is made of.
#include <fmt/core.h>

#include <algorithm>

#include "adapt/translate/maker.h"
#include "adapt/translate/multipliers.h"
#include "models/rope_tables.h"
#include "models/values.h"

namespace hearth::adapt {
namespace {

using namespace models;
using Part = TensorFinder::Part;

// Which parts a fused role has.
std::span<const Role> parts_of(Role role) {
  using enum Role;
  static constexpr Role attention[] = {q, k, v}, dense[] = {gate, up},
                        sparse[] = {experts_gate, experts_up}, shared[] = {shared_gate, shared_up},
                        delta[] = {mixer_qkv, mixer_z}, steps[] = {mixer_b, mixer_a},
                        latent[] = {k_b, v_b};
  switch (role) {
    case qkv:
      return attention;
    case gate_up:
      return dense;
    case experts_gate_up:
      return sparse;
    case shared_gate_up:
      return shared;
    case mixer_qkvz:
      return delta;
    case mixer_ba:
      return steps;
    case kv_b:
      return latent;
    case mixer_lerps:
      return lerp_roles;
    default:
      return {};
  }
}
constexpr Role fused_roles[] = {
    Role::qkv,        Role::gate_up,  Role::experts_gate_up, Role::kv_b,
    Role::mixer_qkvz, Role::mixer_ba, Role::shared_gate_up,  Role::mixer_lerps};

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
  bool writes_fused(Role role) const;
  bool stored(const TensorRow& row, std::size_t layer) const;
  std::vector<Source> sources_of(const TensorRow& row, std::size_t layer) const;
  void mark(const TensorRow& row, std::size_t layer);
  Result<Held> find(const TensorRow& row, std::size_t layer, std::vector<Source> sources);
  Result<Dtype> target_dtype(const TensorRow& row, const Held& held);
  bool passes(const TensorRow& row, const Held& held, Dtype dtype) const;

  void put(std::string name, Dtype dtype, std::vector<std::uint64_t> shape,
           std::function<Result<Bytes>()> make);
  std::vector<std::uint64_t> vector_shape(const TensorRow& row,
                                          std::vector<std::uint64_t> shape) const;
  void put_vector(const TensorRow& row, std::size_t layer, const Held& held);
  void put_latent(const TensorRow& row, std::size_t layer, const Held& held);
  Status put_matrix(const TensorRow& row, std::size_t layer, const Held& held);
  void put_experts(const TensorRow& row, std::size_t layer, const Held& held, Dtype dtype);
  void put_bias(const TensorRow& row, std::size_t layer, const Held& held);
  const TensorRow* stand_in(Role role) const;
  Status put_stand_in(const TensorRow& row, std::size_t layer);

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

// Whether the target holds the fused tensor.  GGUF files of some once did.
bool Translator::writes_fused(Role role) const {
  if (to_gguf_ && (role == Role::mixer_qkvz || role == Role::kv_b)) return false;
  return row_of(role, true) != nullptr;
}

bool Translator::stored(const TensorRow& row, std::size_t layer) const {
  return !from_.pattern(row).empty() && (from_.find(row, {layer, 0}, Part::weight) != nullptr ||
                                         from_.find(row, {layer, 0}, Part::blocks) != nullptr);
}

// The row itself, rows of the fused one, or the parts of it.  Empty: not there.
std::vector<Source> Translator::sources_of(const TensorRow& row, std::size_t layer) const {
  if (stored(row, layer)) return {{&row}};
  for (const Role fused : fused_roles) {
    const auto parts = parts_of(fused);
    const TensorRow* whole = row_of(fused, false);
    if (std::ranges::find(parts, row.role) == parts.end() || whole == nullptr ||
        !stored(*whole, layer))
      continue;
    std::uint64_t first = 0;
    for (const Role role : parts) {
      const TensorRow* part = row_of(role, true);
      if (part == nullptr) break;
      if (fused == Role::kv_b) return {{whole}};
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
  const std::size_t experts = from_.held_by_expert(row, layer) ? from_.stack(row) : 1;
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

Result<Dtype> Translator::target_dtype(const TensorRow& row, const Held& held) {
  if (to_gguf_ && !TRY(row_factors(*origin_, row.role)).empty()) return Dtype::f32;
  const bool turned = !to_gguf_ && is_turned(row.hf_form);
  if (to_gguf_ && held.dtype == Dtype::f64) {
    const std::string loss = "f64 weights become f32";
    if (std::ranges::find(losses_, loss) == losses_.end()) losses_.push_back(loss);
    return Dtype::f32;
  }
  if (to_gguf_ && wants_f32(row.role) && is_float(held.dtype)) return Dtype::f32;
  const bool mixed = is_quantised(held.dtype) && row.role == Role::mixer_out &&
                     !tiled_order(*origin_, row.role, to_gguf_).empty();
  if (turned && is_quantised(held.dtype) &&
      !(row.hf_form == Form::expert_stack && held.dtype == Dtype::mxfp4))
    return Dtype::f32;
  if (mixed) return Dtype::f32;
  return held.dtype;
}

// Whether the bytes stay what they are.
bool Translator::passes(const TensorRow& row, const Held& held, Dtype dtype) const {
  const bool rotates = (row.role == Role::q || row.role == Role::k) &&
                       origin_->spec.rope_interleaved_gguf != origin_->spec.rope_interleaved_hf;
  const bool cut = row.role == Role::position_embedding && !origin_->is_gguf() &&
                   origin_->hyper.position_offset > 0;
  const bool tiled = !tiled_order(*origin_, row.role, to_gguf_).empty();
  return held.single != nullptr && held.single->dtype == dtype && row.hf_form == row.gguf_form &&
         !rotates && !tiled && !cut;
}

void Translator::put(std::string name, Dtype dtype, std::vector<std::uint64_t> shape,
                     std::function<Result<Bytes>()> make) {
  out_.push_back(made_tensor(std::move(name), dtype, std::move(shape), std::move(make)));
}

// Recurrent parts have extents of one, and groups, of their own in both.
std::vector<std::uint64_t> Translator::vector_shape(const TensorRow& row,
                                                    std::vector<std::uint64_t> shape) const {
  const MixerHyper& mixer = origin_->hyper.mixer;
  if (mixer.kind == MixerKind::rwkv7) {
    if (row.role == Role::mixer_lerps) return {shape[0], 1, 1, shape[1]};
    if (!to_gguf_ && std::ranges::find(lerp_roles, row.role) != lerp_roles.end())
      return {1, 1, shape[0]};
    if (to_gguf_ && row.role == Role::bonus) return {shape[0] * shape[1]};
  }
  if (to_gguf_ && row.rows == Extent::one && shape.size() > 1) shape.erase(shape.begin());
  if (row.role == Role::mixer_conv && !to_gguf_) shape.insert(shape.begin() + 1, 1);
  if (!to_gguf_ || mixer.kind != MixerKind::mamba2) return shape;
  if (row.role == Role::mixer_decay || row.role == Role::mixer_skip) shape.push_back(1);
  if (row.role == Role::mixer_norm) shape = {mixer.groups, mixer.inner() / mixer.groups};
  return shape;
}

void Translator::put_vector(const TensorRow& row, std::size_t layer, const Held& held) {
  put(to_.name(row, {layer, 0}, Part::weight), Dtype::f32, vector_shape(row, held.shape),
      [maker = Maker(origin_, row, layer, to_gguf_, held.sources)] { return maker.vector(); });
}

Status Translator::put_matrix(const TensorRow& row, std::size_t layer, const Held& held) {
  const bool splits = row.role == Role::kv_b || row.role == Role::k_b || row.role == Role::v_b;
  if (splits && (held.single == nullptr || held.sources.front().row->role != row.role)) {
    put_latent(row, layer, held);
    return Done{};
  }
  const Dtype dtype = TRY(target_dtype(row, held));
  if (is_stack(row.role)) {
    put_experts(row, layer, held, dtype);
    return Done{};
  }
  auto shape = held.shape;
  if (!to_gguf_ && row.hf_form == Form::transposed) std::swap(shape[0], shape[1]);
  if (to_gguf_ && row.rows == Extent::one) shape.erase(shape.begin());
  std::string name = to_.name(row, {layer, 0}, Part::weight);
  const bool multiplied = to_gguf_ && !TRY(row_factors(*origin_, row.role)).empty();
  if (!multiplied && passes(row, held, dtype)) {
    TensorEntry entry = *held.single;
    entry.name = std::move(name);
    entry.shape = std::move(shape);
    out_.push_back(std::move(entry));
    return Done{};
  }
  put(std::move(name), dtype, std::move(shape),
      [maker = Maker(origin_, row, layer, to_gguf_, held.sources), dtype] {
        return maker.matrix(0, 1, dtype);
      });
  return Done{};
}

void Translator::put_latent(const TensorRow& row, std::size_t layer, const Held& held) {
  Dtype dtype = held.dtype;
  for (const Source& source : held.sources) {
    const TensorEntry* entry = from_.find(*source.row, {layer, 0}, Part::weight);
    if (entry == nullptr || entry->dtype != dtype || !is_float(dtype)) dtype = Dtype::f32;
  }
  auto shape = held.shape;
  if (row.role != Role::kv_b) shape.insert(shape.begin(), origin_->hyper.heads);
  put(to_.name(row, {layer, 0}, Part::weight), dtype, std::move(shape),
      [maker = Maker(origin_, row, layer, to_gguf_, held.sources), dtype] {
        return maker.latent(dtype);
      });
}

void Translator::put_experts(const TensorRow& row, std::size_t layer, const Held& held,
                             Dtype dtype) {
  const std::size_t experts = from_.stack(row);
  const Maker maker(origin_, row, layer, to_gguf_, held.sources);
  const std::uint64_t rows = held.shape[0], columns = held.shape[1];
  if (!to_gguf_ && is_turned(row.hf_form)) {
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
    const bool whole = held.single != nullptr && !from_.held_by_expert(row, layer);
    if (whole && !held.single->make && !held.single->data.empty()) {
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

// What GGUF files hold under the names of parts that the first layer of rwkv7 has no use for, since
// their readers look for them: its rates.
const TensorRow* Translator::stand_in(Role role) const {
  switch (role) {
    case Role::first_in:
      return row_of(Role::rate_in, false);
    case Role::first_out:
      return row_of(Role::rate_out, false);
    case Role::first_base:
      return row_of(Role::rate_base, false);
    default:
      return nullptr;
  }
}

Status Translator::put_stand_in(const TensorRow& row, std::size_t layer) {
  const TensorRow* other = stand_in(row.role);
  if (other == nullptr || !stored(*other, layer)) return Done{};
  if (!to_gguf_) {
    mark(row, layer);
    return Done{};
  }
  const Held held = TRY(find(*other, layer, {{other}}));
  const Dtype dtype = is_vector(row.role) ? Dtype::f32 : held.dtype;
  put(to_.name(row, {layer, 0}, Part::weight), dtype, held.shape,
      [maker = Maker(origin_, *other, layer, to_gguf_, held.sources), dtype, role = row.role] {
        return is_vector(role) ? maker.vector() : maker.matrix(0, 1, dtype);
      });
  return Done{};
}

Status Translator::row(const TensorRow& row, std::size_t layer) {
  if (to_.pattern(row).empty()) return Done{};
  if (!from_.needed(row, layer)) return put_stand_in(row, layer);
  // The fused tensor holds this one.
  for (const Role fused : fused_roles) {
    if (fused == row.role && !writes_fused(fused)) return Done{};
    const auto parts = parts_of(fused);
    if (std::ranges::find(parts, row.role) != parts.end() && writes_fused(fused)) return Done{};
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
    TRY(put_matrix(row, layer, held));
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
  if (scaling.kind == RopeScalingKind::proportional) {  // pairs past the share turn not at all
    constexpr float never = 1e30f;
    std::vector<float> divisors(hyper.head_dim / 2, never);
    const auto turning = static_cast<std::ptrdiff_t>(scaling.share * hyper.head_dim) / 2;
    std::fill_n(divisors.begin(), turning, 1.0f);
    put("rope_freqs.weight", std::move(divisors));
  }
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
