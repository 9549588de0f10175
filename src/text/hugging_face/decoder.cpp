// "decoder" of tokenizer.json.
#include <algorithm>
#include <iterator>

#include <fmt/core.h>

#include "text/hugging_face/parts.h"

namespace hearth::hugging_face {
namespace {

using Step = Result<std::unique_ptr<DecoderStep>>;

Step read_bpe(const Json& part) { return make_bpe_decoder(TRY(text(part, "suffix", "</w>"))); }
Step read_byte_level(const Json&) { return make_byte_level_decoder(); }

Step read_wordpiece(const Json& part) {
  WordPieceDecoderOptions options;
  options.prefix = TRY(text(part, "prefix", "##"));
  options.cleanup = TRY(flag(part, "cleanup", true));
  return make_wordpiece_decoder(std::move(options));
}

Step read_metaspace(const Json& part) {
  MetaspaceDecoderOptions options;
  options.replacement = TRY(text(part, "replacement", "\xE2\x96\x81"));
  const bool prefix = TRY(flag(part, "add_prefix_space", true));
  const std::string scheme = TRY(text(part, "prepend_scheme", prefix ? "always" : "never"));
  options.keep_first = scheme == "never";
  return make_metaspace_decoder(std::move(options));
}

Step read_ctc(const Json& part) {
  CtcDecoderOptions options;
  options.pad = TRY(text(part, "pad_token", "<pad>"));
  options.word_delimiter = TRY(text(part, "word_delimiter_token", "|"));
  options.cleanup = TRY(flag(part, "cleanup", true));
  return make_ctc_decoder(std::move(options));
}

Step read_replace(const Json& part) {
  Pattern wanted = TRY(pattern(part, "pattern"));
  std::string content = TRY(needed_text(part, "content"));
  if (!wanted.is_regex) return make_replace_decoder(std::move(wanted.text), std::move(content));
  return make_regex_replace_decoder(TRY(Regex::compile(wanted.text)), std::move(content));
}

Step read_fuse(const Json&) { return make_fuse_decoder(); }

Step read_strip(const Json& part) {
  StripDecoderOptions options;
  options.content = TRY(text(part, "content", " "));
  options.start = TRY(count(part, "start", 0));
  options.stop = TRY(count(part, "stop", 0));
  return make_strip_decoder(std::move(options));
}

Step read_byte_fallback(const Json&) { return make_byte_fallback_decoder(); }

struct Row {
  std::string_view type;
  Step (*read)(const Json&);
};
constexpr Row rows[] = {
    {"BPEDecoder", read_bpe},
    {"ByteLevel", read_byte_level},
    {"WordPiece", read_wordpiece},
    {"Metaspace", read_metaspace},
    {"CTC", read_ctc},
    {"Replace", read_replace},
    {"Fuse", read_fuse},
    {"Strip", read_strip},
    {"ByteFallback", read_byte_fallback},
};

Status read_into(const Json& part, DecoderPart& decoder, int depth) {
  if (depth > max_depth) return Error(ErrorKind::corrupt, "decoder: sequences too deep");
  const std::string_view type = TRY(type_of(part, "decoder"));
  if (type == "Sequence") {
    const Json* const list = part.find("decoders");
    if (list == nullptr || !list->is_array())
      return Error(ErrorKind::corrupt, "decoder: a Sequence without 'decoders'");
    for (const Json& item : list->as_array()) TRY(read_into(item, decoder, depth + 1));
    return Done{};
  }
  const auto* const row =
      std::find_if(std::begin(rows), std::end(rows), [&](const Row& r) { return r.type == type; });
  if (row == std::end(rows))
    return Error(ErrorKind::unsupported, fmt::format("decoder '{}' is not known", type));
  auto step = row->read(part);
  if (!step) return std::move(step).error().within(fmt::format("decoder {}", type));
  decoder.is_byte_level = type == "ByteLevel" && decoder.steps.empty();
  decoder.steps.push_back(*std::move(step));
  return Done{};
}

}  // namespace

Result<DecoderPart> read_decoder(const Json& part) {
  DecoderPart decoder;
  if (part.is_null())
    decoder.steps.push_back(make_spaced_decoder());
  else
    TRY(read_into(part, decoder, 0));
  return decoder;
}

}  // namespace hearth::hugging_face
