// Methods of strings that answer a question.  Source: Python 3.11, "Text Sequence Type — str".
#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"
#include "text/jinja/callables.h"
#include "text/jinja/operators.h"
#include "text/jinja/text_ops.h"
#include "text/jinja/unicode.h"

namespace hearth::jinja {
namespace {

// The part of the text that the optional arguments start and end select, as bytes.
// False: nothing can be found there.
Result<bool> window(Interpreter& in, const Str& text, const Bound& arguments, Piece& bytes) {
  const auto size = static_cast<std::int64_t>(text.points());
  std::int64_t start = TRY(integer_or(in, arguments, 1, 0));
  std::int64_t end = TRY(integer_or(in, arguments, 2, size));
  if (start < 0) start = std::max<std::int64_t>(start + size, 0);
  if (end < 0) end = std::max<std::int64_t>(end + size, 0);
  end = std::min(end, size);
  if (start > end) return false;
  bytes = {byte_of_point(text, static_cast<std::size_t>(start)),
           byte_of_point(text, static_cast<std::size_t>(end))};
  return true;
}

// The index of the wanted text in code points, or -1.
Result<std::int64_t> find_index(Interpreter& in, const Value& subject, const Bound& arguments,
                                bool last) {
  const Str& text = subject.as_str();
  const auto wanted = TRY(text_argument(in, arguments[0]));
  Piece bytes;
  if (!TRY(window(in, text, arguments, bytes))) return -1;
  const auto within = text.text.view().substr(bytes.first, bytes.second - bytes.first);
  const std::size_t found =
      last ? find_last(within, wanted->text.view()) : find_first(within, wanted->text.view());
  if (found == nowhere) return -1;
  return static_cast<std::int64_t>(point_of_byte(text, bytes.first + found));
}

Result<Value> find(Interpreter& in, const Value& subject, Bound& arguments) {
  return Value::integer(TRY(find_index(in, subject, arguments, false)));
}
Result<Value> rfind(Interpreter& in, const Value& subject, Bound& arguments) {
  return Value::integer(TRY(find_index(in, subject, arguments, true)));
}
Result<Value> index(Interpreter& in, const Value& subject, Bound& arguments) {
  const std::int64_t found = TRY(find_index(in, subject, arguments, false));
  return found < 0 ? Result<Value>(in.error("substring not found")) : Value::integer(found);
}
Result<Value> rindex(Interpreter& in, const Value& subject, Bound& arguments) {
  const std::int64_t found = TRY(find_index(in, subject, arguments, true));
  return found < 0 ? Result<Value>(in.error("substring not found")) : Value::integer(found);
}

Result<Value> count(Interpreter& in, const Value& subject, Bound& arguments) {
  const Str& text = subject.as_str();
  const auto wanted = TRY(text_argument(in, arguments[0]));
  Piece bytes;
  if (!TRY(window(in, text, arguments, bytes))) return Value::integer(0);
  const auto within = text.text.view().substr(bytes.first, bytes.second - bytes.first);
  if (wanted->text.empty())
    return Value::integer(static_cast<std::int64_t>(count_points(within)) + 1);
  std::int64_t found = 0;
  for (std::size_t at = 0; (at = find_first(within, wanted->text.view(), at)) != nowhere;) {
    at += wanted->text.size();
    ++found;
  }
  return Value::integer(found);
}

Result<Value> begins_or_ends(Interpreter& in, const Value& subject, const Bound& arguments,
                             bool begins) {
  const Str& text = subject.as_str();
  Piece bytes;
  const bool possible = TRY(window(in, text, arguments, bytes));
  const auto within = possible ? text.text.view().substr(bytes.first, bytes.second - bytes.first)
                               : std::string_view();
  std::vector<Value> wanted{arguments[0]};
  if (arguments[0].kind() == Kind::tuple) wanted = arguments[0].as_sequence().items;
  for (const Value& value : wanted) {
    if (!value.is_string())
      return in.error(fmt::format("{}() needs a string or a tuple of strings, not {}",
                                  begins ? "startswith" : "endswith", type_name(value)));
    TRY(in.spend(1));
    if (possible && (begins ? within.starts_with(value.view()) : within.ends_with(value.view())))
      return Value::boolean(true);
  }
  return Value::boolean(false);
}
Result<Value> startswith(Interpreter& in, const Value& subject, Bound& arguments) {
  return begins_or_ends(in, subject, arguments, true);
}
Result<Value> endswith(Interpreter& in, const Value& subject, Bound& arguments) {
  return begins_or_ends(in, subject, arguments, false);
}

// True if there are characters and all of them pass.
template <bool (*Passes)(std::uint32_t)>
Result<Value> all_points(Interpreter&, const Value& subject, Bound&) {
  const std::string_view text = subject.view();
  for (std::size_t i = 0; i < text.size();) {
    const Decoded next = decode_utf8(text.substr(i));
    if (!Passes(next.point)) return Value::boolean(false);
    i += next.size;
  }
  return Value::boolean(!text.empty());
}

Result<Value> isascii(Interpreter&, const Value& subject, Bound&) {
  return Value::boolean(subject.as_str().ascii());
}

Result<Value> isprintable(Interpreter& in, const Value& subject, Bound& arguments) {
  if (subject.view().empty()) return Value::boolean(true);
  return all_points<is_printable>(in, subject, arguments);
}

Result<Value> isidentifier(Interpreter&, const Value& subject, Bound&) {
  const std::string_view text = subject.view();
  for (std::size_t i = 0; i < text.size();) {
    const Decoded next = decode_utf8(text.substr(i));
    if (!(i == 0 ? is_identifier_start(next.point) : is_identifier_part(next.point)))
      return Value::boolean(false);
    i += next.size;
  }
  return Value::boolean(!text.empty());
}

// Some cased character, and none of the other case.
bool all_of_case(std::string_view text, bool upper) {
  bool any = false;
  for (std::size_t i = 0; i < text.size();) {
    const Decoded next = decode_utf8(text.substr(i));
    if (is_title(next.point) || (upper ? is_lower(next.point) : is_upper(next.point))) return false;
    any = any || (upper ? is_upper(next.point) : is_lower(next.point));
    i += next.size;
  }
  return any;
}
Result<Value> isupper(Interpreter&, const Value& subject, Bound&) {
  return Value::boolean(all_of_case(subject.view(), true));
}
Result<Value> islower(Interpreter&, const Value& subject, Bound&) {
  return Value::boolean(all_of_case(subject.view(), false));
}

Result<Value> istitle(Interpreter&, const Value& subject, Bound&) {
  const std::string_view text = subject.view();
  bool any = false, after_cased = false;
  for (std::size_t i = 0; i < text.size();) {
    const Decoded next = decode_utf8(text.substr(i));
    i += next.size;
    const bool begins = is_upper(next.point) || is_title(next.point);
    if (begins && after_cased) return Value::boolean(false);
    if (is_lower(next.point) && !after_cased) return Value::boolean(false);
    after_cased = is_cased(next.point);
    any = any || after_cased;
  }
  return Value::boolean(any);
}

constexpr Signature table[] = {
    {"startswith", "/prefix ? start end", startswith},
    {"endswith", "/suffix ? start end", endswith},
    {"find", "/sub ? start end", find},
    {"rfind", "/sub ? start end", rfind},
    {"index", "/sub ? start end", index},
    {"rindex", "/sub ? start end", rindex},
    {"count", "/sub ? start end", count},
    {"isdigit", "", all_points<is_digit>},
    {"isdecimal", "", all_points<is_decimal>},
    {"isnumeric", "", all_points<is_numeric>},
    {"isalpha", "", all_points<is_alpha>},
    {"isalnum", "", all_points<is_alnum>},
    {"isspace", "", all_points<is_space>},
    {"isascii", "", isascii},
    {"isprintable", "", isprintable},
    {"isidentifier", "", isidentifier},
    {"isupper", "", isupper},
    {"islower", "", islower},
    {"istitle", "", istitle},
};

}  // namespace

std::span<const Signature> string_queries() { return table; }

}  // namespace hearth::jinja
