// Constraint: what holds of an answer, and from where on: thoughts are free, the answer after them
// is held to a grammar, and a call of a tool is from its mark on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "text/grammar/matcher.h"
#include "text/grammar/schema/lists.h"

namespace hearth {

// Immutable; thread-safe.
struct Constraint {
  using Masks = std::shared_ptr<grammar::Masks>;
  // A part of the text that begins after these marks, one after another, and ends with its grammar.
  struct Section {
    std::vector<std::string> marks;
    // What reads the mark where the answer's beginning is held to a grammar, and after a thought.
    Masks first, after_thought;
    Masks grammar;  // of what follows the marks
  };

  Masks answer;         // nullptr: text is free
  Masks after_thought;  // `answer`, with what may stand between a thought and it
  std::vector<std::string>
      answer_marks;    // that come before the answer begins; none: it begins at once
  Masks thought_open;  // nullptr: the answer does not begin with a thought
  std::string thought_close;
  bool is_thinking = false;       // the prompt has begun a thought
  std::vector<Section> sections;  // calls
  Masks begun;                    // the rest of a call that the prompt has begun; nullptr: none
  bool is_single = false;         // one call, and nothing after it
};

// Follows one answer.  Keeps a reference to the constraint.  Used by one thread at a time.
class ConstraintReader {
 public:
  ConstraintReader(const Constraint& constraint, const Tokenizer& tokenizer);

  // Every token may come.
  bool is_free() const;
  // The tokens that may come, added to a set of words() words.
  std::size_t words() const { return (static_cast<std::size_t>(tokenizer_.size()) + 63) / 64; }
  void allow(std::span<std::uint64_t> set);
  // Whether the token, though the grammar allows it, makes an item of a list come a second time
  // that the schema wants once, or leaves nothing else to come next.
  bool repeats(Token token) const;
  // Errors: invalid: the token may not come here.
  Status accept(Token token);
  // The answer is complete, and nothing may follow.
  bool must_end() const;

 private:
  // held: a grammar says what may come.  thought, waiting (for the answer's marks), text: written
  // freely, and looked through for what begins next.
  enum class Phase { held, section, thought, waiting, text, over };
  struct Watch {
    std::span<const std::string> marks;
    const Constraint::Section* section;  // nullptr: of the answer
    std::size_t next = 0;                // of the marks
  };
  struct Way {  // one of the ways in which the text may be read
    enum class Leads { answer, thought, section } leads;
    const Constraint::Section* section;
    grammar::Matcher matcher;
  };

  void begin_answer(bool is_after_thought);
  void hold(const Constraint::Masks& answer);
  using Lists = std::optional<grammar::ListReader>;
  using ListBegins = std::vector<grammar::Matcher::ListBegin>;
  ListBegins lists_in(std::string_view bytes) const;
  static bool read_lists(Lists& lists, const ListBegins& begins, std::string_view bytes);
  Status read_lists(const ListBegins& begins, std::string_view bytes);
  bool can_go_on(Token token, const Lists& lists) const;
  void begin_section(const Constraint::Masks& grammar);
  void write_freely(Phase phase);
  void after_held();
  Status accept_held(Token token);
  Status read_free(std::string_view bytes);
  Status go_on(std::string_view rest);
  bool must_go_on() const;

  const Constraint& constraint_;
  const Tokenizer& tokenizer_;
  Phase phase_ = Phase::text;
  std::vector<Way> ways_;
  Lists lists_;  // of the value that is being read, where it is held to more than its grammar says
  std::vector<Watch> watches_;
  std::string written_;  // freely, as far as a mark may still begin in it
};

}  // namespace hearth
