#include "text/grammar/pattern.h"

#include <fmt/core.h>

#include <charconv>

#include "base/utf8.h"
#include "text/grammar/pattern_classes.h"
#include "text/grammar/program.h"

namespace hearth::grammar {
namespace {

constexpr std::size_t max_anchored = 1024;  // alternatives that ^ and $ tell apart

// One alternative, and whether it holds the text's ends.
struct Branch {
  ExprId body;
  bool at_begin = false, at_end = false;
};
using Branches = std::vector<Branch>;

bool is_anchored(const Branches& branches) {
  for (const Branch& branch : branches)
    if (branch.at_begin || branch.at_end) return true;
  return false;
}

class Parser {
 public:
  Parser(Grammar& grammar, std::string_view text, Spelling spelling)
      : grammar_(grammar), text_(text), spelling_(spelling) {}

  Result<ExprId> run(bool is_whole) {
    const Branches branches = TRY(read_choice(0));
    if (at_ < text_.size()) return wrong("')' closes nothing");
    const ExprId any = grammar_.repeat(spell(grammar_, CharSet::all(), spelling_), 0, unlimited);
    std::vector<ExprId> parts;
    for (const Branch& branch : branches)
      parts.push_back(
          grammar_.sequence({is_whole || branch.at_begin ? grammar_.empty() : any, branch.body,
                             is_whole || branch.at_end ? grammar_.empty() : any}));
    return grammar_.choice(std::move(parts));
  }

 private:
  Error wrong(std::string_view what, ErrorKind kind = ErrorKind::invalid) const {
    return Error(kind, fmt::format("byte {}: {}", at_, what));
  }
  Error unsupported(std::string_view what) const { return wrong(what, ErrorKind::unsupported); }
  bool is_at(std::string_view mark) const { return text_.substr(at_).starts_with(mark); }
  bool take(std::string_view mark) {
    if (!is_at(mark)) return false;
    at_ += mark.size();
    return true;
  }

  Result<Branches> read_choice(int depth) {
    if (depth > max_nesting)
      return wrong(fmt::format("groups over {} deep", max_nesting), ErrorKind::exhausted);
    Branches branches;
    do {
      for (const Branch& branch : TRY(read_sequence(depth))) branches.push_back(branch);
      if (branches.size() > max_choices || grammar_.is_too_large())
        return wrong("is too large", ErrorKind::exhausted);
    } while (take("|"));
    return branches;
  }

  Result<Branches> read_sequence(int depth) {
    bool at_begin = false, at_end = false;
    std::vector<Branches> items;
    while (take("^")) at_begin = true;
    while (at_ < text_.size() && !is_at("|") && !is_at(")")) {
      if (take("$")) {
        at_end = true;
        continue;
      }
      if (at_end) return unsupported("'$' before the end of an alternative");
      if (is_at("^")) return unsupported("'^' after the beginning of an alternative");
      items.push_back(TRY(read_item(depth)));
    }
    return joined(items, at_begin, at_end);
  }

  // Alternatives of the first item may hold the beginning, those of the last the end.
  Result<Branches> joined(std::vector<Branches>& items, bool at_begin, bool at_end) {
    if (items.empty()) return Branches{{grammar_.empty(), at_begin, at_end}};
    std::vector<ExprId> middle;
    for (std::size_t i = 0; i < items.size(); ++i) {
      for (const Branch& branch : items[i])
        if ((branch.at_begin && i > 0) || (branch.at_end && i + 1 < items.size()))
          return unsupported("'^' or '$' in the middle");
      if (i > 0 && i + 1 < items.size()) middle.push_back(whole(items[i]));
    }
    Branches first = items.front();
    if (!is_anchored(first)) first = {{whole(first)}};
    Branches last = items.back();
    if (!is_anchored(last)) last = {{whole(last)}};
    if (items.size() == 1) last = {{grammar_.empty()}};
    if (first.size() * last.size() > max_anchored)
      return wrong("is too large", ErrorKind::exhausted);
    Branches result;
    for (const Branch& a : first)
      for (const Branch& b : last) {
        std::vector<ExprId> parts = {a.body};
        parts.insert(parts.end(), middle.begin(), middle.end());
        parts.push_back(b.body);
        result.push_back({grammar_.sequence(std::move(parts)), at_begin || a.at_begin,
                          at_end || a.at_end || b.at_end});
      }
    return result;
  }

  ExprId whole(const Branches& branches) {
    std::vector<ExprId> parts;
    for (const Branch& branch : branches) parts.push_back(branch.body);
    return grammar_.choice(std::move(parts));
  }

  Result<Branches> read_item(int depth) {
    Branches item;
    if (take("("))
      item = TRY(read_group(depth));
    else if (take("."))
      item = {{spell(grammar_, not_line_ends(), spelling_)}};
    else
      item = {{spell(grammar_, is_at("[") ? TRY(read_class()) : TRY(read_atom()), spelling_)}};
    while (at_ < text_.size() &&
           (std::string_view("*+?").find(text_[at_]) != std::string_view::npos || is_count())) {
      if (is_anchored(item)) return unsupported("'^' or '$' in what is repeated");
      item = {{TRY(read_repeat(whole(item)))}};
    }
    return item;
  }

  Result<Branches> read_group(int depth) {
    for (const std::string_view mark : {"?=", "?!", "?<=", "?<!"})
      if (is_at(mark)) return unsupported(fmt::format("look-around '({}' is not offered", mark));
    if (take("?<") || take("?P<")) {
      const std::size_t end = text_.find('>', at_);
      if (end == text_.npos) return wrong("needs '>' after a group's name");
      at_ = end + 1;
    } else if (!take("?:") && is_at("?")) {
      return unsupported("flags of groups are not offered");
    }
    Branches inner = TRY(read_choice(depth + 1));
    if (!take(")")) return wrong("needs ')'");
    return inner;
  }

  // {m}, {m,} or {m,n}; other braces are characters.
  bool is_count() const {
    if (!is_at("{")) return false;
    std::size_t i = at_ + 1;
    const auto number = [&] {
      const std::size_t begin = i;
      while (i < text_.size() && text_[i] >= '0' && text_[i] <= '9') ++i;
      return i > begin;
    };
    if (!number()) return false;
    if (i < text_.size() && text_[i] == ',') {
      ++i;
      number();
    }
    return i < text_.size() && text_[i] == '}';
  }

  Result<std::uint32_t> read_number() {
    std::uint32_t number = 0;
    const char* const begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), number);
    if (error != std::errc() || number > max_repeat)
      return wrong(fmt::format("a count over {}", max_repeat), ErrorKind::exhausted);
    at_ += static_cast<std::size_t>(end - begin);
    return number;
  }

  Result<ExprId> read_repeat(ExprId body) {
    std::uint32_t min = 0, max = unlimited;
    if (take("{")) {
      min = max = TRY(read_number());
      if (take(",")) max = is_at("}") ? unlimited : TRY(read_number());
      take("}");
      if (max < min) return wrong(fmt::format("{{{},{}}} counts down", min, max));
    } else {
      min = is_at("+") ? 1 : 0;
      max = is_at("?") ? 1 : unlimited;
      ++at_;
    }
    take("?");  // the shortest match first: the same texts match
    return grammar_.repeat(body, min, max);
  }

  Result<std::uint32_t> read_hex(std::size_t digits) {
    std::uint32_t point = 0;
    const std::string_view text = text_.substr(at_, digits);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), point, 16);
    if (text.size() != digits || end != text.data() + digits || error != std::errc() ||
        point > last_point)
      return wrong("needs hexadecimal digits that name a character");
    at_ += digits;
    return point;
  }

  Result<std::uint32_t> read_unicode_escape() {
    if (take("{")) {
      const std::size_t end = text_.find('}', at_);
      if (end == text_.npos || end - at_ > 8) return wrong("needs '}' after \\u{");
      const std::uint32_t point = TRY(read_hex(end - at_));
      ++at_;
      return point;
    }
    const std::uint32_t high = TRY(read_hex(4));
    if (high < 0xD800 || high > 0xDBFF || !is_at("\\u")) return high;
    at_ += 2;
    const std::uint32_t low = TRY(read_hex(4));
    if (low < 0xDC00 || low > 0xDFFF) return wrong("half of a surrogate pair");
    return 0x10000 + ((high - 0xD800) << 10 | (low - 0xDC00));
  }

  Result<CharSet> read_property(bool is_negated) {
    if (!take("{")) return wrong("needs '{' after \\p");
    const std::size_t end = text_.find('}', at_);
    if (end == text_.npos) return wrong("needs '}' after \\p{");
    const std::string_view name = text_.substr(at_, end - at_);
    auto set = category_named(name);
    if (!set) return unsupported(fmt::format("\\p{{{}}} is not known", printable(name)));
    at_ = end + 1;
    return is_negated ? set->negated() : *set;
  }

  // After a backslash.
  Result<CharSet> read_escape() {
    if (at_ >= text_.size()) return wrong("ends in a backslash");
    const char c = text_[at_++];
    const auto one = [](std::uint32_t point) { return CharSet(point, point); };
    switch (c) {
      case 'd':
        return digits();
      case 'D':
        return digits().negated();
      case 'w':
        return word_characters();
      case 'W':
        return word_characters().negated();
      case 's':
        return white_space();
      case 'S':
        return white_space().negated();
      case 't':
        return one('\t');
      case 'n':
        return one('\n');
      case 'r':
        return one('\r');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      case '0':
        return one(0);
      case 'x':
        return one(TRY(read_hex(2)));
      case 'u':
        return one(TRY(read_unicode_escape()));
      case 'p':
        return read_property(false);
      case 'P':
        return read_property(true);
      case 'c': {
        const char letter = at_ < text_.size() ? text_[at_++] : '\0';
        if (!((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z')))
          return wrong("needs a letter after \\c");
        return one(static_cast<std::uint32_t>(letter) % 32);
      }
      default:
        break;
    }
    if (c == 'b' || c == 'B') return unsupported("\\b, the border of a word, is not offered");
    if (c >= '1' && c <= '9') return unsupported("references to groups are not offered");
    if (c == 'k') return unsupported("references to groups are not offered");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
      return wrong(fmt::format("\\{} is no escape", c));
    --at_;
    return read_character();
  }

  Result<CharSet> read_character() {
    const Decoded next = decode_utf8(text_.substr(at_));
    if (!next.valid) return wrong("is not UTF-8");
    at_ += next.size;
    return CharSet(next.point, next.point);
  }

  Result<CharSet> read_atom() {
    if (take("\\")) return read_escape();
    const char c = text_[at_];
    if (c == '*' || c == '+' || c == '?' || is_count()) return wrong("repeats nothing");
    return read_character();
  }

  Result<CharSet> read_member() {
    if (at_ >= text_.size()) return wrong("needs ']'");
    if (!take("\\")) return read_character();
    if (take("b")) return CharSet('\b', '\b');
    return read_escape();
  }

  Result<CharSet> read_class() {
    ++at_;
    const bool is_negated = take("^");
    CharSet set;
    const auto is_one = [](const CharSet& s) {
      return s.ranges().size() == 1 && s.ranges()[0].first == s.ranges()[0].last;
    };
    while (!take("]")) {
      const CharSet first = TRY(read_member());
      if (!is_at("-") || text_.substr(at_ + 1).starts_with(']')) {
        set.add(first);
        continue;
      }
      ++at_;
      const CharSet last = TRY(read_member());
      if (!is_one(first) || !is_one(last)) {
        // [\w-.]: the hyphen stands for itself.
        set.add(first);
        set.add('-', '-');
        set.add(last);
        continue;
      }
      if (last.ranges()[0].last < first.ranges()[0].first)
        return wrong("a range of characters that counts down");
      set.add(first.ranges()[0].first, last.ranges()[0].last);
    }
    return is_negated ? set.negated() : set;
  }

  Grammar& grammar_;
  std::string_view text_;
  Spelling spelling_;
  std::size_t at_ = 0;
};

}  // namespace

ExprId spell(Grammar& grammar, const CharSet& set, Spelling spelling) {
  if (spelling == Spelling::plain) return grammar.chars(set);
  std::vector<ExprId> parts = {grammar.chars(set.intersected(plain_characters()))};
  constexpr std::string_view letters = "btn\vfr";  // of \b to \r, but \v has none
  CharSet named, low, high;                        // after "\", after "\u000", after "\u001"
  for (const std::uint32_t point : {std::uint32_t{'"'}, std::uint32_t{'\\'}})
    if (set.contains(point)) named.add(point, point);
  for (std::uint32_t point = 0; point < 0x20; ++point) {
    if (!set.contains(point)) continue;
    const bool has_letter = point >= '\b' && point <= '\r' && point != '\v';
    const auto digit = static_cast<std::uint32_t>("0123456789abcdef"[point % 16]);
    const auto letter = static_cast<std::uint32_t>(has_letter ? letters[point - '\b'] : 0);
    CharSet& place = has_letter ? named : point < 16 ? low : high;
    place.add(has_letter ? letter : digit, has_letter ? letter : digit);
  }
  for (const auto& [before, after] :
       {std::pair("\\", &named), std::pair("\\u000", &low), std::pair("\\u001", &high)})
    if (!after->empty())
      parts.push_back(grammar.sequence({grammar.literal(before), grammar.chars(*after)}));
  return grammar.choice(std::move(parts));
}

Result<ExprId> parse_pattern(Grammar& grammar, std::string_view pattern,
                             const PatternOptions& options) {
  if (pattern.size() > max_source_bytes)
    return Error(ErrorKind::exhausted, fmt::format("a pattern of {} bytes, of at most {}",
                                                   pattern.size(), max_source_bytes));
  return Parser(grammar, pattern, options.spelling).run(options.is_whole);
}

}  // namespace hearth::grammar
