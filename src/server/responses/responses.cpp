// /v1/responses.  Source: OpenAI API reference, "Responses".
#include <fmt/core.h>

#include "base/utf8.h"
#include "server/collections/files.h"
#include "server/fields.h"
#include "server/generation.h"
#include "server/kinds.h"
#include "server/message_files.h"
#include "server/reply.h"
#include "server/responses/responses.h"
#include "server/responses/store.h"
#include "server/responses/stored_prompt.h"
#include "server/rows.h"
#include "server/tools/loop.h"

namespace hearth::server {
namespace {

constexpr std::size_t max_id_bytes = 128;

Problem no_such_response(std::string_view id) {
  return {404, "not_found",
          fmt::format("There is no response '{}': it was not stored, or is no longer kept",
                      printable(std::string(id))),
          "", 0};
}

// The shared readers name the fields of chat completions.
Problem in_own_words(Problem problem) {
  if (problem.param.starts_with("messages")) problem.param = "input";
  if (problem.param == "response_format") problem.param = "text.format";
  return problem;
}

// A request on its way to a task.
struct Turn {
  std::shared_ptr<StoredResponse> record;
  bool is_stored = true, is_background = false;
  std::string conversation;  // what it belongs to; empty: to none
};

// "conv_...", or an object with that id.
Checked<std::string> read_conversation(const Json& body) {
  const Json* conversation = given(body, "conversation");
  if (!conversation) return std::string();
  const std::string_view id =
      conversation->is_string() ? conversation->as_string() : text_of(*conversation, "id");
  if (id.empty() || id.size() > max_id_bytes)
    return invalid_value("conversation", "needs the id of a conversation");
  if (given(body, "previous_response_id"))
    return invalid_value("conversation", "does not go with previous_response_id");
  return std::string(id);
}

Checked<Turn> read_turn(Service& service, const Call& call, const Json& body) {
  Turn turn;
  turn.is_stored = TRY(read_bool(body, "store")).value_or(true);
  turn.is_background = TRY(read_bool(body, "background")).value_or(false);
  if (turn.is_background && !turn.is_stored)
    return invalid_value("background", "needs store: there is no other way to get the answer");
  if (turn.is_background && TRY(read_bool(body, "stream")).value_or(false))
    return unsupported_value("background", "does not go with stream");
  const std::string id = call.request.id.substr(4);
  turn.record = std::make_shared<StoredResponse>();
  turn.record->id = "resp_" + id;
  turn.record->tenant = call.tenant;
  turn.record->input = std::make_shared<const Json>(TRY(responses::read_items(body, id)));
  turn.conversation = TRY(read_conversation(body));
  if (!turn.conversation.empty()) {
    auto conversation = service.responses->conversations.find(turn.conversation, call.tenant);
    if (!conversation) return no_such_conversation(turn.conversation, "conversation");
    turn.record->before = std::move(conversation->items);
  }
  const auto before = TRY(read_text(body, "previous_response_id", max_id_bytes));
  if (!before) return turn;
  turn.record->previous = service.responses->find(*before, call.tenant);
  if (!turn.record->previous)
    return Problem{404, "previous_response_not_found", no_such_response(*before).message,
                   "previous_response_id", 0};
  if (turn.record->previous->is_running())
    return invalid_value("previous_response_id", "is of a response that is not over");
  turn.record->depth = turn.record->previous->depth + 1;
  if (turn.record->depth > ResponseStore::max_depth)
    return invalid_value("previous_response_id", fmt::format("has {} turns before it: needs fewer",
                                                             turn.record->depth - 1));
  return turn;
}

// What a response repeats of its request.
Json echo_of(const Json& body, const Turn& turn) {
  const auto or_else = [&](std::string_view name, Json standard) {
    const Json* value = body.find(name);
    return value && !value->is_null() ? *value : std::move(standard);
  };
  const Json text_format = Json::object({{"format", Json::object({{"type", "text"}})}});
  const Json reasoning = Json::object({{"effort", Json()}, {"summary", Json()}});
  Json echo = Json::object({{"background", turn.is_background},
                            {"instructions", or_else("instructions", Json())},
                            {"max_output_tokens", or_else("max_output_tokens", Json())},
                            {"metadata", or_else("metadata", Json::object())},
                            {"parallel_tool_calls", or_else("parallel_tool_calls", true)},
                            {"previous_response_id", or_else("previous_response_id", Json())},
                            {"reasoning", or_else("reasoning", reasoning)},
                            {"service_tier", "default"},
                            {"store", turn.is_stored},
                            {"temperature", or_else("temperature", 1.0)},
                            {"text", or_else("text", text_format)},
                            {"tool_choice", or_else("tool_choice", "auto")},
                            {"tools", or_else("tools", Json::array())},
                            {"top_p", or_else("top_p", 1.0)},
                            {"truncation", or_else("truncation", "disabled")}});
  if (!turn.conversation.empty())
    echo.set("conversation", Json::object({{"id", turn.conversation}}));
  if (const Json* prompt = given(body, "prompt")) echo.set("prompt", *prompt);
  if (const Json* user = body.find("user"); user && user->is_string()) echo.set("user", *user);
  return echo;
}

bool includes(const Json& body, std::string_view what) {
  const Json* include = body.find("include");
  if (!include || !include->is_array()) return false;
  for (const Json& item : include->as_array())
    if (item == Json(what)) return true;
  return false;
}

struct Prepared {
  ToolTask made;
  responses::ResponseForm form;
};

Check take_approvals(responses::Translated& translated, ToolLoop& loop) {
  loop.max_calls = translated.max_tool_calls;
  for (responses::Approval& approval : translated.approvals) {
    ApprovedCall call;
    for (const ServedTool& tool : loop.offer().tools)
      if (tool.offered.server == approval.server && tool.offered.tool.name == approval.tool)
        call.call.served = &tool;
    if (!call.call.served)
      return invalid_value("input",
                           fmt::format("approves a call of '{}' of '{}', which this "
                                       "request is not offered",
                                       printable(approval.tool), printable(approval.server)));
    call.call.name = call.call.served->offered.name;
    call.call.id = std::move(approval.call_id);
    call.call.arguments = std::move(approval.arguments);
    call.approval_id = std::move(approval.request_id);
    call.message_index = approval.message_index;
    loop.approved.push_back(std::move(call));
  }
  return Done{};
}

Checked<Prepared> prepare_shared(Service& service, const Call& call, const Json& body,
                                 const LoadedModel& loaded, const StoredResponse& record) {
  const auto items = all_items(record);
  if (items.empty() && !given(body, "prompt")) return invalid_value("input", "is missing");
  const std::string prompt = TRY(responses::stored_prompt(body, responses::prompts_folder()));
  responses::Translated translated = TRY(responses::translate_request(body, items, prompt));
  TRY(place_files(service, call, *translated.body.find("messages")));
  translated.body = with_preset(service.preset_of(body), std::move(translated.body));
  const Tokenizer& tokenizer = loaded.model().tokenizer();
  Asked asked = TRY(read_parameters(translated.body, Dialect::chat, tokenizer.size(),
                                    loaded.standard_sampling()));
  asked.warning = std::move(translated.warning);
  if (asked.rule_field == "response_format") asked.rule_field = "text.format";
  ChatInput input = TRY(read_chat_input(translated.body));
  Prepared prepared;
  prepared.made = TRY(tool_task(service, call, loaded, std::move(input), std::move(asked),
                                /*can_ask=*/true, "input"));
  if (prepared.made.loop)
    TRY(take_approvals(translated, *prepared.made.loop));
  else if (!translated.approvals.empty())
    return invalid_value("tools", "has no server whose calls could be approved");
  prepared.form.tools = std::move(translated.tools);
  prepared.form.tokenizer = &tokenizer;
  prepared.form.seals_thoughts = includes(body, "reasoning.encrypted_content");
  return prepared;
}

Checked<Prepared> prepare(Service& service, const Call& call, const Json& body,
                          const LoadedModel& loaded, const StoredResponse& record) {
  auto prepared = prepare_shared(service, call, body, loaded, record);
  if (!prepared.ok()) return in_own_words(std::move(prepared).error());
  return std::move(prepared).value();
}

// Answers nobody: what there is to say of a response in the background stands in the store.
class BackgroundResponder final : public http::Responder {
 public:
  // `place`: the server waits for it before it ends, and with it the store.
  BackgroundResponder(std::shared_ptr<void> place, ResponseStore& store, StoredTurn record,
                      std::stop_source source)
      : place_(std::move(place)),
        store_(store),
        record_(std::move(record)),
        source_(std::move(source)) {}
  ~BackgroundResponder() override { fail("internal_error", "the answer was cut short"); }

  // A finished response is in the store already.
  void send(http::Response response) override {
    if (response.status == 200) {
      record_.reset();
      return;
    }
    const auto body = parse_json(response.body);
    const Json* error = body ? body->find("error") : nullptr;
    const Json* code = error ? error->find("code") : nullptr;
    const Json* message = error ? error->find("message") : nullptr;
    fail(code && code->is_string() ? code->as_string() : "internal_error",
         message && message->is_string() ? message->as_string() : "");
  }
  void start_stream(http::StreamStart) override {}
  void write(std::string_view) override {}
  void finish() override {}
  bool is_open() const override { return !source_.stop_requested(); }
  std::size_t pending_bytes() const override { return 0; }
  std::stop_token stop() const override { return source_.get_token(); }

 private:
  void fail(std::string_view code, std::string_view message) {
    const StoredTurn record = std::exchange(record_, nullptr);
    if (!record) return;
    auto failed = std::make_shared<StoredResponse>(*record);
    failed->response.set("status", "failed");
    failed->response.set("error", Json::object({{"code", code}, {"message", message}}));
    store_.finish(std::move(failed));
  }

  std::shared_ptr<void> place_;
  ResponseStore& store_;
  StoredTurn record_;  // nullptr: its end is told
  std::stop_source source_;
};

// Answers with what there is now; the rest goes on without the client.
Call put_into_background(Service& service, Call& call, const Turn& turn, const Json& echo,
                         std::string_view model) {
  turn.record->response = responses::response_object(echo, call.request.id.substr(4),
                                                     unix_seconds(), model, "in_progress");
  const std::stop_source cancel;
  service.responses->put_running(turn.record, cancel);
  Call rest;
  rest.request = call.request;
  rest.endpoint = call.endpoint;
  rest.tenant = call.tenant;
  rest.key = call.key;
  rest.account = call.account;
  rest.responder = std::make_shared<BackgroundResponder>(std::move(call.place), *service.responses,
                                                         turn.record, cancel);
  send(service, call, http::json_response(write_json(turn.record->response)));
  return rest;
}

// A conversation is what was said in it: of answers that failed, nothing.
void add_to_conversation(Service& service, const Turn& turn, const Json& response) {
  const Json* status = response.find("status");
  if (!status || (*status != Json("completed") && *status != Json("incomplete"))) return;
  ConversationItems items;
  for (const Json* list : {turn.record->input.get(), response.find("output")})
    for (const Json& item : list->as_array()) items.push_back(std::make_shared<const Json>(item));
  (void)service.responses->conversations.add(turn.conversation, turn.record->tenant, items);
}

void keep(Service& service, const Turn& turn, const Json& response) {
  if (!turn.conversation.empty()) add_to_conversation(service, turn, response);
  if (!turn.is_stored) return;
  auto record = std::make_shared<StoredResponse>(*turn.record);
  record->response = response;
  ResponseStore& store = *service.responses;
  turn.is_background ? store.finish(std::move(record)) : store.put(std::move(record));
}

Check create(Service& service, Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  TRY(may_generate(service, body));
  Lease lease = TRY(service.model_of(call, body));
  TRY(check_generates(*lease));
  const Turn turn = TRY(read_turn(service, call, body));
  Prepared prepared = TRY(prepare(service, call, body, *lease, *turn.record));
  prepared.form.echo = echo_of(body, turn);
  if (turn.is_background)
    call = put_into_background(service, call, turn, prepared.form.echo, lease->id);
  prepared.form.keep = [&service, turn](const Json& response) { keep(service, turn, response); };
  std::make_shared<Generation>(
      service, std::move(call), std::move(lease), std::move(prepared.made.task),
      responses::make_encoder(std::move(prepared.form)), std::move(prepared.made.loop))
      ->start();
  return Done{};
}

Checked<Json> count(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  TRY(may_generate(service, body));
  const Lease lease = TRY(service.model_of(call, body));
  TRY(check_generates(*lease));
  const Turn turn = TRY(read_turn(service, call, body));
  const Prepared prepared = TRY(prepare(service, call, body, *lease, *turn.record));
  return Json::object({{"object", "response.input_tokens"},
                       {"input_tokens", prepared.made.task.prompts.front().tokens.size()}});
}

Checked<StoredTurn> find(Service& service, const Call& call) {
  const std::string& id = call.parts.at(0);
  StoredTurn turn = service.responses->find(id, call.tenant);
  if (!turn) return no_such_response(id);
  return turn;
}

Checked<Json> retrieve(Service& service, const Call& call) {
  for (const auto& [name, value] : call.request.query)
    if (name == "stream" && value == "true")
      return unsupported_value("stream", "a response that is stored is given whole");
  return TRY(find(service, call))->response;
}

Checked<Json> remove(Service& service, const Call& call) {
  const std::string& id = call.parts.at(0);
  if (!service.responses->remove(id, call.tenant)) return no_such_response(id);
  return Json::object({{"id", id}, {"object", "response"}, {"deleted", true}});
}

Checked<Json> cancel(Service& service, const Call& call) {
  const StoredTurn turn = TRY(find(service, call));
  if (*turn->response.find("background") != Json(true))
    return Problem{400, "invalid_value",
                   "only a response in the background can be cancelled: close the connection of "
                   "another one",
                   "", 0};
  const StoredTurn ended = service.responses->cancel(turn->id, call.tenant);
  return ended ? Checked<Json>(ended->response) : Checked<Json>(no_such_response(turn->id));
}

Checked<Json> input_items(Service& service, const Call& call) {
  const StoredTurn turn = TRY(find(service, call));
  std::vector<Json> items;
  for (const Json& item : turn->input->as_array()) items.push_back(responses::listed(item));
  return list_page(call, std::move(items));
}

constexpr auto on_worker = Endpoint::Place::worker;

constexpr Endpoint rows[] = {
    {"POST", "/v1/responses", "Answer a conversation (Responses).", Scope::chat, "ResponseRequest",
     "Response", on_worker, start_answer<create>, true},
    {"POST", "/v1/responses/input_tokens", "Count the tokens of a request.", Scope::chat,
     "ResponseRequest", "ResponseTokens", on_worker, reply_json<count>},
    {"GET", "/v1/responses/{response_id}", "A response that was stored.", Scope::chat, "",
     "Response", on_worker, reply_json<retrieve>},
    {"DELETE", "/v1/responses/{response_id}", "Forget a response.", Scope::chat, "", "", on_worker,
     reply_json<remove>},
    {"POST", "/v1/responses/{response_id}/cancel", "Stop a response in the background.",
     Scope::chat, "", "Response", on_worker, reply_json<cancel>},
    {"GET", "/v1/responses/{response_id}/input_items", "The items of a request that was stored.",
     Scope::chat, "", "ResponseItems", on_worker, reply_json<input_items>},
};

}  // namespace

std::span<const Endpoint> response_rows() { return rows; }

}  // namespace hearth::server
