#include "adapt/translate/maker.h"

#include <fmt/core.h>

#include <cmath>
#include <cstring>

#include "adapt/translate/multipliers.h"
#include "ops/dequantise.h"

namespace hearth::adapt {

using namespace models;
using Part = TensorFinder::Part;

Bytes bytes_of_floats(std::span<const float> values) {
  Bytes out(values.size_bytes());
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}

namespace {

std::vector<float> floats_of(const Bytes& bytes, std::size_t count) {
  std::vector<float> values(count);
  std::memcpy(values.data(), bytes.data(), count * sizeof(float));
  return values;
}

// Column i of the result is column order[i]; elements of `bytes_each`.
Bytes pick_columns(const Bytes& data, std::size_t rows, std::span<const std::size_t> order,
                   std::size_t bytes_each) {
  Bytes out;
  out.reserve(data.size());
  const std::size_t row_bytes = order.size() * bytes_each;
  for (std::size_t i = 0; i < rows; ++i) {
    const Bytes row =
        pick_rows(std::span(data).subspan(i * row_bytes, row_bytes), bytes_each, order);
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

// As floats of four bytes, unless it has this type already.
Result<Bytes> in_dtype(const ops::StoredMatrix& matrix, Dtype dtype) {
  if (matrix.dtype == dtype) return Bytes(matrix.data.begin(), matrix.data.end());
  return bytes_of_floats(
      TRY(ops::dequantise(matrix.dtype, matrix.data, matrix.rows * matrix.columns)));
}

}  // namespace

std::vector<std::size_t> tiled_order(const Origin& origin, Role role, bool to_gguf) {
  const MixerHyper& mixer = origin.hyper.mixer;
  if (!origin.spec.mixer_tiled_gguf || mixer.groups == 0) return {};
  using enum Role;
  const bool by_row =
      role == mixer_qkv || role == mixer_conv || role == mixer_z || role == mixer_out;
  const bool by_head =
      role == mixer_b || role == mixer_a || role == mixer_decay || role == mixer_step;
  if (!by_row && !by_head) return {};
  const bool keys_too = role == mixer_qkv || role == mixer_conv;
  const std::size_t first = keys_too ? 2 * std::size_t{mixer.groups} * mixer.state : 0;
  const std::size_t each = by_head ? 1 : mixer.head_dim, values = mixer.heads / mixer.groups;
  std::vector<std::size_t> order(first);
  for (std::size_t i = 0; i < first; ++i) order[i] = i;
  for (std::size_t head = 0; head < mixer.heads; ++head) {
    // Of GGUF's head: group head % groups, and in it the one of that round.
    const std::size_t from = to_gguf ? head % mixer.groups * values + head / mixer.groups
                                     : head % values * mixer.groups + head / values;
    for (std::size_t d = 0; d < each; ++d) order.push_back(first + from * each + d);
  }
  return order;
}

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
  if (form() == Form::expert_stack && row_.role == Role::experts_gate_up)
    return inverse_order(order_of_alternating(rows));
  if (row_.role != Role::mixer_out)  // its columns are
    if (auto tiled = tiled_order(*origin_, row_.role, to_gguf_); !tiled.empty()) return tiled;
  return inverse_order(order_of_form(hyper, row_.role, form()));
}

Result<Maker::Rows> Maker::ordered(const std::vector<Weight>& weights, std::size_t expert) const {
  Rows rows = TRY(rows_of(weights, expert));
  const std::size_t row_bytes = TRY(byte_size(rows.dtype, rows.columns));
  const auto wanted = order(rows.bytes.size() / row_bytes);
  if (!wanted.empty()) rows.bytes = pick_rows(rows.bytes, row_bytes, wanted);
  return rows;
}

// Rows of floats of four bytes times what the folder says of them.
Status Maker::multiply(Rows& rows, std::size_t count) const {
  const auto factors = TRY(row_factors(*origin_, row_.role));
  if (factors.empty()) return Done{};
  std::vector<float> values = floats_of(rows.bytes, count * rows.columns);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (factors.size() == 1)
      values[i] *= static_cast<float>(factors.front());
    else
      values[i] = static_cast<float>(static_cast<double>(values[i]) * factors[i / rows.columns]);
  }
  rows.bytes = bytes_of_floats(values);
  return Done{};
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
    if (to_gguf_) TRY(multiply(rows, count));
    if (row_.role == Role::mixer_out)
      if (const auto wanted = tiled_order(*origin_, row_.role, to_gguf_); !wanted.empty())
        rows.bytes = pick_columns(rows.bytes, count, wanted, info(rows.dtype).block_bytes);
    if (is_turned(form()))
      rows.bytes = transpose(rows.bytes, count, rows.columns, info(rows.dtype).block_bytes);
    if (experts == 1) return std::move(rows.bytes);
    all.insert(all.end(), rows.bytes.begin(), rows.bytes.end());
  }
  return all;
}

Result<Bytes> Maker::vector() const {
  auto weights = TRY(load());
  std::vector<float> values;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::vector<float>& held = weights[i].values;
    const auto first = held.begin() + static_cast<std::ptrdiff_t>(sources_[i].first);
    const std::uint64_t count = sources_[i].count > 0 ? sources_[i].count : held.size();
    values.insert(values.end(), first, first + static_cast<std::ptrdiff_t>(count));
  }
  if (row_.role == Role::mixer_conv) {  // [taps][channels] to [channels][taps]
    const std::size_t taps = origin_->hyper.mixer.kernel, channels = values.size() / taps;
    values =
        floats_of(transpose(bytes_of_floats(values), taps, channels, sizeof(float)), values.size());
  }
  if (const auto wanted = tiled_order(*origin_, row_.role, to_gguf_); !wanted.empty()) {
    const std::size_t each = values.size() / wanted.size() * sizeof(float);
    values = floats_of(pick_rows(bytes_of_floats(values), each, wanted), values.size());
  }
  if (!to_gguf_ && row_.role == Role::mixer_decay)  // held as its logarithm
    for (float& value : values) value = std::log(-value);
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

// kv_b holds rows of keys, then of values, of every head; k_b the keys turned, v_b the values.
Result<Bytes> Maker::latent(Dtype dtype) const {
  const auto weights = TRY(load());
  const Hyper& hyper = origin_->hyper;
  const std::size_t plain = hyper.latent.plain, rank = hyper.latent.kv_rank,
                    value = hyper.value_dim;
  const std::size_t element = info(dtype).block_bytes;
  Bytes all;
  const auto append = [&](const Bytes& bytes) {
    all.insert(all.end(), bytes.begin(), bytes.end());
  };
  for (std::size_t head = 0; head < hyper.heads; ++head) {
    if (row_.role == Role::kv_b) {
      append(
          transpose(TRY(in_dtype(weights[0].stored_experts[head], dtype)), rank, plain, element));
      append(TRY(in_dtype(weights[1].stored_experts[head], dtype)));
      continue;
    }
    const bool keys = row_.role == Role::k_b;
    const std::size_t first = head * (plain + value) + (keys ? 0 : plain);
    const Bytes rows =
        TRY(in_dtype(slice_rows(weights[0].stored, first, keys ? plain : value), dtype));
    append(keys ? transpose(rows, plain, rank, element) : rows);
  }
  return all;
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

}  // namespace hearth::adapt
