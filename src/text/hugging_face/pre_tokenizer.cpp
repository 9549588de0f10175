// "pre_tokenizer" of tokenizer.json.
#include <algorithm>
#include <iterator>

#include <fmt/core.h>

#include "text/hugging_face/parts.h"
#include "text/pretokenizer/known_patterns.h"
#include "text/pretokenizer/scanners.h"
#include "text/pretokenizer/splits.h"

namespace hearth::hugging_face {
namespace {

// Steps are added to a part; one that names bytes is kept back until another follows.
class Builder {
 public:
  void add(std::unique_ptr<PreTokenizerStep> step) {
    if (part_.bytes) part_.steps.add(make_byte_names_step());
    part_.bytes = false;
    part_.steps.add(std::move(step));
  }
  void add_byte_names() {
    if (part_.bytes) part_.steps.add(make_byte_names_step());
    part_.bytes = true;
  }
  PreTokenizerPart take() && { return std::move(part_); }

 private:
  PreTokenizerPart part_;
};

Result<Behavior> behavior_of(const Json& part, Behavior fallback) {
  const std::string name = TRY(text(part, "behavior", ""));
  if (name.empty()) return fallback;
  constexpr std::pair<std::string_view, Behavior> names[] = {
      {"Removed", Behavior::removed},
      {"Isolated", Behavior::isolated},
      {"MergedWithPrevious", Behavior::merged_with_previous},
      {"MergedWithNext", Behavior::merged_with_next},
      {"Contiguous", Behavior::contiguous}};
  for (const auto& [known, behavior] : names)
    if (known == name) return behavior;
  return Error(ErrorKind::unsupported, fmt::format("behavior '{}' is not known", name));
}

Status read_bert(const Json&, Builder& builder) {
  builder.add(make_bert_split());
  return Done{};
}

Status read_byte_level(const Json& part, Builder& builder) {
  if (TRY(flag(part, "add_prefix_space", true))) builder.add(make_prefix_space());
  if (TRY(flag(part, "use_regex", true))) builder.add(make_scanner_step(scan::gpt2));
  builder.add_byte_names();
  return Done{};
}

Status read_delimiter(const Json& part, Builder& builder) {
  builder.add(make_text_split(TRY(needed_text(part, "delimiter")), {Behavior::removed}));
  return Done{};
}

Status read_metaspace(const Json& part, Builder& builder) {
  MetaspaceOptions options;
  options.replacement = TRY(text(part, "replacement", "\xE2\x96\x81"));
  if (options.replacement.empty()) return Error(ErrorKind::corrupt, "'replacement' is empty");
  const bool prefix = TRY(flag(part, "add_prefix_space", true));
  const std::string scheme = TRY(text(part, "prepend_scheme", prefix ? "always" : "never"));
  using Prepend = MetaspaceOptions::Prepend;
  if (scheme == "always")
    options.prepend = Prepend::always;
  else if (scheme == "first")
    options.prepend = Prepend::first;
  else if (scheme == "never")
    options.prepend = Prepend::never;
  else
    return Error(ErrorKind::unsupported, fmt::format("prepend_scheme '{}' is not known", scheme));
  options.split = TRY(flag(part, "split", true));
  builder.add(make_metaspace(std::move(options)));
  return Done{};
}

Status read_whitespace(const Json&, Builder& builder) {
  builder.add(make_whitespace());
  return Done{};
}

Status read_whitespace_split(const Json&, Builder& builder) {
  builder.add(make_character_split(is_space_character, {Behavior::removed}));
  return Done{};
}

Status read_split(const Json& part, Builder& builder) {
  Pattern wanted = TRY(pattern(part, "pattern"));
  SplitOptions options;
  options.behavior = TRY(behavior_of(part, Behavior::isolated));
  options.invert = TRY(flag(part, "invert", false));
  if (!wanted.is_regex) {
    builder.add(make_text_split(std::move(wanted.text), options));
    return Done{};
  }
  // A scanner keeps the gaps, as "isolated" does; "removed, inverted" keeps only the matches.
  if (const KnownPattern* const known = find_known_pattern(wanted.text)) {
    const bool keeps_all = options.behavior == Behavior::isolated;
    const bool keeps_matches = options.behavior == Behavior::removed && options.invert;
    if (keeps_all || (keeps_matches && known->covers)) {
      builder.add(make_scanner_step(known->scanner));
      return Done{};
    }
  }
  builder.add(make_regex_split(TRY(Regex::compile(wanted.text)), options));
  return Done{};
}

Status read_punctuation(const Json& part, Builder& builder) {
  const Behavior behavior = TRY(behavior_of(part, Behavior::isolated));
  builder.add(make_character_split(is_bert_punctuation, {behavior}));
  return Done{};
}

Status read_digits(const Json& part, Builder& builder) {
  if (TRY(flag(part, "individual_digits", false)))
    builder.add(make_scanner_step(scan::each_number));
  else
    builder.add(make_scanner_step(scan::numbers));
  return Done{};
}

Status read_unicode_scripts(const Json&, Builder& builder) {
  builder.add(make_unicode_scripts());
  return Done{};
}

Status read_fixed_length(const Json& part, Builder& builder) {
  const std::size_t characters = TRY(count(part, "length", 5));
  if (characters == 0) return Error(ErrorKind::corrupt, "'length' is zero");
  builder.add(make_fixed_length(characters));
  return Done{};
}

struct Row {
  std::string_view type;
  Status (*read)(const Json&, Builder&);
};
constexpr Row rows[] = {
    {"BertPreTokenizer", read_bert},
    {"ByteLevel", read_byte_level},
    {"CharDelimiterSplit", read_delimiter},
    {"Delimiter", read_delimiter},
    {"Metaspace", read_metaspace},
    {"Whitespace", read_whitespace},
    {"WhitespaceSplit", read_whitespace_split},
    {"Split", read_split},
    {"Punctuation", read_punctuation},
    {"Digits", read_digits},
    {"UnicodeScripts", read_unicode_scripts},
    {"FixedLength", read_fixed_length},
};

Status read_into(const Json& part, Builder& builder, int depth) {
  if (part.is_null()) return Done{};
  if (depth > max_depth) return Error(ErrorKind::corrupt, "pre_tokenizer: sequences too deep");
  const std::string_view type = TRY(type_of(part, "pre_tokenizer"));
  if (type == "Sequence") {
    const Json* const list = part.find("pretokenizers");
    if (list == nullptr || !list->is_array())
      return Error(ErrorKind::corrupt, "pre_tokenizer: a Sequence without 'pretokenizers'");
    for (const Json& item : list->as_array()) TRY(read_into(item, builder, depth + 1));
    return Done{};
  }
  const auto* const row =
      std::find_if(std::begin(rows), std::end(rows), [&](const Row& r) { return r.type == type; });
  if (row == std::end(rows))
    return Error(ErrorKind::unsupported, fmt::format("pre_tokenizer '{}' is not known", type));
  auto read = row->read(part, builder);
  if (!read) return std::move(read).error().within(fmt::format("pre_tokenizer {}", type));
  return Done{};
}

}  // namespace

Result<PreTokenizerPart> read_pretokenizer(const Json& part) {
  Builder builder;
  TRY(read_into(part, builder, 0));
  return std::move(builder).take();
}

}  // namespace hearth::hugging_face
