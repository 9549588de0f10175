// Source: OpenAI API reference, "Responses", the object Response and "Streaming events".
#include <fmt/core.h>

#include <algorithm>

#include "server/responses/responses.h"
#include "server/tools/offer.h"
#include "server/wire.h"

namespace hearth::server::responses {
namespace {

std::string status_of(FinishReason finish) {
  return finish == FinishReason::length ? "incomplete" : "completed";
}

class ResponsesEncoder final : public Encoder {
 public:
  explicit ResponsesEncoder(ResponseForm form) : form_(std::move(form)) {}

  StreamForm stream_form(const AnswerFrame&) const override {
    return {"text/event-stream; charset=utf-8", ": ping\n\n"};
  }
  bool fails_in_stream() const override { return true; }
  bool tells_tools() const override { return true; }

  std::string begin(const AnswerFrame& frame) override {
    frame_id_ = frame.id;
    const Json object = object_of(frame, "in_progress");
    std::string out = event("response.created", Json::object({{"response", object}}));
    return out + event("response.in_progress", Json::object({{"response", object}}));
  }

  std::string part(const AnswerFrame&, const AnswerPart& part) override {
    if (part.finish) finish_ = *part.finish;
    if (part.call) return call_part(*part.call);
    if (!part.thought.empty()) return thought_part(part.thought);
    if (!part.text.empty() || part.tokens) return text_part(part);
    return "";
  }

  std::string end(const AnswerFrame& frame, const Usage& usage) override {
    std::string out = close_item() + close_running();
    Json response = finished(frame, usage);
    form_.keep(response);
    const std::string name = "response." + status_of(finish_);
    return out + event(name, Json::object({{"response", std::move(response)}}));
  }

  std::string failure(const AnswerFrame& frame, const http::Problem& problem) override {
    Json response = object_of(frame, "failed");
    response.set("error", Json::object({{"code", problem.code}, {"message", problem.message}}));
    response.set("output", output_);
    form_.keep(response);
    return event("response.failed", Json::object({{"response", std::move(response)}}));
  }

  std::string whole(const AnswerFrame& frame, const std::vector<AnswerPart>& choices,
                    const Usage& usage) override {
    frame_id_ = frame.id;
    const AnswerPart& part = choices.front();
    finish_ = part.finish.value_or(FinishReason::stop);
    round(frame, part);
    Json response = finished(frame, usage);
    form_.keep(response);
    return write_json(response);
  }
  void round(const AnswerFrame&, const AnswerPart& part) override {
    if (!part.thought.empty()) add(thought_item(part.thought));
    if (part.tokens) logprobs_ = *part.tokens;
    if (!part.text.empty()) add(message_item(part.text, status_of(finish_)));
    for (const ToolCall& call : *part.calls) {
      if (is_run(call)) running_.emplace_back(call.id, output_.size());
      add(call_item(call, is_run(call) ? "in_progress" : "completed"));
    }
  }
  std::string offered(const AnswerFrame& frame, const ToolOffer& offer) override;
  std::string ran(const AnswerFrame& frame, const ToolCall& call,
                  const ToolOutcome& outcome) override;

 private:
  enum class Open { none, thought, text, call };

  std::string event(std::string_view name, Json data) {
    Json object = Json::object({{"type", name}, {"sequence_number", sequence_++}});
    for (auto& [key, value] : data.as_object()) object.set(key, std::move(value));
    return fmt::format("event: {}\ndata: {}\n\n", name, write_json(object));
  }
  // An event about the item that is being written.
  std::string item_event(std::string_view name, Json data) {
    Json object = Json::object({{"item_id", item_id_}, {"output_index", output_.size()}});
    for (auto& [key, value] : data.as_object()) object.set(key, std::move(value));
    return event(name, std::move(object));
  }
  // The same about its one part.
  std::string part_event(std::string_view name, Json data) {
    data.set("content_index", 0);
    return item_event(name, std::move(data));
  }

  Json object_of(const AnswerFrame& frame, std::string_view status) const {
    return response_object(form_.echo, frame.id, frame.created, frame.model, status);
  }
  Json finished(const AnswerFrame& frame, const Usage& usage) const {
    Json response = object_of(frame, status_of(finish_));
    if (finish_ == FinishReason::length)
      response.set("incomplete_details", Json::object({{"reason", "max_output_tokens"}}));
    response.set("output", output_);
    response.set(
        "usage",
        Json::object(
            {{"input_tokens", usage.prompt_tokens},
             {"input_tokens_details", Json::object({{"cached_tokens", usage.cached_tokens},
                                                    {"cache_write_tokens", 0},
                                                    {"cache_end", name_of(usage.prefix_end)}})},
             {"output_tokens", usage.completion_tokens},
             {"output_tokens_details", Json::object({{"reasoning_tokens", frame.thought_tokens}})},
             {"total_tokens", usage.prompt_tokens + usage.completion_tokens}}));
    return response;
  }

  std::string new_item_id(std::string_view start) const {
    return fmt::format("{}{}o{}", start, frame_id_, output_.size());
  }
  void add(Json item) { output_.push_back(std::move(item)); }

  Json thought_item(std::string_view text) const {
    Json part = Json::object({{"type", "reasoning_text"}, {"text", text}});
    Json item = Json::object({{"id", new_item_id("rs_")},
                              {"type", "reasoning"},
                              {"summary", Json::array()},
                              {"content", Json(Json::Array{std::move(part)})}});
    if (form_.seals_thoughts) item.set("encrypted_content", seal(text));
    return item;
  }
  Json logprobs_json(const std::vector<TokenInfo>& tokens) const {
    if (tokens.empty()) return Json::array();
    auto list = parse_json(token_logprobs(tokens, *form_.tokenizer));
    return list ? std::move(*list) : Json::array();
  }
  Json output_text(std::string_view text) const {
    return Json::object({{"type", "output_text"},
                         {"text", text},
                         {"annotations", Json::array()},
                         {"logprobs", logprobs_json(logprobs_)}});
  }
  Json message_item(std::string_view text, std::string_view status) const {
    return Json::object({{"id", new_item_id("msg_")},
                         {"type", "message"},
                         {"status", status},
                         {"role", "assistant"},
                         {"content", Json(Json::Array{output_text(text)})}});
  }
  const KnownTool* known(const ToolCall& call) const {
    const auto found = form_.tools.find(call.name);
    return found == form_.tools.end() ? nullptr : &found->second;
  }
  bool is_custom(const ToolCall& call) const {
    const KnownTool* tool = known(call);
    return tool && tool->is_custom;
  }
  // The text that a custom tool takes; arguments that are cut off or of another form as they are.
  static std::string custom_input(const ToolCall& call) {
    auto arguments = parse_json(call.arguments);
    const Json* input = arguments ? arguments->find("input") : nullptr;
    return input && input->is_string() ? input->as_string() : call.arguments;
  }
  Json call_item(const ToolCall& call, std::string_view status = "completed") const {
    if (call.served) return is_question(call) ? question_item(call) : served_item(call, status);
    const KnownTool* tool = known(call);
    const bool custom = is_custom(call);
    Json item = Json::object({{"id", new_item_id(custom ? "ctc_" : "fc_")},
                              {"type", custom ? "custom_tool_call" : "function_call"},
                              {"status", status},
                              {"call_id", call.id},
                              {"name", tool ? tool->name : call.name}});
    if (tool && !tool->space.empty()) item.set("namespace", tool->space);
    if (custom)
      item.set("input", custom_input(call));
    else
      item.set("arguments", call.arguments);
    return item;
  }

  // Closes the open item and begins one of this kind.
  std::string open(Open kind, Json item) {
    open_ = kind;
    item_id_ = item.find("id")->as_string();
    return event("response.output_item.added",
                 Json::object({{"output_index", output_.size()}, {"item", std::move(item)}}));
  }
  std::string thought_part(std::string_view text) {
    std::string out;
    if (open_ != Open::thought) {
      out = close_item();
      Json item = Json::object({{"id", new_item_id("rs_")},
                                {"type", "reasoning"},
                                {"summary", Json::array()},
                                {"content", Json::array()}});
      out += open(Open::thought, std::move(item));
    }
    text_ += text;
    return out + part_event("response.reasoning_text.delta", Json::object({{"delta", text}}));
  }
  std::string text_part(const AnswerPart& part) {
    std::string out;
    if (open_ != Open::text) {
      out = close_item();
      Json item = message_item("", "in_progress");
      item.set("content", Json::array());
      out += open(Open::text, std::move(item));
      out += part_event("response.content_part.added", Json::object({{"part", output_text("")}}));
    }
    text_ += part.text;
    Json logprobs = Json::array();
    if (part.tokens) {
      logprobs = logprobs_json(*part.tokens);
      logprobs_.insert(logprobs_.end(), part.tokens->begin(), part.tokens->end());
    }
    return out + part_event("response.output_text.delta",
                            Json::object({{"delta", part.text}, {"logprobs", logprobs}}));
  }
  // Tools that this server runs: a call stays open until it has been run; one that has to be
  // approved is a question, which is the client's to answer.
  static bool is_run(const ToolCall& call) { return call.served && !call.served->needs_approval; }
  static bool is_question(const ToolCall& call) { return call.served && !is_run(call); }
  Json question_item(const ToolCall& call) const {
    return Json::object({{"id", new_item_id("mcpr_")},
                         {"type", "mcp_approval_request"},
                         {"server_label", call.served->offered.server},
                         {"name", call.served->offered.tool.name},
                         {"arguments", call.arguments}});
  }
  Json served_item(const ToolCall& call, std::string_view status) const {
    Json item = Json::object({{"id", new_item_id("mcp_")},
                              {"type", "mcp_call"},
                              {"server_label", call.served->offered.server},
                              {"name", call.served->offered.tool.name},
                              {"arguments", call.arguments},
                              {"status", status}});
    for (const char* name : {"approval_request_id", "output", "error"}) item.set(name, Json());
    return item;
  }
  std::string close_call() {
    std::string out;
    Json item = call_item(call_, "in_progress");
    if (is_question(call_)) {
      out = open(Open::none, item);
    } else {
      out = item_event("response.mcp_call_arguments.done",
                       Json::object({{"arguments", call_.arguments}}));
      running_.emplace_back(call_.id, output_.size());
      add(std::move(item));
      return out;
    }
    out += event("response.output_item.done",
                 Json::object({{"output_index", output_.size()}, {"item", item}}));
    add(std::move(item));
    return out;
  }
  // Calls that were never run, for the answer ended before.
  std::string close_running() {
    std::string out;
    for (const auto& [id, index] : std::exchange(running_, {})) {
      Json& item = output_.as_array()[index];
      item.set("status", "incomplete");
      out += event("response.output_item.done",
                   Json::object({{"output_index", index}, {"item", item}}));
    }
    return out;
  }

  std::string call_part(const CallPart& part) {
    if (part.begins) {
      std::string out = close_item();
      call_ = {part.call->id, part.call->name, "", part.call->served};
      if (is_question(call_)) {
        open_ = Open::call;
        return out;
      }
      out += open(Open::call, call_item(call_, "in_progress"));
      if (call_.served) out += item_event("response.mcp_call.in_progress", Json::object());
      return out;
    }
    if (part.ends) return close_item();
    call_.arguments += part.arguments;
    if (is_custom(call_) || is_question(call_)) return "";
    if (call_.served)
      return item_event("response.mcp_call_arguments.delta",
                        Json::object({{"delta", part.arguments}}));
    return item_event("response.function_call_arguments.delta",
                      Json::object({{"delta", part.arguments}}));
  }

  std::string close_item() {
    const Open kind = std::exchange(open_, Open::none);
    if (kind == Open::none) return "";
    std::string out;
    Json item;
    if (kind == Open::thought) {
      out = part_event("response.reasoning_text.done", Json::object({{"text", text_}}));
      item = thought_item(text_);
    } else if (kind == Open::text) {
      item = message_item(text_, status_of(finish_));
      out = part_event("response.output_text.done",
                       Json::object({{"text", text_}, {"logprobs", logprobs_json(logprobs_)}}));
      out += part_event("response.content_part.done", Json::object({{"part", output_text(text_)}}));
    } else if (call_.served) {
      return close_call();
    } else if (is_custom(call_)) {
      item = call_item(call_);
      const std::string input = custom_input(call_);
      out = item_event("response.custom_tool_call_input.delta", Json::object({{"delta", input}}));
      out += item_event("response.custom_tool_call_input.done", Json::object({{"input", input}}));
    } else {
      item = call_item(call_);
      out =
          item_event("response.function_call_arguments.done",
                     Json::object({{"name", *item.find("name")}, {"arguments", call_.arguments}}));
    }
    out += event("response.output_item.done",
                 Json::object({{"output_index", output_.size()}, {"item", item}}));
    add(std::move(item));
    text_.clear();
    logprobs_.clear();
    return out;
  }

  ResponseForm form_;
  std::string frame_id_;
  std::int64_t sequence_ = 0;
  Json output_ = Json::array();  // items that are whole
  Open open_ = Open::none;
  std::string item_id_, text_;  // of the item that is being written
  std::vector<TokenInfo> logprobs_;
  ToolCall call_;
  std::vector<std::pair<std::string, std::size_t>> running_;  // ids of calls, and their items
  FinishReason finish_ = FinishReason::stop;
};

std::string ResponsesEncoder::offered(const AnswerFrame& frame, const ToolOffer& offer) {
  frame_id_ = frame.id;
  std::string out;
  for (const std::string& label : offer.asked) {
    Json item = Json::object({{"id", new_item_id("mcpl_")},
                              {"type", "mcp_list_tools"},
                              {"server_label", label},
                              {"tools", Json::array()}});
    out +=
        open(Open::none, item) + item_event("response.mcp_list_tools.in_progress", Json::object());
    for (const ServedTool& served : offer.tools) {
      if (served.offered.server != label) continue;
      const hearth::mcp::Tool& tool = served.offered.tool;
      item.find("tools")->push_back(
          Json::object({{"name", tool.name},
                        {"description", tool.description},
                        {"input_schema", tool.schema},
                        {"annotations", Json::object({{"readOnlyHint", tool.only_reads}})}}));
    }
    out += item_event("response.mcp_list_tools.completed", Json::object());
    out += event("response.output_item.done",
                 Json::object({{"output_index", output_.size()}, {"item", item}}));
    add(std::move(item));
  }
  return out;
}

std::string ResponsesEncoder::ran(const AnswerFrame&, const ToolCall& call,
                                  const ToolOutcome& outcome) {
  std::string out;
  auto place = std::ranges::find(running_, call.id, &std::pair<std::string, std::size_t>::first);
  if (place == running_.end()) {
    // One that an earlier answer asked about.
    Json item = served_item(call, "in_progress");
    out = open(Open::none, item) + item_event("response.mcp_call.in_progress", Json::object());
    place = running_.insert(place, {call.id, output_.size()});
    add(std::move(item));
  }
  const std::size_t index = place->second;
  running_.erase(place);
  Json& item = output_.as_array()[index];
  if (!outcome.approval_id.empty()) item.set("approval_request_id", outcome.approval_id);
  item.set("status", outcome.is_error ? "failed" : "completed");
  item.set(outcome.is_error ? "error" : "output", outcome.text);
  out += event(outcome.is_error ? "response.mcp_call.failed" : "response.mcp_call.completed",
               Json::object({{"item_id", *item.find("id")}, {"output_index", index}}));
  return out + event("response.output_item.done",
                     Json::object({{"output_index", index}, {"item", item}}));
}

}  // namespace

Json response_object(const Json& echo, std::string_view id, std::int64_t created,
                     std::string_view model, std::string_view status) {
  Json object = Json::object({{"id", fmt::format("resp_{}", id)},
                              {"object", "response"},
                              {"created_at", created},
                              {"status", status},
                              {"error", Json()},
                              {"incomplete_details", Json()},
                              {"model", model},
                              {"output", Json::array()},
                              {"usage", Json()}});
  for (const auto& [key, value] : echo.as_object()) object.set(key, value);
  return object;
}

std::unique_ptr<Encoder> make_encoder(ResponseForm form) {
  return std::make_unique<ResponsesEncoder>(std::move(form));
}

}  // namespace hearth::server::responses
