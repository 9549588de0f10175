#include "speech/codes.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

namespace hearth::speech {
namespace {

// In the order of their tokens.  Source: openai/whisper, tokenizer.py; ISO 639.
constexpr Language table[] = {
    {"en", "english"},        {"zh", "chinese"},     {"de", "german"},        {"es", "spanish"},
    {"ru", "russian"},        {"ko", "korean"},      {"fr", "french"},        {"ja", "japanese"},
    {"pt", "portuguese"},     {"tr", "turkish"},     {"pl", "polish"},        {"ca", "catalan"},
    {"nl", "dutch"},          {"ar", "arabic"},      {"sv", "swedish"},       {"it", "italian"},
    {"id", "indonesian"},     {"hi", "hindi"},       {"fi", "finnish"},       {"vi", "vietnamese"},
    {"he", "hebrew"},         {"uk", "ukrainian"},   {"el", "greek"},         {"ms", "malay"},
    {"cs", "czech"},          {"ro", "romanian"},    {"da", "danish"},        {"hu", "hungarian"},
    {"ta", "tamil"},          {"no", "norwegian"},   {"th", "thai"},          {"ur", "urdu"},
    {"hr", "croatian"},       {"bg", "bulgarian"},   {"lt", "lithuanian"},    {"la", "latin"},
    {"mi", "maori"},          {"ml", "malayalam"},   {"cy", "welsh"},         {"sk", "slovak"},
    {"te", "telugu"},         {"fa", "persian"},     {"lv", "latvian"},       {"bn", "bengali"},
    {"sr", "serbian"},        {"az", "azerbaijani"}, {"sl", "slovenian"},     {"kn", "kannada"},
    {"et", "estonian"},       {"mk", "macedonian"},  {"br", "breton"},        {"eu", "basque"},
    {"is", "icelandic"},      {"hy", "armenian"},    {"ne", "nepali"},        {"mn", "mongolian"},
    {"bs", "bosnian"},        {"kk", "kazakh"},      {"sq", "albanian"},      {"sw", "swahili"},
    {"gl", "galician"},       {"mr", "marathi"},     {"pa", "punjabi"},       {"si", "sinhala"},
    {"km", "khmer"},          {"sn", "shona"},       {"yo", "yoruba"},        {"so", "somali"},
    {"af", "afrikaans"},      {"oc", "occitan"},     {"ka", "georgian"},      {"be", "belarusian"},
    {"tg", "tajik"},          {"sd", "sindhi"},      {"gu", "gujarati"},      {"am", "amharic"},
    {"yi", "yiddish"},        {"lo", "lao"},         {"uz", "uzbek"},         {"fo", "faroese"},
    {"ht", "haitian creole"}, {"ps", "pashto"},      {"tk", "turkmen"},       {"nn", "nynorsk"},
    {"mt", "maltese"},        {"sa", "sanskrit"},    {"lb", "luxembourgish"}, {"my", "myanmar"},
    {"bo", "tibetan"},        {"tl", "tagalog"},     {"mg", "malagasy"},      {"as", "assamese"},
    {"tt", "tatar"},          {"haw", "hawaiian"},   {"ln", "lingala"},       {"ha", "hausa"},
    {"ba", "bashkir"},        {"jw", "javanese"},    {"su", "sundanese"},     {"yue", "cantonese"},
};

// What is sound and no speech: the model may not write it.
constexpr std::string_view marks[] = {
    "\"",  "#",  "(",  ")",   "*",   "+",   "/",   ":",  ";",   "<",  "=",  ">",
    "@",   "[",  "\\", "]",   "^",   "_",   "`",   "{",  "|",   "}",  "~",  "「",
    "」",  "『", "』", "<<",  ">>",  "<<<", ">>>", "--", "---", "-(", "-[", "('",
    "(\"", "((", "))", "(((", ")))", "[[",  "]]",  "{{", "}}",  "♪♪", "♪♪♪"};
constexpr std::string_view notes[] = {"♩", "♪", "♫", "♬", "♭", "♮", "♯"};

bool equal_words(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return lower(x) == lower(y);
  });
}

struct Source {
  const Json& config;  // generation_config.json
  const Json& model;   // config.json
  const Tokenizer& tokenizer;
  std::uint32_t vocabulary;

  bool holds(std::int64_t id) const { return id >= 0 && id < vocabulary; }

  std::optional<Token> member(const Json& object, std::string_view key) const {
    const Json* value = object.find(key);
    if (value != nullptr && value->is_array() && value->size() > 0) value = &value->as_array()[0];
    if (value == nullptr || !value->is_integer() || !holds(value->as_integer()))
      return std::nullopt;
    return static_cast<Token>(value->as_integer());
  }
  std::optional<Token> named(std::string_view name) const {
    const auto id = tokenizer.find(name);
    return id && holds(*id) ? id : std::nullopt;
  }
  // The member, else the token of that name.
  std::optional<Token> find(std::string_view key, std::string_view name) const {
    if (const auto id = member(config, key)) return id;
    return named(name);
  }
  Result<Token> needed(std::string_view key, std::string_view name) const {
    if (const auto id = find(key, name)) return *id;
    if (const auto id = member(model, key)) return *id;
    return Error(ErrorKind::corrupt,
                 fmt::format("neither generation_config.json ('{}') nor the tokenizer tells which "
                             "token is {}",
                             key, name));
  }
};

void read_languages(const Source& source, Codes& codes) {
  const Json* held = source.config.find("lang_to_id");
  for (const Language& language : table) {
    const std::string name = fmt::format("<|{}|>", language.code);
    std::optional<Token> id;
    if (held != nullptr) id = source.member(*held, name);
    if (held == nullptr) id = source.named(name);
    if (id) codes.languages.emplace_back(language.code, *id);
  }
}

void read_tasks(const Source& source, Codes& codes) {
  const Json* held = source.config.find("task_to_id");
  const auto read = [&](std::string_view key, std::string_view name, Token fallback) {
    if (held != nullptr)
      if (const auto id = source.member(*held, key)) return *id;
    return source.named(name).value_or(fallback);
  };
  // They lie so in every vocabulary that was published.
  codes.transcribe = read("transcribe", "<|transcribe|>", codes.no_timestamps - 4);
  codes.translate = read("translate", "<|translate|>", codes.no_timestamps - 5);
}

std::optional<std::vector<Token>> read_ids(const Source& source, std::string_view key) {
  const Json* list = source.config.find(key);
  if (list == nullptr) list = source.model.find(key);
  if (list == nullptr || !list->is_array()) return std::nullopt;
  std::vector<Token> ids;
  for (const Json& item : list->as_array())
    if (item.is_integer() && source.holds(item.as_integer()))
      ids.push_back(static_cast<Token>(item.as_integer()));
  return ids;
}

// As OpenAI's own program does where a file has no list of them.
Status make_never(const Source& source, Codes& codes) {
  std::set<Token> never{codes.translate, codes.transcribe,   codes.start,
                        codes.previous,  codes.previous - 1, codes.no_speech};
  const auto add = [&](const std::string& text, bool always) -> Status {
    const auto tokens = TRY(source.tokenizer.encode(text, {}));
    if (!tokens.empty() && (tokens.size() == 1 || always)) never.insert(tokens[0]);
    return Done{};
  };
  for (const std::string_view mark : marks)
    for (const char* space : {"", " "}) TRY(add(space + std::string(mark), false));
  for (const std::string_view note : notes)
    for (const char* space : {"", " "}) TRY(add(space + std::string(note), true));
  for (const char* text : {" -", " '"}) TRY(add(text, true));
  codes.never.assign(never.begin(), never.end());
  return Done{};
}

Status read_never(const Source& source, Codes& codes) {
  if (auto ids = read_ids(source, "suppress_tokens"))
    codes.never = *std::move(ids);
  else
    TRY(make_never(source, codes));
  if (auto ids = read_ids(source, "begin_suppress_tokens")) {
    codes.never_first = *std::move(ids);
  } else {
    codes.never_first = TRY(source.tokenizer.encode(" ", {}));
    codes.never_first.push_back(codes.end);
  }
  return Done{};
}

void read_heads(const Source& source, Codes& codes) {
  const Json* list = source.config.find("alignment_heads");
  if (list == nullptr || !list->is_array()) return;
  for (const Json& pair : list->as_array()) {
    if (!pair.is_array() || pair.size() != 2) continue;
    const Json &layer = pair.as_array()[0], &head = pair.as_array()[1];
    if (layer.is_integer() && head.is_integer() && layer.as_integer() >= 0 &&
        head.as_integer() >= 0 && layer.as_integer() < 1024 && head.as_integer() < 1024)
      codes.alignment_heads.emplace_back(static_cast<std::uint32_t>(layer.as_integer()),
                                         static_cast<std::uint32_t>(head.as_integer()));
  }
}

}  // namespace

std::span<const Language> languages() { return table; }

const Language* find_language(std::string_view text) {
  for (const Language& language : table)
    if (equal_words(text, language.code) || equal_words(text, language.name)) return &language;
  // "en-US"
  if (const auto dash = text.find_first_of("-_"); dash != text.npos && dash > 0)
    return find_language(text.substr(0, dash));
  return nullptr;
}

Result<Codes> read_codes(const Package& package, const Tokenizer& tokenizer,
                         std::uint32_t vocabulary) {
  const Source source{package.generation_config, package.config, tokenizer, vocabulary};
  Codes codes;
  codes.end = TRY(source.needed("eos_token_id", "<|endoftext|>"));
  codes.start = TRY(source.needed("decoder_start_token_id", "<|startoftranscript|>"));
  codes.no_timestamps = TRY(source.needed("no_timestamps_token_id", "<|notimestamps|>"));
  if (codes.no_timestamps < 6)
    return Error(ErrorKind::corrupt, "generation_config.json: no_timestamps_token_id is too small");
  codes.no_speech = codes.no_timestamps - 1;
  codes.previous =
      source.find("prev_sot_token_id", "<|startofprev|>").value_or(codes.no_timestamps - 2);
  read_tasks(source, codes);
  read_languages(source, codes);
  const Json* multilingual = package.generation_config.find("is_multilingual");
  codes.is_multilingual = multilingual != nullptr && multilingual->is_bool()
                              ? multilingual->as_bool()
                              : vocabulary >= 51865 && !codes.languages.empty();
  if (const Json* latest = package.generation_config.find("max_initial_timestamp_index");
      latest != nullptr && latest->is_integer() && latest->as_integer() >= 0)
    codes.latest_start =
        static_cast<std::uint32_t>(std::min<std::int64_t>(latest->as_integer(), 1500));
  TRY(read_never(source, codes));
  read_heads(source, codes);
  return codes;
}

}  // namespace hearth::speech
