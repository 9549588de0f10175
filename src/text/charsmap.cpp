#include "text/charsmap.h"

#include "base/bytes.h"
#include "text/unicode.h"

namespace hearth {

namespace {

// A unit holds: a label in bits 0-7 and 31, "has a value" in bit 8, the offset to its children in
// bits 10-30, times 256 when bit 9 is set.  A value is a unit by itself, bits 0-30.
std::uint32_t offset(std::uint32_t unit) { return unit >> 10 << ((unit & 1u << 9) >> 6); }
constexpr std::uint32_t label_mask = 1u << 31 | 0xFF;

}  // namespace

Result<CharsMap> CharsMap::read(std::span<const std::byte> bytes) {
  CharsMap map;
  if (bytes.empty()) return map;
  ByteReader in(bytes);
  const auto size = TRY(in.value<std::uint32_t>());
  if (size % sizeof(std::uint32_t) != 0)
    return Error(ErrorKind::corrupt, "precompiled_charsmap: part of a unit");
  const auto array = TRY(in.take(size));
  map.units_.resize(size / sizeof(std::uint32_t));
  if (size > 0) std::memcpy(map.units_.data(), array.data(), size);
  map.results_ = text_of(TRY(in.take(in.remaining())));
  return map;
}

std::optional<CharsMap::Match> CharsMap::find(std::string_view text, Which which) const {
  std::optional<Match> found;
  if (units_.empty()) return found;
  std::size_t at = offset(units_[0]);
  for (std::size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    const auto label = static_cast<unsigned char>(text[i]);
    at ^= label;
    if (at >= units_.size()) break;
    const std::uint32_t unit = units_[at];
    if ((unit & label_mask) != label) break;
    at ^= offset(unit);
    if (at >= units_.size()) break;
    if (!(unit >> 8 & 1)) continue;
    const std::size_t begin = units_[at] & 0x7FFFFFFF;
    const std::size_t end = results_.find('\0', begin);
    if (begin >= results_.size() || end == std::string::npos) break;
    found = Match{i + 1, std::string_view(results_).substr(begin, end - begin)};
    if (which == Which::shortest) break;
  }
  return found;
}

bool CharsMap::may_begin(char byte) const {
  if (units_.empty()) return false;
  const auto label = static_cast<unsigned char>(byte);
  const std::size_t at = offset(units_[0]) ^ label;
  return at < units_.size() && (units_[at] & label_mask) == label;
}

std::string CharsMap::normalize_graphemes(std::string_view text) const {
  constexpr std::size_t max_rule_bytes = 6;
  std::string out;
  out.reserve(text.size());
  const auto is_plain = [&](char c) { return c >= ' ' && c < 0x7F && !may_begin(c); };
  while (!text.empty()) {
    // An ASCII character before another is a grapheme by itself.
    if (text.size() > 1 && is_plain(text[0]) && static_cast<unsigned char>(text[1]) < 0x80) {
      out += text[0];
      text.remove_prefix(1);
      continue;
    }
    const std::string_view grapheme = text.substr(0, unicode::grapheme_size(text));
    text.remove_prefix(grapheme.size());
    if (grapheme.size() < max_rule_bytes) {
      if (const auto match = find(grapheme, Which::shortest)) {
        out += match->result;
        continue;
      }
    }
    const char* const end = grapheme.data() + grapheme.size();
    for (const char* p = grapheme.data(); p < end;) {
      const std::string_view character(p, unicode::decode(p, end).size);
      const auto match = find(character, Which::shortest);
      out += match ? match->result : character;
      p += character.size();
    }
  }
  return out;
}

}  // namespace hearth
