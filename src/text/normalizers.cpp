#include "text/normalizers.h"

#include <functional>

#include "base/ascii.h"
#include "base/utf8.h"
#include "text/vocabulary.h"

namespace hearth {
namespace {

// Longer texts are not made: each step may make a text several times longer.
constexpr std::size_t max_normalized_bytes = 2 * max_text_bytes;

// A step that writes its result anew.
class Rewrite final : public NormalizerStep {
 public:
  using Function = std::function<Result<std::string>(std::string_view)>;
  explicit Rewrite(Function rewrite) : rewrite_(std::move(rewrite)) {}
  Status apply(std::string& text) const override {
    text = TRY(rewrite_(text));
    return Done{};
  }

 private:
  Function rewrite_;
};

std::unique_ptr<NormalizerStep> make_rewrite(Rewrite::Function rewrite) {
  return std::make_unique<Rewrite>(std::move(rewrite));
}

template <typename Use>
void for_each_character(std::string_view text, const Use& use) {
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    const unicode::Char c = unicode::decode(p, end);
    use(c.point, std::string_view(p, c.size));
    p += c.size;
  }
}

bool is_space(std::uint32_t point) { return (unicode::class_of(point) & unicode::space) != 0; }

// Control, format, private and unassigned; but not what BERT takes for white space.
bool is_bert_control(std::uint32_t point) {
  using namespace unicode;
  if (point == '\t' || point == '\n' || point == '\r') return false;
  return (class_of(point) & (bit(Cc) | bit(Cf) | bit(Co) | bit(Cn))) != 0;
}

std::string clean(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for_each_character(text, [&](std::uint32_t point, std::string_view bytes) {
    if (point == 0 || point == 0xFFFD || is_bert_control(point)) return;
    if (is_space(point))
      out += ' ';
    else
      out += bytes;
  });
  return out;
}

std::string space_cjk(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for_each_character(text, [&](std::uint32_t point, std::string_view bytes) {
    if (is_cjk(point))
      out.append(" ").append(bytes).append(" ");
    else
      out += bytes;
  });
  return out;
}

std::string lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    const unicode::Char c = unicode::decode(p, end);
    if (c.point < 0x80)
      out += static_cast<char>(c.point >= 'A' && c.point <= 'Z' ? c.point | 0x20 : c.point);
    else
      unicode::append_lowercase(out, c.point);
    p += c.size;
  }
  return out;
}

std::string without(std::string_view text, unicode::Class unwanted) {
  std::string out;
  out.reserve(text.size());
  for_each_character(text, [&](std::uint32_t point, std::string_view bytes) {
    if (!(unicode::class_of(point) & unwanted)) out += bytes;
  });
  return out;
}

std::size_t skip_ascii(std::string_view text, std::size_t at) {
  while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
  return at;
}

void append_bert_ascii(std::string& out, std::string_view text, BertNormalizerOptions options) {
  for (char c : text) {
    if (options.clean_text) {
      if (c == '\t' || c == '\n' || c == '\r') c = ' ';
      if (c < ' ' || c == 0x7F) continue;
    }
    out += options.lowercase ? ascii_lower(c) : c;
  }
}

// Text without ASCII: no step looks past it.
std::string bert_run(std::string_view text, BertNormalizerOptions options) {
  std::string out(text);
  if (options.clean_text) out = clean(out);
  if (options.handle_chinese_chars) out = space_cjk(out);
  if (options.strip_accents)
    out = without(unicode::normalize(out, unicode::Form::nfd), unicode::bit(unicode::Mn));
  if (options.lowercase) out = lower(out);
  return out;
}

// Source: the "nmt" rules of SentencePiece.
std::string nmt(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for_each_character(text, [&](std::uint32_t c, std::string_view bytes) {
    if ((c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F ||
        c == 0x9F)
      return;
    const bool blank = c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == 0x1680 ||
                       (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                       c == 0xFEFF || c == 0xFFFD;
    if (blank)
      out += ' ';
    else
      out += bytes;
  });
  return out;
}

std::string strip(std::string_view text, StripSides sides) {
  const char* begin = text.data();
  const char* end = begin + text.size();
  while (sides.left && begin < end) {
    const unicode::Classified c = unicode::classify(begin, end);
    if (!(c.is & unicode::space)) break;
    begin += c.size;
  }
  while (sides.right && begin < end) {
    const unicode::Char c = unicode::decode_before(begin, end);
    if (!is_space(c.point)) break;
    end -= c.size;
  }
  return std::string(begin, end);
}

class Steps final : public Normalizer {
 public:
  explicit Steps(NormalizerSteps steps) : steps_(std::move(steps)) {}
  Result<std::string> apply(const NormalizerInput& input) const override {
    std::string text(input.text);
    for (const auto& step : steps_) {
      TRY(step->apply(text));
      if (text.size() > max_normalized_bytes)
        return Error(ErrorKind::invalid, "a text that grows too long when normalized");
    }
    return text;
  }

 private:
  NormalizerSteps steps_;
};

}  // namespace

bool is_cjk(std::uint32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

bool is_bert_punctuation(std::uint32_t c) {
  return unicode::is_ascii_punctuation(c) || (unicode::class_of(c) & unicode::punctuation) != 0;
}

std::unique_ptr<NormalizerStep> make_bert_normalizer(BertNormalizerOptions options) {
  return make_rewrite([options](std::string_view text) -> Result<std::string> {
    std::string out;
    out.reserve(text.size() + text.size() / 8);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t ascii_end = skip_ascii(text, at);
      append_bert_ascii(out, text.substr(at, ascii_end - at), options);
      at = ascii_end;
      while (at < text.size() && static_cast<unsigned char>(text[at]) >= 0x80) ++at;
      if (at > ascii_end) out += bert_run(text.substr(ascii_end, at - ascii_end), options);
    }
    return out;
  });
}

std::unique_ptr<NormalizerStep> make_form(unicode::Form form) {
  return make_rewrite([form](std::string_view text) -> Result<std::string> {
    return unicode::normalize(text, form);
  });
}

std::unique_ptr<NormalizerStep> make_lowercase() {
  return make_rewrite([](std::string_view text) -> Result<std::string> { return lower(text); });
}

std::unique_ptr<NormalizerStep> make_strip_accents() {
  return make_rewrite(
      [](std::string_view text) -> Result<std::string> { return without(text, unicode::mark); });
}

std::unique_ptr<NormalizerStep> make_nmt() {
  return make_rewrite([](std::string_view text) -> Result<std::string> { return nmt(text); });
}

std::unique_ptr<NormalizerStep> make_byte_names() {
  return make_rewrite([](std::string_view text) -> Result<std::string> {
    std::string out;
    append_byte_name(out, text);
    return out;
  });
}

std::unique_ptr<NormalizerStep> make_strip(StripSides sides) {
  return make_rewrite(
      [sides](std::string_view text) -> Result<std::string> { return strip(text, sides); });
}

std::unique_ptr<NormalizerStep> make_prepend(std::string prefix) {
  return make_rewrite([prefix](std::string_view text) -> Result<std::string> {
    return text.empty() ? std::string() : prefix + std::string(text);
  });
}

std::unique_ptr<NormalizerStep> make_replace(std::string from, std::string to) {
  return make_rewrite([from, to](std::string_view text) -> Result<std::string> {
    return replace_all(text, from, to);
  });
}

std::unique_ptr<NormalizerStep> make_regex_replace(Regex regex, std::string to) {
  const auto shared = std::make_shared<const Regex>(std::move(regex));
  return make_rewrite(
      [shared, to](std::string_view text) { return replace_all(*shared, text, to); });
}

std::unique_ptr<NormalizerStep> make_precompiled(CharsMap map) {
  return make_rewrite([map = std::move(map)](std::string_view text) -> Result<std::string> {
    return map.normalize_graphemes(text);
  });
}

std::unique_ptr<Normalizer> make_normalizer(NormalizerSteps steps) {
  return std::make_unique<Steps>(std::move(steps));
}

}  // namespace hearth
