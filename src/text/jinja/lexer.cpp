#include "text/jinja/lexer.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"
#include "text/jinja/unicode.h"

namespace hearth::jinja {
namespace {

bool is_digit_char(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<std::vector<Token>> run() {
    while (at_ < source_.size()) {
      if (!in_tag_)
        TRY(data());
      else
        TRY(tag());
    }
    if (in_tag_) return fail("the template ends inside a tag");
    add(TokenType::end, {});
    return std::move(tokens_);
  }

 private:
  Error fail(std::string message) const {
    return Error(ErrorKind::invalid, fmt::format("line {}: {}", line_, message));
  }
  void add(TokenType type, std::string_view text) { tokens_.push_back({type, line_, text}); }
  bool starts(std::string_view text) const { return source_.substr(at_).starts_with(text); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }

  void advance(std::size_t bytes) {
    const auto passed = source_.substr(at_, bytes);
    line_ += static_cast<std::uint32_t>(std::count(passed.begin(), passed.end(), '\n'));
    at_ += bytes;
  }

  // The first byte from `at` on that is not white space.
  std::size_t skip_space(std::size_t at) const {
    while (at < source_.size()) {
      const Decoded next = decode_utf8(source_.substr(at));
      if (!is_space(next.point)) break;
      at += next.size;
    }
    return at;
  }

  static std::string_view strip_right(std::string_view text) {
    while (!text.empty()) {
      std::size_t start = text.size() - 1;
      while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
      if (!is_space(decode_utf8(text.substr(start)).point)) break;
      text = text.substr(0, start);
    }
    return text;
  }

  // Text before a tag: "-" takes all white space from its end, otherwise a tag that is not a
  // variable takes the white space between the line's start and itself.
  std::string_view before_tag(std::string_view text, char sign, bool is_variable) const {
    if (sign == '-') return strip_right(text);
    if (sign == '+' || is_variable) return text;
    const std::size_t line_start = text.rfind('\n') + 1;  // npos + 1 is 0
    const bool begins_line = line_start > 0 || at_ == 0 || source_[at_ - 1] == '\n';
    const auto tail = text.substr(line_start);
    return begins_line && strip_right(tail).empty() ? text.substr(0, line_start) : text;
  }

  // Where "%}" and its like end, with the white space they take; 0: not there.
  // A line end after a block's end goes with it, unless "+" says otherwise.
  std::size_t closing(std::size_t at, std::string_view mark, bool is_block) const {
    const auto rest = source_.substr(at);
    if (rest.starts_with(mark)) {
      at += mark.size();
      return is_block && at < source_.size() && source_[at] == '\n' ? at + 1 : at;
    }
    if (rest.size() < 3 || rest.substr(1, 2) != mark) return 0;
    if (rest[0] == '-') return skip_space(at + 3);
    return rest[0] == '+' && is_block ? at + 3 : 0;
  }

  static char sign_of(std::string_view rest) {
    return !rest.empty() && (rest[0] == '-' || rest[0] == '+') ? rest[0] : '\0';
  }

  Status data() {
    std::size_t found = at_;
    for (;; ++found) {
      found = source_.find('{', found);
      if (found == std::string_view::npos) break;
      const char next = found + 1 < source_.size() ? source_[found + 1] : '\0';
      if (next == '%' || next == '{' || next == '#') break;
    }
    if (found == std::string_view::npos) {
      add(TokenType::data, source_.substr(at_));
      advance(source_.size() - at_);
      return Done{};
    }
    const char mark = source_[found + 1];
    const char sign = sign_of(source_.substr(found + 2));
    const auto text = before_tag(source_.substr(at_, found - at_), sign, mark == '{');
    if (!text.empty()) add(TokenType::data, text);
    advance(found - at_);
    const std::size_t opening = sign ? 3 : 2;
    if (mark == '#') return comment(opening);
    if (mark == '%') {
      if (const std::size_t raw = raw_begin(at_ + opening)) return raw_block(raw);
    }
    add(mark == '%' ? TokenType::block_begin : TokenType::variable_begin, {});
    advance(opening);
    in_tag_ = true;
    is_block_ = mark == '%';
    return Done{};
  }

  Status comment(std::size_t opening) {
    for (std::size_t end = at_ + opening; (end = source_.find("#}", end)) != std::string_view::npos;
         end += 2) {
      // The sign before the mark belongs to it, unless it is the opening one.
      const bool has_sign = end > at_ + opening && sign_of(source_.substr(end - 1));
      advance(closing(has_sign ? end - 1 : end, "#}", true) - at_);
      return Done{};
    }
    return fail("a comment is not closed");
  }

  // Where the text of {% raw %} begins; 0: this is another tag.
  std::size_t raw_begin(std::size_t at) const {
    at = skip_space(at);
    if (!source_.substr(at).starts_with("raw")) return 0;
    at = skip_space(at + 3);
    const auto rest = source_.substr(at);
    if (rest.starts_with("%}")) return at + 2;
    return rest.starts_with("-%}") ? skip_space(at + 3) : 0;
  }

  Status raw_block(std::size_t start) {
    advance(start - at_);
    for (std::size_t end = start; (end = source_.find("{%", end)) != std::string_view::npos;
         end += 2) {
      const char sign = sign_of(source_.substr(end + 2));
      std::size_t at = skip_space(end + (sign ? 3 : 2));
      if (!source_.substr(at).starts_with("endraw")) continue;
      at = closing(skip_space(at + 6), "%}", true);
      if (at == 0) continue;
      const auto text = before_tag(source_.substr(at_, end - at_), sign, false);
      if (!text.empty()) add(TokenType::data, text);
      advance(at - at_);
      return Done{};
    }
    return fail("a raw block is not closed");
  }

  Status tag() {
    if (brackets_.empty()) {
      if (const std::size_t end = closing(at_, is_block_ ? "%}" : "}}", is_block_)) {
        add(is_block_ ? TokenType::block_end : TokenType::variable_end, {});
        advance(end - at_);
        in_tag_ = false;
        return Done{};
      }
    }
    const std::size_t text = skip_space(at_);
    if (text > at_) {
      advance(text - at_);
      return Done{};
    }
    if (is_digit_char(peek())) return number();
    if (peek() == '"' || peek() == '\'') return string();
    if (is_identifier_part(decode_utf8(source_.substr(at_)).point)) return name();
    return op();
  }

  // The end of digits with single underscores between them; `at` itself if there are none.
  template <typename IsDigit>
  std::size_t digits(std::size_t at, IsDigit is_one) const {
    std::size_t end = at;
    while (end < source_.size() &&
           (is_one(source_[end]) || (end > at && source_[end] == '_' && end + 1 < source_.size() &&
                                     is_one(source_[end + 1]))))
      ++end;
    return end;
  }

  Status number() {
    const std::size_t whole = digits(at_, is_digit_char);
    std::size_t end = whole;
    if (at_ == 0 || source_[at_ - 1] != '.') {
      if (end + 1 < source_.size() && source_[end] == '.' && is_digit_char(source_[end + 1]))
        end = digits(end + 1, is_digit_char);
      if (end < source_.size() && (source_[end] | 32) == 'e') {
        std::size_t exponent = end + 1;
        if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-'))
          ++exponent;
        const std::size_t last = digits(exponent, is_digit_char);
        if (last > exponent) end = last;
      }
    }
    const bool is_real = end > whole;
    if (!is_real) end = integer_end(whole);
    add(is_real ? TokenType::real : TokenType::integer, source_.substr(at_, end - at_));
    advance(end - at_);
    return Done{};
  }

  // 0x1F, 0o17, 0b1, 42, 000; a number cannot begin with 0 otherwise.
  std::size_t integer_end(std::size_t whole) const {
    if (source_[at_] != '0') return whole;
    const char base = static_cast<char>(peek(1) | 32);
    std::size_t start = at_ + 2;
    if (start < source_.size() && source_[start] == '_') ++start;
    std::size_t end = start;
    if (base == 'x')
      end = digits(start,
                   [](char c) { return is_digit_char(c) || ((c | 32) >= 'a' && (c | 32) <= 'f'); });
    else if (base == 'o')
      end = digits(start, [](char c) { return c >= '0' && c <= '7'; });
    else if (base == 'b')
      end = digits(start, [](char c) { return c == '0' || c == '1'; });
    if (end > start) return end;
    return digits(at_, [](char c) { return c == '0'; });
  }

  Status string() {
    const char quote = peek();
    for (std::size_t end = at_ + 1; end < source_.size(); ++end) {
      if (source_[end] == '\\')
        ++end;
      else if (source_[end] == quote) {
        add(TokenType::string, source_.substr(at_, end + 1 - at_));
        advance(end + 1 - at_);
        return Done{};
      }
    }
    return fail("a string is not closed");
  }

  Status name() {
    std::size_t end = at_;
    while (end < source_.size()) {
      const Decoded next = decode_utf8(source_.substr(end));
      if (!is_identifier_part(next.point)) break;
      end += next.size;
    }
    if (!is_identifier_start(decode_utf8(source_.substr(at_)).point))
      return fail("a character that no name can begin with");
    add(TokenType::name, source_.substr(at_, end - at_));
    advance(end - at_);
    return Done{};
  }

  Status op() {
    static constexpr std::string_view doubles[] = {"//", "**", "==", "!=", ">=", "<="};
    static constexpr std::string_view singles = "+-/*%~[](){}><=.:|,;";
    std::size_t size = 0;
    for (const auto two : doubles)
      if (starts(two)) size = 2;
    if (size == 0 && singles.find(peek()) != std::string_view::npos && peek() != '\0') size = 1;
    if (size == 0) {
      const Decoded odd = decode_utf8(source_.substr(at_));
      return fail(fmt::format("unexpected character '{}'", source_.substr(at_, odd.size)));
    }
    const auto text = source_.substr(at_, size);
    if (text == "(" || text == "[" || text == "{") {
      brackets_ += text == "(" ? ')' : text == "[" ? ']' : '}';
    } else if (text == ")" || text == "]" || text == "}") {
      if (brackets_.empty()) return fail(fmt::format("unexpected '{}'", text));
      if (brackets_.back() != text[0])
        return fail(fmt::format("unexpected '{}', expected '{}'", text, brackets_.back()));
      brackets_.pop_back();
    }
    add(TokenType::op, text);
    advance(size);
    return Done{};
  }

  std::string_view source_;
  std::size_t at_ = 0;
  std::uint32_t line_ = 1;
  bool in_tag_ = false, is_block_ = false;
  std::string brackets_;  // the closing ones expected
  std::vector<Token> tokens_;
};

int hex_value(char c) {
  if (is_digit_char(c)) return c - '0';
  const int letter = (c | 32) - 'a';
  return letter >= 0 && letter < 6 ? letter + 10 : -1;
}

}  // namespace

std::string normalise_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

Result<std::vector<Token>> tokenize(std::string_view source) { return Lexer(source).run(); }

std::string describe(const Token& token) {
  switch (token.type) {
    case TokenType::data:
      return "text";
    case TokenType::block_begin:
      return "begin of statement block";
    case TokenType::block_end:
      return "end of statement block";
    case TokenType::variable_begin:
      return "begin of print statement";
    case TokenType::variable_end:
      return "end of print statement";
    case TokenType::end:
      return "end of template";
    case TokenType::string:
      return "string";
    default:
      return std::string(token.text.substr(0, 40));
  }
}

Result<std::string> unescape(const Token& token) {
  const auto text = token.text.substr(1, token.text.size() - 2);
  std::string out;
  out.reserve(text.size());
  const auto fail = [&](std::string_view what) {
    return Error(ErrorKind::invalid, fmt::format("line {}: {} in a string", token.line, what));
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    static constexpr std::string_view letters = "\\'\"abfnrtv", meanings = "\\'\"\a\b\f\n\r\t\v";
    const char c = text[++i];
    if (const auto simple = letters.find(c); simple != std::string_view::npos) {
      out += meanings[simple];
    } else if (c == '\n') {
      // A line end after a backslash is no part of the string.
    } else if (c >= '0' && c <= '7') {
      std::uint32_t point = 0;
      const std::size_t limit = std::min(i + 3, text.size());
      while (i < limit && text[i] >= '0' && text[i] <= '7')
        point = point * 8 + static_cast<std::uint32_t>(text[i++] - '0');
      --i;
      append_utf8(out, point);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      if (text.size() - i - 1 < digits) return fail(fmt::format("a short \\{} escape", c));
      std::uint32_t point = 0;
      for (std::size_t k = 0; k < digits; ++k) {
        const int digit = hex_value(text[++i]);
        if (digit < 0) return fail(fmt::format("a bad \\{} escape", c));
        point = point * 16 + static_cast<std::uint32_t>(digit);
      }
      if (point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
        return fail("an escape that is no character");
      append_utf8(out, point);
    } else if (c == 'N') {
      return fail("a \\N escape, which is not offered,");
    } else {
      out += '\\';
      out += c;
    }
  }
  return out;
}

}  // namespace hearth::jinja
