// Conversation: the messages so far and the model that answers them.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/json.h"
#include "library/library.h"

namespace hearth::cli {

// Tools that the model may call.
struct ToolAccess {
  std::function<Json()> tools;  // in OpenAI's form; as they are now
  // Runs one, or says why not: what the model is told.
  std::function<std::string(const std::string& name, const std::string& arguments,
                            const std::stop_token& stop)>
      use;
};

// Used by one thread.
class Conversation {
 public:
  Conversation(const LoadedModel& model, GenerateRequest settings)
      : model_(model), settings_(std::move(settings)) {}

  // False: this model knows no tools.
  bool give_tools(ToolAccess tools);

  // Adds the user's text and the model's answer.  On an error the user's text is taken back; an
  // answer that was interrupted stays as far as it came.
  Result<Answer> ask(const std::string& text, std::stop_token stop,
                     const std::function<void(std::string_view)>& on_text);
  // A new answer to the last question; not_found: there is none.
  Result<Answer> ask_again(std::stop_token stop,
                           const std::function<void(std::string_view)>& on_text);
  // An answer to the messages as they are.
  Result<Answer> go_on(std::stop_token stop, const std::function<void(std::string_view)>& on_text);
  // Pictures that go with the next text.  Errors: those of picture_part; unsupported: this model
  // reads text alone.
  Status show_picture(const std::string& path);
  bool undo();  // drops the last question and its answer
  void clear();
  void set_system(std::string text);  // empty: none

  GenerateRequest& settings() { return settings_; }
  const Json& messages() const { return messages_; }
  void add(std::string_view role, std::string_view content);
  // Errors: invalid, naming what is wrong with the messages.
  Status load(Json messages);
  Result<std::size_t> token_count() const;

 private:
  using OnText = std::function<void(std::string_view)>;
  Result<Answer> answer(const std::stop_token& stop, const OnText& on_text);
  // One answer of the model, which may call tools; the message is added.
  Result<Answer> answer_with_tools(const Json& tools, const std::stop_token& stop,
                                   const OnText& on_text);
  // Runs what the last message calls.  False: it calls nothing.
  bool run_calls(const std::stop_token& stop);

  const LoadedModel& model_;
  GenerateRequest settings_;
  Json messages_ = Json::array();
  Json pictures_ = Json::array();  // parts that go with the next text
  ToolAccess tools_;
};

}  // namespace hearth::cli
