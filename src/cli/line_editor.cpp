// The one source that knows libedit.
#include "cli/line_editor.h"

#include <histedit.h>
#include <sys/stat.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <filesystem>
#include <string_view>

#include "base/files.h"

namespace hearth::cli {

struct LineEditor::State {
  EditLine* editor = nullptr;
  History* history = nullptr;
  HistEvent event{};
  std::string history_path, prompt;
  bool interrupted = false;
};

namespace {

constexpr int history_entries = 1000;

LineEditor::Line plain_line() {
  std::string text;
  for (int c; (c = std::getchar()) != EOF && c != '\n';) text += static_cast<char>(c);
  const bool end = text.empty() && std::feof(stdin);
  return {end ? LineEditor::Outcome::end : LineEditor::Outcome::line, std::move(text)};
}

}  // namespace

LineEditor::LineEditor(std::string history_path)
    : state_(std::make_unique<State>()), terminal_(::isatty(STDIN_FILENO) == 1) {
  if (!terminal_) return;
  if (!std::setlocale(LC_CTYPE, "") || std::string_view(std::setlocale(LC_CTYPE, nullptr)) == "C")
    std::setlocale(LC_CTYPE, "C.UTF-8");
  State& state = *state_;
  state.history_path = std::move(history_path);
  state.editor = el_init("hearth", stdin, stdout, stderr);
  state.history = history_init();
  history(state.history, &state.event, H_SETSIZE, history_entries);
  history(state.history, &state.event, H_SETUNIQUE, 1);
  if (!state.history_path.empty())
    history(state.history, &state.event, H_LOAD, state.history_path.c_str());

  el_set(state.editor, EL_CLIENTDATA, &state);
  el_set(state.editor, EL_EDITOR, "emacs");
  el_set(state.editor, EL_HIST, history, state.history);
  char* (*prompt)(EditLine*) = [](EditLine* editor) {
    State* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return self->prompt.data();
  };
  el_set(state.editor, EL_PROMPT, prompt);
  // Ctrl-C must reach us as a key: as a signal it would be taken for the end of an answer.
  el_set(state.editor, EL_SETTY, "-d", "-isig", nullptr);
  unsigned char (*interrupt)(EditLine*, int) = [](EditLine* editor, int) -> unsigned char {
    State* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    self->interrupted = true;
    return CC_NEWLINE;
  };
  el_set(state.editor, EL_ADDFN, "hearth-interrupt", "Drop the line.", interrupt);
  el_set(state.editor, EL_BIND, "^C", "hearth-interrupt", nullptr);
  el_set(state.editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_source(state.editor, nullptr);  // ~/.editrc
}

LineEditor::~LineEditor() {
  if (!state_->editor) return;
  if (!state_->history_path.empty()) {
    std::error_code ignored;
    std::filesystem::create_directories(parent_folder(state_->history_path), ignored);
    const mode_t before = ::umask(0077);
    history(state_->history, &state_->event, H_SAVE, state_->history_path.c_str());
    ::umask(before);
  }
  history_end(state_->history);
  el_end(state_->editor);
}

LineEditor::Line LineEditor::read(const std::string& prompt) {
  if (!terminal_) return plain_line();
  State& state = *state_;
  state.prompt = prompt;
  state.interrupted = false;
  // By itself el_gets shows the prompt first: a Ctrl-C or Ctrl-D in between would be lost.
  el_set(state.editor, EL_PREP_TERM, 1);
  int size = 0;
  const char* raw = el_gets(state.editor, &size);
  if (state.interrupted) {
    std::fputs("\n", stdout);
    return {Outcome::interrupted, ""};
  }
  if (!raw || size <= 0) return {Outcome::end, ""};
  std::string text(raw, static_cast<std::size_t>(size));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return {Outcome::line, std::move(text)};
}

void LineEditor::remember(const std::string& entry) {
  if (state_->history && !entry.empty())
    history(state_->history, &state_->event, H_ENTER, entry.c_str());
}

}  // namespace hearth::cli
