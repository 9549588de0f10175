// Library: the models of this machine, found by reference and held in use by leases.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.h"
#include "base/result.h"
#include "formats/package.h"
#include "library/adapters.h"
#include "library/aliases.h"
#include "library/folders.h"
#include "library/model_pool.h"
#include "library/reference.h"
#include "models/model.h"
#include "runtime/runner.h"

namespace hearth {

class GrammarEngine;  // text/grammar/engine.h

// Of any kind that reference.h knows, as long as the model is on this machine: nothing is fetched.
// Errors: not_found (with the command that helps), and those of open_package.
Result<Package> open_reference(const std::string& reference,
                               const LibraryFolders& folders = standard_folders());

// How tokens are drawn where a request does not say; nothing: as the model's authors recommend.
struct SamplingWishes {
  std::optional<float> temperature, top_p, min_p, repetition_penalty;
  std::optional<std::int32_t> top_k;
};
SamplingOptions with_wishes(SamplingOptions recommended, const SamplingWishes& wishes);

// What may change while models are in use.
struct LibraryTuning {
  int threads = 0;       // 0: one per physical core that this process may use
  RunnerOptions runner;  // its RunnerLimits count at once, the rest for models loaded from now on
  std::optional<Dtype> kv_dtype;  // as LoadOptions, for models loaded from now on
  std::string draft;              // as LibraryOptions, for models loaded from now on
  SamplingWishes sampling;
  PoolLimits pool;
};

struct LibraryOptions {
  int threads = 0;      // 0: one per physical core that this process may use
  std::string kernels;  // name of a kernel table; empty: the best that runs here
  RunnerOptions runner;
  std::optional<Dtype> kv_dtype;
  std::string draft;  // reference of a model that guesses for those of the same tokens; empty: none
  SamplingWishes sampling;
  LibraryFolders folders = standard_folders();
  std::string tower = {};  // file of the vision tower of every GGUF model; empty: the one beside it
  PoolOptions pool;
  // What a reference means; empty: whatever find_model() finds.
  std::function<Result<LocalModel>(const std::string& reference)> find;
  ModelPool::Observer observer;
  decltype(ModelSource::repair) repair;
  std::string engine = {};  // the only one that loads models; empty: the best of each
  // Each model that generates is loaded with those that fit it.
  std::vector<AdapterWish> adapters = {};
  bool adapters_must_fit = false;  // a model that one of them does not fit is not loaded
};

// A model in use.  Immutable but for what Runner allows; thread-safe.
struct LoadedModel {
  std::string reference;            // as first asked for
  std::string path;                 // of its file or folder; the built-in ones: their name
  std::string id;                   // how the server lists it: its name, or its file's or folder's
  std::int64_t loaded_seconds = 0;  // Unix time
  std::uint64_t weight_bytes = 0;   // of memory, as far as it could be told when it was loaded
  // What the model's authors recommend, for requests that do not say: generation_config.json
  // (temperature, top_k, top_p, min_p, repetition_penalty; do_sample false = temperature 0) or the
  // GGUF keys general.sampling.{temp,top_k,top_p,min_p}; otherwise temperature 0.7, min_p 0.05.
  // The built-in model's is temperature 0.
  SamplingOptions sampling;
  std::shared_ptr<const Guarded<SamplingWishes>> wishes;  // nullptr: none
  std::unique_ptr<Runner> runner;
  std::shared_ptr<GrammarEngine> grammars;  // that its answers can be held to; thread-safe
  std::string engine;                       // that runs it: "transformer"
  std::shared_ptr<Adapters> adapters;       // nullptr: it has none
  std::shared_ptr<AdapterShelf> shelf = std::make_shared<AdapterShelf>();

  const Model& model() const { return runner->model(); }
  SamplingOptions standard_sampling() const;  // `sampling`, and what the person wished
};

// Thread-safe.
class Library {
 public:
  // Errors: not_found (a kernel table of that name), unsupported (it does not run here).
  static Result<std::unique_ptr<Library>> create(const LibraryOptions& options = {});
  ~Library();

  // Loads the model, or shares it when it is loaded already (by reference, id or same file).
  Result<Lease> acquire(const std::string& reference,
                        const std::function<void(double share)>& progress = {},
                        std::stop_token stop = {});
  std::vector<Lease> loaded() const;  // in order of loading
  ModelPool& pool();
  void tune(const LibraryTuning& tuning);
  const std::vector<AdapterWish>& adapters() const;  // of LibraryOptions
  // What a name of the user's own means: the model that it stands for, with what its preset adds.
  // Errors: those of the preset's adapters.
  Result<Lease> with_preset(const Lease& model, const Preset& preset) const;

  int threads() const;
  std::string_view kernels() const;  // name of the table in use

 private:
  struct State;
  explicit Library(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// ---- What the command line, the C API and the server all need on top of a lease. ----

// The prompt of a conversation, as tokens: the model's own template (or ChatML where it has none),
// control tokens only where the template wrote them.  messages: OpenAI form; pictures as data:
// URLs. Errors: those of the template and of pictures_in, with the place; unsupported (pictures,
// and the model reads text alone); corrupt, exhausted (a picture that cannot be read).
struct ChatPrompt {
  std::string text;
  std::vector<Token> tokens;
  std::vector<PromptPicture> pictures;  // of messages that show some
};
Result<ChatPrompt> chat_prompt(const Model& model, const Json& messages, const Json& tools = {},
                               const Json& variables = Json::object(),
                               bool add_generation_prompt = true);

// Vectors of texts, one each, as the model pools them; a text that is too long is cut.
// Errors: those of Runner::embed.
Result<std::vector<std::vector<float>>> embed_texts(const LoadedModel& loaded,
                                                    const std::vector<std::string>& texts,
                                                    std::stop_token stop);

// How well each text answers the query, greater is better, by a cross-encoder: logits.
struct Ranking {
  std::vector<float> scores;
  std::int64_t tokens = 0;  // read by the model
  bool is_cut = false;      // a pair was too long
};
// Errors: unsupported: the model is none.
Result<Ranking> rerank_texts(const LoadedModel& loaded, const std::string& query,
                             const std::vector<std::string>& texts, std::stop_token stop);

}  // namespace hearth
