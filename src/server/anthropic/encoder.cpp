// Source: Anthropic API reference, "Streaming Messages" and the object Message.
#include <fmt/core.h>

#include "server/anthropic/anthropic.h"
#include "server/interfaces.h"
#include "server/tools/offer.h"

namespace hearth::server::anthropic {
namespace {

std::string event(std::string_view name, Json data) {
  Json object = Json::object({{"type", name}});
  for (auto& [key, value] : data.as_object()) object.set(key, std::move(value));
  return fmt::format("event: {}\ndata: {}\n\n", name, write_json(object));
}

// Nobody needs a proof that a thought of ours is ours; clients need a signature to give back.
constexpr std::string_view signature = "hearth";

std::string ping() { return event("ping", Json::object()); }

Json usage_of(std::int64_t prompt_tokens, std::int64_t cached_tokens, std::int64_t made_tokens) {
  return Json::object({{"input_tokens", prompt_tokens - cached_tokens},
                       {"cache_creation_input_tokens", 0},
                       {"cache_read_input_tokens", cached_tokens},
                       {"output_tokens", made_tokens}});
}

Json usage_of(const Usage& usage) {
  return usage_of(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens);
}

class AnthropicEncoder final : public Encoder {
 public:
  StreamForm stream_form(const AnswerFrame&) const override {
    return {"text/event-stream; charset=utf-8", ping()};
  }
  std::string_view call_id_prefix() const override { return "toolu_"; }
  bool tells_tools() const override { return true; }
  std::string begin(const AnswerFrame& frame) override {
    Json message = message_of(frame, Json::array());
    message.set("usage", usage_of(frame.prompt_tokens, 0, 0));
    return event("message_start", Json::object({{"message", std::move(message)}})) + ping();
  }
  std::string part(const AnswerFrame&, const AnswerPart& part) override {
    note_finish(part);
    if (part.call) return call_part(*part.call);
    if (!part.thought.empty()) {
      std::string out = open_block(thinking_block(""));
      return out + delta(Json::object({{"type", "thinking_delta"}, {"thinking", part.thought}}));
    }
    if (part.text.empty()) return "";
    std::string out = open_block(Json::object({{"type", "text"}, {"text", ""}}));
    return out + delta(Json::object({{"type", "text_delta"}, {"text", part.text}}));
  }
  std::string end(const AnswerFrame& frame, const Usage& usage) override {
    std::string out = close_block();
    Json ending = Json::object({{"stop_reason", stop_reason(frame)}, {"stop_sequence", stop()}});
    out += event("message_delta",
                 Json::object({{"delta", std::move(ending)}, {"usage", usage_of(usage)}}));
    return out + event("message_stop", Json::object());
  }
  std::string failure(const AnswerFrame& frame, const http::Problem& problem) override {
    return fmt::format("event: error\ndata: {}\n\n",
                       error_json(Interface::anthropic, problem, "req_" + frame.id));
  }
  std::string whole(const AnswerFrame& frame, const std::vector<AnswerPart>& choices,
                    const Usage& usage) override {
    round(frame, choices.front());
    Json message = message_of(frame, std::move(content_));
    message.set("stop_reason", stop_reason(frame));
    message.set("stop_sequence", stop());
    message.set("usage", usage_of(usage));
    return write_json(message);
  }
  void round(const AnswerFrame&, const AnswerPart& part) override {
    note_finish(part);
    if (!part.thought.empty()) {
      content_.push_back(thinking_block(part.thought));
      content_.as_array().back().set("signature", signature);
    }
    if (!part.text.empty())
      content_.push_back(Json::object({{"type", "text"}, {"text", part.text}}));
    for (const ToolCall& call : *part.calls) {
      auto input = parse_json(call.arguments);
      // What is cut off is no object: then it is given as it is.
      content_.push_back(
          tool_block(call, input && input->is_object() ? std::move(*input) : Json(call.arguments)));
    }
  }
  std::string ran(const AnswerFrame&, const ToolCall& call, const ToolOutcome& outcome) override {
    Json texts = Json::array();
    texts.push_back(Json::object({{"type", "text"}, {"text", outcome.text}}));
    Json block = Json::object({{"type", "mcp_tool_result"},
                               {"tool_use_id", call.id},
                               {"is_error", outcome.is_error},
                               {"content", std::move(texts)}});
    content_.push_back(block);
    std::string out = close_block();
    out += open_block(std::move(block));
    return out + close_block();
  }

 private:
  static Json message_of(const AnswerFrame& frame, Json content) {
    return Json::object({{"id", "msg_" + frame.id},
                         {"type", "message"},
                         {"role", "assistant"},
                         {"model", frame.model},
                         {"content", std::move(content)},
                         {"stop_reason", Json()},
                         {"stop_sequence", Json()}});
  }
  static Json thinking_block(std::string_view text) {
    return Json::object({{"type", "thinking"}, {"thinking", text}, {"signature", ""}});
  }
  static Json tool_block(const ToolCall& call, Json input) {
    if (call.served)
      return Json::object({{"type", "mcp_tool_use"},
                           {"id", call.id},
                           {"name", call.served->offered.tool.name},
                           {"server_name", call.served->offered.server},
                           {"input", std::move(input)}});
    return Json::object(
        {{"type", "tool_use"}, {"id", call.id}, {"name", call.name}, {"input", std::move(input)}});
  }
  // Every call is a block of its own.
  std::string call_part(const CallPart& part) {
    if (part.begins) {
      std::string out = close_block();
      return out + open_block(tool_block(*part.call, Json::object()));
    }
    if (part.ends) return close_block();
    return delta(Json::object({{"type", "input_json_delta"}, {"partial_json", part.arguments}}));
  }
  void note_finish(const AnswerPart& part) {
    if (!part.finish) return;
    if (part.calls)
      for (const ToolCall& call : *part.calls) has_calls_ = has_calls_ || !call.served;
    finish_ = *part.finish;
    stop_string_ = part.stop_string;
  }
  Json stop() const { return stop_string_.empty() ? Json() : Json(stop_string_); }
  std::string stop_reason(const AnswerFrame& frame) const {
    if (finish_ == FinishReason::length)
      return frame.lowered_max_tokens ? "model_context_window_exceeded" : "max_tokens";
    if (!stop_string_.empty()) return "stop_sequence";
    return has_calls_ ? "tool_use" : "end_turn";
  }
  // What follows belongs to a block of this kind: the open one, or a new one.
  std::string open_block(Json block) {
    const std::string& kind = block.find("type")->as_string();
    if (kind == open_) return "";
    std::string out = close_block();
    open_ = kind;
    return out + event("content_block_start",
                       Json::object({{"index", index_}, {"content_block", std::move(block)}}));
  }
  std::string delta(Json change) const {
    return event("content_block_delta",
                 Json::object({{"index", index_}, {"delta", std::move(change)}}));
  }
  std::string close_block() {
    if (open_.empty()) return "";
    std::string out;
    if (open_ == "thinking")
      out = delta(Json::object({{"type", "signature_delta"}, {"signature", signature}}));
    open_.clear();
    return out + event("content_block_stop", Json::object({{"index", index_++}}));
  }

  Json content_ = Json::array();  // of an answer that is not streamed
  bool has_calls_ = false;        // that the client is to run
  std::string open_;              // the type of the block that is being written; empty: none
  int index_ = 0;                 // of that block, or of the next one
  FinishReason finish_ = FinishReason::stop;
  std::string stop_string_;
};

}  // namespace

std::unique_ptr<Encoder> make_encoder() { return std::make_unique<AnthropicEncoder>(); }

}  // namespace hearth::server::anthropic
