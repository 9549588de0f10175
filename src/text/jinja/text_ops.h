// Pieces of strings: searching, stripping, splitting.  Positions are bytes.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/interpreter.h"

namespace hearth::jinja {

constexpr std::size_t nowhere = std::string_view::npos;
using Piece = std::pair<std::size_t, std::size_t>;  // [from, to)

// In time proportional to both lengths, whatever the texts.
std::size_t find_first(std::string_view text, std::string_view wanted, std::size_t from = 0);
std::size_t find_last(std::string_view text, std::string_view wanted);

// The characters to strip; all white space by default.
class StripSet {
 public:
  StripSet() = default;
  explicit StripSet(std::string_view characters);
  bool has(std::uint32_t point) const;

 private:
  bool spaces_ = true;
  std::vector<std::uint32_t> points_;  // sorted
};
Piece strip(std::string_view text, const StripSet& set, bool left, bool right);

// At most `limit` cuts; negative: any number.
std::vector<Piece> split_spaces(std::string_view text, std::int64_t limit, bool from_right);
std::vector<Piece> split_at(std::string_view text, std::string_view separator, std::int64_t limit,
                            bool from_right);
std::vector<Piece> split_lines(std::string_view text, bool keep_ends);

std::size_t byte_of_point(const Str& text, std::size_t point);  // text.size() past the end
std::size_t point_of_byte(const Str& text, std::size_t byte);

Result<Value> piece_of(Interpreter& in, const Str& text, Piece piece);
Result<Value> pieces_of(Interpreter& in, const Str& text, const std::vector<Piece>& pieces);
Result<Value> stripped(Interpreter& in, const Str& text, const StripSet& set, bool left,
                       bool right);
// Appends `text`, escaped for HTML if `markup` and it is not markup itself.
void append_as(TextBuilder& out, const Str& text, bool markup);
Result<Value> replaced(Interpreter& in, const Str& text, const Str& old, const Str& with,
                       std::int64_t limit);
// `width` code points, `text` in the middle, at the left (-1) or right (1).
Result<Value> justified(Interpreter& in, const Str& text, std::int64_t width, const Str& fill,
                        int side);

// Case mappings of whole strings.
Result<Value> upper(Interpreter& in, const Str& text);
Result<Value> lower(Interpreter& in, const Str& text);
Result<Value> capitalized(Interpreter& in, const Str& text);

// The lower case of a text, as str.lower has it.
std::string lower_text(std::string_view text);

}  // namespace hearth::jinja
