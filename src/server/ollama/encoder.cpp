// Source: Ollama, docs/api.md, "Generate a completion" and "Generate a chat completion".
#include <cmath>

#include "server/describe.h"
#include "server/interfaces.h"
#include "server/ollama/ollama.h"
#include "server/wire.h"

namespace hearth::server::ollama {
namespace {

std::int64_t nanoseconds(double seconds) { return std::llround(seconds * 1e9); }

class OllamaEncoder final : public Encoder {
 public:
  OllamaEncoder(Shape shape, std::string model, const Tokenizer& tokenizer,
                std::optional<std::vector<Token>> context)
      : shape_(shape),
        model_(std::move(model)),
        tokenizer_(tokenizer),
        context_(std::move(context)) {}

  StreamForm stream_form(const AnswerFrame&) const override {
    // There are no comments in this format: an object without text says that work goes on.
    return {"application/x-ndjson", line(object({}, {}, false))};
  }
  std::string part(const AnswerFrame&, const AnswerPart& part) override {
    if (part.finish) finish_ = *part.finish;
    // Calls are told whole: their arguments are objects here.
    const bool has_call = part.call && part.call->ends;
    if (part.text.empty() && part.thought.empty() && !part.tokens && !has_call) return "";
    std::vector<ToolCall> calls;
    if (has_call) calls.push_back(*part.call->call);
    return line(object(part, calls, false));
  }
  std::string end(const AnswerFrame& frame, const Usage& usage) override {
    Json last = object({}, {}, true);
    add_figures(last, frame, usage);
    return line(last);
  }
  std::string failure(const AnswerFrame&, const http::Problem& problem) override {
    return error_json(Interface::ollama, problem, "") + "\n";
  }
  std::string whole(const AnswerFrame& frame, const std::vector<AnswerPart>& choices,
                    const Usage& usage) override {
    const AnswerPart& part = choices.front();
    if (part.finish) finish_ = *part.finish;
    Json answer = object(part, *part.calls, true);
    add_figures(answer, frame, usage);
    return write_json(answer);
  }
  void note(const Event& event) override {
    if (!context_ || event.is_prompt) return;
    for (const TokenInfo& token : event.tokens) context_->push_back(token.token);
  }

 private:
  static std::string line(const Json& object) { return write_json(object) + "\n"; }

  Json object(const AnswerPart& part, const std::vector<ToolCall>& calls, bool is_done) const {
    Json result = Json::object({{"model", model_}, {"created_at", time_now()}});
    Json message = Json::object({{"role", "assistant"}});
    Json& content = shape_ == Shape::chat ? message : result;
    content.set(shape_ == Shape::chat ? "content" : "response", part.text);
    if (!part.thought.empty()) content.set("thinking", part.thought);
    if (!calls.empty()) content.set("tool_calls", call_list(calls));
    if (shape_ == Shape::chat) result.set("message", std::move(message));
    if (part.tokens)
      if (auto list = parse_json(token_logprobs(*part.tokens, tokenizer_)))
        result.set("logprobs", std::move(*list));
    result.set("done", is_done);
    return result;
  }

  static Json call_list(const std::vector<ToolCall>& calls) {
    Json list = Json::array();
    for (const ToolCall& call : calls) {
      auto arguments = parse_json(call.arguments);
      const bool is_object = arguments && arguments->is_object();
      list.push_back(Json::object(
          {{"id", call.id},
           {"function",
            // What is cut off is no object: then it is given as it is.
            Json::object({{"name", call.name},
                          {"arguments", is_object ? *arguments : Json(call.arguments)}})}}));
    }
    return list;
  }

  void add_figures(Json& last, const AnswerFrame& frame, const Usage& usage) {
    last.set("done_reason", finish_ == FinishReason::length ? "length" : "stop");
    if (context_) last.set("context", context_list());
    const std::chrono::duration<double> total = std::chrono::steady_clock::now() - frame.began;
    last.set("total_duration", nanoseconds(total.count()));
    // Models are loaded already: what a request waits for is its turn.
    last.set("load_duration", nanoseconds(usage.queue_seconds));
    last.set("prompt_eval_count", usage.prompt_tokens);
    last.set("prompt_eval_duration", nanoseconds(usage.prefill_seconds));
    last.set("eval_count", usage.completion_tokens);
    last.set("eval_duration", nanoseconds(usage.decode_seconds));
  }

  // The conversation so far, its last turn closed.
  Json context_list() const {
    Json::Array list;
    for (const Token token : *context_) list.emplace_back(token);
    const SpecialTokens& special = tokenizer_.special();
    const auto closing = special.eot ? special.eot : special.eos;
    if (finish_ == FinishReason::stop && closing) list.emplace_back(*closing);
    return list;
  }

  const Shape shape_;
  const std::string model_;
  const Tokenizer& tokenizer_;
  std::optional<std::vector<Token>> context_;
  FinishReason finish_ = FinishReason::stop;
};

}  // namespace

std::unique_ptr<Encoder> make_encoder(Shape shape, std::string model, const Tokenizer& tokenizer,
                                      std::optional<std::vector<Token>> context) {
  return std::make_unique<OllamaEncoder>(shape, std::move(model), tokenizer, std::move(context));
}

Json loaded_answer(Shape shape, std::string_view model) {
  Json answer = Json::object({{"model", model}, {"created_at", time_now()}});
  if (shape == Shape::chat)
    answer.set("message", Json::object({{"role", "assistant"}, {"content", ""}}));
  else
    answer.set("response", "");
  answer.set("done", true);
  answer.set("done_reason", "load");
  return answer;
}

}  // namespace hearth::server::ollama
