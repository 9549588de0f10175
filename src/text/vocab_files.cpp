// vocab.json with merges.txt, and vocab.txt: written out as the tokenizer.json that Hugging Face's
// converters make of them.
// Source: Hugging Face transformers, convert_slow_tokenizer.py.
#include <algorithm>
#include <map>

#include <fmt/core.h>

#include "base/ascii.h"
#include "text/tokenizer_files.h"

namespace hearth {
namespace {

constexpr std::string_view special_names[] = {"bos_token", "eos_token", "unk_token", "pad_token",
                                              "sep_token", "cls_token", "mask_token"};

std::string_view text_of_token(const Json* value) {
  if (value != nullptr && value->is_object()) value = value->find("content");
  return value != nullptr && value->is_string() ? std::string_view(value->as_string()) : "";
}

bool config_flag(const TokenizerFiles& files, std::string_view key, bool fallback) {
  const Json* const value = files.tokenizer_config.find(key);
  return value != nullptr && value->is_bool() ? value->as_bool() : fallback;
}

std::string_view class_of(const TokenizerFiles& files) {
  const Json* const name = files.tokenizer_config.find("tokenizer_class");
  return name != nullptr && name->is_string() ? std::string_view(name->as_string()) : "";
}

// The special tokens that the configuration names, where the vocabulary has them.
class AddedList {
 public:
  explicit AddedList(std::map<std::string, std::int64_t, std::less<>> ids) : ids_(std::move(ids)) {}

  void add(std::string_view name) {
    const auto it = ids_.find(name);
    if (name.empty() || it == ids_.end() || !seen_.emplace(name, 0).second) return;
    list_.push_back(Json::object({{"id", it->second},
                                  {"content", it->first},
                                  {"special", true},
                                  {"lstrip", name == "<mask>"}}));
  }
  void add_configured(const TokenizerFiles& files) {
    for (const Json* const file : {&files.tokenizer_config, &files.special_tokens_map}) {
      for (const std::string_view key : special_names) add(text_of_token(file->find(key)));
      const Json* const more = file->find("additional_special_tokens");
      if (more == nullptr || !more->is_array()) continue;
      for (const Json& item : more->as_array()) add(text_of_token(&item));
    }
  }
  std::optional<std::int64_t> id(std::string_view name) const {
    const auto it = ids_.find(name);
    return it == ids_.end() ? std::nullopt : std::optional(it->second);
  }
  Json take() { return std::move(list_); }

 private:
  std::map<std::string, std::int64_t, std::less<>> ids_;
  std::map<std::string, int, std::less<>> seen_;
  Json list_ = Json::array();
};

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) lines.push_back(take_line(text));
  return lines;
}

Json read_merges(std::string_view text) {
  Json merges = Json::array();
  for (const std::string_view line : lines_of(text)) {
    if (line.empty() || (merges.size() == 0 && line.starts_with("#version"))) continue;
    merges.push_back(line);
  }
  return merges;
}

Json byte_level(bool prefix, bool use_regex) {
  return Json::object({{"type", "ByteLevel"},
                       {"add_prefix_space", prefix},
                       {"trim_offsets", true},
                       {"use_regex", use_regex}});
}

Json split(std::string_view regex, std::string_view behavior, bool invert) {
  return Json::object({{"type", "Split"},
                       {"pattern", Json::object({{"Regex", regex}})},
                       {"behavior", behavior},
                       {"invert", invert}});
}

Json sequence(std::string_view list, Json::Array items) {
  return Json::object({{"type", "Sequence"}, {std::string(list), Json(std::move(items))}});
}

constexpr std::string_view qwen2_pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view clip_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";

void set_clip(Json& file) {
  file.find("model")->set("end_of_word_suffix", "</w>");
  const Json spaces = Json::object(
      {{"type", "Replace"}, {"pattern", Json::object({{"Regex", R"(\s+)"}})}, {"content", " "}});
  file.set("normalizer", sequence("normalizers", {Json::object({{"type", "NFC"}}), spaces,
                                                  Json::object({{"type", "Lowercase"}})}));
  file.set("pre_tokenizer", sequence("pretokenizers", {split(clip_pattern, "Removed", true),
                                                       byte_level(false, true)}));
}

// The two tokens around a text, where the vocabulary has both.
void set_frame(const AddedList& added, std::string_view first, std::string_view last, Json& file) {
  const auto before = added.id(first), after = added.id(last);
  if (!before || !after) return;
  file.set("post_processor", Json::object({{"type", "RobertaProcessing"},
                                           {"cls", Json(Json::Array{Json(first), Json(*before)})},
                                           {"sep", Json(Json::Array{Json(last), Json(*after)})}}));
}

}  // namespace

Result<Json> vocab_json_as_tokenizer(const TokenizerFiles& files) {
  Json vocab = TRY(parse_json(files.vocab_json));
  if (!vocab.is_object()) return Error(ErrorKind::corrupt, "is no object");
  if (files.merges_txt.empty()) return Error(ErrorKind::not_found, "merges.txt is missing");
  std::map<std::string, std::int64_t, std::less<>> ids;
  for (const auto& [name, id] : vocab.as_object())
    if (id.is_integer()) ids.emplace(name, id.as_integer());
  const bool is_clip = std::any_of(ids.begin(), ids.end(),
                                   [](const auto& item) { return item.first.ends_with("</w>"); });
  AddedList added(std::move(ids));
  added.add_configured(files);
  for (const std::string_view name : {"<|endoftext|>", "<|startoftext|>"}) added.add(name);

  Json file = Json::object({{"model", Json::object({{"type", "BPE"},
                                                    {"vocab", std::move(vocab)},
                                                    {"merges", read_merges(files.merges_txt)}})},
                            {"decoder", Json::object({{"type", "ByteLevel"}})}});
  const std::string_view name = class_of(files);
  if (is_clip) {
    set_clip(file);
    set_frame(added, "<|startoftext|>", "<|endoftext|>", file);
  } else if (name.starts_with("Qwen2")) {
    file.set("normalizer", Json::object({{"type", "NFC"}}));
    file.set("pre_tokenizer", sequence("pretokenizers", {split(qwen2_pattern, "Isolated", false),
                                                         byte_level(false, false)}));
  } else {
    file.set("pre_tokenizer", byte_level(config_flag(files, "add_prefix_space", false), true));
  }
  if (name.starts_with("Roberta") || name.starts_with("Bart") || name.starts_with("Longformer"))
    set_frame(added, "<s>", "</s>", file);
  file.set("added_tokens", added.take());
  return file;
}

Result<Pipeline> read_vocab_json(const TokenizerFiles& files) {
  return make_pipeline(TRY(vocab_json_as_tokenizer(files)), files);
}

Result<Pipeline> read_vocab_txt(const TokenizerFiles& files) {
  return make_pipeline(TRY(vocab_txt_as_tokenizer(files)), files);
}

Result<Json> vocab_txt_as_tokenizer(const TokenizerFiles& files) {
  // The number of the line is the id; of equal lines the last counts.
  std::map<std::string, std::int64_t, std::less<>> ids;
  std::int64_t next = 0;
  for (const std::string_view line : lines_of(files.vocab_txt)) {
    if (next == static_cast<std::int64_t>(max_vocabulary))
      return Error(ErrorKind::corrupt, fmt::format("more than {} lines", max_vocabulary));
    if (!line.empty()) ids[std::string(line)] = next;
    ++next;
  }
  Json vocab = Json::object();
  for (const auto& [name, id] : ids) vocab.as_object().emplace_back(name, id);
  AddedList added(std::move(ids));
  added.add_configured(files);
  for (const std::string_view name : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"})
    added.add(name);
  const bool lowercase = config_flag(files, "do_lower_case", true);
  std::string_view unknown = text_of_token(files.tokenizer_config.find("unk_token"));
  if (unknown.empty()) unknown = "[UNK]";
  Json file = Json::object(
      {{"model",
        Json::object({{"type", "WordPiece"}, {"vocab", std::move(vocab)}, {"unk_token", unknown}})},
       {"normalizer",
        Json::object({{"type", "BertNormalizer"},
                      {"clean_text", true},
                      {"handle_chinese_chars", config_flag(files, "tokenize_chinese_chars", true)},
                      {"strip_accents", config_flag(files, "strip_accents", lowercase)},
                      {"lowercase", lowercase}})},
       {"pre_tokenizer", Json::object({{"type", "BertPreTokenizer"}})},
       {"decoder", Json::object({{"type", "WordPiece"}})}});
  set_frame(added, "[CLS]", "[SEP]", file);
  file.set("added_tokens", added.take());
  return file;
}

}  // namespace hearth
