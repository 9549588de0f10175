// Filters as people write them: year >= 2020 and lang = 'de'.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/utf8.h"
#include "vectors/store/filter.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t max_filter_bytes = 64 << 10;

struct Token {
  enum class Kind { end, word, text, number, symbol } kind = Kind::end;
  std::string text;
};

bool is_word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-' || static_cast<unsigned char>(c) >= 0x80;
}

Json number_or_text(const std::string& text) {
  const char* last = text.data() + text.size();
  std::int64_t whole = 0;
  const auto as_whole = std::from_chars(text.data(), last, whole);
  if (as_whole.ec == std::errc() && as_whole.ptr == last) return Json(whole);
  double number = 0;
  const auto as_number = std::from_chars(text.data(), last, number);
  const bool is_number = as_number.ec == std::errc() && as_number.ptr == last;
  return is_number && std::isfinite(number) ? Json(number) : Json(text);  // 2024-05-01
}

bool is_keyword(const Token& token, std::string_view word) {
  return token.kind == Token::Kind::word && token.text.size() == word.size() &&
         std::equal(word.begin(), word.end(), token.text.begin(),
                    [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b + 32 : b); });
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Filter> parse() {
    TRY(advance());
    if (token_.kind == Token::Kind::end) return Filter{};
    Filter filter = TRY(parse_any(0));
    if (token_.kind != Token::Kind::end) return unexpected("and, or, or the end");
    return filter;
  }

 private:
  Error unexpected(std::string_view wanted) const {
    return Error(ErrorKind::invalid, fmt::format("filter: '{}' at byte {}: needs {}",
                                                 printable(token_.text), start_, wanted));
  }
  bool is_symbol(std::string_view symbol) const {
    return token_.kind == Token::Kind::symbol && token_.text == symbol;
  }

  Status advance();
  Status read_quoted(char quote);
  Result<Filter> parse_any(int depth);
  Result<Filter> parse_all(int depth);
  Result<Filter> parse_one(int depth);
  Result<Filter> parse_condition();
  Result<Filter> parse_is(std::string field);
  Result<Json> parse_value();
  Result<Json> parse_list();

  std::string_view text_;
  std::size_t at_ = 0, start_ = 0;
  Token token_;
};

Status Parser::read_quoted(char quote) {
  token_ = {Token::Kind::text, ""};
  for (++at_; at_ < text_.size(); ++at_) {
    if (text_[at_] == quote) {
      ++at_;
      if (at_ >= text_.size() || text_[at_] != quote) return Done{};  // twice: the quote itself
    }
    token_.text += text_[at_];
  }
  return Error(ErrorKind::invalid,
               fmt::format("filter: the text that begins at byte {} has no end", start_));
}

Status Parser::advance() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n'))
    ++at_;
  start_ = at_;
  token_ = {};
  if (at_ >= text_.size()) return Done{};
  const char c = text_[at_];
  if (c == '\'' || c == '"') return read_quoted(c);
  if (is_word_byte(c)) {
    while (at_ < text_.size() && is_word_byte(text_[at_])) token_.text += text_[at_++];
    const bool is_number = (c >= '0' && c <= '9') || c == '-' || c == '.';
    token_.kind = is_number ? Token::Kind::number : Token::Kind::word;
    return Done{};
  }
  token_ = {Token::Kind::symbol, std::string(1, c)};
  ++at_;
  if ((c == '<' || c == '>' || c == '!' || c == '=') && at_ < text_.size() &&
      (text_[at_] == '=' || (c == '<' && text_[at_] == '>')))
    token_.text += text_[at_++];
  return Done{};
}

Result<Filter> Parser::parse_any(int depth) {
  if (depth > max_filter_depth)
    return Error(ErrorKind::invalid, fmt::format("filter: nested over {} deep", max_filter_depth));
  Filter first = TRY(parse_all(depth));
  if (!is_keyword(token_, "or")) return first;
  Filter any{Filter::Op::any, "", {}, {}};
  any.parts.push_back(std::move(first));
  while (is_keyword(token_, "or")) {
    TRY(advance());
    any.parts.push_back(TRY(parse_all(depth)));
  }
  return any;
}

Result<Filter> Parser::parse_all(int depth) {
  Filter first = TRY(parse_one(depth));
  if (!is_keyword(token_, "and")) return first;
  Filter all{Filter::Op::all, "", {}, {}};
  all.parts.push_back(std::move(first));
  while (is_keyword(token_, "and")) {
    TRY(advance());
    all.parts.push_back(TRY(parse_one(depth)));
  }
  return all;
}

Result<Filter> Parser::parse_one(int depth) {
  if (is_keyword(token_, "not")) {
    TRY(advance());
    if (depth > max_filter_depth)
      return Error(ErrorKind::invalid,
                   fmt::format("filter: nested over {} deep", max_filter_depth));
    return Filter{Filter::Op::negation, "", {}, {TRY(parse_one(depth + 1))}};
  }
  if (!is_symbol("(")) return parse_condition();
  TRY(advance());
  Filter inner = TRY(parse_any(depth + 1));
  if (!is_symbol(")")) return unexpected("')'");
  TRY(advance());
  return inner;
}

Result<Filter> Parser::parse_is(std::string field) {
  TRY(advance());
  const bool is_negated = is_keyword(token_, "not");
  if (is_negated) TRY(advance());
  if (!is_keyword(token_, "null")) return unexpected("null");
  TRY(advance());
  Filter null{Filter::Op::is_null, std::move(field), {}, {}};
  if (is_negated) return Filter{Filter::Op::negation, "", {}, {std::move(null)}};
  return null;
}

Result<Filter> Parser::parse_condition() {
  static constexpr struct {
    std::string_view name;
    Filter::Op op;
  } rows[] = {{"=", Filter::Op::equal},
              {"==", Filter::Op::equal},
              {"!=", Filter::Op::not_equal},
              {"<>", Filter::Op::not_equal},
              {"<", Filter::Op::less},
              {"<=", Filter::Op::at_most},
              {">", Filter::Op::greater},
              {">=", Filter::Op::at_least},
              {"in", Filter::Op::in},
              {"prefix", Filter::Op::prefix},
              {"contains", Filter::Op::contains}};
  if (token_.kind != Token::Kind::word && token_.kind != Token::Kind::text)
    return unexpected("the name of a field");
  std::string field = token_.text;
  TRY(advance());
  if (is_keyword(token_, "is")) return parse_is(std::move(field));
  bool is_negated = is_keyword(token_, "not");
  if (is_negated) TRY(advance());
  const auto* row = std::find_if(std::begin(rows), std::end(rows), [&](const auto& candidate) {
    return token_.kind == Token::Kind::symbol ? token_.text == candidate.name
                                              : is_keyword(token_, candidate.name);
  });
  if (row == std::end(rows)) return unexpected("= != < <= > >= in, prefix, contains or is null");
  TRY(advance());
  Filter condition{row->op, std::move(field), {}, {}};
  condition.value = row->op == Filter::Op::in ? TRY(parse_list()) : TRY(parse_value());
  if (row->op == Filter::Op::prefix && !condition.value.is_string())
    return Error(ErrorKind::invalid, "filter: prefix needs a text");
  if (is_negated) return Filter{Filter::Op::negation, "", {}, {std::move(condition)}};
  return condition;
}

Result<Json> Parser::parse_value() {
  Json value;
  if (token_.kind == Token::Kind::text) {
    value = Json(token_.text);
  } else if (is_keyword(token_, "true") || is_keyword(token_, "false")) {
    value = Json(is_keyword(token_, "true"));
  } else if (token_.kind == Token::Kind::word) {
    value = Json(token_.text);
  } else if (token_.kind == Token::Kind::number) {
    value = number_or_text(token_.text);
  } else {
    return unexpected("a value: a number, true, false or a text in quotes");
  }
  TRY(advance());
  return value;
}

Result<Json> Parser::parse_list() {
  if (!is_symbol("(") && !is_symbol("[")) return unexpected("'(' and a list");
  Json list = Json::array();
  do {
    TRY(advance());
    list.push_back(TRY(parse_value()));
    if (list.size() > max_filter_values)
      return Error(ErrorKind::invalid,
                   fmt::format("filter: a list of over {} values", max_filter_values));
  } while (is_symbol(","));
  if (!is_symbol(")") && !is_symbol("]")) return unexpected("',' or ')'");
  TRY(advance());
  return list;
}

}  // namespace

Result<Filter> parse_filter(std::string_view text) {
  if (text.size() > max_filter_bytes)
    return Error(ErrorKind::invalid, fmt::format("filter: over {} bytes", max_filter_bytes));
  return Parser(text).parse();
}

}  // namespace hearth::vectors
