#include "formats/json_cursor.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "base/utf8.h"

namespace hearth {
namespace {

// The length of the ASCII at the start of `text` that stands for itself in a string.
std::size_t plain_run(std::string_view text) {
  const auto end = std::find_if(text.begin(), text.end(), [](char c) {
    return c < 0x20 || c == '"' || c == '\\' || static_cast<unsigned char>(c) >= 0x80;
  });
  return static_cast<std::size_t>(end - text.begin());
}

}  // namespace

void JsonCursor::skip_space() {
  const std::size_t next = text_.find_first_not_of(" \t\r\n", at_);
  at_ = next == text_.npos ? text_.size() : next;
}

Error JsonCursor::error(std::string what) const {
  return Error(ErrorKind::corrupt, fmt::format("offset {}: {}", offset(), what));
}

bool JsonCursor::accept(char token) {
  skip_space();
  if (at_ == text_.size() || text_[at_] != token) return false;
  ++at_;
  return true;
}

Status JsonCursor::expect(char token) {
  if (accept(token)) return Done{};
  return error(at_ == text_.size()
                   ? fmt::format("ends, needs '{}'", token)
                   : fmt::format("'{}', needs '{}'", printable(text_.substr(at_, 1)), token));
}

Status JsonCursor::expect_end() {
  skip_space();
  if (at_ == text_.size()) return Done{};
  return error("something follows the header's object");
}

Result<std::string> JsonCursor::string(std::uint64_t max_bytes) {
  TRY(expect('"'));
  std::string out;
  for (;;) {
    const std::size_t run = plain_run(text_.substr(at_, max_bytes - out.size() + 1));
    out.append(text_.substr(at_, run));
    at_ += run;
    if (out.size() > max_bytes) return error(fmt::format("text over {} bytes", max_bytes));
    if (at_ == text_.size()) return error("text without end");
    const auto c = static_cast<unsigned char>(text_[at_]);
    if (c == '"') break;
    if (c < 0x20) return error("control character in text");
    if (c == '\\') {
      ++at_;
      TRY(escape(out));
      continue;
    }
    const Decoded d = decode_utf8(text_.substr(at_, 4));
    if (!d.valid) return error("text that is not UTF-8");
    out.append(text_.substr(at_, d.size));
    at_ += d.size;
  }
  ++at_;
  return out;
}

Result<std::uint32_t> JsonCursor::hex4() {
  const std::string_view digits = text_.substr(at_, 4);
  std::uint32_t unit = 0;
  const auto got = std::from_chars(digits.data(), digits.data() + digits.size(), unit, 16);
  if (digits.size() < 4 || got.ptr != digits.data() + 4) return error("needs four hex digits");
  at_ += 4;
  return unit;
}

Status JsonCursor::escape(std::string& out) {
  if (at_ == text_.size()) return error("text without end");
  const char c = text_[at_++];
  constexpr std::string_view names = "\"\\/bfnrt", values = "\"\\/\b\f\n\r\t";
  if (const std::size_t i = names.find(c); i != std::string_view::npos) {
    out += values[i];
    return Done{};
  }
  if (c != 'u') return error("unknown escape");
  std::uint32_t point = TRY(hex4());
  if (point >= 0xD800 && point < 0xDC00 && text_.substr(at_).starts_with("\\u")) {
    at_ += 2;
    const std::uint32_t low = TRY(hex4());
    if (low < 0xDC00 || low > 0xDFFF) return error("lone surrogate");
    point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
  }
  if (point >= 0xD800 && point < 0xE000) return error("lone surrogate");
  append_utf8(out, point);
  return Done{};
}

Result<std::uint64_t> JsonCursor::natural() {
  skip_space();
  const std::string_view rest = text_.substr(at_);
  std::uint64_t value = 0;
  const auto got = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  const auto used = static_cast<std::size_t>(got.ptr - rest.data());
  if (used == 0) return error("needs a whole number from 0");
  if (got.ec != std::errc()) return error("number above 2^64 - 1");
  if (used > 1 && rest[0] == '0') return error("number with a leading 0");
  if (used < rest.size() && std::string_view(".eE").find(rest[used]) != std::string_view::npos)
    return error("number with a fraction or exponent, needs a whole number");
  at_ += used;
  return value;
}

}  // namespace hearth
