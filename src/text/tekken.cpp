// tekken.json: tokens as base64 with their ranks, behind a fixed number of special ones.
// Source: mistralai/mistral-common, tokens/tokenizers/tekken.py.
#include <algorithm>

#include <fmt/core.h>

#include "text/base64.h"
#include "text/pretokenizer/known_patterns.h"
#include "text/ranks.h"

namespace hearth {
namespace {

// Of files that do not list them (version v3).
constexpr std::string_view usual_specials[] = {"<unk>",
                                               "<s>",
                                               "</s>",
                                               "[INST]",
                                               "[/INST]",
                                               "[AVAILABLE_TOOLS]",
                                               "[/AVAILABLE_TOOLS]",
                                               "[TOOL_RESULTS]",
                                               "[/TOOL_RESULTS]",
                                               "[TOOL_CALLS]",
                                               "[IMG]",
                                               "<pad>",
                                               "[IMG_BREAK]",
                                               "[IMG_END]",
                                               "[PREFIX]",
                                               "[MIDDLE]",
                                               "[SUFFIX]",
                                               "[SYSTEM_PROMPT]",
                                               "[/SYSTEM_PROMPT]",
                                               "[TOOL_CONTENT]"};

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

Result<std::size_t> count_in(const Json& object, std::string_view key, std::size_t most) {
  const Json* value = object.find(key);
  if (value == nullptr || !value->is_number() || value->as_number() < 0 ||
      value->as_number() > static_cast<double>(most))
    return corrupt(fmt::format("{}: needs a number up to {}", key, most));
  return static_cast<std::size_t>(value->as_number());
}

Result<std::string_view> text_in(const Json& object, std::string_view key, std::size_t index) {
  const Json* value = object.find(key);
  if (value == nullptr || !value->is_string())
    return corrupt(fmt::format("entry {}: {} is no text", index, key));
  return std::string_view(value->as_string());
}

// Names for ids 0 to `count` - 1; places that the file leaves free are called "<SPECIAL_n>".
Result<std::vector<std::string>> special_names(const Json& json, std::size_t count) {
  std::vector<std::string> names(count);
  const Json* listed = json.find("special_tokens");
  if (listed == nullptr || listed->is_null()) {
    for (std::size_t i = 0; i < std::min(count, std::size(usual_specials)); ++i)
      names[i] = usual_specials[i];
  } else if (!listed->is_array()) {
    return corrupt("special_tokens: needs a list");
  } else {
    for (std::size_t i = 0; i < listed->as_array().size(); ++i) {
      const Json& entry = listed->as_array()[i];
      const std::size_t rank = TRY(count_in(entry, "rank", max_vocabulary));
      if (rank >= count || !names[rank].empty())
        return corrupt(
            fmt::format("special_tokens: entry {} has the rank {} of {}", i, rank, count));
      names[rank] = TRY(text_in(entry, "token_str", i));
    }
  }
  for (std::size_t i = 0; i < count; ++i)
    if (names[i].empty()) names[i] = fmt::format("<SPECIAL_{}>", i);
  return names;
}

Result<std::vector<Rank>> ranks_in(const Json& list, std::size_t count, std::size_t specials) {
  if (!list.is_array() || list.as_array().size() < count)
    return corrupt(fmt::format("vocab: needs {} tokens", count));
  std::vector<Rank> ranks(count);
  for (std::size_t i = 0; i < list.as_array().size(); ++i) {
    const Json& entry = list.as_array()[i];
    const std::size_t rank = TRY(count_in(entry, "rank", max_vocabulary));
    if (rank >= count) continue;  // files hold more than their models use
    auto bytes = decode_base64(TRY(text_in(entry, "token_bytes", i)));
    if (!bytes || bytes->empty())
      return corrupt(fmt::format("entry {}: token_bytes is no base64", i));
    if (!ranks[rank].bytes.empty()) return corrupt(fmt::format("rank {} stands twice", rank));
    ranks[rank] = {*std::move(bytes), static_cast<Token>(rank + specials)};
  }
  const auto gap = std::ranges::find_if(ranks, [](const Rank& rank) { return rank.bytes.empty(); });
  if (gap != ranks.end()) return corrupt(fmt::format("rank {} is missing", gap - ranks.begin()));
  return ranks;
}

}  // namespace

bool is_tekken(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != text.npos && text[first] == '{';
}

Result<RankedVocabulary> read_tekken(std::string_view text) {
  const Json json = TRY(parse_json(text));
  const Json *config = json.find("config"), *list = json.find("vocab");
  if (config == nullptr || !config->is_object() || list == nullptr)
    return corrupt("needs config and vocab");
  const std::size_t size = TRY(count_in(*config, "default_vocab_size", max_vocabulary));
  const std::size_t specials = TRY(count_in(*config, "default_num_special_tokens", size));
  const Json* pattern = config->find("pattern");
  const KnownPattern* known = pattern != nullptr && pattern->is_string()
                                  ? find_known_pattern(pattern->as_string())
                                  : nullptr;
  if (known == nullptr || !known->covers)
    return Error(ErrorKind::unsupported, "config.pattern is not one that we cut texts by");
  RankedVocabulary out;
  out.scanner = known->scanner;
  out.bos = "<s>";
  out.eos = "</s>";
  out.adds_bos = true;
  out.ranks = TRY(ranks_in(*list, size - specials, specials));
  const auto names = TRY(special_names(json, specials));
  for (std::size_t i = 0; i < names.size(); ++i)
    out.rows.push_back({{.content = names[i], .id = static_cast<Token>(i), .special = true}});
  return out;
}

}  // namespace hearth
