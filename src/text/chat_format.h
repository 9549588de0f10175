// What lies between messages as callers write them (OpenAI's form) and what a template can read.
#pragma once

#include <optional>

#include "base/json.h"
#include "base/result.h"
#include "text/chat_template.h"

namespace hearth {

// A message made regular: the role `developer` is `system`, parts of text are one text, and content
// that is missing is "" (null in a message that calls tools).  Where one of the parts is a picture
// (image_url, input_image or image) it stays a list, of texts and of pictures as they came.
// Errors: unsupported (a part that is neither), invalid; without the place.
Result<Json> regular_message(const Json& message);

// What a template does, found by rendering small conversations with it.
struct ChatTraits {
  bool system = false;            // system messages reach the prompt
  bool tools = false;             // descriptions of tools do
  bool tool_calls = false;        // calls in earlier answers do
  bool argument_objects = false;  // it wants their arguments as objects, not as JSON text
  bool thinking = false;          // the variable enable_thinking makes a difference
  bool pictures = false;          // it has a place for them
};

// Whether a part of a message is a picture.
bool is_picture(const Json& part);

// A chat template with its traits, found once.  Immutable; thread-safe.
class ChatFormat {
 public:
  // Errors: those of ChatTemplate::parse.
  static Result<ChatFormat> parse(std::string_view source, const TemplateLimits& limits = {});

  ChatTraits traits() const;

  // Renders messages of OpenAI's form.  Where the template has no place for a system message, its
  // text goes before that of the first message of the user; arguments of tool calls come as the
  // template wants them.  A picture becomes what the template writes for it, or picture_text.
  // Errors: those of regular_message, with the place; those of the template.
  Result<RenderedPrompt> render(RenderInputs inputs) const;

 private:
  // How calls in earlier answers reach the prompt.
  struct CallForm {
    bool objects = true;       // arguments are objects, not JSON text
    bool null_content = true;  // a call without content has null, not ""
  };
  // Many templates lay conversations out in another way where there are tools.
  struct Layout {
    bool system = false;
    std::optional<CallForm> calls;  // none: in no form
  };

  explicit ChatFormat(ChatTemplate chat_template);
  std::optional<CallForm> probe_calls(const Json& tools) const;
  static Json fit_calls(const Json& message, const CallForm& form);

  ChatTemplate template_;
  Layout plain_, with_tools_;
  bool tools_ = false, thinking_ = false, pictures_ = false;
  bool only_parts_ = false;  // texts are read as lists of parts alone
};

}  // namespace hearth
