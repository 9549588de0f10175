// The routes that are llama-server's own: /completion, /infill, /props, /slots, /lora-adapters.
// Source: llama.cpp, tools/server/README.md.
#include <fmt/core.h>

#include "library/adapters.h"
#include "server/answer_rule.h"
#include "server/describe.h"
#include "server/generation.h"
#include "server/kinds.h"
#include "server/prompts.h"
#include "server/reply.h"
#include "server/rows.h"
#include "server/schemas.h"
#include "server/task.h"

namespace hearth::server {
namespace {

constexpr std::size_t max_prompts = 1;  // one request, one text
constexpr std::size_t max_extra_files = 64;

std::string data(const Json& value) { return fmt::format("data: {}\n\n", write_json(value)); }

double per_second(std::int64_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

class LlamaEncoder final : public Encoder {
 public:
  explicit LlamaEncoder(std::string prompt) : prompt_(std::move(prompt)) {}

  StreamForm stream_form(const AnswerFrame&) const override {
    return {"text/event-stream; charset=utf-8", ": ping\n\n"};
  }
  std::string part(const AnswerFrame&, const AnswerPart& part) override {
    if (part.finish) note_finish(part);
    if (part.text.empty()) return "";
    return data(Json::object({{"index", 0}, {"content", part.text}, {"stop", false}}));
  }
  std::string end(const AnswerFrame& frame, const Usage& usage) override {
    return data(last(frame, usage, ""));
  }
  std::string failure(const AnswerFrame&, const http::Problem& problem) override {
    return "data: " + http::error_json(problem) + "\n\n";
  }
  std::string whole(const AnswerFrame& frame, const std::vector<AnswerPart>& choices,
                    const Usage& usage) override {
    note_finish(choices.front());
    return write_json(last(frame, usage, choices.front().text));
  }

 private:
  void note_finish(const AnswerPart& part) {
    finish_ = part.finish.value_or(FinishReason::stop);
    stop_string_ = part.stop_string;
  }
  std::string_view stop_type() const {
    if (finish_ == FinishReason::length) return "limit";
    return stop_string_.empty() ? "eos" : "word";
  }
  Json last(const AnswerFrame& frame, const Usage& usage, std::string_view text) const {
    const std::int64_t read = usage.prompt_tokens - usage.cached_tokens;
    Json timings = Json::object(
        {{"prompt_n", read},
         {"prompt_ms", usage.prefill_seconds * 1e3},
         {"prompt_per_second", per_second(read, usage.prefill_seconds)},
         {"predicted_n", usage.completion_tokens},
         {"predicted_ms", usage.decode_seconds * 1e3},
         {"predicted_per_second", per_second(usage.completion_tokens, usage.decode_seconds)}});
    if (usage.guessed_tokens > 0) {
      timings.set("draft_n", usage.guessed_tokens);
      timings.set("draft_n_accepted", usage.guessed_right);
    }
    return Json::object({{"index", 0},
                         {"content", text},
                         {"stop", true},
                         {"id_slot", 0},
                         {"model", frame.model},
                         {"prompt", prompt_},
                         {"tokens_predicted", usage.completion_tokens},
                         {"tokens_evaluated", usage.prompt_tokens},
                         {"tokens_cached", usage.cached_tokens},
                         {"truncated", false},
                         {"stop_type", stop_type()},
                         {"stopping_word", stop_string_},
                         {"timings", std::move(timings)}});
  }

  const std::string prompt_;
  FinishReason finish_ = FinishReason::stop;
  std::string stop_string_;
};

// Their names for our parameters.
Json translated(Json body) {
  const Json* tokens = body.find("n_predict");
  // -1: until the model ends.
  if (tokens && tokens->is_integer() && tokens->as_integer() > 0) {
    const Json value = *tokens;
    body.set("max_tokens", value);
  }
  if (const Json* seed = body.find("seed"); seed && *seed == Json(-1)) body.set("seed", Json());
  // Log probabilities have another form there, which is not offered.
  body.set("logprobs", Json());
  return body;
}

Check refuse_unsupported(const Json& body) {
  if (const Json* count = body.find("n_probs"); count && *count != Json(0) && !count->is_null())
    return unsupported_value("n_probs", "is not offered here: /v1/completions has logprobs");
  return Done{};
}

Check generate(Service& service, Call& call, const Json& given,
               Checked<std::vector<Token>> (*read)(const Json&, const Tokenizer&, FimWindow&)) {
  TRY(refuse_unsupported(given));
  const Json body = with_preset(service.preset_of(given), translated(given));
  TRY(may_generate(service, body));
  Lease lease = TRY(service.model_of(call, body, true));
  TRY(check_generates(*lease));
  const Tokenizer& tokenizer = lease->model().tokenizer();
  Task task;
  task.asked =
      TRY(read_parameters(body, Dialect::completion, tokenizer.size(), lease->standard_sampling()));
  task.prompt_field = "prompt";
  Prompt prompt;
  FimWindow window = TRY(read_window(body, *lease, task.asked));
  prompt.tokens = TRY(read(body, tokenizer, window));
  task.asked.warning += window.warning;
  std::string text = tokenizer.decode(prompt.tokens, true);
  task.prompts.push_back(std::move(prompt));
  TRY(hold(*lease, {.rule = task.asked.rule}, {}, task));
  std::make_shared<Generation>(service, std::move(call), std::move(lease), std::move(task),
                               std::make_unique<LlamaEncoder>(std::move(text)))
      ->start();
  return Done{};
}

Checked<std::vector<Token>> read_prompt(const Json& body, const Tokenizer& tokenizer, FimWindow&) {
  const auto prompts = TRY(read_prompts(body, "prompt", max_prompts, tokenizer.size()));
  const std::string* text = std::get_if<std::string>(&prompts.front());
  if (!text) return std::get<std::vector<Token>>(prompts.front());
  return TRY(tokenizer.encode(*text, {.add_special = true, .parse_special = true}));
}

// The text before the place, behind other files where there are some.
Checked<std::vector<Token>> read_infill(const Json& body, const Tokenizer& tokenizer,
                                        FimWindow& window) {
  std::string before;
  if (const Json* extra = body.find("input_extra"); extra && extra->is_array()) {
    if (extra->size() > max_extra_files)
      return invalid_value("input_extra", fmt::format("needs at most {}", max_extra_files));
    for (const Json& file : extra->as_array()) {
      const Json* text = file.find("text");
      if (text && text->is_string()) before += text->as_string() + "\n";
    }
  }
  before += TRY(read_text(body, "input_prefix", max_suffix_bytes)).value_or("");
  before += TRY(read_text(body, "prompt", max_suffix_bytes)).value_or("");
  const auto after = TRY(read_text(body, "input_suffix", max_suffix_bytes)).value_or("");
  return fill_in_the_middle(tokenizer, before, after, window);
}

Check completion(Service& service, Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  return generate(service, call, body, read_prompt);
}

Check infill(Service& service, Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  return generate(service, call, body, read_infill);
}

Json settings_of(const LoadedModel& loaded) {
  const SamplingOptions sampling = loaded.standard_sampling();
  return Json::object({{"n_ctx", loaded.runner->context_tokens()},
                       {"temperature", sampling.temperature},
                       {"top_k", sampling.top_k},
                       {"top_p", sampling.top_p},
                       {"min_p", sampling.min_p}});
}

// The model that the query names, or the standard one.
Checked<Lease> queried_model(Service& service, const Call& call) {
  Json body = Json::object();
  for (const auto& [name, value] : call.request.query)
    if (name == "model") body.set("model", value);
  return service.model_of(call, body, true);
}

Checked<Json> props(Service& service, const Call& call) {
  const Lease lease = TRY(queried_model(service, call));
  const ModelInfo& info = lease->model().info();
  return Json::object({{"default_generation_settings", settings_of(*lease)},
                       {"total_slots", 1},
                       {"model_alias", lease->id},
                       {"model_path", lease->id},
                       {"chat_template", lease->model().chat_template_source()},
                       {"modalities", Json::object({{"vision", lease->model().vision() != nullptr},
                                                    {"audio", false}})},
                       {"n_ctx_train", info.context_length},
                       {"build_info", "hearth " HEARTH_VERSION}});
}

// What runs, a row for each model in memory.
Checked<Json> slots(Service& service, const Call&) {
  Json list = Json::array();
  int id = 0;
  for (const Lease& lease : service.pool->loaded()) {
    if (lease->model().info().kind != ModelKind::generator) continue;
    const RunnerStats stats = lease->runner->stats();
    list.push_back(Json::object({{"id", id++},
                                 {"model", lease->id},
                                 {"n_ctx", lease->runner->context_tokens()},
                                 {"is_processing", stats.running > 0},
                                 {"running", stats.running},
                                 {"queued", stats.queued}}));
  }
  return list;
}

Checked<Json> list_adapters(Service& service, const Call& call) {
  const Lease lease = TRY(queried_model(service, call));
  Json list = Json::array();
  if (!lease->adapters) return list;
  const std::vector<float> scales = lease->adapters->scales();
  for (const auto& entry : lease->adapters->entries()) {
    const std::size_t id = list.size();
    list.push_back(Json::object(
        {{"id", id}, {"name", entry.name}, {"path", entry.path}, {"scale", scales[id]}}));
  }
  return list;
}

// How strongly each is in use where a request does not say; those not named are not.
Checked<Json> scale_adapters(Service& service, const Call& call) {
  const Lease lease = TRY(queried_model(service, call));
  auto list = parse_json(call.request.body);
  if (!list || !list->is_array()) return invalid_value("", "needs a list of {\"id\", \"scale\"}");
  const std::size_t count = lease->adapters ? lease->adapters->entries().size() : 0;
  if (count == 0 && list->size() > 0)
    return invalid_value("", fmt::format("names adapters: {} has none", lease->id));
  std::vector<float> scales(count, 0);
  for (const Json& item : list->as_array()) {
    const auto last = static_cast<std::int64_t>(count) - 1;
    const auto id = item.is_object() ? TRY(read_integer(item, "id", 0, last)) : std::nullopt;
    const auto scale =
        item.is_object() ? TRY(read_number(item, "scale", {-max_adapter_scale, max_adapter_scale}))
                         : std::nullopt;
    if (!id || !scale) return invalid_value("", "needs a list of {\"id\", \"scale\"}");
    scales[static_cast<std::size_t>(*id)] = static_cast<float>(*scale);
  }
  if (lease->adapters) lease->adapters->set_scales(std::move(scales));
  return Json::object({{"success", true}});
}

constexpr auto worker = Endpoint::Place::worker;
constexpr Endpoint rows[] = {
    {"POST", "/completion", "Continue a text (llama-server).", Scope::chat, "LlamaRequest",
     "LlamaAnswer", worker, start_answer<completion>, true},
    {"POST", "/infill", "Fill in the middle of a text (llama-server).", Scope::chat, "LlamaRequest",
     "LlamaAnswer", worker, start_answer<infill>, true},
    {"GET", "/props", "What a model reads and how it samples (llama-server).", Scope::chat, "", "",
     worker, reply_json<props>},
    {"GET", "/slots", "What runs (llama-server).", Scope::chat, "", "", worker, reply_json<slots>},
    {"GET", "/lora-adapters", "LoRA adapters of a model, and their scales (llama-server).",
     Scope::chat, "", "", worker, reply_json<list_adapters>},
    {"POST", "/lora-adapters", "How strongly they are in use where a request does not say.",
     Scope::manage, "", "", worker, reply_json<scale_adapters>},
};

}  // namespace

std::span<const Endpoint> llama_server_rows() { return rows; }

namespace schema {

void add_llama_server(Json& all) {
  Json request = Json::object({{"prompt", any_of({type("string"), list_of(type("integer"))})},
                               {"n_predict", type("integer", "-1: until the model ends.")},
                               {"stream", type("boolean")},
                               {"stop", list_of(type("string"))},
                               {"input_prefix", type("string", "/infill: before the place.")},
                               {"input_suffix", type("string", "/infill: after it.")},
                               {"input_extra", list_of(type("object", "/infill: other files."))}});
  add_sampling_numbers(request);
  all.set("LlamaRequest", object_of(std::move(request)));
  all.set("LlamaAnswer", object_of(Json::object({{"content", type("string")},
                                                 {"stop", type("boolean")},
                                                 {"stop_type", type("string", "eos, limit, word")},
                                                 {"tokens_predicted", type("integer")},
                                                 {"tokens_evaluated", type("integer")},
                                                 {"timings", type("object")}})));
}

}  // namespace schema
}  // namespace hearth::server
