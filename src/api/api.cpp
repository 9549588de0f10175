// The C API of include/hearth/hearth.h over the library floor.
#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "api/handles.h"
#include "text/answer/held_answer.h"

namespace hearth {
namespace {

constexpr std::size_t max_stop_strings = 16;

hearth_status status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid:
      return HEARTH_INVALID;
    case ErrorKind::not_found:
      return HEARTH_NOT_FOUND;
    case ErrorKind::unsupported:
      return HEARTH_UNSUPPORTED;
    case ErrorKind::corrupt:
      return HEARTH_CORRUPT;
    case ErrorKind::too_long:
      return HEARTH_TOO_LONG;
    case ErrorKind::exhausted:
      return HEARTH_EXHAUSTED;
    case ErrorKind::unavailable:
      return HEARTH_UNAVAILABLE;
    case ErrorKind::io:
      return HEARTH_IO;
    case ErrorKind::cancelled:
      return HEARTH_CANCELLED;
  }
  return HEARTH_INVALID;
}

}  // namespace

hearth_status report(hearth_error* error, hearth_status status, const std::string& message) {
  if (error) {
    error->status = status;
    const std::size_t size = std::min(message.size(), sizeof error->message - 1);
    std::memcpy(error->message, message.data(), size);
    error->message[size] = 0;
  }
  return status;
}

hearth_status report(hearth_error* error, const Error& cause) {
  return report(error, status_of(cause.kind()), cause.message());
}

namespace {

Result<AnswerRule> rule_of(const hearth_generate_options& options) {
  AnswerRule rule;
  int count = 0;
  if (options.json_schema && ++count) {
    rule.kind = AnswerRule::Kind::schema;
    auto schema = parse_json(options.json_schema);
    if (!schema) return std::move(schema).error().within("json_schema");
    rule.schema = std::move(*schema);
  }
  if (options.grammar && ++count) {
    rule.kind = AnswerRule::Kind::gbnf;
    rule.text = options.grammar;
  }
  if (options.pattern && ++count) {
    rule.kind = AnswerRule::Kind::pattern;
    rule.text = options.pattern;
  }
  if (count > 1)
    return Error(ErrorKind::invalid, "json_schema, grammar, pattern: at most one may be given");
  return rule;
}

// prompt: what the model's template made; empty: the text is continued as it stands.
Result<GenerateRequest> request_of(const LoadedModel& model, const hearth_generate_options* given,
                                   std::string_view prompt) {
  const hearth_generate_options options =
      complete(given, hearth_generate_options HEARTH_GENERATE_OPTIONS_INIT);
  GenerateRequest request;
  HeldAnswer held{.rule = TRY(rule_of(options))};
  AnswerForm form;
  if (!prompt.empty()) form = find_answer_form(model.model().chat_template_source());
  held.is_thinking = begins_thought(form, prompt);
  request.constraint = TRY(hold_answer(*model.grammars, form, held));
  request.sampling = model.sampling;
  if (options.temperature >= 0) request.sampling.temperature = options.temperature;
  if (options.top_p >= 0) request.sampling.top_p = options.top_p;
  if (options.top_k >= 0) request.sampling.top_k = options.top_k;
  if (options.min_p >= 0) request.sampling.min_p = options.min_p;
  request.sampling.seed = options.seed;
  request.max_tokens = options.max_tokens;
  request.deterministic = options.deterministic != 0;
  for (std::size_t i = 0; i < std::min(options.stop_count, max_stop_strings + 1); ++i)
    request.stop.emplace_back(options.stop[i]);
  return request;
}

hearth_status run(const LoadedModel& model, GenerateRequest request, hearth_on_text on_text,
                  void* user, hearth_usage* usage, hearth_error* error) {
  std::stop_source stop;
  request.stop_token = stop.get_token();
  const auto answer = generate(*model.runner, std::move(request), [&](std::string_view text) {
    if (on_text && on_text(text.data(), text.size(), user) != 0) stop.request_stop();
  });
  if (!answer) return report(error, answer.error());
  if (usage)
    *usage = {answer->usage.prompt_tokens, answer->usage.cached_tokens,
              answer->usage.completion_tokens, answer->usage.prefill_seconds,
              answer->usage.decode_seconds};
  if (answer->finish == FinishReason::cancelled)
    return report(error, HEARTH_CANCELLED, "the callback asked to stop");
  return HEARTH_OK;
}

}  // namespace
}  // namespace hearth

using namespace hearth;

const char* hearth_version(void) { return HEARTH_VERSION; }

hearth_status hearth_open(const hearth_runtime_options* given, hearth_runtime** runtime,
                          hearth_error* error) {
  if (!runtime) return report(error, HEARTH_INVALID, "runtime: NULL");
  const hearth_runtime_options options =
      complete(given, hearth_runtime_options HEARTH_RUNTIME_OPTIONS_INIT);
  LibraryOptions library_options;
  library_options.threads = options.threads;
  if (options.kernels) library_options.kernels = options.kernels;
  library_options.runner.context_tokens = options.context_tokens;
  auto library = Library::create(library_options);
  if (!library) return report(error, library.error());
  *runtime = new hearth_runtime{std::move(*library)};
  return HEARTH_OK;
}

void hearth_close(hearth_runtime* runtime) { delete runtime; }

hearth_status hearth_load(hearth_runtime* runtime, const char* reference, hearth_model** model,
                          hearth_error* error) {
  if (!runtime || !reference || !model)
    return report(error, HEARTH_INVALID, "hearth_load: a NULL argument");
  auto lease = runtime->library->acquire(reference);
  if (!lease) return report(error, lease.error());
  *model = new hearth_model{std::move(*lease)};
  return HEARTH_OK;
}

void hearth_release(hearth_model* model) { delete model; }

hearth_status hearth_generate(hearth_model* model, const char* prompt,
                              const hearth_generate_options* options, hearth_on_text on_text,
                              void* user, hearth_usage* usage, hearth_error* error) {
  if (!model || !prompt) return report(error, HEARTH_INVALID, "hearth_generate: a NULL argument");
  auto tokens = model->lease->model().tokenizer().encode(
      prompt, {.add_special = true, .parse_special = true});
  if (!tokens) return report(error, tokens.error());
  auto request = request_of(*model->lease, options, "");
  if (!request) return report(error, request.error());
  request->prompt = std::move(*tokens);
  return run(*model->lease, std::move(*request), on_text, user, usage, error);
}

hearth_status hearth_chat(hearth_model* model, const char* messages,
                          const hearth_generate_options* options, hearth_on_text on_text,
                          void* user, hearth_usage* usage, hearth_error* error) {
  if (!model || !messages) return report(error, HEARTH_INVALID, "hearth_chat: a NULL argument");
  const auto parsed = parse_json(messages);
  if (!parsed) return report(error, parsed.error());
  auto prompt = chat_prompt(model->lease->model(), *parsed);
  if (!prompt) return report(error, prompt.error());
  auto request = request_of(*model->lease, options, prompt->text);
  if (!request) return report(error, request.error());
  request->prompt = std::move(prompt->tokens);
  request->pictures = std::move(prompt->pictures);
  return run(*model->lease, std::move(*request), on_text, user, usage, error);
}

size_t hearth_embedding_dim(const hearth_model* model) {
  return model ? model->lease->model().embedding_dim() : 0;
}

hearth_status hearth_embed(hearth_model* model, const char* const* texts, size_t count,
                           float* vectors, hearth_error* error) {
  if (!model || (count > 0 && (!texts || !vectors)))
    return report(error, HEARTH_INVALID, "hearth_embed: a NULL argument");
  std::vector<std::vector<Token>> tokens;
  for (size_t i = 0; i < count; ++i) {
    auto encoded = model->lease->model().tokenizer().encode(texts[i], {.add_special = true});
    if (!encoded) return report(error, encoded.error());
    tokens.push_back(std::move(*encoded));
  }
  const auto results = model->lease->runner->embed(tokens);
  if (!results) return report(error, results.error());
  for (const auto& vector : *results) vectors = std::copy(vector.begin(), vector.end(), vectors);
  return HEARTH_OK;
}

hearth_status hearth_tokenize(const hearth_model* model, const char* text, size_t size,
                              int32_t special, int32_t* tokens, size_t capacity, size_t* count,
                              hearth_error* error) {
  if (!model || !text || !count || (capacity > 0 && !tokens))
    return report(error, HEARTH_INVALID, "hearth_tokenize: a NULL argument");
  const auto ids = model->lease->model().tokenizer().encode(
      std::string_view(text, size), {.add_special = special != 0, .parse_special = special != 0});
  if (!ids) return report(error, ids.error());
  *count = ids->size();
  std::copy_n(ids->begin(), std::min(capacity, ids->size()), tokens);
  if (ids->size() > capacity) return report(error, HEARTH_SMALL_BUFFER, "more tokens than room");
  return HEARTH_OK;
}

hearth_status hearth_detokenize(const hearth_model* model, const int32_t* tokens, size_t count,
                                char* text, size_t capacity, size_t* size, hearth_error* error) {
  if (!model || (count > 0 && !tokens) || !size || (capacity > 0 && !text))
    return report(error, HEARTH_INVALID, "hearth_detokenize: a NULL argument");
  const std::string whole = model->lease->model().tokenizer().decode(std::span(tokens, count));
  *size = whole.size();
  std::copy_n(whole.begin(), std::min(capacity, whole.size()), text);
  if (whole.size() > capacity) return report(error, HEARTH_SMALL_BUFFER, "more text than room");
  return HEARTH_OK;
}
