// The UnicodeScripts pre-tokenizer: a cut wherever the script of the text changes.  Text before the
// first character of any script is left out, as in Hugging Face tokenizers.
#include <algorithm>
#include <iterator>

#include "text/pretokenizer/splits.h"
#include "text/unicode.h"

namespace hearth {
namespace {

struct ScriptRange {
  std::uint32_t first, last;
  std::uint8_t script;
};
#include "text/pretokenizer/scripts_table.inc"

constexpr std::uint8_t any_script = 0;  // goes with the script before it

std::uint8_t script_of(std::uint32_t point) {
  if (point == ' ') return any_script;
  if (point == 0x30FC) return han_script;  // the long vowel mark of Japanese
  const auto* const it =
      std::lower_bound(std::begin(script_ranges), std::end(script_ranges), point,
                       [](const ScriptRange& r, std::uint32_t c) { return r.last < c; });
  return it != std::end(script_ranges) && it->first <= point ? it->script : any_script;
}

class UnicodeScripts final : public PreTokenizerStep {
 public:
  Status split(Piece piece, PieceSink& sink) const override {
    const std::string_view text = piece.text;
    std::size_t begin = 0;
    std::uint8_t last = any_script;
    for (std::size_t at = 0; at < text.size();) {
      const unicode::Char c = unicode::decode(text.data() + at, text.data() + text.size());
      const std::uint8_t script = script_of(c.point);
      if (script != any_script) {
        if (script != last) {
          if (last != any_script)
            TRY(sink.take({text.substr(begin, at - begin), piece.at_start && begin == 0}));
          begin = at;
        }
        last = script;
      }
      at += c.size;
    }
    if (last == any_script) return Done{};
    return sink.take({text.substr(begin), piece.at_start && begin == 0});
  }
};

}  // namespace

std::unique_ptr<PreTokenizerStep> make_unicode_scripts() {
  return std::make_unique<UnicodeScripts>();
}

}  // namespace hearth
