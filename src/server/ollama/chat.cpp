// POST /api/chat.  Source: Ollama, docs/api.md, "Generate a chat completion".
#include <fmt/core.h>

#include <algorithm>

#include "server/generation.h"
#include "server/kinds.h"
#include "server/ollama/ollama.h"
#include "server/reply.h"
#include "server/rows.h"
#include "server/tools/loop.h"

namespace hearth::server {
namespace {

using namespace ollama;

// Calls of tools that wait for their results.  Ollama's have no ids: results are told apart by
// name and order.
class OpenCalls {
 public:
  Checked<Json> read(const Json& calls, std::string_view place) {
    if (!calls.is_array()) return invalid_value(place, "needs a list");
    open_.clear();
    Json result = Json::array();
    for (const Json& call : calls.as_array()) {
      const Json* function = call.find("function");
      const Json* name = function ? function->find("name") : nullptr;
      if (!name || !name->is_string())
        return invalid_value(place, "needs calls with a function's name and arguments");
      const Json* arguments = function->find("arguments");
      const Json* id = call.find("id");
      std::string own = id && id->is_string() ? id->as_string() : fmt::format("call_{}", count_++);
      open_.emplace_back(own, name->as_string());
      result.push_back(Json::object(
          {{"id", std::move(own)},
           {"type", "function"},
           {"function", Json::object({{"name", *name},
                                      {"arguments", arguments ? *arguments : Json::object()}})}}));
    }
    return result;
  }
  // The id of the call that a result of this tool answers.
  std::string take(const Json* name) {
    const auto is_named = [&](const auto& call) { return name && *name == Json(call.second); };
    auto found = std::find_if(open_.begin(), open_.end(), is_named);
    if (found == open_.end()) found = open_.begin();
    if (found == open_.end()) return fmt::format("call_{}", count_++);
    std::string id = found->first;
    open_.erase(found);
    return id;
  }

 private:
  std::vector<std::pair<std::string, std::string>> open_;  // id, name
  int count_ = 0;
};

// Text and pictures as parts.
Checked<Json> with_images(const Json& message, const Json& images, const std::string& place) {
  Json parts = TRY(image_parts(images, place));
  const Json* content = message.find("content");
  if (content && content->is_string() && !content->as_string().empty())
    parts.push_back(Json::object({{"type", "text"}, {"text", *content}}));
  return parts;
}

// The message in the form that the shared reader checks.
Checked<Json> translate(const Json& message, std::size_t index, OpenCalls& open) {
  if (!message.is_object())
    return invalid_value(fmt::format("messages[{}]", index), "needs an object");
  Json result = message;
  if (const Json* images = message.find("images"); images && images->size() > 0)
    result.set("content",
               TRY(with_images(message, *images, fmt::format("messages[{}].images", index))));
  if (const Json* thinking = message.find("thinking")) result.set("reasoning_content", *thinking);
  const Json* calls = message.find("tool_calls");
  if (calls && !calls->is_null() && calls->size() > 0)
    result.set("tool_calls", TRY(open.read(*calls, fmt::format("messages[{}].tool_calls", index))));
  const Json* role = message.find("role");
  if (!role || *role != Json("tool")) return result;
  const Json* name = message.find("tool_name");
  if (name && !name->is_null()) result.set("name", *name);
  if (!message.find("tool_call_id")) result.set("tool_call_id", open.take(name));
  return result;
}

Checked<ChatInput> read_input(const Json& body, const Preset& preset, const Json& messages) {
  OpenCalls open;
  Json translated = Json::array();
  for (std::size_t i = 0; i < messages.size(); ++i)
    translated.push_back(TRY(translate(messages.as_array()[i], i, open)));
  Json regular = Json::object({{"messages", with_preset_messages(preset, std::move(translated))}});
  for (const char* name : {"tools", "tool_choice"})
    if (const Json* value = body.find(name)) regular.set(name, *value);
  if (TRY(read_bool(body, "truncate")).value_or(false)) regular.set("truncation", "auto");
  regular.set("chat_template_kwargs", TRY(read_think(body)));
  return read_chat_input(regular);
}

Check run(Service& service, Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  if (TRY(take_unload(service, call, body, Shape::chat))) return Done{};
  if (const Json* asked = body.find("messages"); asked && asked->size() > 0)
    TRY(may_generate(service, body));
  Lease lease = TRY(service.model_of(call, body));
  Task wish;
  const Preset preset = service.preset_of(body);
  Asked asked = TRY(read_options(body, preset, *lease, wish.context_tokens));
  const std::string model = body.find("model")->as_string();
  const Json* messages = body.find("messages");
  if (messages && !messages->is_null() && !messages->is_array())
    return invalid_value("messages", "needs a list");
  if (!messages || messages->size() == 0) {
    send(service, call, http::json_response(write_json(loaded_answer(Shape::chat, model))));
    return Done{};
  }
  TRY(check_generates(*lease));
  ChatInput input = TRY(read_input(body, preset, *messages));
  input.context_tokens = wish.context_tokens;
  ToolTask made =
      TRY(tool_task(service, call, *lease, std::move(input), std::move(asked), /*can_ask=*/false));
  made.task.context_tokens = wish.context_tokens;
  if (made.loop) made.loop->context_tokens = wish.context_tokens;
  auto encoder = make_encoder(Shape::chat, model, lease->model().tokenizer());
  std::make_shared<Generation>(service, std::move(call), std::move(lease), std::move(made.task),
                               std::move(encoder), std::move(made.loop))
      ->start();
  return Done{};
}

}  // namespace

const Endpoint ollama_chat_endpoint{.method = "POST",
                                    .path = "/api/chat",
                                    .summary = "Answer a conversation (Ollama).",
                                    .scope = Scope::chat,
                                    .request_schema = "OllamaChatRequest",
                                    .response_schema = "OllamaChatAnswer",
                                    .place = Endpoint::Place::worker,
                                    .handle = start_answer<run>,
                                    .generates = true};

}  // namespace hearth::server
