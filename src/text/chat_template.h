// ChatTemplate: a model's own Jinja template, rendered as Hugging Face transformers renders it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace hearth {

// Rendered text with the origin of every part: what the template wrote is trusted (its special
// tokens are control tokens), what came from messages is not.
struct RenderedPrompt {
  struct Part {
    std::string text;
    bool trusted;
  };
  std::vector<Part> parts;  // neighbours differ in `trusted`; none is empty

  std::string text() const;  // all parts joined
};

struct RenderInputs {
  Json messages = Json::array();
  Json tools;  // null: none
  bool add_generation_prompt = true;
  std::string bos_token, eos_token, pad_token, unk_token;
  Json variables = Json::object();  // further ones: enable_thinking, date_string, documents, ...
  std::int64_t now_seconds = 0;     // for strftime_now; UTC
  std::string picture_text;         // of ChatFormat: of a template that has no place for pictures
};

struct TemplateLimits {
  std::size_t source_bytes = 256u << 10;
  std::uint64_t fuel = 1'000'000;        // evaluation steps; large inputs bring more
  std::size_t output_bytes = 32u << 20;  // of any one string made while rendering
  int depth = 64;                        // nesting of blocks, expressions and calls
};

// Immutable; thread-safe.
class ChatTemplate {
 public:
  // Errors: invalid, with the line and what was found there.
  static Result<ChatTemplate> parse(std::string_view source, const TemplateLimits& limits = {});
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // Errors: invalid (raise_exception's text, an operation on undefined, a limit passed: named).
  Result<RenderedPrompt> render(const RenderInputs& inputs) const;

 private:
  struct Program;
  explicit ChatTemplate(std::unique_ptr<const Program> program);
  std::unique_ptr<const Program> program_;
};

}  // namespace hearth
