// Methods of strings that make strings.  Source: Python 3.11, "Text Sequence Type — str".
#include <fmt/core.h>

#include "base/utf8.h"
#include "text/jinja/callables.h"
#include "text/jinja/operators.h"
#include "text/jinja/text_ops.h"
#include "text/jinja/unicode.h"

namespace hearth::jinja {
namespace {

Result<Value> method_strip(Interpreter& in, const Value& subject, const Bound& arguments, bool left,
                           bool right) {
  StripSet set;
  if (arguments.given(0)) {
    const auto characters = TRY(text_argument(in, arguments[0]));
    TRY(in.spend(characters->text.size()));
    set = StripSet(characters->text.view());
  }
  return stripped(in, subject.as_str(), set, left, right);
}
Result<Value> strip_both(Interpreter& in, const Value& subject, Bound& arguments) {
  return method_strip(in, subject, arguments, true, true);
}
Result<Value> strip_left(Interpreter& in, const Value& subject, Bound& arguments) {
  return method_strip(in, subject, arguments, true, false);
}
Result<Value> strip_right(Interpreter& in, const Value& subject, Bound& arguments) {
  return method_strip(in, subject, arguments, false, true);
}

Result<Value> method_split(Interpreter& in, const Value& subject, const Bound& arguments,
                           bool from_right) {
  const Str& text = subject.as_str();
  const std::int64_t limit = TRY(integer_or(in, arguments, 1, -1));
  if (!arguments.given(0))
    return pieces_of(in, text, split_spaces(text.text.view(), limit, from_right));
  const auto separator = TRY(text_argument(in, arguments[0]));
  if (separator->text.empty()) return in.error("empty separator");
  return pieces_of(in, text, split_at(text.text.view(), separator->text.view(), limit, from_right));
}
Result<Value> split(Interpreter& in, const Value& subject, Bound& arguments) {
  return method_split(in, subject, arguments, false);
}
Result<Value> rsplit(Interpreter& in, const Value& subject, Bound& arguments) {
  return method_split(in, subject, arguments, true);
}

Result<Value> splitlines(Interpreter& in, const Value& subject, Bound& arguments) {
  const Str& text = subject.as_str();
  return pieces_of(in, text, split_lines(text.text.view(), truth_or(arguments, 0, false)));
}

Result<Value> method_partition(Interpreter& in, const Value& subject, const Bound& arguments,
                               bool last) {
  const Str& text = subject.as_str();
  const auto separator = TRY(text_argument(in, arguments[0]));
  if (separator->text.empty()) return in.error("empty separator");
  const std::string_view view = text.text.view(), wanted = separator->text.view();
  const std::size_t found = last ? find_last(view, wanted) : find_first(view, wanted);
  Piece pieces[3] = {{0, view.size()}, {0, 0}, {0, 0}};
  if (found != nowhere) {
    pieces[0] = {0, found};
    pieces[1] = {found, found + wanted.size()};
    pieces[2] = {found + wanted.size(), view.size()};
  } else if (last) {
    std::swap(pieces[0], pieces[2]);
  }
  std::vector<Value> values;
  for (const Piece& piece : pieces) values.push_back(TRY(piece_of(in, text, piece)));
  return in.tuple(std::move(values));
}
Result<Value> partition(Interpreter& in, const Value& subject, Bound& arguments) {
  return method_partition(in, subject, arguments, false);
}
Result<Value> rpartition(Interpreter& in, const Value& subject, Bound& arguments) {
  return method_partition(in, subject, arguments, true);
}

Result<Value> replace(Interpreter& in, const Value& subject, Bound& arguments) {
  const auto old = TRY(text_argument(in, arguments[0]));
  const auto with = TRY(text_argument(in, arguments[1]));
  return replaced(in, subject.as_str(), *old, *with, TRY(integer_or(in, arguments, 2, -1)));
}

Result<Value> join(Interpreter& in, const Value& subject, Bound& arguments) {
  const Str& separator = subject.as_str();
  const auto values = TRY(drain(in, arguments[0]));
  TextBuilder out(in);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!values[i].is_string())
      return in.error(fmt::format("sequence item {}: expected str instance, {} found", i,
                                  type_name(values[i])));
    if (i) out.append(separator);
    append_as(out, values[i].as_str(), separator.markup);
  }
  return out.value(separator.markup);
}

Result<Value> method_justify(Interpreter& in, const Value& subject, const Bound& arguments,
                             int side) {
  const std::int64_t width = TRY(integer_argument(in, arguments[0]));
  const Value blank = Value::text(" ");
  const auto fill =
      arguments.has(1) ? TRY(text_argument(in, arguments[1])) : Ref<Str>(&blank.as_str());
  return justified(in, subject.as_str(), width, *fill, side);
}
Result<Value> center(Interpreter& in, const Value& subject, Bound& arguments) {
  return method_justify(in, subject, arguments, 0);
}
Result<Value> ljust(Interpreter& in, const Value& subject, Bound& arguments) {
  return method_justify(in, subject, arguments, -1);
}
Result<Value> rjust(Interpreter& in, const Value& subject, Bound& arguments) {
  return method_justify(in, subject, arguments, 1);
}

Result<Value> zfill(Interpreter& in, const Value& subject, Bound& arguments) {
  const Str& text = subject.as_str();
  const std::int64_t width = TRY(integer_argument(in, arguments[0]));
  const std::string_view view = text.text.view();
  const bool has_sign = view.starts_with('-') || view.starts_with('+');
  const Value rest = Value::text(text.text.sub(has_sign ? 1 : 0, view.size()));
  const Value zero = Value::text("0");
  const Value filled =
      TRY(justified(in, rest.as_str(), width - (has_sign ? 1 : 0), zero.as_str(), 1));
  if (!has_sign) return Value::text(filled.as_str().text, text.markup);
  TextBuilder out(in);
  out.append(text.text, 0, 1);
  out.append(filled.as_str());
  return out.value(text.markup);
}

Result<Value> remove_prefix(Interpreter& in, const Value& subject, Bound& arguments) {
  const auto prefix = TRY(text_argument(in, arguments[0]));
  const std::string_view view = subject.view();
  const std::size_t from = view.starts_with(prefix->text.view()) ? prefix->text.size() : 0;
  return piece_of(in, subject.as_str(), {from, view.size()});
}

Result<Value> remove_suffix(Interpreter& in, const Value& subject, Bound& arguments) {
  const auto suffix = TRY(text_argument(in, arguments[0]));
  const std::string_view view = subject.view();
  const std::size_t cut = view.ends_with(suffix->text.view()) ? suffix->text.size() : 0;
  return piece_of(in, subject.as_str(), {0, view.size() - cut});
}

Result<Value> method_upper(Interpreter& in, const Value& subject, Bound&) {
  return upper(in, subject.as_str());
}
Result<Value> method_lower(Interpreter& in, const Value& subject, Bound&) {
  return lower(in, subject.as_str());
}
Result<Value> method_capitalize(Interpreter& in, const Value& subject, Bound&) {
  return capitalized(in, subject.as_str());
}

// The text with each code point mapped by change(out, point, previous point or 0).
template <typename Change>
Result<Value> each_point(Interpreter& in, const Str& text, const Change& change) {
  TextBuilder out(in);
  std::uint32_t previous = 0;
  text.text.for_runs(0, text.text.size(), [&](std::string_view run, bool trusted) {
    std::string piece;
    for (std::size_t i = 0; i < run.size();) {
      const Decoded next = decode_utf8(run.substr(i));
      change(piece, next.point, previous);
      previous = next.point;
      i += next.size;
    }
    out.append(piece, trusted);
  });
  return out.value(text.markup);
}

Result<Value> title(Interpreter& in, const Value& subject, Bound&) {
  const auto change = [](std::string& out, std::uint32_t point, std::uint32_t previous) {
    if (is_cased(previous))
      append_lower(out, point);
    else
      append_title(out, point);
  };
  return each_point(in, subject.as_str(), change);
}

Result<Value> swapcase(Interpreter& in, const Value& subject, Bound&) {
  const auto change = [](std::string& out, std::uint32_t point, std::uint32_t) {
    if (is_upper(point))
      append_lower(out, point);
    else if (is_lower(point))
      append_upper(out, point);
    else
      append_utf8(out, point);
  };
  return each_point(in, subject.as_str(), change);
}

Result<Value> casefold(Interpreter& in, const Value& subject, Bound&) {
  const auto change = [](std::string& out, std::uint32_t point, std::uint32_t) {
    append_folded(out, point);
  };
  return each_point(in, subject.as_str(), change);
}

Result<Value> expandtabs(Interpreter& in, const Value& subject, Bound& arguments) {
  const std::int64_t size = TRY(integer_or(in, arguments, 0, 8));
  const Str& text = subject.as_str();
  TextBuilder out(in);
  std::int64_t column = 0;
  for (std::size_t at = 0; at < text.text.size() && !out.overflowed();) {
    const std::size_t end = at + point_size(text.text.view(), at);
    const char c = text.text.view()[at];
    if (c == '\t') {
      const std::int64_t blanks = size > 0 ? size - column % size : 0;
      if (blanks > static_cast<std::int64_t>(in.limits().text_bytes))
        return in.error("expandtabs: a tab too wide (limit output_bytes)");
      out.append(std::string(static_cast<std::size_t>(blanks), ' '), text.text.trusted_at(at));
      column += blanks;
    } else {
      out.append(text.text, at, end);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
    at = end;
  }
  return out.value(text.markup);
}

Result<Value> format(Interpreter& in, const Value& subject, Bound& arguments) {
  return format_braces(in, subject.as_str(), arguments.rest);
}

Result<Value> format_map(Interpreter& in, const Value& subject, Bound& arguments) {
  if (arguments[0].kind() != Kind::dict) return in.error("format_map() needs a mapping");
  Arguments named;
  for (const auto& entry : arguments[0].as_dict().entries)
    if (entry.key.is_string()) named.named.emplace_back(entry.key.view(), entry.value);
  return format_braces(in, subject.as_str(), named);
}

constexpr Signature table[] = {
    {"strip", "/? chars", strip_both},
    {"split", "? sep maxsplit", split},
    {"replace", "/old new ? count", replace},
    {"lstrip", "/? chars", strip_left},
    {"rstrip", "/? chars", strip_right},
    {"upper", "", method_upper},
    {"lower", "", method_lower},
    {"join", "/iterable", join},
    {"format", "*", format},
    {"capitalize", "", method_capitalize},
    {"title", "", title},
    {"rsplit", "? sep maxsplit", rsplit},
    {"splitlines", "? keepends", splitlines},
    {"partition", "/sep", partition},
    {"rpartition", "/sep", rpartition},
    {"removeprefix", "/prefix", remove_prefix},
    {"removesuffix", "/suffix", remove_suffix},
    {"center", "/width ? fillchar", center},
    {"ljust", "/width ? fillchar", ljust},
    {"rjust", "/width ? fillchar", rjust},
    {"zfill", "/width", zfill},
    {"swapcase", "", swapcase},
    {"casefold", "", casefold},
    {"expandtabs", "? tabsize", expandtabs},
    {"format_map", "/mapping", format_map},
};

}  // namespace

std::span<const Signature> string_methods() { return table; }

}  // namespace hearth::jinja
