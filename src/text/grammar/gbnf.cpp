#include "text/grammar/gbnf.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "base/utf8.h"

namespace hearth::grammar {
namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

class Parser {
 public:
  Parser(std::string_view text, const Tokenizer* tokenizer) : text_(text), tokenizer_(tokenizer) {}

  Result<Grammar> run() {
    skip(true);
    while (at_ < text_.size()) TRY(read_rule());
    for (const auto& [name, id] : names_)
      if (!defined_.contains(id))
        return Error(ErrorKind::invalid, fmt::format("rule '{}' is not defined", printable(name)));
    const auto root = names_.find("root");
    if (root == names_.end())
      return Error(ErrorKind::invalid, "there is no rule 'root', where a grammar begins");
    grammar_.set_root(root->second);
    return std::move(grammar_);
  }

 private:
  Error wrong(std::string_view what, ErrorKind kind = ErrorKind::invalid) const {
    const auto lines = std::ranges::count(text_.substr(0, at_), '\n');
    return Error(kind, fmt::format("line {}: {}", lines + 1, what));
  }
  bool is_at(std::string_view mark) const { return text_.substr(at_).starts_with(mark); }
  bool take(std::string_view mark) {
    if (!is_at(mark)) return false;
    at_ += mark.size();
    return true;
  }
  void skip(bool over_lines) {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '#')
        while (at_ + 1 < text_.size() && text_[at_ + 1] != '\n' && text_[at_ + 1] != '\r') ++at_;
      else if (c != ' ' && c != '\t' && !(over_lines && (c == '\n' || c == '\r')))
        return;
    }
  }
  std::string_view word() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  RuleId rule_named(std::string_view name) {
    const auto [place, is_new] = names_.try_emplace(std::string(name), 0);
    if (is_new) place->second = grammar_.declare(std::string(name));
    return place->second;
  }

  Status read_rule() {
    const std::string_view name = word();
    if (name.empty()) return wrong("needs the name of a rule");
    const RuleId rule = rule_named(name);
    if (!defined_.insert(rule).second)
      return wrong(fmt::format("rule '{}' is defined twice", printable(name)));
    skip(false);
    if (!take("::=")) return wrong(fmt::format("needs '::=' after '{}'", printable(name)));
    skip(true);
    grammar_.define(rule, TRY(read_choice(0)));
    if (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '\r')
      return wrong(fmt::format("'{}' cannot stand here", printable(text_.substr(at_, 1))));
    skip(true);
    if (grammar_.is_too_large()) return wrong("the grammar is too large", ErrorKind::exhausted);
    return Done{};
  }

  Result<ExprId> read_choice(int depth) {
    std::vector<ExprId> parts = {TRY(read_sequence(depth))};
    while (take("|")) {
      skip(true);
      parts.push_back(TRY(read_sequence(depth)));
    }
    return grammar_.choice(std::move(parts));
  }

  Result<ExprId> read_sequence(int depth) {
    std::vector<ExprId> parts;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '|' || c == ')' || c == '\n' || c == '\r') break;
      ExprId item = TRY(read_item(depth));
      for (bool again = true; again;) {
        skip(depth > 0);
        again = at_ < text_.size() &&
                std::string_view("*+?{").find(text_[at_]) != std::string_view::npos;
        if (again) item = TRY(read_repeat(item));
      }
      parts.push_back(item);
    }
    return grammar_.sequence(std::move(parts));
  }

  Result<ExprId> read_item(int depth) {
    const char c = text_[at_];
    if (c == '"') return read_literal();
    if (c == '[') return read_class();
    if (c == '<' || c == '!') return read_token();
    if (take(".")) return grammar_.chars(CharSet::all());
    if (take("(")) {
      if (depth >= max_nesting)
        return wrong(fmt::format("parentheses over {} deep", max_nesting), ErrorKind::exhausted);
      skip(true);
      const ExprId inner = TRY(read_choice(depth + 1));
      if (!take(")")) return wrong("needs ')'");
      return inner;
    }
    const std::string_view name = word();
    if (name.empty())
      return wrong(fmt::format("'{}' cannot stand here", printable(std::string(1, c))));
    return grammar_.rule(rule_named(name));
  }

  Result<std::uint32_t> read_number() {
    std::uint32_t number = 0;
    const char* const begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), number);
    if (end == begin || error != std::errc() || number > max_repeat)
      return wrong(fmt::format("needs a number of up to {}", max_repeat));
    at_ += static_cast<std::size_t>(end - begin);
    skip(true);
    return number;
  }

  Result<ExprId> read_repeat(ExprId item) {
    if (take("*")) return grammar_.repeat(item, 0, unlimited);
    if (take("+")) return grammar_.repeat(item, 1, unlimited);
    if (take("?")) return grammar_.repeat(item, 0, 1);
    take("{");
    skip(true);
    const std::uint32_t min = is_at(",") ? 0 : TRY(read_number());
    std::uint32_t max = min;
    if (take(",")) {
      skip(true);
      max = is_at("}") ? unlimited : TRY(read_number());
    }
    if (!take("}")) return wrong("needs '}' after a count");
    if (max < min) return wrong(fmt::format("{{{},{}}} counts down", min, max));
    return grammar_.repeat(item, min, max);
  }

  Result<std::uint32_t> read_hex(std::size_t digits) {
    std::uint32_t point = 0;
    const std::string_view text = text_.substr(at_, digits);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), point, 16);
    if (text.size() != digits || end != text.data() + digits || error != std::errc())
      return wrong(fmt::format("needs {} hexadecimal digits", digits));
    at_ += digits;
    if (point > last_point || (point >= 0xD800 && point < 0xE000))
      return wrong("names no character");
    return point;
  }

  // A character, or an escape for one.
  Result<std::uint32_t> read_point() {
    if (at_ >= text_.size()) return wrong("ends in the middle of a text");
    if (!take("\\")) {
      const Decoded next = decode_utf8(text_.substr(at_));
      if (!next.valid) return wrong("is not UTF-8");
      at_ += next.size;
      return next.point;
    }
    const char c = at_ < text_.size() ? text_[at_++] : '\0';
    switch (c) {
      case 'x':
        return read_hex(2);
      case 'u':
        return read_hex(4);
      case 'U':
        return read_hex(8);
      case 'n':
        return std::uint32_t{'\n'};
      case 'r':
        return std::uint32_t{'\r'};
      case 't':
        return std::uint32_t{'\t'};
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
        return static_cast<std::uint32_t>(c);
      default:
        return wrong("has an unknown escape");
    }
  }

  Result<ExprId> read_literal() {
    ++at_;
    std::string bytes;
    while (!take("\"")) append_utf8(bytes, TRY(read_point()));
    return grammar_.literal(bytes);
  }

  Result<ExprId> read_class() {
    ++at_;
    const bool is_negated = take("^");
    CharSet set;
    while (!take("]")) {
      const std::uint32_t first = TRY(read_point());
      std::uint32_t last = first;
      if (is_at("-") && !text_.substr(at_ + 1).starts_with(']')) {
        ++at_;
        last = TRY(read_point());
      }
      if (last < first) return wrong("has a range of characters that counts down");
      set.add(first, last);
    }
    return grammar_.chars(is_negated ? set.negated() : set);
  }

  // <[123]>, <text>, !<...>
  Result<ExprId> read_token() {
    const bool is_negated = take("!");
    if (!take("<")) return wrong("needs a token, <...>");
    const std::size_t end = text_.find('>', at_);
    if (end == text_.npos) return wrong("needs '>' after a token");
    std::string_view name = text_.substr(at_, end - at_);
    std::optional<Token> token;
    if (name.starts_with('[') && name.ends_with(']')) {
      Token id = -1;
      name = name.substr(1, name.size() - 2);
      const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), id);
      const bool is_id = rest == name.data() + name.size() && error == std::errc();
      if (is_id && tokenizer_ && id >= 0 && id < tokenizer_->size()) token = id;
    } else if (tokenizer_) {
      token = tokenizer_->find(fmt::format("<{}>", name));
    }
    if (!token) return wrong(fmt::format("<{}> is no token of this vocabulary", printable(name)));
    at_ = end + 1;
    if (!is_negated) return grammar_.token(*token);
    // No text holds the token: any number of other ones is any text.
    if (!is_at("*") && !is_at("+"))
      return wrong("!<...> needs to be repeated with * or +", ErrorKind::unsupported);
    return grammar_.chars(CharSet::all());
  }

  std::string_view text_;
  const Tokenizer* tokenizer_;
  std::size_t at_ = 0;
  Grammar grammar_;
  std::map<std::string, RuleId> names_;
  std::set<RuleId> defined_;
};

}  // namespace

Result<Grammar> parse_gbnf(std::string_view text, const Tokenizer* tokenizer) {
  if (text.size() > max_source_bytes)
    return Error(ErrorKind::exhausted, fmt::format("a grammar of {} bytes, of at most {}",
                                                   text.size(), max_source_bytes));
  return Parser(text, tokenizer).run();
}

}  // namespace hearth::grammar
