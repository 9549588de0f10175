// POST /v1/chat/completions.  Source: OpenAI API reference, "Create chat completion".
#include <fmt/core.h>

#include "server/generation.h"
#include "server/kinds.h"
#include "server/message_files.h"
#include "server/reply.h"
#include "server/rows.h"
#include "server/tools/loop.h"
#include "server/wire.h"

namespace hearth::server {
namespace {

constexpr std::int64_t far_tokens = std::int64_t{1} << 31;

// The names that other servers' clients have for the room they want: less of it is a limit, more of
// it changes no answer, for nothing is ever cut to fit.
Checked<std::optional<std::int64_t>> read_context(const Json& body, const LoadedModel& loaded,
                                                  std::string& warning) {
  const Json* options = given(body, "options");
  std::optional<std::int64_t> wish;
  for (const auto& [object, name] :
       {std::pair{&body, "num_ctx"}, {&body, "n_ctx"}, {options ? options : &body, "num_ctx"}})
    if (!wish) wish = TRY(read_integer(*object, name, 1, far_tokens));
  const std::int64_t has = loaded.runner->context_tokens();
  if (wish && *wish > has)
    warning += fmt::format("{}num_ctx {} is more than the context of {}",
                           warning.empty() ? "" : "; ", *wish, has);
  return wish;
}

// {"type": "content", "content": TEXT or parts of type "text"}: what the answer may say again.
Checked<std::vector<Token>> read_prediction(const Json& body, const Tokenizer& tokenizer) {
  const Json* prediction = given(body, "prediction");
  if (!prediction) return std::vector<Token>();
  const Json* content = prediction->is_object() ? prediction->find("content") : nullptr;
  const Json* type = prediction->is_object() ? prediction->find("type") : nullptr;
  if (!content || !type || *type != Json("content"))
    return invalid_value("prediction", "needs the type \"content\", and content");
  const Json parts = content->is_array() ? *content : Json(Json::Array{*content});
  std::string text;
  for (const Json& part : parts.as_array()) {
    const Json* own = part.is_object() ? part.find("text") : &part;
    if (!own || !own->is_string())
      return invalid_value("prediction", "needs a text, or parts with texts");
    text += own->as_string();
  }
  return TRY(tokenizer.encode(text, {}));
}

Check run(Service& service, Call& call) {
  Json body = TRY(parse_body(call.request.body));
  TRY(may_generate(service, body));
  Lease lease = TRY(service.model_of(call, body));
  const Preset preset = service.preset_of(body);
  body = with_preset(preset, std::move(body));
  TRY(check_generates(*lease));
  if (Json* messages = body.find("messages")) TRY(place_files(service, call, *messages));
  const Tokenizer& tokenizer = lease->model().tokenizer();
  Asked asked =
      TRY(read_parameters(body, Dialect::chat, tokenizer.size(), lease->standard_sampling()));
  const auto context = TRY(read_context(body, *lease, asked.warning));
  asked.generate.predicted = TRY(read_prediction(body, tokenizer));
  ChatInput input = TRY(read_chat_input(body));
  input.context_tokens = context;
  ToolTask made =
      TRY(tool_task(service, call, *lease, std::move(input), std::move(asked), /*can_ask=*/false));
  made.task.context_tokens = context;
  if (made.loop) made.loop->context_tokens = context;
  auto encoder = openai_encoder(Dialect::chat, made.task.asked.include_usage, tokenizer);
  std::make_shared<Generation>(service, std::move(call), std::move(lease), std::move(made.task),
                               std::move(encoder), std::move(made.loop))
      ->start();
  return Done{};
}

}  // namespace

const Endpoint chat_endpoint{.method = "POST",
                             .path = "/v1/chat/completions",
                             .summary = "Answer a conversation.",
                             .scope = Scope::chat,
                             .request_schema = "ChatRequest",
                             .response_schema = "ChatAnswer",
                             .place = Endpoint::Place::worker,
                             .handle = start_answer<run>,
                             .generates = true};

}  // namespace hearth::server
