// Filters of text.  Source: Jinja2 3.1, "List of Builtin Filters"; Python's textwrap for wordwrap.
#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"
#include "text/jinja/callables.h"
#include "text/jinja/operators.h"
#include "text/jinja/printing.h"
#include "text/jinja/text_ops.h"
#include "text/jinja/unicode.h"

namespace hearth::jinja {
namespace {

Result<Value> upper_filter(Interpreter& in, const Value& subject, Bound&) {
  return upper(in, *TRY(soft_text(in, subject)));
}
Result<Value> lower_filter(Interpreter& in, const Value& subject, Bound&) {
  return lower(in, *TRY(soft_text(in, subject)));
}
Result<Value> capitalize(Interpreter& in, const Value& subject, Bound&) {
  return capitalized(in, *TRY(soft_text(in, subject)));
}

// Words begin after white space, hyphens and opening brackets.
Result<Value> title(Interpreter& in, const Value& subject, Bound&) {
  const auto text = TRY(soft_text(in, subject));
  TextBuilder out(in);
  bool begins = true;
  text->text.for_runs(0, text->text.size(), [&](std::string_view run, bool trusted) {
    std::string piece;
    for (std::size_t i = 0; i < run.size();) {
      const Decoded next = decode_utf8(run.substr(i));
      i += next.size;
      const bool separates =
          is_space(next.point) ||
          (next.point < 128 &&
           std::string_view("-({[<").find(static_cast<char>(next.point)) != std::string_view::npos);
      if (separates)
        append_utf8(piece, next.point);
      else if (begins)
        append_upper(piece, next.point);
      else
        append_lower(piece, next.point);
      begins = separates;
    }
    out.append(piece, trusted);
  });
  return out.value();
}

Result<Value> trim(Interpreter& in, const Value& subject, Bound& arguments) {
  const auto text = TRY(soft_text(in, subject));
  StripSet set;
  if (arguments.given(0)) {
    const auto characters = TRY(text_argument(in, arguments[0]));
    TRY(in.spend(characters->text.size()));
    set = StripSet(characters->text.view());
  }
  return stripped(in, *text, set, true, true);
}

Result<Value> replace(Interpreter& in, const Value& subject, Bound& arguments) {
  const Value text = TRY(to_string(in, subject));
  const Value old = TRY(to_string(in, arguments[0]));
  const Value with = TRY(to_string(in, arguments[1]));
  return replaced(in, text.as_str(), old.as_str(), with.as_str(),
                  TRY(integer_or(in, arguments, 2, -1)));
}

Result<Value> center(Interpreter& in, const Value& subject, Bound& arguments) {
  const auto text = TRY(soft_text(in, subject));
  const Value blank = Value::text(" ");
  return justified(in, *text, TRY(integer_or(in, arguments, 0, 80)), blank.as_str(), 0);
}

Result<Value> indent(Interpreter& in, const Value& subject, Bound& arguments) {
  const auto text = TRY(text_argument(in, subject));
  Value indention;
  if (arguments.has(0) && arguments[0].is_string()) {
    indention = arguments[0];
  } else {
    const Value blank = Value::text(" ");
    const std::int64_t width = TRY(integer_or(in, arguments, 0, 4));
    indention = TRY(repeat(in, blank, width));
  }
  const bool first = truth_or(arguments, 1, false), blank_too = truth_or(arguments, 2, false);
  // A line end is added before the lines are counted, so one at the end makes an empty line.
  const std::string_view view = text->text.view();
  std::vector<Piece> lines = split_lines(view, false);
  const bool ends_line = view.empty() || (!lines.empty() && lines.back().second < view.size());
  // "\r" before the added "\n" is one line end with it.
  if (ends_line && !view.ends_with('\r')) lines.emplace_back(view.size(), view.size());
  TextBuilder out(in);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i) out.append("\n");
    const bool is_empty = lines[i].first == lines[i].second;
    const bool indents = i == 0 ? first : blank_too || !is_empty;
    if (indents) out.append(indention.as_str());
    out.append(text->text, lines[i].first, lines[i].second);
  }
  return out.value(text->markup);
}

Result<Value> truncate(Interpreter& in, const Value& subject, Bound& arguments) {
  const std::int64_t length = TRY(integer_or(in, arguments, 0, 255));
  const Value dots = Value::text("...");
  const auto end =
      arguments.has(2) ? TRY(text_argument(in, arguments[2])) : Ref<Str>(&dots.as_str());
  const std::int64_t leeway = TRY(integer_or(in, arguments, 3, 5));
  const auto end_points = static_cast<std::int64_t>(end->points());
  if (length < end_points)
    return in.error(fmt::format("expected length >= {}, got {}", end_points, length));
  if (leeway < 0) return in.error(fmt::format("expected leeway >= 0, got {}", leeway));
  const std::int64_t points = TRY(jinja::length(in, subject));
  if (points - leeway <= length) return subject;
  const auto text = TRY(text_argument(in, subject));
  std::size_t cut = byte_of_point(*text, static_cast<std::size_t>(length - end_points));
  if (!truth_or(arguments, 1, false)) {
    const std::size_t space = find_last(text->text.view().substr(0, cut), " ");
    if (space != nowhere) cut = space;
  }
  TextBuilder out(in);
  out.append(text->text, 0, cut);
  append_as(out, *end, text->markup);
  return out.value(text->markup);
}

Result<Value> wordcount(Interpreter& in, const Value& subject, Bound&) {
  const auto text = TRY(soft_text(in, subject));
  std::int64_t words = 0;
  bool inside = false;
  for (std::size_t i = 0; i < text->text.size();) {
    const Decoded next = decode_utf8(text->text.view().substr(i));
    i += next.size;
    const bool part = is_alnum(next.point) || next.point == '_';
    if (part && !inside) ++words;
    inside = part;
  }
  return Value::integer(words);
}

// ---- wordwrap ----

struct Wrapping {
  std::size_t width = 79;
  bool break_long = true, break_hyphens = true;
};

// Where a piece that cannot be broken ends: white space, or a word up to its hyphen.
std::size_t chunk_end(std::string_view line, std::size_t at, bool break_hyphens) {
  const auto blank = [&](std::size_t i) {
    return line[i] == ' ' || (line[i] >= 9 && line[i] <= 13);
  };
  const auto letter = [&](std::size_t i) {
    return i < line.size() && is_alpha(decode_utf8(line.substr(i)).point);
  };
  std::size_t end = at;
  if (blank(at)) {
    while (end < line.size() && blank(end)) ++end;
    return end;
  }
  while (end < line.size() && !blank(end)) {
    // A hyphen between letters, with two letters before it, may end a piece.
    if (break_hyphens && line[end] == '-' && end >= at + 2 && letter(end + 1) &&
        std::isalpha(static_cast<unsigned char>(line[end - 1])) &&
        std::isalpha(static_cast<unsigned char>(line[end - 2])))
      return end + 1;
    ++end;
  }
  return end;
}

Result<std::vector<Piece>> wrap_line(Interpreter& in, std::string_view line,
                                     const Wrapping& wrapping) {
  std::vector<Piece> lines;
  const auto points = [&](std::size_t from, std::size_t to) {
    return count_points(line.substr(from, to - from));
  };
  const auto is_blank = [&](std::size_t at) {
    return line[at] == ' ' || (line[at] >= 9 && line[at] <= 13);
  };
  for (std::size_t at = 0; at < line.size();) {
    if (!lines.empty() && is_blank(at)) at = chunk_end(line, at, false);
    if (at >= line.size()) break;
    std::size_t end = at, used = 0;
    while (end < line.size()) {
      const std::size_t next = chunk_end(line, end, wrapping.break_hyphens);
      TRY(in.spend((next - end) / bytes_per_unit + 1));
      const std::size_t size = points(end, next);
      if (used + size <= wrapping.width) {
        used += size;
        end = next;
        continue;
      }
      if (size > wrapping.width && (wrapping.break_long || end == at)) {
        const std::size_t room =
            wrapping.break_long ? std::max<std::size_t>(wrapping.width, 1) - used : size;
        for (std::size_t i = 0; i < room; ++i) end += point_size(line, end);
      }
      break;
    }
    std::size_t stop = end;
    while (stop > at && is_blank(stop - 1)) --stop;
    if (stop > at) lines.emplace_back(at, stop);
    at = end;
  }
  return lines;
}

Result<Value> wordwrap(Interpreter& in, const Value& subject, Bound& arguments) {
  const auto text = TRY(text_argument(in, subject));
  const std::int64_t width = TRY(integer_or(in, arguments, 0, 79));
  if (width <= 0) return in.error(fmt::format("invalid width {} (must be > 0)", width));
  const Wrapping wrapping{.width = static_cast<std::size_t>(width),
                          .break_long = truth_or(arguments, 1, true),
                          .break_hyphens = truth_or(arguments, 3, true)};
  const Value line_end = Value::text("\n");
  const auto between =
      arguments.given(2) ? TRY(text_argument(in, arguments[2])) : Ref<Str>(&line_end.as_str());
  TextBuilder out(in);
  bool first = true;
  for (const Piece& line : split_lines(text->text.view(), false)) {
    const auto view = text->text.view().substr(line.first, line.second - line.first);
    auto pieces = TRY(wrap_line(in, view, wrapping));
    if (pieces.empty()) pieces.emplace_back(0, 0);
    for (const Piece& piece : pieces) {
      if (!first) out.append(*between);
      first = false;
      out.append(text->text, line.first + piece.first, line.first + piece.second);
    }
  }
  return out.value();
}

constexpr Signature table[] = {
    {"trim", "? chars", trim},
    {"upper", "", upper_filter},
    {"lower", "", lower_filter},
    {"replace", "old new ? count", replace},
    {"capitalize", "", capitalize},
    {"title", "", title},
    {"indent", "? width first blank", indent},
    {"center", "? width", center},
    {"truncate", "? length killwords end leeway", truncate},
    {"wordcount", "", wordcount},
    {"wordwrap", "? width break_long_words wrapstring break_on_hyphens", wordwrap},
};

}  // namespace

std::span<const Signature> text_filters() { return table; }

}  // namespace hearth::jinja
