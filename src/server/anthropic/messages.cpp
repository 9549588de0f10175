// POST /v1/messages and /v1/messages/count_tokens.  Source: Anthropic API reference, "Messages".
#include "server/anthropic/anthropic.h"
#include "server/fields.h"
#include "server/generation.h"
#include "server/kinds.h"
#include "server/message_files.h"
#include "server/reply.h"
#include "server/rows.h"
#include "server/tools/loop.h"

namespace hearth::server {
namespace {

// An answer that the request has begun already goes on from there.
std::string take_beginning(ChatInput& input) {
  Json::Array& messages = input.messages.as_array();
  const Json& last = messages.back();
  if (*last.find("role") != Json("assistant") || last.find("tool_calls")) return "";
  std::string text = last.find("content")->as_string();
  messages.pop_back();
  return text;
}

Checked<ToolTask> read_task(Service& service, const Call& call, const Json& body,
                            const LoadedModel& loaded) {
  TRY(check_generates(loaded));
  std::string warning;
  Json regular = TRY(anthropic::translate_request(body, warning));
  TRY(place_files(service, call, *regular.find("messages")));
  regular = with_preset(service.preset_of(body), std::move(regular));
  Asked asked = TRY(read_parameters(regular, Dialect::chat, loaded.model().tokenizer().size(),
                                    loaded.standard_sampling()));
  asked.warning = std::move(warning);
  if (!asked.rule_field.empty()) asked.rule_field = "output_config.format";
  ChatInput input = TRY(read_chat_input(regular));
  const std::string beginning = take_beginning(input);
  if (!beginning.empty() && asked.rule.kind != AnswerRule::Kind::none)
    return unsupported_value("output_config.format", "does not go with an answer that is begun");
  ToolTask made =
      TRY(tool_task(service, call, loaded, std::move(input), std::move(asked), /*can_ask=*/false));
  Task& task = made.task;
  if (made.loop) made.loop->beginning = beginning;
  const auto more = TRY(loaded.model().tokenizer().encode(beginning, {}));
  std::vector<Token>& tokens = task.prompts.front().tokens;
  tokens.insert(tokens.end(), more.begin(), more.end());
  if (!beginning.empty() && task.reading) task.reading->is_thinking = false;
  return made;
}

Check run(Service& service, Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  TRY(may_generate(service, body));
  Lease lease = TRY(service.model_of(call, body));
  if (!body.find("max_tokens")) return invalid_value("max_tokens", "is missing");
  ToolTask made = TRY(read_task(service, call, body, *lease));
  std::make_shared<Generation>(service, std::move(call), std::move(lease), std::move(made.task),
                               anthropic::make_encoder(), std::move(made.loop))
      ->start();
  return Done{};
}

Checked<Json> count_tokens(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  TRY(may_generate(service, body));
  const Lease lease = TRY(service.model_of(call, body));
  const ToolTask made = TRY(read_task(service, call, body, *lease));
  return Json::object({{"input_tokens", made.task.prompts.front().tokens.size()}});
}

}  // namespace

const Endpoint messages_endpoint{.method = "POST",
                                 .path = "/v1/messages",
                                 .summary = "Answer a conversation (Anthropic).",
                                 .scope = Scope::chat,
                                 .request_schema = "MessagesRequest",
                                 .response_schema = "MessagesAnswer",
                                 .place = Endpoint::Place::worker,
                                 .handle = start_answer<run>,
                                 .generates = true};

const Endpoint count_tokens_endpoint{.method = "POST",
                                     .path = "/v1/messages/count_tokens",
                                     .summary = "Count a conversation's tokens (Anthropic).",
                                     .scope = Scope::chat,
                                     .request_schema = "MessagesRequest",
                                     .response_schema = "MessagesCount",
                                     .place = Endpoint::Place::worker,
                                     .handle = reply_json<count_tokens>};

}  // namespace hearth::server
