// What a model writes, told apart while it is written: text, thoughts and calls of tools.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace hearth {

struct AnswerPiece {
  // call: `text` is the tool's name, `id` the model's own id of this call or "".
  // arguments: `text` is a part of the JSON object of arguments, in order.
  enum class Kind { text, thought, call, arguments, call_end } kind;
  std::string text, id;
};

struct CallForm;     // how a family writes calls: answer/forms.h
struct ThoughtForm;  // and thoughts

// How a model writes, as its chat template shows.
struct AnswerForm {
  const CallForm* calls = nullptr;        // nullptr: the template shows none
  const ThoughtForm* thoughts = nullptr;  // nullptr: the template shows none
  bool has_short_ids = false;             // ids of calls are 9 letters and digits
};
AnswerForm find_answer_form(std::string_view template_source);
std::string_view family_of(const AnswerForm& form);  // "hermes"; "": no calls

// The marks that are tokens of their own where the vocabulary has them: they must be seen.
std::vector<std::string_view> marks_of(const AnswerForm& form);

// The prompt's end has begun a thought already.
bool begins_thought(const AnswerForm& form, std::string_view prompt);
std::string end_of_thought(const AnswerForm& form);
// How an answer that must call a tool begins, `tool` or any; "": this family cannot be made to.
std::string forced_call(const AnswerForm& form, std::string_view tool);

// Reads one answer.  The pieces, joined by kind, do not depend on how the text was cut.
class AnswerReader {
 public:
  // `tools`: in OpenAI's form, for the types of arguments; null: calls are text.
  AnswerReader(const AnswerForm& form, Json tools, bool is_thinking);
  ~AnswerReader();

  std::vector<AnswerPiece> add(std::string_view text);
  std::vector<AnswerPiece> finish();  // nothing more comes
  bool is_thinking() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hearth
