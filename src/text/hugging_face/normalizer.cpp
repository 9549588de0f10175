// "normalizer" of tokenizer.json.
#include <algorithm>
#include <iterator>

#include <fmt/core.h>

#include "base/bytes.h"
#include "text/base64.h"
#include "text/hugging_face/parts.h"

namespace hearth::hugging_face {
namespace {

using Step = Result<std::unique_ptr<NormalizerStep>>;

Step read_bert(const Json& part) {
  BertNormalizerOptions options;
  options.clean_text = TRY(flag(part, "clean_text", true));
  options.handle_chinese_chars = TRY(flag(part, "handle_chinese_chars", true));
  options.lowercase = TRY(flag(part, "lowercase", true));
  options.strip_accents = TRY(flag(part, "strip_accents", options.lowercase));
  return make_bert_normalizer(options);
}

Step read_strip(const Json& part) {
  StripSides sides;
  sides.left = TRY(flag(part, "strip_left", true));
  sides.right = TRY(flag(part, "strip_right", true));
  return make_strip(sides);
}

Step read_replace(const Json& part) {
  Pattern wanted = TRY(pattern(part, "pattern"));
  std::string content = TRY(needed_text(part, "content"));
  if (!wanted.is_regex) return make_replace(std::move(wanted.text), std::move(content));
  return make_regex_replace(TRY(Regex::compile(wanted.text)), std::move(content));
}

Step read_prepend(const Json& part) { return make_prepend(TRY(needed_text(part, "prepend"))); }

Step read_precompiled(const Json& part) {
  const std::string encoded = TRY(text(part, "precompiled_charsmap", ""));
  const std::string bytes = TRY(decode_base64(encoded));
  return make_precompiled(TRY(CharsMap::read(bytes_of(bytes))));
}

template <unicode::Form form>
Step read_form(const Json&) {
  return make_form(form);
}
Step read_lowercase(const Json&) { return make_lowercase(); }
Step read_strip_accents(const Json&) { return make_strip_accents(); }
Step read_nmt(const Json&) { return make_nmt(); }
Step read_byte_level(const Json&) { return make_byte_names(); }

struct Row {
  std::string_view type;
  Step (*read)(const Json&);
};
constexpr Row rows[] = {
    {"BertNormalizer", read_bert},
    {"Strip", read_strip},
    {"StripAccents", read_strip_accents},
    {"NFC", read_form<unicode::Form::nfc>},
    {"NFD", read_form<unicode::Form::nfd>},
    {"NFKC", read_form<unicode::Form::nfkc>},
    {"NFKD", read_form<unicode::Form::nfkd>},
    {"Lowercase", read_lowercase},
    {"Nmt", read_nmt},
    {"Precompiled", read_precompiled},
    {"Replace", read_replace},
    {"Prepend", read_prepend},
    {"ByteLevel", read_byte_level},
};

}  // namespace

Status read_normalizer(const Json& part, NormalizerSteps& steps, int depth) {
  if (part.is_null()) return Done{};
  if (depth > max_depth) return Error(ErrorKind::corrupt, "normalizer: sequences too deep");
  const std::string_view type = TRY(type_of(part, "normalizer"));
  if (type == "Sequence") {
    const Json* const list = part.find("normalizers");
    if (list == nullptr || !list->is_array())
      return Error(ErrorKind::corrupt, "normalizer: a Sequence without 'normalizers'");
    for (const Json& item : list->as_array()) TRY(read_normalizer(item, steps, depth + 1));
    return Done{};
  }
  const auto* const row =
      std::find_if(std::begin(rows), std::end(rows), [&](const Row& r) { return r.type == type; });
  if (row == std::end(rows))
    return Error(ErrorKind::unsupported, fmt::format("normalizer '{}' is not known", type));
  auto step = row->read(part);
  if (!step) return std::move(step).error().within(fmt::format("normalizer {}", type));
  steps.push_back(*std::move(step));
  return Done{};
}

}  // namespace hearth::hugging_face
