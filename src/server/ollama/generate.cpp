// POST /api/generate.  Source: Ollama, docs/api.md, "Generate a completion".
#include "server/answer_rule.h"
#include "server/fields.h"
#include "server/generation.h"
#include "server/kinds.h"
#include "server/ollama/ollama.h"
#include "server/prompts.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

using namespace ollama;

struct Question {
  std::string prompt;
  std::optional<std::string> system, suffix;
  std::vector<Token> context;  // the conversation so far
  Json images;                 // parts; null: none
  bool is_raw = false;         // the prompt is what the model reads
};

Checked<Question> read_question(const Json& body, const Tokenizer& tokenizer) {
  Question question;
  question.prompt = TRY(read_text(body, "prompt", max_text_bytes)).value_or("");
  question.system = TRY(read_text(body, "system", max_text_bytes));
  question.suffix = TRY(read_text(body, "suffix", max_suffix_bytes));
  question.is_raw = TRY(read_bool(body, "raw")).value_or(false);
  if (question.suffix && question.suffix->empty()) question.suffix.reset();
  if (question.system && question.system->empty()) question.system.reset();
  const auto own_template = TRY(read_text(body, "template", max_text_bytes));
  if (own_template && !own_template->empty())
    return unsupported_value("template", "the model's own template is used; `raw` uses none");
  if (const Json* context = body.find("context"); context && context->size() > 0)
    question.context = TRY(read_tokens(*context, "context", tokenizer.size()));
  if (const Json* images = body.find("images"); images && images->size() > 0)
    question.images = TRY(image_parts(*images, "images"));
  if (question.images.is_array() &&
      (question.is_raw || question.suffix || !question.context.empty()))
    return unsupported_value("images", "does not go with raw, suffix or context");
  if (question.is_raw && (question.system || !question.context.empty()))
    return unsupported_value("raw", "does not go with system or context");
  return question;
}

// Models without a template read the prompt as it is, as Ollama has them do.
Checked<Task> make_task(const LoadedModel& loaded, const Question& question, const Preset& preset,
                        Asked asked, const Json& variables) {
  const Model& model = loaded.model();
  Task task;
  const bool shows = question.images.is_array();
  if (shows && model.vision() == nullptr)
    return unsupported_value("images", "this model reads text, it does not see");
  if (question.suffix || question.is_raw || (!model.chat_format() && !shows)) {
    Prompt prompt;
    FimWindow whole;  // nothing of it goes
    if (question.suffix)
      prompt.tokens =
          TRY(fill_in_the_middle(model.tokenizer(), question.prompt, *question.suffix, whole));
    else
      prompt.tokens = TRY(model.tokenizer().encode(
          question.prompt, {.add_special = true, .parse_special = question.is_raw}));
    task.asked = std::move(asked);
    task.prompts.push_back(std::move(prompt));
    TRY(hold(loaded, {.rule = task.asked.rule}, {}, task));
  } else {
    ChatInput input;
    if (question.system)
      input.messages.push_back(Json::object({{"role", "system"}, {"content", *question.system}}));
    Json content = question.prompt;
    if (question.images.is_array()) {
      content = question.images;
      content.push_back(Json::object({{"type", "text"}, {"text", question.prompt}}));
    }
    input.messages.push_back(Json::object({{"role", "user"}, {"content", std::move(content)}}));
    // What goes on has had its beginning.
    if (question.context.empty())
      input.messages = with_preset_messages(preset, std::move(input.messages));
    input.variables = variables;
    task = TRY(chat_task(loaded, std::move(input), std::move(asked)));
  }
  std::vector<Token>& tokens = task.prompts.front().tokens;
  if (!question.context.empty()) {
    const SpecialTokens& special = model.tokenizer().special();
    const bool has_bos = special.bos && !tokens.empty() && tokens.front() == *special.bos;
    if (has_bos) tokens.erase(tokens.begin());
    tokens.insert(tokens.begin(), question.context.begin(), question.context.end());
  }
  task.prompt_field = "prompt";
  return task;
}

Check run(Service& service, Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  if (TRY(take_unload(service, call, body, Shape::generate))) return Done{};
  if (const Json* asked = body.find("prompt"); asked && *asked != Json(""))
    TRY(may_generate(service, body));
  Lease lease = TRY(service.model_of(call, body));
  const Tokenizer& tokenizer = lease->model().tokenizer();
  std::optional<std::int64_t> context_tokens;
  const Preset preset = service.preset_of(body);
  Asked asked = TRY(read_options(body, preset, *lease, context_tokens));
  const std::string model = body.find("model")->as_string();
  const Question question = TRY(read_question(body, tokenizer));
  if (question.prompt.empty() && !question.suffix && !question.images.is_array()) {
    send(service, call, http::json_response(write_json(loaded_answer(Shape::generate, model))));
    return Done{};
  }
  TRY(check_generates(*lease));
  const Json variables = TRY(read_think(body));
  Task task = TRY(make_task(*lease, question, preset, std::move(asked), variables));
  task.context_tokens = context_tokens;
  std::optional<std::vector<Token>> context;
  // Tokens do not say what a picture showed.
  if (!question.is_raw && !question.suffix && !question.images.is_array())
    context = task.prompts.front().tokens;
  auto encoder = make_encoder(Shape::generate, model, tokenizer, std::move(context));
  std::make_shared<Generation>(service, std::move(call), std::move(lease), std::move(task),
                               std::move(encoder))
      ->start();
  return Done{};
}

}  // namespace

const Endpoint ollama_generate_endpoint{.method = "POST",
                                        .path = "/api/generate",
                                        .summary = "Answer a prompt, or continue a text (Ollama).",
                                        .scope = Scope::chat,
                                        .request_schema = "OllamaGenerateRequest",
                                        .response_schema = "OllamaGenerateAnswer",
                                        .place = Endpoint::Place::worker,
                                        .handle = start_answer<run>,
                                        .generates = true};

}  // namespace hearth::server
