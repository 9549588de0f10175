// Readers of calls, one for each syntax.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/answer/answer.h"
#include "text/answer/forms.h"

namespace hearth {

// Where calls go.
class CallSink {
 public:
  explicit CallSink(std::vector<AnswerPiece>& pieces) : pieces_(pieces) {}
  void begin(std::string name, std::string id = "") {
    pieces_.push_back({AnswerPiece::Kind::call, std::move(name), std::move(id)});
  }
  void arguments(std::string_view part) {
    if (!part.empty()) pieces_.push_back({AnswerPiece::Kind::arguments, std::string(part), ""});
  }
  void end() { pieces_.push_back({AnswerPiece::Kind::call_end, "", ""}); }

 private:
  std::vector<AnswerPiece>& pieces_;
};

// Reads what follows a row's opening mark: one call or several.
class CallParser {
 public:
  virtual ~CallParser() = default;

  // more: the text may go on.  done: the calls end at `used`.  none: these are no calls, and
  // nothing was given to the sink.
  enum class Verdict { more, done, none };
  // `text` is everything since the mark; it only grows from one time to the next.
  virtual Verdict read(std::string_view text, bool is_last, CallSink& sink) = 0;
  std::size_t used() const { return at_; }

 protected:
  std::size_t at_ = 0;
};

std::unique_ptr<CallParser> make_json_parser(const CallForm& form, const Json& tools);
std::unique_ptr<CallParser> make_named_parser(const CallForm& form);
std::unique_ptr<CallParser> make_tagged_parser(const CallForm& form, const Json& tools);
std::unique_ptr<CallParser> make_whole_parser(const CallForm& form);  // python and braces
std::unique_ptr<CallParser> make_parser(const CallForm& form, const Json& tools);

// ---- What they share. ----

// Finds where a JSON value ends, part by part.
class ValueEnd {
 public:
  // Goes on at `at`; true: the value ends there.
  bool scan(std::string_view text, std::size_t& at);

 private:
  int depth_ = 0;
  bool in_string_ = false, is_escaped_ = false;
};

bool is_blank(char c);
std::size_t skip_blank(std::string_view text, std::size_t at);
// `mark` stands at `at`; or it may, once more text comes.
bool stands_at(std::string_view text, std::size_t at, std::string_view mark);
bool may_stand_at(std::string_view text, std::size_t at, std::string_view mark);
// The end of `text` may be the beginning of `mark`: so many bytes of it.
std::size_t begun_mark(std::string_view text, std::string_view mark);
// The parameters' schema of a tool, or nullptr.
const Json* find_tool(const Json& tools, std::string_view name);

}  // namespace hearth
