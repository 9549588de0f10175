// LineEditor: a line at a time from a person, with editing and history; or from a pipe, plainly.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace hearth::cli {

// Used by one thread.
class LineEditor {
 public:
  // `history_path`: kept with mode 0600; empty: no history file.
  explicit LineEditor(std::string history_path);
  ~LineEditor();

  enum class Outcome { line, interrupted, end };
  struct Line {
    Outcome outcome;
    std::string text;  // without the newline
  };
  // Ctrl-C gives `interrupted` and drops the line; Ctrl-D on an empty line gives `end`.
  Line read(const std::string& prompt);
  void remember(const std::string& entry);  // adds to the history

  bool is_terminal() const { return terminal_; }

 private:
  struct State;
  std::unique_ptr<State> state_;
  bool terminal_;
};

}  // namespace hearth::cli
