#include "text/pretokenizer/safe_cut.h"

#include <algorithm>
#include <bitset>

#include "text/unicode.h"

namespace hearth {
namespace {

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 128; }

bool is_alphanumeric(unsigned c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

// What the tokens of a vocabulary hold side by side.
struct Neighbours {
  std::vector<std::uint32_t> before_mark;  // characters before U+2581; sorted
  std::bitset<128 * 128> ascii;            // pairs of ASCII characters
  // Characters that are never unknown: unknown ones side by side are one, and must stay so.
  std::bitset<128> known;
};

Neighbours neighbours_of(const Vocabulary& vocabulary) {
  Neighbours found;
  for (Token id = 0; vocabulary.has(id); ++id) {
    const std::string_view name = vocabulary.name(id);
    const int byte = vocabulary.kind(id) == TokenKind::byte ? byte_of_name(name) : -1;
    if (byte >= 0 && byte < 128) found.known.set(static_cast<std::size_t>(byte));
    if (!vocabulary.is_text(id)) continue;
    if (name.size() == 1 && is_ascii(name[0])) found.known.set(static_cast<std::size_t>(name[0]));
    for (std::size_t at = name.find(space_mark, 1); at != std::string_view::npos;
         at = name.find(space_mark, at + 1))
      found.before_mark.push_back(unicode::decode_before(name.data(), name.data() + at).point);
    for (std::size_t i = 1; i < name.size(); ++i)
      if (is_ascii(name[i - 1]) && is_ascii(name[i]))
        found.ascii.set(static_cast<std::size_t>(name[i - 1] * 128 + name[i]));
  }
  std::vector<std::uint32_t>& points = found.before_mark;
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  return found;
}

class SafeCut final : public PreTokenizerStep {
 public:
  explicit SafeCut(Neighbours neighbours) : bound_(std::move(neighbours.before_mark)) {
    for (const std::uint32_t point : bound_)
      if (point < 128) bound_ascii_[point] = true;
    for (unsigned a = 0; a < 128; ++a)
      for (unsigned b = 0; b < 128; ++b)
        cuts_[a][b] = neighbours.known[a] && neighbours.known[b] &&
                      !neighbours.ascii[a * 128 + b] && !(is_alphanumeric(a) && is_alphanumeric(b));
  }

  Status split(Piece piece, PieceSink& sink) const override {
    const std::string_view text = piece.text;
    std::size_t begin = 0;
    for (std::size_t at = 1; at < text.size(); ++at) {
      if (!may_cut(text, at)) continue;
      TRY(sink.take({text.substr(begin, at - begin), piece.at_start && begin == 0}));
      begin = at;
    }
    return sink.take({text.substr(begin), piece.at_start && begin == 0});
  }

 private:
  // Between the bytes at - 1 and at.
  bool may_cut(std::string_view text, std::size_t at) const {
    const auto before = static_cast<unsigned char>(text[at - 1]);
    const auto after = static_cast<unsigned char>(text[at]);
    if (after < 128) return before < 128 && cuts_[before][after];
    if (text[at] != space_mark[0] || !text.substr(at).starts_with(space_mark)) return false;
    if (before < 128) return !bound_ascii_[before];
    const std::uint32_t point = unicode::decode_before(text.data(), text.data() + at).point;
    return !std::binary_search(bound_.begin(), bound_.end(), point);
  }

  std::vector<std::uint32_t> bound_;
  bool bound_ascii_[128] = {};
  bool cuts_[128][128];
};

}  // namespace

std::unique_ptr<PreTokenizerStep> make_safe_cut(const Vocabulary& vocabulary) {
  const Token mark = vocabulary.find(space_mark);
  if (mark == no_token || !vocabulary.is_text(mark)) return nullptr;
  return std::make_unique<SafeCut>(neighbours_of(vocabulary));
}

}  // namespace hearth
