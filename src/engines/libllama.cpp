// llama.cpp, where its library is installed: it is loaded when a GGUF file is to be run, and called
// by its public C interface.  Settings travel by value in structs that grow from release to
// release: they are kept as bytes of more room than any release needs, made by the library itself,
// and only their first fields, which have stayed, are set. Source: llama.cpp, include/llama.h.
#include <dlfcn.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "engines/continued_model.h"
#include "engines/engines.h"
#include "models/text_side.h"

namespace hearth {
namespace {

using adapters::Decoder;
using adapters::Memory;
using adapters::MemoryPointer;

// Larger than 16 bytes, so that it is handed over in memory whatever its true size.
template <std::size_t bytes>
struct Opaque {
  alignas(8) std::byte raw[bytes];
};
using Settings = Opaque<1024>;
using TokenBatch = Opaque<128>;

// The first fields of llama_context_params.
struct FirstFields {
  std::uint32_t context, batch;
};

constexpr std::uint32_t most_context = 8192, most_batch = 512;

Error unsupported(std::string what) { return Error(ErrorKind::unsupported, std::move(what)); }

// The library; once loaded it stays.
struct Library {
  void (*backend_init)();
  void (*log_set)(void (*)(int, const char*, void*), void*);
  Settings (*model_defaults)();
  Settings (*context_defaults)();
  void* (*load_model)(const char*, Settings);
  void* (*make_context)(void*, Settings);
  void (*free_model)(void*);
  void (*free_context)(void*);
  const void* (*vocabulary)(const void*);
  std::int32_t (*vocabulary_tokens)(const void*);
  std::int32_t (*trained_context)(const void*);
  TokenBatch (*batch_of)(Token*, std::int32_t);
  std::int32_t (*decode)(void*, TokenBatch);
  float* (*logits)(void*, std::int32_t);
  void* (*memory)(const void*);
  bool (*forget)(void*, std::int32_t, std::int32_t, std::int32_t);
  void (*clear)(void*, bool);
  void (*set_threads)(void*, std::int32_t, std::int32_t);

  // Errors: unsupported (not installed, too old).
  static Result<const Library*> open();
};

void say_nothing(int, const char*, void*) {}

Result<const Library*> Library::open() {
  const char* named = std::getenv("LLAMA_DYLIB_PATH");
  void* handle = nullptr;
  for (const char* name : {named, "libllama.so", "libllama.so.0", "libllama.dylib"})
    if (handle == nullptr && name != nullptr && *name != '\0')
      handle = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr)
    return unsupported("libllama.so is not installed here (LLAMA_DYLIB_PATH may name its file)");
  static Library library;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const char* missing = nullptr;
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
    if (function == nullptr) missing = name;
  };
  find(library.backend_init, "llama_backend_init");
  find(library.log_set, "llama_log_set");
  find(library.model_defaults, "llama_model_default_params");
  find(library.context_defaults, "llama_context_default_params");
  find(library.load_model, "llama_model_load_from_file");
  find(library.make_context, "llama_init_from_model");
  find(library.free_model, "llama_model_free");
  find(library.free_context, "llama_free");
  find(library.vocabulary, "llama_model_get_vocab");
  find(library.vocabulary_tokens, "llama_vocab_n_tokens");
  find(library.trained_context, "llama_model_n_ctx_train");
  find(library.batch_of, "llama_batch_get_one");
  find(library.decode, "llama_decode");
  find(library.logits, "llama_get_logits_ith");
  find(library.memory, "llama_get_memory");
  find(library.forget, "llama_memory_seq_rm");
  find(library.clear, "llama_memory_clear");
  find(library.set_threads, "llama_set_n_threads");
  if (missing != nullptr)
    return unsupported(
        fmt::format("libllama.so has no {}: needs a release of 2025 or later", missing));
  library.log_set(say_nothing, nullptr);
  library.backend_init();
  return &library;
}

// What the context holds is compared with the text at every step: a memory only says how much was
// read.
struct Place final : Memory {
  std::uint64_t bytes() const override { return 0; }
};

class LlamaDecoder final : public Decoder {
 public:
  LlamaDecoder(const Library& library, void* model, void* context)
      : library_(library), model_(model), context_(context) {}
  ~LlamaDecoder() override {
    library_.free_context(context_);
    library_.free_model(model_);
  }
  MemoryPointer cut(const Memory&, std::size_t) const override { return std::make_shared<Place>(); }
  Result<MemoryPointer> read(ops::Context& ctx, const MemoryPointer& memory, std::size_t known,
                             std::span<const Token> text, std::span<const std::uint32_t> wanted,
                             std::span<float> logits, std::stop_token stop) const override;

 private:
  // Forgets all but the beginning that the text shares, at most `most` tokens of it.
  void rewind(std::span<const Token> text, std::size_t most) const;

  const Library& library_;
  void *model_, *context_;
  mutable std::vector<Token> held_;  // what the context has read
};

void LlamaDecoder::rewind(std::span<const Token> text, std::size_t most) const {
  auto shared = static_cast<std::size_t>(std::ranges::mismatch(held_, text).in1 - held_.begin());
  shared = std::min(shared, most);
  if (shared == held_.size()) return;
  constexpr std::int32_t sequence = 0, end = -1;
  void* memory = library_.memory(context_);
  if (!library_.forget(memory, sequence, static_cast<std::int32_t>(shared), end)) {
    library_.clear(memory, true);  // of models whose states cannot be cut
    shared = 0;
  }
  held_.resize(shared);
}

Result<MemoryPointer> LlamaDecoder::read(ops::Context& ctx, const MemoryPointer&, std::size_t,
                                         std::span<const Token> text,
                                         std::span<const std::uint32_t> wanted,
                                         std::span<float> logits, std::stop_token stop) const {
  const int threads = ctx.pool == nullptr ? 1 : ctx.pool->threads();
  library_.set_threads(context_, threads, threads);
  rewind(text, wanted.empty() ? text.size() : wanted.front());
  const std::size_t width = wanted.empty() ? 0 : logits.size() / wanted.size();
  for (std::size_t next = 0; held_.size() < text.size();) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    const std::size_t begin = held_.size();
    const bool is_near = next < wanted.size() && wanted[next] < begin + most_batch;
    const std::size_t end =
        is_near ? std::size_t{wanted[next]} + 1 : std::min(text.size(), begin + most_batch);
    std::vector<Token> piece(text.begin() + static_cast<std::ptrdiff_t>(begin),
                             text.begin() + static_cast<std::ptrdiff_t>(end));
    const std::int32_t failed = library_.decode(
        context_, library_.batch_of(piece.data(), static_cast<std::int32_t>(piece.size())));
    if (failed != 0) {
      library_.clear(library_.memory(context_), true);
      held_.clear();
      return Error(
          failed == 1 ? ErrorKind::too_long : ErrorKind::unavailable,
          fmt::format("libllama.so: decoding {} tokens ended with {}", text.size(), failed));
    }
    held_.insert(held_.end(), piece.begin(), piece.end());
    if (!is_near) continue;
    const float* row = library_.logits(context_, -1);
    if (row == nullptr) return Error(ErrorKind::unavailable, "libllama.so: no logits");
    std::copy_n(row, width, logits.data() + next++ * width);
  }
  return MemoryPointer(std::make_shared<Place>());
}

// What is known of a model without its architecture.
Result<ModelInfo> plain_info(const Package& package) {
  const Metadata& meta = package.metadata;
  ModelInfo info;
  info.architecture = TRY(meta.string("general.architecture"));
  if (meta.has(info.architecture + ".pooling_type"))
    return unsupported(fmt::format("'{}' embeds texts", info.architecture));
  info.name = meta.has("general.name") ? TRY(meta.string("general.name"))
                                       : std::string_view(info.architecture);
  const auto number = [&](std::string_view key) -> std::uint32_t {
    const auto value = meta.unsigned_integer(fmt::format("{}.{}", info.architecture, key));
    return value ? static_cast<std::uint32_t>(std::min<std::uint64_t>(*value, 1u << 30)) : 0;
  };
  info.context_length = number("context_length");
  info.dim = number("embedding_length");
  info.layers = number("block_count");
  info.heads = number("attention.head_count");
  info.kv_heads = number("attention.head_count_kv");
  if (const MetaValue* tokens = meta.find("tokenizer.ggml.tokens"); tokens != nullptr)
    info.vocabulary = static_cast<std::uint32_t>(std::min<std::uint64_t>(tokens->count, 1u << 30));
  for (const TensorEntry& tensor : package.tensors) info.parameters += tensor.elements();
  info.file_bytes = info.weight_bytes = package.file_bytes;
  return info;
}

Result<ModelInfo> describe_gguf(const Package& package, std::optional<Dtype> = {}) {
  if (package.format != "gguf") return unsupported("no GGUF file");
  TRY(Library::open());
  const auto known = describe(package);
  if (known && known->kind != ModelKind::generator) return unsupported("it generates no text");
  return known ? *known : plain_info(package);
}

Result<EngineFit> fit(const ops::Context&, const Package& package) {
  const ModelInfo info = TRY(describe_gguf(package));
  return EngineFit{.score = 0.4, .why = "libllama.so is installed", .bytes = info.weight_bytes};
}

Result<std::shared_ptr<const Model>> load(ops::Context&, const Package& package,
                                          const LoadOptions& options) {
  ModelInfo info = TRY(describe_gguf(package));
  const Library& library = *TRY(Library::open());
  void* model = library.load_model(package.path.c_str(), library.model_defaults());
  if (model == nullptr) return unsupported("libllama.so does not read it");
  const std::int32_t tokens = library.vocabulary_tokens(library.vocabulary(model));
  info.vocabulary = static_cast<std::uint32_t>(std::max(tokens, 0));
  const auto trained = static_cast<std::uint32_t>(std::max(library.trained_context(model), 0));
  info.context_length = trained == 0 ? most_context : std::min(trained, most_context);
  Settings settings = library.context_defaults();
  const FirstFields first{info.context_length, most_batch};
  std::memcpy(settings.raw, &first, sizeof first);
  void* context = library.make_context(model, settings);
  if (context == nullptr) {
    library.free_model(model);
    return Error(ErrorKind::exhausted, "libllama.so: no memory for a context");
  }
  auto decoder = std::make_unique<LlamaDecoder>(library, model, context);
  models::TextSide text = TRY(models::load_text_side(package, info.name, info.vocabulary));
  if (options.progress) options.progress(1);
  return adapters::make_continued_model(std::move(decoder), info, std::move(text));
}

bool reads(const Package&) { return false; }

}  // namespace

extern const Engine libllama_engine;
const Engine libllama_engine{.name = "libllama",
                             .summary = "GGUF files, by llama.cpp where its library is installed",
                             .reads = reads,
                             .fit = fit,
                             .describe = describe_gguf,
                             .load = load};

}  // namespace hearth
