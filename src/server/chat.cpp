// POST /v1/chat/completions.  Source: OpenAI API reference, "Create chat completion".
#include "server/conversation.h"
#include "server/generation.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

Check run(Service& service, Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  Lease lease = TRY(service.model_of(body));
  const Model& model = lease->model();
  if (model.info().kind != ModelKind::generator)
    return unsupported_value("model", "does not generate text");
  Asked asked = TRY(read_parameters(body, Dialect::chat, model.tokenizer().size()));
  ChatInput input = TRY(read_chat_input(body));
  asked.warning = std::move(input.warning);
  auto prompt = chat_prompt(model, input.messages, input.tools, input.variables);
  if (!prompt) {
    Problem problem = to_problem(prompt.error());
    if (problem.status == 400) problem.param = "messages";
    return problem;
  }
  const auto generation = std::make_shared<Generation>(service, std::move(call), std::move(lease),
                                                       std::move(asked), Dialect::chat);
  generation->start({{std::move(prompt->tokens), ""}});
  return Done{};
}

void handle(Service& service, Call call) {
  Check done = run(service, call);
  if (!done.ok()) send(service, call, std::move(done).error());
}

}  // namespace

const Endpoint chat_endpoint{.method = "POST",
                             .path = "/v1/chat/completions",
                             .summary = "Answer a conversation.",
                             .scope = Scope::infer,
                             .request_schema = "ChatRequest",
                             .response_schema = "ChatAnswer",
                             .place = Endpoint::Place::worker,
                             .handle = handle,
                             .generates = true};

}  // namespace hearth::server
