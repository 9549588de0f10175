#include "text/pretokenizer/safe_cut.h"

#include <algorithm>

#include "text/unicode.h"

namespace hearth {
namespace {

class SafeCut final : public PreTokenizerStep {
 public:
  // `bound`: characters that some token has before U+2581; sorted.
  explicit SafeCut(std::vector<std::uint32_t> bound) : bound_(std::move(bound)) {
    for (const std::uint32_t point : bound_)
      if (point < 128) ascii_bound_[point] = true;
  }

  Status split(Piece piece, PieceSink& sink) const override {
    const std::string_view text = piece.text;
    std::size_t begin = 0;
    for (std::size_t at = text.find(space_mark, 1); at != std::string_view::npos;
         at = text.find(space_mark, at + 1)) {
      if (!may_cut(text, at)) continue;
      TRY(sink.take({text.substr(begin, at - begin), piece.at_start && begin == 0}));
      begin = at;
    }
    return sink.take({text.substr(begin), piece.at_start && begin == 0});
  }

 private:
  bool may_cut(std::string_view text, std::size_t at) const {
    const auto before = static_cast<unsigned char>(text[at - 1]);
    if (before < 128) return !ascii_bound_[before];
    const std::uint32_t point = unicode::decode_before(text.data(), text.data() + at).point;
    return !std::binary_search(bound_.begin(), bound_.end(), point);
  }

  std::vector<std::uint32_t> bound_;
  bool ascii_bound_[128] = {};
};

}  // namespace

std::unique_ptr<PreTokenizerStep> make_safe_cut(const Vocabulary& vocabulary) {
  const Token mark = vocabulary.find(space_mark);
  if (mark == no_token || !vocabulary.is_text(mark)) return nullptr;
  std::vector<std::uint32_t> bound;
  for (Token id = 0; vocabulary.has(id); ++id) {
    const std::string_view name = vocabulary.name(id);
    for (std::size_t at = name.find(space_mark, 1); at != std::string_view::npos;
         at = name.find(space_mark, at + 1))
      bound.push_back(unicode::decode_before(name.data(), name.data() + at).point);
  }
  std::sort(bound.begin(), bound.end());
  bound.erase(std::unique(bound.begin(), bound.end()), bound.end());
  return std::make_unique<SafeCut>(std::move(bound));
}

}  // namespace hearth
