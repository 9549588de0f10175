// Conversation: the messages so far and the model that answers them.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/json.h"
#include "library/library.h"

namespace hearth::cli {

// Used by one thread.
class Conversation {
 public:
  Conversation(const LoadedModel& model, GenerateRequest settings)
      : model_(model), settings_(std::move(settings)) {}

  // Adds the user's text and the model's answer.  On an error the user's text is taken back; an
  // answer that was interrupted stays as far as it came.
  Result<Answer> ask(const std::string& text, std::stop_token stop,
                     const std::function<void(std::string_view)>& on_text);
  // A new answer to the last question; not_found: there is none.
  Result<Answer> ask_again(std::stop_token stop,
                           const std::function<void(std::string_view)>& on_text);
  bool undo();  // drops the last question and its answer
  void clear();
  void set_system(std::string text);  // empty: none

  GenerateRequest& settings() { return settings_; }
  const Json& messages() const { return messages_; }
  // Errors: invalid, naming what is wrong with the messages.
  Status load(Json messages);
  Result<std::size_t> token_count() const;

 private:
  Result<Answer> answer(std::stop_token stop, const std::function<void(std::string_view)>& on_text);

  const LoadedModel& model_;
  GenerateRequest settings_;
  Json messages_ = Json::array();
};

}  // namespace hearth::cli
