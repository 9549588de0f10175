// Model: weights and their architecture, ready to run.  Many sequences at once; no state of its
// own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/package.h"
#include "ops/attention.h"
#include "ops/context.h"
#include "ops/elementwise.h"
#include "text/chat_format.h"
#include "text/tokenizer.h"

namespace hearth {

class Vision;     // models/vision/vision.h
struct Adapter;   // models/adapter.h
struct LoraFile;  // formats/lora.h

// A LoRA adapter in use, and how strongly.
struct AdapterUse {
  std::shared_ptr<const Adapter> adapter;
  float scale = 1;
};

enum class ModelKind { generator, embedder, reranker, transcriber };
std::string_view name_of(ModelKind kind);
std::optional<ModelKind> find_kind(std::string_view name);
// What clients call what it does: "completion", "embedding", "rerank", "transcription".
std::string_view capability_of(ModelKind kind);

// What a model is, known without its weights.
struct ModelInfo {
  std::string name;          // "Qwen2.5 0.5B Instruct", or the file's name
  std::string architecture;  // "qwen2"
  ModelKind kind = ModelKind::generator;
  std::uint64_t parameters = 0;
  std::string quantisation;          // the dtype of most weights: "q4_k"
  std::uint32_t context_length = 0;  // tokens, as trained
  std::uint32_t vocabulary = 0, dim = 0, layers = 0, heads = 0, kv_heads = 0;
  std::uint64_t file_bytes = 0;
  std::string vision;              // the architecture of its tower; empty: it reads text alone
  std::uint64_t weight_bytes = 0;  // memory the weights take when loaded; an estimate
  std::uint64_t kv_bytes_per_token = 0;  // of a transcriber: of a window of sound, shared out
  bool has_mtp = false;                  // its file has a layer that guesses a further token
};

// How keys and values of all layers lie in one page of ops::kv_page_tokens tokens.
struct KvLayout {
  std::vector<ops::KvLayer> layers;
  std::size_t page_bytes = 0;
  // What recurrent layers hold of one sequence, whatever its length; 0: the model has none.  It
  // stands for exactly the positions computed: it can be kept and copied, but never cut.
  std::size_t state_bytes = 0;
};

// What a row holds beside its token: of prompts that hold pictures.
struct RowInput {
  // [1 + deep_layers, dim]: taken instead of the token's, then added behind each of the first
  // layers.
  const float* embedding = nullptr;
  std::uint32_t deep_layers = 0;
  ops::RopePlace place{};   // of models with grid positions: time, height and width
  std::uint32_t ahead = 0;  // positions behind its own that it sees as well
};

// One step of work on several sequences.  Rows of one sequence are consecutive and in order of
// position; its pages reach far enough to hold every position of the batch.  A state is read and
// written in place; at position 0 it may hold anything.
struct Batch {
  std::span<const Token> tokens;          // [rows]
  std::span<const ops::RowPlace> places;  // [rows]
  std::span<const ops::KvSequence> sequences;
  std::span<const std::uint32_t> output_rows;  // rows whose logits are wanted, ascending
  std::span<const RowInput> inputs = {};       // empty, or [rows]
  // Empty, or of each sequence those that change its rows: of this model, by read_adapter().
  std::span<const std::span<const AdapterUse>> adapters = {};
  // Of models that guess(): empty, or of each sequence what `hidden` held of the position before
  // its first row, [dim]; nullptr: not known, its guesses are then a little worse.
  std::span<const float* const> before = {};
  // Of models that guess(): empty, or what is made of every row, [rows, dim], is written here.
  std::span<float> hidden = {};
};

struct LoadOptions {
  // A type that ops::is_kv_dtype() takes; nothing: f32 for f32 weights, otherwise f16.
  std::optional<Dtype> kv_dtype;
  bool mtp = false;  // with the layer that guesses a further token, where there is one
  // The longest sequence that will be run; 0: as trained.  Matters to models scaled by longrope:
  // without a wish they keep to their original context (4,096 for Phi-3), and info() says so.
  std::uint32_t context_tokens = 0;
  bool reference = false;  // run the slow plain path, the oracle of the fast one
  std::function<void(double share)> progress;  // 0 to 1, from the calling thread
  std::stop_token stop;
  // Told of every matrix of a model of GGUF rows, once it is loaded; experts are numbered.
  std::function<void(const ops::Matrix& matrix, const std::string& name, std::size_t expert)>
      name_matrix;
};

// Immutable; thread-safe.  Keeps the package's storage alive.
class Model {
 public:
  virtual ~Model() = default;

  virtual const ModelInfo& info() const = 0;
  virtual const Tokenizer& tokenizer() const = 0;
  // nullptr: the package has none.
  virtual const ChatFormat* chat_format() const = 0;
  virtual std::string_view chat_template_source() const = 0;

  virtual const KvLayout& kv_layout() const = 0;
  virtual const Vision* vision() const { return nullptr; }  // nullptr: it reads text alone

  // Generators.  Appends the rows' keys and values to their pages and writes the logits of
  // output_rows: logits [output_rows, vocabulary] f32.  Errors: invalid (a token outside the
  // vocabulary), unsupported (an encoder), cancelled (stop asked, between layers; pages written so
  // far are then undefined at the batch's positions).
  virtual Status forward(ops::Context& ctx, const Batch& batch, std::span<float> logits,
                         std::stop_token stop = {}) const = 0;

  // Whether it was loaded with a layer that guesses a further token (multi-token prediction).
  virtual bool guesses() const { return false; }
  // What that layer guesses: batch.tokens hold one token for each sequence, at the position behind
  // the row whose `hidden` is in batch.before; every row's logits are of the token after it.  Its
  // keys and values are written at that position.  batch.hidden is what guesses of that token are
  // made from in turn.  logits: [rows, vocabulary].  Errors as forward().
  virtual Status guess(ops::Context&, const Batch&, std::span<float>, std::stop_token = {}) const {
    return Error(ErrorKind::unsupported, info().name + " guesses nothing");
  }

  // Embedders and rerankers (and generators, from their last hidden state).  Each text is one
  // sequence of tokens, special tokens included.  Returns pooled vectors [texts][dim], normalised
  // when the model says so; a reranker returns [texts][1], the score.
  // Errors: too_long (names the index of the text, its tokens and the limit).
  virtual Result<std::vector<std::vector<float>>> embed(ops::Context& ctx,
                                                        std::span<const std::vector<Token>> texts,
                                                        std::stop_token stop = {}) const = 0;
  virtual std::uint32_t embedding_dim() const = 0;

  // What a file adds to this model.  Errors: unsupported (this model's, or this file's parts),
  // corrupt (it does not fit).
  virtual Result<std::shared_ptr<const Adapter>> read_adapter(ops::Context&,
                                                              const LoraFile&) const {
    return Error(ErrorKind::unsupported, info().name + " takes no LoRA adapters");
  }
};

// What the model is and needs, from headers alone.  Errors as load.
Result<ModelInfo> describe(const Package& package, std::optional<Dtype> kv_dtype = {});

// Errors: unsupported (architecture unknown, with the ones we know), corrupt (a tensor is missing
// or has the wrong shape: name, held, needed), exhausted, cancelled.
Result<std::shared_ptr<const Model>> load_model(ops::Context& ctx, const Package& package,
                                                const LoadOptions& options = {});

// Only the tokenizer and chat template of a package.
Result<std::unique_ptr<Tokenizer>> load_tokenizer(const Package& package);
Result<std::string> chat_template_source(const Package& package);  // not_found: has none

}  // namespace hearth
