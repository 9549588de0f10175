#include "text/jinja/text_ops.h"

#include <fmt/core.h>
#include <string.h>

#include <algorithm>

#include "base/utf8.h"
#include "text/jinja/operators.h"
#include "text/jinja/unicode.h"

namespace hearth::jinja {
namespace {

// The code point that ends at `end`.
Decoded decode_before(std::string_view text, std::size_t end) {
  std::size_t start = end - 1;
  while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
  return decode_utf8(text.substr(start, end - start));
}

// A capital sigma that ends a word has a small form of its own.
// Source: The Unicode Standard, table 3-17, Final_Sigma; case-ignorable marks are not looked past.
bool is_final_sigma(std::string_view text, std::size_t at) {
  constexpr std::size_t sigma_bytes = 2;
  if (at == 0 || !is_cased(decode_before(text, at).point)) return false;
  const std::size_t next = at + sigma_bytes;
  return next >= text.size() || !is_cased(decode_utf8(text.substr(next)).point);
}

// Calls append(out, point, byte) for every code point and keeps the origin of each.
template <typename Append>
Result<Value> map_points(Interpreter& in, const Str& text, const Append& append) {
  TextBuilder out(in);
  const std::string_view view = text.text.view();
  std::string piece;
  text.text.for_runs(0, text.text.size(), [&](std::string_view run, bool trusted) {
    const std::size_t start = static_cast<std::size_t>(run.data() - view.data());
    piece.clear();
    for (std::size_t i = 0; i < run.size();) {
      const Decoded next = decode_utf8(run.substr(i));
      append(piece, next.point, start + i);
      i += next.size;
    }
    out.append(piece, trusted);
  });
  return out.value(text.markup);
}

void append_lower_at(std::string& out, std::string_view text, std::uint32_t point, std::size_t at) {
  if (point == 0x3A3)
    append_utf8(out, is_final_sigma(text, at) ? 0x3C2 : 0x3C3);
  else
    append_lower(out, point);
}

}  // namespace

std::size_t find_first(std::string_view text, std::string_view wanted, std::size_t from) {
  if (from > text.size()) return nowhere;
  if (wanted.empty()) return from;
  const auto rest = text.substr(from);
  // memmem is linear where string_view::find is not.
  const void* found = memmem(rest.data(), rest.size(), wanted.data(), wanted.size());
  if (!found) return nowhere;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

std::size_t find_last(std::string_view text, std::string_view wanted) {
  if (wanted.empty()) return text.size();
  const std::string backwards(text.rbegin(), text.rend());
  const std::string pattern(wanted.rbegin(), wanted.rend());
  const std::size_t found = find_first(backwards, pattern);
  return found == nowhere ? nowhere : text.size() - found - wanted.size();
}

StripSet::StripSet(std::string_view characters) : spaces_(false) {
  for (std::size_t i = 0; i < characters.size();) {
    const Decoded next = decode_utf8(characters.substr(i));
    points_.push_back(next.point);
    i += next.size;
  }
  std::sort(points_.begin(), points_.end());
}

bool StripSet::has(std::uint32_t point) const {
  return spaces_ ? is_space(point) : std::binary_search(points_.begin(), points_.end(), point);
}

Piece strip(std::string_view text, const StripSet& set, bool left, bool right) {
  std::size_t from = 0, to = text.size();
  while (left && from < to) {
    const Decoded next = decode_utf8(text.substr(from));
    if (!set.has(next.point)) break;
    from += next.size;
  }
  while (right && from < to) {
    const Decoded last = decode_before(text, to);
    if (!set.has(last.point)) break;
    to -= last.size;
  }
  return {from, to};
}

namespace {

// The next word from `at` on, empty at the end.
Piece next_word(std::string_view text, std::size_t at) {
  const auto skip = [&](std::size_t from, bool spaces) {
    while (from < text.size()) {
      const Decoded next = decode_utf8(text.substr(from));
      if (is_space(next.point) != spaces) break;
      from += next.size;
    }
    return from;
  };
  const std::size_t start = skip(at, true);
  return {start, skip(start, false)};
}

Piece last_word(std::string_view text, std::size_t end) {
  const auto skip = [&](std::size_t to, bool spaces) {
    while (to > 0) {
      const Decoded last = decode_before(text, to);
      if (is_space(last.point) != spaces) break;
      to -= last.size;
    }
    return to;
  };
  const std::size_t stop = skip(end, true);
  return {skip(stop, false), stop};
}

}  // namespace

std::vector<Piece> split_spaces(std::string_view text, std::int64_t limit, bool from_right) {
  std::vector<Piece> pieces;
  const StripSet spaces;
  if (!from_right) {
    for (std::size_t at = 0;;) {
      const Piece word = next_word(text, at);
      if (word.first == word.second) break;
      if (limit >= 0 && pieces.size() == static_cast<std::size_t>(limit)) {
        pieces.emplace_back(word.first, text.size());
        break;
      }
      pieces.push_back(word);
      at = word.second;
    }
    return pieces;
  }
  for (std::size_t end = text.size();;) {
    const Piece word = last_word(text, end);
    if (word.first == word.second) break;
    if (limit >= 0 && pieces.size() == static_cast<std::size_t>(limit)) {
      pieces.emplace_back(0, word.second);
      break;
    }
    pieces.push_back(word);
    end = word.first;
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

std::vector<Piece> split_at(std::string_view text, std::string_view separator, std::int64_t limit,
                            bool from_right) {
  std::vector<std::size_t> cuts;
  const auto enough = [&] { return limit >= 0 && cuts.size() == static_cast<std::size_t>(limit); };
  if (!from_right) {
    for (std::size_t at = 0; !enough();) {
      const std::size_t found = find_first(text, separator, at);
      if (found == nowhere) break;
      cuts.push_back(found);
      at = found + separator.size();
    }
  } else {
    // Backwards: overlapping separators are cut where they end last.
    const std::string mirrored(text.rbegin(), text.rend());
    const std::string wanted(separator.rbegin(), separator.rend());
    for (std::size_t at = 0; !enough();) {
      const std::size_t found = find_first(mirrored, wanted, at);
      if (found == nowhere) break;
      at = found + separator.size();
      cuts.push_back(text.size() - at);
    }
    std::reverse(cuts.begin(), cuts.end());
  }
  std::vector<Piece> pieces;
  std::size_t start = 0;
  for (const std::size_t cut : cuts) {
    pieces.emplace_back(start, cut);
    start = cut + separator.size();
  }
  pieces.emplace_back(start, text.size());
  return pieces;
}

std::vector<Piece> split_lines(std::string_view text, bool keep_ends) {
  std::vector<Piece> pieces;
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Decoded next = decode_utf8(text.substr(at));
    if (!is_line_break(next.point)) {
      at += next.size;
      continue;
    }
    std::size_t end = at + next.size;
    if (next.point == '\r' && end < text.size() && text[end] == '\n') ++end;
    pieces.emplace_back(start, keep_ends ? end : at);
    at = start = end;
  }
  if (start < text.size()) pieces.emplace_back(start, text.size());
  return pieces;
}

std::size_t byte_of_point(const Str& text, std::size_t point) {
  if (point >= text.points()) return text.text.size();
  if (text.ascii()) return point;
  std::size_t byte = 0;
  for (std::size_t i = 0; i < point; ++i) byte += point_size(text.text.view(), byte);
  return byte;
}

std::size_t point_of_byte(const Str& text, std::size_t byte) {
  return text.ascii() ? byte : count_points(text.text.view().substr(0, byte));
}

Result<Value> piece_of(Interpreter& in, const Str& text, Piece piece) {
  return in.string(text.text.sub(piece.first, piece.second), text.markup);
}

Result<Value> pieces_of(Interpreter& in, const Str& text, const std::vector<Piece>& pieces) {
  TRY(in.spend(pieces.size()));
  std::vector<Value> values;
  values.reserve(pieces.size());
  for (const Piece& piece : pieces) values.push_back(TRY(piece_of(in, text, piece)));
  return in.list(std::move(values));
}

Result<Value> stripped(Interpreter& in, const Str& text, const StripSet& set, bool left,
                       bool right) {
  return piece_of(in, text, strip(text.text.view(), set, left, right));
}

void append_as(TextBuilder& out, const Str& text, bool markup) {
  if (markup)
    append_escaped(out, text);
  else
    out.append(text);
}

Result<Value> replaced(Interpreter& in, const Str& text, const Str& old, const Str& with,
                       std::int64_t limit) {
  TextBuilder out(in);
  const std::string_view view = text.text.view(), wanted = old.text.view();
  std::size_t at = 0;
  for (std::int64_t made = 0; limit < 0 || made < limit; ++made) {
    // An empty text is found before every character, and at the end.
    const std::size_t found = wanted.empty() && made > 0
                                  ? (at < view.size() ? at + point_size(view, at) : nowhere)
                                  : find_first(view, wanted, at);
    if (found == nowhere || out.overflowed()) break;
    TRY(in.spend(1));
    out.append(text.text, at, found);
    append_as(out, with, text.markup);
    at = found + wanted.size();
  }
  out.append(text.text, at, view.size());
  return out.value(text.markup);
}

Result<Value> justified(Interpreter& in, const Str& text, std::int64_t width, const Str& fill,
                        int side) {
  if (fill.points() != 1) return in.error("The fill character must be exactly one character long");
  const auto size = static_cast<std::int64_t>(text.points());
  const std::int64_t missing = std::max<std::int64_t>(width - size, 0);
  if (missing > static_cast<std::int64_t>(in.limits().text_bytes))
    return in.error(
        fmt::format("a text of more than {} bytes (limit output_bytes)", in.limits().text_bytes));
  // The odd one of a centred text goes left when the width is odd too.
  const std::int64_t left = side < 0 ? 0 : side > 0 ? missing : missing / 2 + (missing & width & 1);
  TextBuilder out(in);
  for (std::int64_t i = 0; i < left; ++i) append_as(out, fill, text.markup);
  out.append(text);
  for (std::int64_t i = left; i < missing; ++i) append_as(out, fill, text.markup);
  return out.value(text.markup);
}

Result<Value> upper(Interpreter& in, const Str& text) {
  return map_points(in, text, [](std::string& out, std::uint32_t point, std::size_t) {
    append_upper(out, point);
  });
}

Result<Value> lower(Interpreter& in, const Str& text) {
  const std::string_view view = text.text.view();
  return map_points(in, text, [view](std::string& out, std::uint32_t point, std::size_t at) {
    append_lower_at(out, view, point, at);
  });
}

Result<Value> capitalized(Interpreter& in, const Str& text) {
  const std::string_view view = text.text.view();
  return map_points(in, text, [view](std::string& out, std::uint32_t point, std::size_t at) {
    if (at == 0)
      append_title(out, point);
    else
      append_lower_at(out, view, point, at);
  });
}

std::string lower_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const Decoded next = decode_utf8(text.substr(i));
    append_lower_at(out, text, next.point, i);
    i += next.size;
  }
  return out;
}

}  // namespace hearth::jinja
