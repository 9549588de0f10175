// The tokenizer and the chat template under the other naming.
#include <fmt/core.h>

#include <algorithm>

#include "adapt/translate/origin.h"
#include "base/bytes.h"
#include "formats/meta_llama.h"
#include "models/model.h"
#include "models/tokenizer_source.h"
#include "text/vocabulary_forms.h"

namespace hearth::adapt {
namespace {

std::string chat_template(const Package& package) {
  auto source = chat_template_source(package);
  return source ? std::move(*source) : std::string();
}

// As many tokens as the embedding has rows.
void fit(VocabularyText& text, std::uint64_t rows, std::vector<std::string>& losses) {
  if (text.tokens.size() > rows)
    losses.push_back(fmt::format("{} tokens past the {} that the model has rows for",
                                 text.tokens.size() - rows, rows));
  const std::size_t held = text.tokens.size();
  text.tokens.resize(rows);
  for (std::size_t i = held; i < rows; ++i) text.tokens[i] = fmt::format("[PAD{}]", i);
  text.kinds.resize(rows, static_cast<std::int32_t>(TokenKind::unused));
  if (!text.scores.empty()) text.scores.resize(rows, 0);
}

template <typename Text>
GgufValue texts(const std::vector<Text>& list) {
  const std::vector<std::string_view> views(list.begin(), list.end());
  return GgufValue::texts(views);
}

std::vector<GgufContents::Pair> pairs_of(const VocabularyText& text) {
  std::vector<GgufContents::Pair> out;
  const auto add = [&](std::string_view key, GgufValue value) {
    out.push_back({fmt::format("tokenizer.ggml.{}", key), std::move(value)});
  };
  add("model", GgufValue::text(text.model));
  if (!text.pre.empty()) add("pre", GgufValue::text(text.pre));
  add("tokens", texts(text.tokens));
  if (!text.scores.empty()) add("scores", GgufValue::array<float>(text.scores));
  add("token_type", GgufValue::array<std::int32_t>(text.kinds));
  if (text.model == "gpt2") add("merges", texts(text.merges));  // readers insist on it
  if (!text.charsmap.empty()) {
    const auto bytes = bytes_of(text.charsmap);
    add("precompiled_charsmap",
        GgufValue::array<std::uint8_t>(
            {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}));
  }
  const SpecialTokens& special = text.special;
  const std::pair<const char*, std::optional<Token>> ids[] = {{"bos", special.bos},
                                                              {"eos", special.eos},
                                                              {"unknown", special.unk},
                                                              {"padding", special.pad},
                                                              {"seperator", special.sep},
                                                              {"cls", special.cls},
                                                              {"mask", special.mask},
                                                              {"eot", special.eot},
                                                              {"eom", special.eom},
                                                              {"fim_pre", special.fim_prefix},
                                                              {"fim_suf", special.fim_suffix},
                                                              {"fim_mid", special.fim_middle}};
  for (const auto& [name, id] : ids)
    if (id && static_cast<std::size_t>(*id) < text.tokens.size())
      add(fmt::format("{}_token_id", name), GgufValue::of(static_cast<std::uint32_t>(*id)));
  add("add_bos_token", GgufValue::of(special.add_bos));
  add("add_eos_token", GgufValue::of(special.add_eos));
  if (text.add_space_prefix) add("add_space_prefix", GgufValue::of(*text.add_space_prefix));
  if (text.remove_extra_whitespaces)
    add("remove_extra_whitespaces", GgufValue::of(*text.remove_extra_whitespaces));
  return out;
}

// Readers of GGUF want to be told that there is none.
Status write_none(Package& out, std::vector<std::string>& losses, std::string_view why) {
  losses.push_back(fmt::format("no tokenizer: {}", why));
  return add_made_metadata(out, {{"tokenizer.ggml.model", GgufValue::text("no_vocab")}});
}

}  // namespace

Status write_gguf_tokenizer(const Package& from, Package& out, std::uint64_t vocabulary,
                            std::vector<std::string>& losses) {
  const auto files = models::tokenizer_files(from);
  if (!files) {
    if (files.error().kind() != ErrorKind::not_found) return files.error();
    return write_none(out, losses, files.error().message());
  }
  auto text = gguf_form(*files);
  if (!text) {
    if (text.error().kind() != ErrorKind::unsupported) return text.error();
    return write_none(out, losses, text.error().message());
  }
  fit(*text, vocabulary, losses);
  losses.insert(losses.end(), text->losses.begin(), text->losses.end());
  TRY(add_made_metadata(out, pairs_of(*text)));
  if (const std::string source = chat_template(from); !source.empty())
    TRY(add_made_metadata(out, {{"tokenizer.chat_template", GgufValue::text(source)}}));
  return Done{};
}

Status write_folder_tokenizer(const Package& from, Package& out, std::vector<std::string>& losses) {
  const std::string source = chat_template(from);
  // Files that lie beside a checkpoint of Meta's stay what they are.
  if (!from.files.empty()) {
    for (const auto& [name, bytes] : from.files) add_file(out, name, std::string(text_of(bytes)));
    return Done{};
  }
  const auto vocabulary = models::gguf_vocabulary(from.metadata);
  if (!vocabulary) {
    if (vocabulary.error().kind() != ErrorKind::not_found) return vocabulary.error();
    losses.push_back(fmt::format("no tokenizer: {}", vocabulary.error().message()));
    return Done{};
  }
  auto texts = folder_form(*vocabulary);
  if (!texts) {
    if (texts.error().kind() != ErrorKind::unsupported) return texts.error();
    losses.push_back(fmt::format("no tokenizer: {}", texts.error().message()));
    return Done{};
  }
  if (!source.empty()) texts->config.set("chat_template", source);
  add_file(out, "tokenizer.json", write_json(texts->tokenizer, pretty));
  add_file(out, "tokenizer_config.json", write_json(texts->config, pretty));
  if (!source.empty()) add_file(out, "chat_template.jinja", source);

  // What ends an answer, for whoever generates.
  const auto tokenizer = TRY(load_tokenizer(from));
  const SpecialTokens& special = tokenizer->special();
  Json generation = Json::object();
  Json ends = Json::array();
  for (const Token id : special.end_of_generation) ends.push_back(id);
  if (special.bos) generation.set("bos_token_id", *special.bos);
  if (ends.size() > 0) generation.set("eos_token_id", std::move(ends));
  if (special.pad) generation.set("pad_token_id", *special.pad);
  for (const auto& [key, id] : {std::pair{"bos_token_id", special.bos},
                                {"eos_token_id", special.eos},
                                {"pad_token_id", special.pad}})
    if (id) out.config.set(key, *id);
  out.generation_config = std::move(generation);
  return Done{};
}

}  // namespace hearth::adapt
