// POST /v1/chat/completions.  Source: OpenAI API reference, "Create chat completion".
#include "server/generation.h"
#include "server/reply.h"
#include "server/rows.h"
#include "server/wire.h"

namespace hearth::server {
namespace {

Check run(Service& service, Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  Lease lease = TRY(service.model_of(call, body));
  TRY(check_generates(*lease));
  const Tokenizer& tokenizer = lease->model().tokenizer();
  Asked asked =
      TRY(read_parameters(body, Dialect::chat, tokenizer.size(), lease->standard_sampling()));
  ChatInput input = TRY(read_chat_input(body));
  Task task = TRY(chat_task(*lease, std::move(input), std::move(asked)));
  auto encoder = openai_encoder(Dialect::chat, task.asked.include_usage, tokenizer);
  std::make_shared<Generation>(service, std::move(call), std::move(lease), std::move(task),
                               std::move(encoder))
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
