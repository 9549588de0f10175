#include "text/grammar/constraint.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"

namespace hearth {
namespace {

constexpr std::size_t max_held_bytes = 4096;  // of free text: far longer than any mark

Error comes_twice(const std::string& where) {
  return Error(ErrorKind::invalid,
               fmt::format("uniqueItems: an item of {} comes a second time", printable(where)));
}

Error cannot_go_on(std::string_view text) {
  return Error(ErrorKind::invalid, fmt::format("grammar: '{}' cannot come here", printable(text)));
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \n\r\t") == std::string_view::npos;
}

}  // namespace

ConstraintReader::ConstraintReader(const Constraint& constraint, const Tokenizer& tokenizer)
    : constraint_(constraint), tokenizer_(tokenizer) {
  if (constraint.begun)
    begin_section(constraint.begun);
  else if (constraint.is_thinking)
    write_freely(Phase::thought);
  else
    begin_answer(false);
}

void ConstraintReader::begin_answer(bool is_after_thought) {
  if (!constraint_.answer) return write_freely(Phase::text);
  if (!constraint_.answer_marks.empty()) return write_freely(Phase::waiting);
  hold(is_after_thought && constraint_.after_thought ? constraint_.after_thought
                                                     : constraint_.answer);
  if (constraint_.thought_open && !is_after_thought)
    ways_.push_back({Way::Leads::thought, nullptr, grammar::Matcher(constraint_.thought_open)});
  for (const Constraint::Section& section : constraint_.sections)
    if (section.first)
      ways_.push_back({Way::Leads::section, &section,
                       grammar::Matcher(is_after_thought ? section.after_thought : section.first)});
}

void ConstraintReader::hold(const Constraint::Masks& answer) {
  phase_ = Phase::held;
  ways_.clear();
  ways_.push_back({Way::Leads::answer, nullptr, grammar::Matcher(answer)});
  lists_.reset();
}

void ConstraintReader::begin_section(const Constraint::Masks& grammar) {
  phase_ = Phase::section;
  lists_.reset();
  ways_.clear();
  ways_.push_back({Way::Leads::answer, nullptr, grammar::Matcher(grammar)});
}

void ConstraintReader::write_freely(Phase phase) {
  phase_ = phase;
  lists_.reset();
  ways_.clear();
  watches_.clear();
  written_.clear();
  if (phase == Phase::thought) return;
  if (phase == Phase::waiting) watches_.push_back({constraint_.answer_marks, nullptr});
  for (const Constraint::Section& section : constraint_.sections)
    watches_.push_back({section.marks, &section});
}

bool ConstraintReader::must_go_on() const {
  return constraint_.answer && (phase_ == Phase::thought || phase_ == Phase::waiting);
}

bool ConstraintReader::is_free() const {
  return ways_.empty() && phase_ != Phase::over && !must_go_on();
}

bool ConstraintReader::must_end() const {
  if (phase_ == Phase::over) return true;
  return phase_ == Phase::held &&
         std::ranges::all_of(ways_, [](const Way& way) { return way.matcher.must_end(); });
}

void ConstraintReader::allow(std::span<std::uint64_t> set) {
  for (Way& way : ways_) way.matcher.allow(set);
  if (!ways_.empty()) return;
  const auto& ends = tokenizer_.special().end_of_generation;
  if (phase_ != Phase::over) std::ranges::fill(set, ~std::uint64_t{0});
  for (const Token end : ends) {
    std::uint64_t& word = set[static_cast<std::size_t>(end) / 64];
    const std::uint64_t bit = std::uint64_t{1} << (end % 64);
    word = must_go_on() ? word & ~bit : word | bit;
  }
}

bool ConstraintReader::repeats(Token token) const {
  if (tokenizer_.ends_generation(token)) return false;
  const std::string_view bytes = tokenizer_.piece(token);
  const ListBegins begins = lists_in(bytes);
  if (begins.empty() && !(lists_ && lists_->is_within())) return false;
  Lists lists = lists_;
  if (!read_lists(lists, begins, bytes)) return true;
  return lists && lists->is_near_repeat() && !can_go_on(token, lists);
}

// After the token, which leads to `lists`, another can come.
bool ConstraintReader::can_go_on(Token token, const Lists& lists) const {
  std::vector<std::uint64_t> set(words());
  for (Way way : ways_)
    if (way.matcher.accept(token)) way.matcher.allow(set);
  for (Token next = 0; next < tokenizer_.size(); ++next) {
    if (!grammar::has(set, next)) continue;
    Lists after = lists;
    if (read_lists(after, {}, tokenizer_.piece(next))) return true;
  }
  return false;
}

ConstraintReader::ListBegins ConstraintReader::lists_in(std::string_view bytes) const {
  const bool has_lists = !ways_.empty() && ways_.front().leads == Way::Leads::answer;
  return has_lists ? ways_.front().matcher.lists_in(bytes) : ListBegins();
}

// False: an item comes a second time.
bool ConstraintReader::read_lists(Lists& lists, const ListBegins& begins, std::string_view bytes) {
  auto begin = begins.begin();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (; begin != begins.end() && begin->at <= i; ++begin)
      if (begin->at == i && !lists) lists.emplace(*begin->rules);
    if (!lists) continue;
    if (!lists->read(bytes.substr(i, 1))) return false;
    if (lists->is_over()) lists.reset();
  }
  return true;
}

Status ConstraintReader::read_lists(const ListBegins& begins, std::string_view bytes) {
  if (ways_.front().leads != Way::Leads::answer) {  // the text is none of the answer's
    lists_.reset();
    return Done{};
  }
  const std::string where = lists_ ? lists_->where() : "the list";
  return read_lists(lists_, begins, bytes) ? Status(Done{}) : comes_twice(where);
}

Status ConstraintReader::accept(Token token) {
  if (!ways_.empty()) return accept_held(token);
  if (phase_ == Phase::over || tokenizer_.ends_generation(token)) return Done{};
  return read_free(tokenizer_.piece(token, true));
}

Status ConstraintReader::accept_held(Token token) {
  const std::string_view bytes = tokenizer_.ends_generation(token) ? "" : tokenizer_.piece(token);
  const ListBegins begins = lists_in(bytes);
  std::erase_if(ways_, [&](Way& way) { return !way.matcher.accept(token); });
  if (ways_.empty()) return cannot_go_on(tokenizer_.piece(token, true));
  if (tokenizer_.ends_generation(token)) return Done{};
  TRY(read_lists(begins, bytes));
  after_held();
  return Done{};
}

// A mark, or a call, that is whole leads on.
void ConstraintReader::after_held() {
  if (phase_ == Phase::section) {
    if (!ways_.front().matcher.must_end()) return;
    if (constraint_.is_single) {
      ways_.clear();
      phase_ = Phase::over;
    } else {
      write_freely(Phase::text);
    }
    return;
  }
  for (const Way& way : ways_) {
    if (way.leads == Way::Leads::answer || !way.matcher.must_end()) continue;
    if (way.leads == Way::Leads::thought)
      write_freely(Phase::thought);
    else
      begin_section(way.section->grammar);
    return;
  }
}

Status ConstraintReader::read_free(std::string_view bytes) {
  const std::size_t before = written_.size();
  written_ += bytes;
  if (phase_ == Phase::thought) {
    const std::string& close = constraint_.thought_close;
    const std::size_t at = close.empty() ? std::string::npos : written_.find(close);
    if (at != std::string::npos) {
      const std::string rest = written_.substr(at + close.size());
      begin_answer(true);
      return go_on(rest);
    }
  }
  // Marks end within the new bytes, so those that end first come first.
  for (std::size_t end = before + 1; end <= written_.size(); ++end) {
    const std::string_view text(written_.data(), end);
    for (Watch& watch : watches_) {
      if (!text.ends_with(watch.marks[watch.next])) continue;
      if (++watch.next < watch.marks.size()) continue;
      const std::string rest = written_.substr(end);
      if (watch.section == nullptr) {
        hold(constraint_.answer);
      } else {
        begin_section(watch.section->grammar);
      }
      return go_on(rest);
    }
  }
  if (written_.size() > max_held_bytes) written_.erase(0, written_.size() - max_held_bytes / 2);
  return Done{};
}

// What the token that held a mark's end brought after it.
Status ConstraintReader::go_on(std::string_view rest) {
  if (rest.empty()) return Done{};
  if (ways_.empty()) return read_free(rest);
  const ListBegins begins = lists_in(rest);
  std::vector<Way> fitting;
  for (Way& way : ways_)
    if (Way copy = way; copy.matcher.accept_text(rest)) fitting.push_back(std::move(copy));
  if (fitting.empty()) return is_blank(rest) ? Status(Done{}) : cannot_go_on(rest);
  ways_ = std::move(fitting);
  TRY(read_lists(begins, rest));
  after_held();
  return Done{};
}

}  // namespace hearth
