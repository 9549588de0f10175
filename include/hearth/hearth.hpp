// Hearth from C++: a thin layer over hearth.h.  C++17.  Failures are thrown as hearth::Failure.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/hearth.h"

namespace hearth {

class Failure : public std::runtime_error {
 public:
  explicit Failure(const hearth_error& error)
      : std::runtime_error(error.message), status_(error.status) {}
  hearth_status status() const { return status_; }

 private:
  hearth_status status_;
};

namespace detail {

struct Check {
  hearth_error error{};
  void operator()(hearth_status status) const {
    if (status != HEARTH_OK) throw Failure(error);
  }
};

}  // namespace detail

struct GenerateOptions {
  std::int64_t max_tokens = -1;
  float temperature = -1, top_p = -1, min_p = -1;  // negative: the model's own
  std::int32_t top_k = -1;
  std::uint64_t seed = 0;
  std::vector<std::string> stop;
  bool deterministic = false;
  // What the answer must be; empty: anything.  At most one: a JSON schema, a grammar in GBNF, or a
  // regular expression that matches from end to end.
  std::string json_schema, grammar, pattern;
};

// Returns false to stop.
using OnText = std::function<bool(std::string_view text)>;

// A model in use.  Movable.  Several threads may call it at once.
class LocalModel {
 public:
  // The whole text; `on_text`, when given, also receives it as it comes.  When on_text stops, the
  // text so far is returned.
  std::string generate(const std::string& prompt, const GenerateOptions& options = {},
                       const OnText& on_text = {}) {
    return run(hearth_generate, prompt, options, on_text);
  }
  // messages: a JSON list of {"role": ..., "content": ...}.
  std::string chat(const std::string& messages, const GenerateOptions& options = {},
                   const OnText& on_text = {}) {
    return run(hearth_chat, messages, options, on_text);
  }

  std::vector<std::vector<float>> embed(const std::vector<std::string>& texts) {
    const std::size_t dim = hearth_embedding_dim(model_.get());
    std::vector<const char*> pointers;
    for (const std::string& text : texts) pointers.push_back(text.c_str());
    std::vector<float> flat(dim * texts.size());
    detail::Check check;
    check(hearth_embed(model_.get(), pointers.data(), pointers.size(), flat.data(), &check.error));
    std::vector<std::vector<float>> vectors;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const float* first = flat.data() + i * dim;
      vectors.emplace_back(first, first + dim);
    }
    return vectors;
  }

  std::vector<std::int32_t> tokenize(std::string_view text, bool special = false) const {
    detail::Check check;
    std::vector<std::int32_t> tokens(text.size() + 8);
    for (;;) {
      std::size_t count = 0;
      const hearth_status status =
          hearth_tokenize(model_.get(), text.data(), text.size(), special ? 1 : 0, tokens.data(),
                          tokens.size(), &count, &check.error);
      tokens.resize(count);
      if (status == HEARTH_SMALL_BUFFER) continue;
      check(status);
      return tokens;
    }
  }

  std::string detokenize(const std::vector<std::int32_t>& tokens) const {
    detail::Check check;
    std::string text(tokens.size() * 8 + 16, '\0');
    for (;;) {
      std::size_t size = 0;
      const hearth_status status = hearth_detokenize(model_.get(), tokens.data(), tokens.size(),
                                                     text.data(), text.size(), &size, &check.error);
      text.resize(size);
      if (status == HEARTH_SMALL_BUFFER) continue;
      check(status);
      return text;
    }
  }

 private:
  friend class Runtime;
  friend class Collection;
  explicit LocalModel(hearth_model* model) : model_(model, hearth_release) {}

  using Call = hearth_status (*)(hearth_model*, const char*, const hearth_generate_options*,
                                 hearth_on_text, void*, hearth_usage*, hearth_error*);

  std::string run(Call call, const std::string& input, const GenerateOptions& options,
                  const OnText& on_text) {
    std::vector<const char*> stop;
    for (const std::string& text : options.stop) stop.push_back(text.c_str());
    hearth_generate_options raw = HEARTH_GENERATE_OPTIONS_INIT;
    raw.max_tokens = options.max_tokens;
    raw.temperature = options.temperature;
    raw.top_p = options.top_p;
    raw.top_k = options.top_k;
    raw.min_p = options.min_p;
    raw.seed = options.seed;
    raw.stop = stop.data();
    raw.stop_count = stop.size();
    raw.deterministic = options.deterministic ? 1 : 0;
    if (!options.json_schema.empty()) raw.json_schema = options.json_schema.c_str();
    if (!options.grammar.empty()) raw.grammar = options.grammar.c_str();
    if (!options.pattern.empty()) raw.pattern = options.pattern.c_str();

    struct Sink {
      std::string text;
      const OnText& on_text;
    } sink{{}, on_text};
    const hearth_on_text forward = [](const char* text, std::size_t size, void* user) -> int {
      auto* to = static_cast<Sink*>(user);
      to->text.append(text, size);
      return !to->on_text || to->on_text(std::string_view(text, size)) ? 0 : 1;
    };
    detail::Check check;
    const hearth_status status =
        call(model_.get(), input.c_str(), &raw, forward, &sink, nullptr, &check.error);
    if (status != HEARTH_CANCELLED) check(status);
    return std::move(sink.text);
  }

  std::unique_ptr<hearth_model, void (*)(hearth_model*)> model_;
};

// The compute threads and the models in memory.  Outlives its models.
class Runtime {
 public:
  explicit Runtime(hearth_runtime_options options = HEARTH_RUNTIME_OPTIONS_INIT)
      : runtime_(open(options), hearth_close) {}

  LocalModel load(const std::string& reference) {
    detail::Check check;
    hearth_model* model = nullptr;
    check(hearth_load(runtime_.get(), reference.c_str(), &model, &check.error));
    return LocalModel(model);
  }

 private:
  static hearth_runtime* open(const hearth_runtime_options& options) {
    detail::Check check;
    hearth_runtime* runtime = nullptr;
    check(hearth_open(&options, &runtime, &check.error));
    return runtime;
  }

  std::unique_ptr<hearth_runtime, void (*)(hearth_runtime*)> runtime_;
};

// Documents with vectors, in a folder of their own.  Movable.  Several threads may call it at once.
// Texts in and out are JSON, as hearth.h says.
class Collection {
 public:
  // Made where there is none if `schema` is given; `model` makes the vectors of texts.
  explicit Collection(const std::string& folder, const std::string& schema = "",
                      const LocalModel* model = nullptr, bool read_only = false)
      : collection_(open(folder, schema, model, read_only), hearth_collection_close) {}

  void upsert(const std::string& documents) {
    detail::Check check;
    check(hearth_collection_upsert(collection_.get(), documents.c_str(), &check.error));
  }
  void remove(const std::vector<std::string>& ids) {
    std::vector<const char*> pointers;
    for (const std::string& id : ids) pointers.push_back(id.c_str());
    detail::Check check;
    check(hearth_collection_remove(collection_.get(), pointers.data(), pointers.size(),
                                   &check.error));
  }
  // How many.  filter: "year < 2000", or JSON.
  std::uint64_t remove_where(const std::string& filter) {
    detail::Check check;
    std::uint64_t removed = 0;
    check(
        hearth_collection_remove_where(collection_.get(), filter.c_str(), &removed, &check.error));
    return removed;
  }
  std::string search(const std::string& query) const {
    return ask(hearth_collection_search, query.c_str());
  }
  std::string get(const std::string& request) const {
    return ask(hearth_collection_get, request.c_str());
  }
  std::string scroll(const std::string& request = "{}") const {
    return ask(hearth_collection_scroll, request.c_str());
  }
  std::string tune(const std::string& options = "{}") {
    return ask(hearth_collection_tune, options.c_str());
  }
  std::string info() const {
    std::string answer;
    detail::Check check;
    check(hearth_collection_info(collection_.get(), keep, &answer, &check.error));
    return answer;
  }
  void reindex(const std::string& index) {
    detail::Check check;
    check(hearth_collection_reindex(collection_.get(), index.c_str(), &check.error));
  }
  void learn(const std::string& feedback) {
    detail::Check check;
    check(hearth_collection_feedback(collection_.get(), feedback.c_str(), &check.error));
  }
  void forget_feedback() {
    detail::Check check;
    check(hearth_collection_feedback(collection_.get(), nullptr, &check.error));
  }
  void snapshot(const std::string& folder) {
    detail::Check check;
    check(hearth_collection_snapshot(collection_.get(), folder.c_str(), &check.error));
  }
  std::uint64_t count() const {
    detail::Check check;
    std::uint64_t count = 0;
    check(hearth_collection_count(collection_.get(), &count, &check.error));
    return count;
  }

 private:
  static int keep(const char* text, std::size_t size, void* user) {
    static_cast<std::string*>(user)->assign(text, size);
    return 0;
  }
  using Function = hearth_status(hearth_collection*, const char*, hearth_on_text, void*,
                                 hearth_error*);
  std::string ask(Function* function, const char* request) const {
    std::string answer;
    detail::Check check;
    check(function(collection_.get(), request, keep, &answer, &check.error));
    return answer;
  }

  static hearth_collection* open(const std::string& folder, const std::string& schema,
                                 const LocalModel* model, bool read_only) {
    hearth_collection_options options = HEARTH_COLLECTION_OPTIONS_INIT;
    if (!schema.empty()) options.schema = schema.c_str();
    if (model) options.model = model->model_.get();
    options.read_only = read_only ? 1 : 0;
    detail::Check check;
    hearth_collection* collection = nullptr;
    check(hearth_collection_open(folder.c_str(), &options, &collection, &check.error));
    return collection;
  }

  std::unique_ptr<hearth_collection, void (*)(hearth_collection*)> collection_;
};

}  // namespace hearth
