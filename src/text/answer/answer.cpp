#include "text/answer/answer.h"

#include <algorithm>

#include "text/answer/call_parsers.h"
#include "text/answer/forms.h"
#include "text/answer/harmony.h"

namespace hearth {

// Text is given as it comes, but for what may be the beginning of a mark, and for white space that
// may stand before a call.
struct AnswerReader::State {
  State(const AnswerForm& form, Json given_tools, bool starts_thinking)
      : tools(std::move(given_tools)),
        calls(form.calls),
        thoughts(form.thoughts),
        reads_calls(calls && tools.size() > 0),
        is_bare(reads_calls && calls->syntax == CallSyntax::bare_json),
        harmony(reads_calls),
        place(starts_thinking ? Place::thought_start : Place::start) {}

  enum class Place { start, thought_start, thought_blank, thought, text, call };

  void run(bool is_last) {
    if (calls && calls->syntax == CallSyntax::harmony) {
      harmony.read(held, is_last, pieces);
      return;
    }
    while (step(is_last)) {
    }
  }

  bool step(bool is_last) {
    switch (place) {
      case Place::start:
        return start(is_last);
      case Place::thought_start:
        return start_thought(is_last);
      case Place::thought_blank:
        held.erase(0, skip_blank(held, 0));
        if (held.empty() && !is_last) return false;
        place = Place::thought;
        return true;
      case Place::thought:
        return read_thought(is_last);
      case Place::text:
        return read_text(is_last);
      case Place::call:
        return read_call(is_last);
    }
    return false;
  }

  // Only an answer's beginning may be a thought, or a call without a mark.
  bool start(bool is_last) {
    const std::size_t at = skip_blank(held, 0);
    if (at == held.size() && !is_last) return false;
    if (thoughts && stands_at(held, at, thoughts->open)) {
      place = Place::thought_start;
      return true;
    }
    if (thoughts && !is_last && may_stand_at(held, at, thoughts->open)) return false;
    place = Place::text;
    if (!is_bare) return true;
    const std::string_view mark = calls->silent[0];
    if (!is_last && may_stand_at(held, at, mark)) {
      place = Place::start;
      return false;
    }
    const std::size_t object = stands_at(held, at, mark) ? skip_blank(held, at + mark.size()) : at;
    if (object == held.size() && !is_last) {
      place = Place::start;
      return false;
    }
    if (object < held.size() && (held[object] == '{' || held[object] == '[')) open_call(0, object);
    return true;
  }

  // A prompt may have opened the thought already; some models open it again.
  bool start_thought(bool is_last) {
    const std::size_t at = skip_blank(held, 0);
    if (at == held.size() && !is_last) return false;
    if (!is_last && may_stand_at(held, at, thoughts->open)) return false;
    if (stands_at(held, at, thoughts->open)) held.erase(0, at + thoughts->open.size());
    place = Place::thought_blank;
    return true;
  }

  bool read_thought(bool is_last) {
    const std::size_t close = held.find(thoughts->close);
    const bool is_over = close != held.npos;
    std::size_t end = is_over ? close : held.size();
    if (!is_over && !is_last) end -= begun_mark(held, thoughts->close);
    std::size_t given = end;
    while (given > 0 && is_blank(held[given - 1])) --given;
    give(AnswerPiece::Kind::thought, std::string_view(held).substr(0, given));
    held.erase(0, is_over ? close + thoughts->close.size() : is_last ? held.size() : given);
    if (is_over) {
      place = Place::text;
      drops_blank = true;
    }
    return is_over;
  }

  struct Mark {
    std::size_t at = std::string::npos;
    std::string_view text;
    bool is_silent = false;
  };

  // The first mark in what is held, and how much of its end may be the beginning of one.
  Mark find_mark(std::size_t& begun) const {
    Mark first;
    const auto look = [&](std::string_view mark, bool is_silent) {
      if (mark.empty()) return;
      const std::size_t at = held.find(mark);
      if (at < first.at) first = {at, mark, is_silent};
      begun = std::max(begun, begun_mark(held, mark));
    };
    if (reads_calls) look(calls->open, false);
    if (calls)
      for (const std::string_view mark : calls->silent) look(mark, true);
    return first;
  }

  bool read_text(bool is_last) {
    if (drops_blank) {
      held.erase(0, skip_blank(held, 0));
      if (held.empty()) return false;
    }
    std::size_t begun = 0;
    const Mark mark = find_mark(begun);
    const bool is_found = mark.at != held.npos;
    const std::size_t end = is_found ? mark.at : held.size() - (is_last ? 0 : begun);
    // White space is held until it is known what follows it.
    std::size_t given = end;
    if (reads_calls && !(is_last && !is_found && !has_called))
      while (given > 0 && is_blank(held[given - 1])) --given;
    if (given > 0) {
      drops_blank = false;
      give(AnswerPiece::Kind::text, std::string_view(held).substr(0, given));
    }
    if (!is_found) {
      held.erase(0, is_last ? held.size() : given);
      return false;
    }
    if (mark.is_silent) {
      held.erase(mark.at, mark.text.size());
      held.erase(0, given);
      return true;
    }
    open_call(given, mark.at + mark.text.size());
    return true;
  }

  // `begin`: where what belongs to the call begins; `inside`: after its opening mark.
  void open_call(std::size_t begin, std::size_t inside) {
    opening = held.substr(begin, inside - begin);
    held.erase(0, inside);
    parser = make_parser(*calls, tools);
    place = Place::call;
  }

  bool read_call(bool is_last) {
    CallSink sink(pieces);
    switch (parser->read(held, is_last, sink)) {
      case CallParser::Verdict::more:
        return false;
      case CallParser::Verdict::done:
        held.erase(0, parser->used());
        has_called = drops_blank = true;
        break;
      case CallParser::Verdict::none:
        // The mark was text; what follows it may hold another.
        give(AnswerPiece::Kind::text, opening);
        drops_blank = false;
        break;
    }
    place = Place::text;
    return true;
  }

  void give(AnswerPiece::Kind kind, std::string_view text) {
    if (!text.empty()) pieces.push_back({kind, std::string(text), ""});
  }

  const Json tools;
  const CallForm* const calls;
  const ThoughtForm* const thoughts;
  const bool reads_calls, is_bare;
  HarmonyReader harmony;
  Place place;
  std::string held;     // not yet given
  std::string opening;  // of the call that is being read
  bool drops_blank = false, has_called = false;
  std::unique_ptr<CallParser> parser;
  std::vector<AnswerPiece> pieces;
};

AnswerReader::AnswerReader(const AnswerForm& form, Json tools, bool is_thinking)
    : state_(std::make_unique<State>(form, std::move(tools), is_thinking)) {}
AnswerReader::~AnswerReader() = default;

std::vector<AnswerPiece> AnswerReader::add(std::string_view text) {
  state_->held += text;
  state_->run(false);
  return std::exchange(state_->pieces, {});
}

std::vector<AnswerPiece> AnswerReader::finish() {
  state_->run(true);
  return std::exchange(state_->pieces, {});
}

bool AnswerReader::is_thinking() const {
  const auto place = state_->place;
  return place == State::Place::thought_start || place == State::Place::thought_blank ||
         place == State::Place::thought || state_->harmony.is_thinking();
}

}  // namespace hearth
