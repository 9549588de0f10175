// Where a package keeps its tokenizer and its chat template.
#include <fmt/core.h>

#include "base/bytes.h"
#include "models/hyper_source.h"
#include "models/model.h"
#include "models/tokenizer_source.h"

namespace hearth {
namespace {

std::string_view file_of(const Package& package, std::string_view name) {
  const auto found = package.files.find(name);
  return found == package.files.end() ? std::string_view() : text_of(found->second);
}

// An id of the vocabulary; the largest number of its type stands for "none" in some files.
Status take_id(const Metadata& metadata, std::string_view name, std::size_t tokens,
               std::optional<std::uint64_t>& id) {
  const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
  if (!metadata.has(key)) return Done{};
  const std::int64_t value = TRY(metadata.integer(key));
  if (value < 0 || static_cast<std::uint64_t>(value) >= tokens)
    return Error(ErrorKind::corrupt, fmt::format("{} = {}: needs 0 to {}", key, value, tokens - 1));
  id = static_cast<std::uint64_t>(value);
  return Done{};
}

Status take_flag(const Metadata& metadata, std::string_view name, std::optional<bool>& flag) {
  const std::string key = fmt::format("tokenizer.ggml.{}", name);
  if (metadata.has(key)) flag = TRY(metadata.boolean(key));
  return Done{};
}

Status take_ids(const Metadata& metadata, GgufVocabulary& vocabulary) {
  const struct {
    std::string_view name;
    std::optional<std::uint64_t>* id;
  } rows[] = {
      {"bos", &vocabulary.bos},
      {"eos", &vocabulary.eos},
      {"unknown", &vocabulary.unk},
      {"padding", &vocabulary.pad},
      {"seperator", &vocabulary.sep},
      {"separator", &vocabulary.sep},
      {"cls", &vocabulary.cls},
      {"mask", &vocabulary.mask},
      {"eot", &vocabulary.eot},
      {"eom", &vocabulary.eom},
      {"prefix", &vocabulary.fim_prefix},
      {"suffix", &vocabulary.fim_suffix},
      {"middle", &vocabulary.fim_middle},
      {"fim_pre", &vocabulary.fim_prefix},
      {"fim_suf", &vocabulary.fim_suffix},
      {"fim_mid", &vocabulary.fim_middle},
  };
  for (const auto& row : rows) TRY(take_id(metadata, row.name, vocabulary.tokens.size(), *row.id));
  TRY(take_flag(metadata, "add_bos_token", vocabulary.add_bos));
  TRY(take_flag(metadata, "add_eos_token", vocabulary.add_eos));
  TRY(take_flag(metadata, "add_space_prefix", vocabulary.add_space_prefix));
  TRY(take_flag(metadata, "remove_extra_whitespaces", vocabulary.remove_extra_whitespaces));
  return Done{};
}

}  // namespace

Result<GgufVocabulary> models::gguf_vocabulary(const Metadata& metadata) {
  GgufVocabulary vocabulary;
  if (!metadata.has("tokenizer.ggml.model"))
    return Error(ErrorKind::not_found, "the file has no tokenizer (tokenizer.ggml.model)");
  vocabulary.model = std::string(TRY(metadata.string("tokenizer.ggml.model")));
  if (vocabulary.model == "no_vocab" || vocabulary.model == "none")
    return Error(ErrorKind::not_found, "the file says that it has no tokenizer");
  if (metadata.has("tokenizer.ggml.pre"))
    vocabulary.pre = std::string(TRY(metadata.string("tokenizer.ggml.pre")));
  vocabulary.tokens = TRY(metadata.strings("tokenizer.ggml.tokens"));
  if (metadata.has("tokenizer.ggml.scores"))
    vocabulary.scores = TRY(metadata.reals("tokenizer.ggml.scores"));
  if (metadata.has("tokenizer.ggml.token_type"))
    vocabulary.kinds = TRY(metadata.integers("tokenizer.ggml.token_type"));
  if (metadata.has("tokenizer.ggml.merges"))
    vocabulary.merges = TRY(metadata.strings("tokenizer.ggml.merges"));
  if (const MetaValue* map = metadata.find("tokenizer.ggml.precompiled_charsmap"))
    vocabulary.precompiled_charsmap = map->bytes;
  TRY(take_ids(metadata, vocabulary));
  if (metadata.has("tokenizer.chat_template"))
    vocabulary.chat_template = std::string(TRY(metadata.string("tokenizer.chat_template")));
  return vocabulary;
}

Result<TokenizerFiles> models::tokenizer_files(const Package& package) {
  const auto config = models::json_file(package, "tokenizer_config.json");
  if (!config) return config.error();
  const auto special = models::json_file(package, "special_tokens_map.json");
  if (!special) return special.error();
  std::string_view ranks = file_of(package, "tekken.json");
  for (const auto& [name, bytes] : package.files)
    if (name.ends_with(".tiktoken")) ranks = text_of(bytes);
  TokenizerFiles files{
      .tokenizer_json = file_of(package, "tokenizer.json"),
      .sentencepiece_model = file_of(package, "tokenizer.model"),
      .tiktoken = ranks,
      .vocab_json = file_of(package, "vocab.json"),
      .merges_txt = file_of(package, "merges.txt"),
      .vocab_txt = file_of(package, "vocab.txt"),
      .tokenizer_config = *config,
      .special_tokens_map = *special,
      .config = package.config,
      .generation_config = package.generation_config,
  };
  if (files.tokenizer_json.empty() && files.sentencepiece_model.empty() &&
      files.vocab_json.empty() && files.vocab_txt.empty() && files.tiktoken.empty())
    return Error(ErrorKind::not_found,
                 "the folder has no tokenizer (tokenizer.json, tokenizer.model, vocab.json, "
                 "vocab.txt, tekken.json or *.tiktoken)");
  return files;
}

namespace {

// tokenizer_config.json: a string, or a list of {name, template}.
const Json* template_in(const Json& held) {
  if (held.is_string()) return &held;
  if (!held.is_array()) return nullptr;
  const Json* first = nullptr;
  for (const Json& item : held.as_array()) {
    const Json *name = item.find("name"), *source = item.find("template");
    if (name == nullptr || source == nullptr || !name->is_string() || !source->is_string())
      continue;
    if (name->as_string() == "default") return source;
    if (first == nullptr) first = source;
  }
  return first;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> load_tokenizer(const Package& package) {
  // Checkpoints of Meta's are rows of GGUF with tokenizer files beside them.
  const bool inside = package.naming == Naming::gguf && package.files.empty();
  if (inside) return make_tokenizer(TRY(models::gguf_vocabulary(package.metadata)));
  return make_tokenizer(TRY(models::tokenizer_files(package)));
}

Result<std::string> chat_template_source(const Package& package) {
  if (package.naming == Naming::gguf) {
    if (package.metadata.has("tokenizer.chat_template"))
      return std::string(TRY(package.metadata.string("tokenizer.chat_template")));
    return Error(ErrorKind::not_found, "the file has no chat template (tokenizer.chat_template)");
  }
  if (const std::string_view text = file_of(package, "chat_template.jinja"); !text.empty())
    return std::string(text);
  for (const char* name : {"chat_template.json", "tokenizer_config.json"}) {
    const auto config = models::json_file(package, name);
    if (!config) return config.error();
    const Json* held = config->find("chat_template");
    const Json* source = held != nullptr ? template_in(*held) : nullptr;
    if (source != nullptr) return source->as_string();
  }
  if (const std::string_view tekken = file_of(package, "tekken.json"); !tekken.empty())
    return tekken_template(tekken);
  return Error(ErrorKind::not_found, "the folder has no chat template");
}

}  // namespace hearth
