#include "speech/whisper.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "models/values.h"
#include "ops/elementwise.h"
#include "ops/matrix.h"
#include "speech/whisper_parts.h"

namespace hearth::speech {
namespace {

constexpr float norm_eps = 1e-5f;

// Memory of one step's activations, taken piece by piece.
class Activations {
 public:
  Activations(std::vector<float>& memory, std::size_t floats) : memory_(memory) {
    if (memory_.size() < floats) memory_.resize(floats);
  }
  View take(std::size_t rows, std::size_t dim) {
    float* at = memory_.data() + taken_;
    taken_ += rows * dim;
    HEARTH_CHECK(taken_ <= memory_.size());
    return View(at, rows, dim);
  }

 private:
  std::vector<float>& memory_;
  std::size_t taken_ = 0;
};

// Three neighbours of every row (every second one, for stride 2) side by side, by channel.
void gather_neighbours(ops::Context& ctx, View out, View x, std::size_t stride) {
  ctx.pool->parallel_for(out.rows, 16, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      float* to = out.row(i);
      for (std::size_t k = 0; k < 3; ++k) {
        const std::size_t place = stride * i + k;  // one more than the row's
        const float* from = place >= 1 && place <= x.rows ? x.row(place - 1) : nullptr;
        for (std::size_t c = 0; c < x.dim; ++c) to[3 * c + k] = from != nullptr ? from[c] : 0.0f;
      }
    }
  });
}

void norm(ops::Context& ctx, View y, View x, const Norm& w) {
  ops::layer_norm(ctx, y, x, w.weight, w.bias, norm_eps);
}

void linear(ops::Context& ctx, View y, View x, const Linear& w) {
  ops::matmul(ctx, y, x, w.matrix, w.bias);
}

void add_linear(ops::Context& ctx, View y, View x, const Linear& w) {
  ops::matmul_add(ctx, y, x, w.matrix, w.bias);
}

void project(ops::Context& ctx, View q, View k, View v, View x, const AttentionWeights& w) {
  const ops::MatmulJob jobs[] = {
      {q, &w.q.matrix, w.q.bias}, {k, &w.k.matrix, w.k.bias}, {v, &w.v.matrix, w.v.bias}};
  ops::matmul_many(ctx, jobs, x);
}

ops::AttentionOptions attention_of(std::uint32_t heads, std::uint32_t dim) {
  ops::AttentionOptions options;
  options.heads = heads;
  options.scale = 1 / std::sqrt(static_cast<float>(dim / heads));
  return options;
}

Error reads_no_text(const ModelInfo& info) {
  return Error(ErrorKind::unsupported, info.name + " hears: it reads no text");
}

std::size_t pages_for(std::size_t tokens) {
  return (tokens + ops::kv_page_tokens - 1) / ops::kv_page_tokens;
}

Error stopped() { return Error(ErrorKind::cancelled, "transcribing was stopped"); }

std::vector<std::byte*> pages_in(const PageBuffer& memory, std::size_t page_bytes) {
  std::vector<std::byte*> pages;
  for (std::size_t at = 0; at + page_bytes <= memory.size(); at += page_bytes)
    pages.push_back(memory.data() + at);
  return pages;
}

}  // namespace

std::uint64_t window_bytes(const WhisperSizes& sizes, const KvLayout& kv) {
  return (pages_for(sizes.source_positions) + pages_for(sizes.target_positions)) * kv.page_bytes;
}

Result<Window> Whisper::make_window() const {
  const WhisperSizes& sizes = parts_->sizes;
  const std::size_t page = parts_->kv.page_bytes;
  Window window;
  window.heard_memory = TRY(PageBuffer::allocate(pages_for(sizes.source_positions) * page));
  window.said_memory = TRY(PageBuffer::allocate(pages_for(sizes.target_positions) * page));
  window.heard = pages_in(window.heard_memory, page);
  window.said = pages_in(window.said_memory, page);
  return window;
}

Result<std::vector<float>> Whisper::encode(ops::Context& ctx, std::span<const float> mel,
                                           std::stop_token stop) const {
  const WhisperSizes& sizes = parts_->sizes;
  const std::size_t dim = sizes.dim, rows = sizes.source_positions, frames = sizes.window_frames();
  std::vector<float> heard(frames * sizes.mels);
  std::copy_n(mel.begin(), std::min(mel.size(), heard.size()), heard.begin());
  std::vector<float> out(rows * dim);
  const View x(out.data(), rows, dim);
  {
    std::vector<float> memory;
    const std::size_t wide = std::max<std::size_t>(frames * 3 * sizes.mels, rows * 3 * dim);
    Activations from(memory, frames * dim + wide);
    const View first = from.take(frames, dim);
    const View columns = View(from.take(1, wide).data, frames, 3 * sizes.mels);
    gather_neighbours(ctx, columns, View(heard.data(), frames, sizes.mels), 1);
    linear(ctx, first, columns, parts_->conv1);
    ops::activate(ctx, first, ops::Activation::gelu);
    const View pairs(columns.data, rows, 3 * dim);
    gather_neighbours(ctx, pairs, first, 2);
    linear(ctx, x, pairs, parts_->conv2);
    ops::activate(ctx, x, ops::Activation::gelu);
  }
  ops::add(ctx, x, View(const_cast<float*>(parts_->encoder_positions.data()), rows, dim));

  std::vector<float> memory;
  Activations from(memory, rows * (4 * dim + sizes.encoder_hidden));
  const View h = from.take(rows, dim), q = from.take(rows, dim), k = from.take(rows, dim),
             v = from.take(rows, dim), up = from.take(rows, sizes.encoder_hidden);
  const std::array<std::size_t, 2> starts{0, rows};
  const auto options = attention_of(sizes.encoder_heads, sizes.dim);
  for (const EncoderLayer& layer : parts_->encoder) {
    if (stop.stop_requested()) return stopped();
    norm(ctx, h, x, layer.attention_norm);
    project(ctx, q, k, v, h, layer.attention);
    ops::attend_both_ways(ctx, q, q, k, v, starts, sizes.encoder_heads, options);
    add_linear(ctx, x, q, layer.attention.out);
    norm(ctx, h, x, layer.mlp_norm);
    linear(ctx, up, h, layer.up);
    ops::activate(ctx, up, ops::Activation::gelu);
    add_linear(ctx, x, up, layer.down);
  }
  norm(ctx, x, x, parts_->encoder_norm);
  return out;
}

Status Whisper::hear(ops::Context& ctx, std::span<const float> mel, Window& window,
                     std::stop_token stop) const {
  std::vector<float> encoded = TRY(encode(ctx, mel, stop));
  const std::size_t rows = parts_->sizes.source_positions, dim = parts_->sizes.dim;
  const View x(encoded.data(), rows, dim);
  std::vector<float> memory;
  Activations from(memory, 2 * rows * dim);
  const View k = from.take(rows, dim), v = from.take(rows, dim);
  std::vector<ops::RowPlace> places;
  for (std::uint32_t i = 0; i < rows; ++i) places.push_back({0, i});
  const ops::KvSequence sequence{window.heard};
  for (std::size_t i = 0; i < parts_->decoder.size(); ++i) {
    if (stop.stop_requested()) return stopped();
    const AttentionWeights& w = parts_->decoder[i].cross;
    const ops::MatmulJob jobs[] = {{k, &w.k.matrix, w.k.bias}, {v, &w.v.matrix, w.v.bias}};
    ops::matmul_many(ctx, jobs, x);
    ops::kv_append(ctx, parts_->kv.layers[i], {&sequence, 1}, places, k, v);
  }
  return Done{};
}

namespace {

// Element `index` of keys or values.
float kv_value(const std::byte* page, std::size_t index, Dtype dtype) {
  if (dtype == Dtype::f32) {
    float value;
    std::memcpy(&value, page + 4 * index, sizeof value);
    return value;
  }
  std::uint16_t half;
  std::memcpy(&half, page + 2 * index, sizeof half);
  return models::half_to_float(half);
}

// The shares of one head, for every row of q.
void attend_plainly(View q, const ops::KvLayer& layer, std::span<std::byte* const> pages,
                    std::uint32_t head, float scale, std::size_t places, float* shares) {
  const std::size_t dim = layer.key_dim, each = ops::kv_page_tokens;
  std::vector<float> keys(places * dim);  // [dim][places]
  for (std::size_t t = 0; t < places; ++t)
    for (std::size_t d = 0; d < dim; ++d)
      keys[d * places + t] = kv_value(pages[t / each] + layer.offset_bytes,
                                      (head * dim + d) * each + t % each, layer.dtype);
  for (std::size_t i = 0; i < q.rows; ++i) {
    float* out = shares + i * places;
    std::fill_n(out, places, 0.0f);
    for (std::size_t d = 0; d < dim; ++d) {
      const float factor = q.row(i)[head * dim + d] * scale;
      const float* key = keys.data() + d * places;
      for (std::size_t t = 0; t < places; ++t) out[t] += factor * key[t];
    }
    const float most = *std::max_element(out, out + places);
    float sum = 0;
    for (std::size_t t = 0; t < places; ++t) sum += out[t] = std::exp(out[t] - most);
    for (std::size_t t = 0; t < places; ++t) out[t] /= sum;
  }
}

void note_attention(ops::Context& ctx, Attention& into, std::size_t layer_index, View q,
                    const ops::KvLayer& layer, std::span<std::byte* const> pages, float scale) {
  ctx.pool->parallel_for(into.heads.size(), 1, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i)
      if (into.heads[i].layer == layer_index)
        attend_plainly(q, layer, pages, into.heads[i].head, scale, into.places,
                       into.shares.data() + i * into.rows * into.places);
  });
}

}  // namespace

Status Whisper::say(ops::Context& ctx, Window& window, std::span<const Token> tokens,
                    std::uint32_t position, std::span<const std::uint32_t> output_rows,
                    std::span<float> logits, Attention* attention) const {
  const WhisperSizes& sizes = parts_->sizes;
  const std::size_t rows = tokens.size(), dim = sizes.dim;
  if (position + rows > sizes.target_positions)
    return Error(ErrorKind::too_long,
                 fmt::format("{} tokens: {} fit", position + rows, sizes.target_positions));
  Activations from(window.scratch, rows * (5 * dim + sizes.decoder_hidden));
  const View x = from.take(rows, dim), h = from.take(rows, dim), q = from.take(rows, dim),
             k = from.take(rows, dim), v = from.take(rows, dim),
             up = from.take(rows, sizes.decoder_hidden);
  ops::gather_rows(ctx, x, parts_->embedding, tokens);
  ops::add(ctx, x,
           View(const_cast<float*>(parts_->decoder_positions.data()) + position * dim, rows, dim));
  std::vector<ops::RowPlace> said, heard(rows, {0, sizes.source_positions - 1});
  for (std::uint32_t i = 0; i < rows; ++i) said.push_back({0, position + i});
  const ops::KvSequence said_pages{window.said}, heard_pages{window.heard};
  const auto options = attention_of(sizes.decoder_heads, sizes.dim);
  if (attention != nullptr) {
    attention->rows = rows;
    attention->places = sizes.source_positions;
    attention->shares.resize(attention->heads.size() * rows * attention->places);
  }
  for (std::size_t i = 0; i < parts_->decoder.size(); ++i) {
    const DecoderLayer& layer = parts_->decoder[i];
    const ops::KvLayer& kv = parts_->kv.layers[i];
    norm(ctx, h, x, layer.attention_norm);
    project(ctx, q, k, v, h, layer.attention);
    ops::kv_append(ctx, kv, {&said_pages, 1}, said, k, v);
    ops::attend(ctx, q, q, kv, {&said_pages, 1}, said, options);
    add_linear(ctx, x, q, layer.attention.out);
    norm(ctx, h, x, layer.cross_norm);
    linear(ctx, q, h, layer.cross.q);
    if (attention != nullptr)
      note_attention(ctx, *attention, i, q, kv, window.heard, options.scale);
    ops::attend(ctx, q, q, kv, {&heard_pages, 1}, heard, options);
    add_linear(ctx, x, q, layer.cross.out);
    norm(ctx, h, x, layer.mlp_norm);
    linear(ctx, up, h, layer.up);
    ops::activate(ctx, up, ops::Activation::gelu);
    add_linear(ctx, x, up, layer.down);
  }
  const View last(h.data, output_rows.size(), dim);
  for (std::size_t i = 0; i < output_rows.size(); ++i)
    norm(ctx, last.slice_rows(i, 1), x.slice_rows(output_rows[i], 1), parts_->decoder_norm);
  if (!output_rows.empty())
    ops::matmul(ctx, View(logits.data(), output_rows.size(), sizes.vocabulary), last,
                parts_->output);
  return Done{};
}

Whisper::Whisper(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Whisper::~Whisper() = default;

const WhisperSizes& Whisper::sizes() const { return parts_->sizes; }
const Codes& Whisper::codes() const { return parts_->codes; }
const Tokenizer& Whisper::tokenizer() const { return *parts_->tokenizer; }
const ModelInfo& Whisper::info() const { return parts_->info; }
const KvLayout& Whisper::kv_layout() const { return parts_->kv; }
std::uint64_t Whisper::window_bytes() const {
  return speech::window_bytes(parts_->sizes, parts_->kv);
}

Status Whisper::forward(ops::Context&, const Batch&, std::span<float>, std::stop_token) const {
  return reads_no_text(info());
}

Result<std::vector<std::vector<float>>> Whisper::embed(ops::Context&,
                                                       std::span<const std::vector<Token>>,
                                                       std::stop_token) const {
  return reads_no_text(info());
}

}  // namespace hearth::speech
