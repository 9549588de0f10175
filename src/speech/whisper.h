// Whisper: an encoder of sound and a decoder that writes what it heard.
// Source: Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision".
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/pages.h"
#include "models/model.h"
#include "speech/codes.h"
#include "speech/mel.h"

namespace hearth::speech {

struct WhisperSizes {
  std::uint32_t dim = 0, vocabulary = 0, mels = 80;
  std::uint32_t encoder_layers = 0, encoder_heads = 0, encoder_hidden = 0;
  std::uint32_t decoder_layers = 0, decoder_heads = 0, decoder_hidden = 0;
  std::uint32_t source_positions = 1500, target_positions = 448;

  std::uint32_t window_frames() const { return 2 * source_positions; }  // of mel
};

// One of attention, by layer and head of the decoder.
struct Head {
  std::uint32_t layer, head;
};

// What decoding one window of sound needs: keys and values of the sound, and those of the text so
// far.  Used by one thread; may be used for window after window.
struct Window {
  PageBuffer heard_memory, said_memory;
  std::vector<std::byte*> heard, said;  // pages
  std::vector<float> scratch;
};

// How much each token of a text attends to each place of the sound.
struct Attention {
  std::vector<Head> heads;
  std::size_t rows = 0, places = 0;
  std::vector<float> shares;  // [heads][rows][places], each row sums to 1
};

struct WhisperOptions {
  std::optional<Dtype> kv_dtype = {};  // f32 or f16; nothing: f32 for f32 weights, otherwise f16
  std::function<void(double share)> progress = {};
  std::stop_token stop = {};
};

// Whether a package is one, known without its weights.
bool is_whisper(const Package& package);

// Errors: unsupported, corrupt (what is missing or wrong).
Result<WhisperSizes> sizes_of(const Package& package);
Result<ModelInfo> describe_whisper(const Package& package);

// Immutable; thread-safe.  Keeps the package's storage alive.  A model of kind transcriber: it
// answers no prompts.
class Whisper final : public Model {
 public:
  static Result<std::shared_ptr<const Whisper>> load(ops::Context& ctx, const Package& package,
                                                     const WhisperOptions& options = {});
  ~Whisper() override;

  const WhisperSizes& sizes() const;
  const Codes& codes() const;
  std::uint64_t window_bytes() const;  // of memory, that make_window() takes

  const ModelInfo& info() const override;
  const Tokenizer& tokenizer() const override;
  const ChatFormat* chat_format() const override { return nullptr; }
  std::string_view chat_template_source() const override { return {}; }
  const KvLayout& kv_layout() const override;
  Status forward(ops::Context& ctx, const Batch& batch, std::span<float> logits,
                 std::stop_token stop) const override;
  Result<std::vector<std::vector<float>>> embed(ops::Context& ctx,
                                                std::span<const std::vector<Token>> texts,
                                                std::stop_token stop) const override;
  std::uint32_t embedding_dim() const override { return 0; }

  Result<Window> make_window() const;
  // mel: [frames][mels], at most window_frames(); what is missing is 0.  Errors: cancelled.
  Status hear(ops::Context& ctx, std::span<const float> mel, Window& window,
              std::stop_token stop = {}) const;
  // Writes `tokens` at [position, position + tokens), after what is there before.  logits:
  // [output_rows, vocabulary] of those rows, ascending.  attention: nullptr, or filled for its
  // heads. Errors: too_long, cancelled.
  Status say(ops::Context& ctx, Window& window, std::span<const Token> tokens,
             std::uint32_t position, std::span<const std::uint32_t> output_rows,
             std::span<float> logits, Attention* attention = nullptr) const;
  // What the encoder makes of mel: [source_positions, dim].
  Result<std::vector<float>> encode(ops::Context& ctx, std::span<const float> mel,
                                    std::stop_token stop = {}) const;

  struct Parts;  // whisper_parts.h

 private:
  explicit Whisper(std::unique_ptr<const Parts> parts);
  std::unique_ptr<const Parts> parts_;
};

}  // namespace hearth::speech
