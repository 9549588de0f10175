// Whisper in CTranslate2's folders, as faster-whisper has it.
// Source: CTranslate2's documentation; OpenNMT/CTranslate2,
// python/ctranslate2/specs/whisper_spec.py.
#include <fmt/core.h>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/ctranslate2_file.h"
#include "formats/limits.h"

namespace hearth {
namespace {

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, std::move(what)); }

std::uint64_t layers_of(const Package& model, std::string_view side) {
  std::uint64_t count = 0;
  while (model.find(fmt::format("{}/layer_{}/ffn/linear_0/weight", side, count))) ++count;
  return count;
}

Result<const TensorEntry*> needed(const Package& model, const std::string& name, std::size_t rank) {
  const TensorEntry* found = model.find(name);
  if (found == nullptr || found->shape.size() != rank || found->elements() == 0)
    return corrupt(fmt::format("{}: missing, or not of {} axes", printable(name), rank));
  return found;
}

// Collects tensors under their new names.
class Renamer {
 public:
  explicit Renamer(const Package& model) : model_(model) {}

  Status plain(const std::string& from, std::string to, std::size_t rank) {
    out_.push_back(*TRY(needed(model_, from, rank)));
    out_.back().name = std::move(to);
    return Done{};
  }
  Status norm(const std::string& from, const std::string& to) {
    TRY(plain(from + "/gamma", to + ".weight", 1));
    return plain(from + "/beta", to + ".bias", 1);
  }
  // Several matrices, one below the other.  Keys have no bias: there are zeros in its place.
  Status linear_rows(const std::string& from, std::span<const std::string> to) {
    const TensorEntry weight = TRY(linear(model_, from));
    const TensorEntry bias = *TRY(needed(model_, from + "/bias", 1));
    const std::uint64_t rows = weight.shape[0] / to.size();
    if (rows * to.size() != weight.shape[0] || bias.shape[0] != weight.shape[0])
      return corrupt(fmt::format("{}: {} rows and {} of its bias, for {} matrices", from,
                                 weight.shape[0], bias.shape[0], to.size()));
    for (std::size_t i = 0; i < to.size(); ++i) {
      out_.push_back(rows_of(weight, to[i] + ".weight", i * rows, rows));
      if (!to[i].ends_with("k_proj"))
        out_.push_back(rows_of(bias, to[i] + ".bias", i * rows, rows));
    }
    return Done{};
  }
  Status one_linear(const std::string& from, const std::string& to) {
    return linear_rows(from, std::span(&to, 1));
  }
  Status matrix(const std::string& from, std::string to) {
    out_.push_back(TRY(linear(model_, from)));
    out_.back().name = std::move(to);
    return Done{};
  }
  std::vector<TensorEntry> take() { return std::move(out_); }

 private:
  const Package& model_;
  std::vector<TensorEntry> out_;
};

Status add_layer(Renamer& names, const std::string& from, const std::string& to, bool decodes) {
  const std::string own[] = {to + "self_attn.q_proj", to + "self_attn.k_proj",
                             to + "self_attn.v_proj"};
  TRY(names.linear_rows(from + "self_attention/linear_0", own));
  TRY(names.one_linear(from + "self_attention/linear_1", to + "self_attn.out_proj"));
  TRY(names.norm(from + "self_attention/layer_norm", to + "self_attn_layer_norm"));
  if (decodes) {
    const std::string heard[] = {to + "encoder_attn.k_proj", to + "encoder_attn.v_proj"};
    TRY(names.one_linear(from + "attention/linear_0", to + "encoder_attn.q_proj"));
    TRY(names.linear_rows(from + "attention/linear_1", heard));
    TRY(names.one_linear(from + "attention/linear_2", to + "encoder_attn.out_proj"));
    TRY(names.norm(from + "attention/layer_norm", to + "encoder_attn_layer_norm"));
  }
  TRY(names.one_linear(from + "ffn/linear_0", to + "fc1"));
  TRY(names.one_linear(from + "ffn/linear_1", to + "fc2"));
  return names.norm(from + "ffn/layer_norm", to + "final_layer_norm");
}

// Which tokens are no text, by their names.
Result<Json> generation_config(const Package& package) {
  const auto file = package.files.find("tokenizer.json");
  if (file == package.files.end())
    return corrupt("tokenizer.json is missing: it names the tokens that are no text");
  const Json tokenizer = TRY(parse_json(text_of(file->second)));
  Json ids = Json::object(), languages = Json::object();
  const Json* added = tokenizer.find("added_tokens");
  const auto& rows = added != nullptr && added->is_array() ? added->as_array() : Json::Array();
  for (const Json& row : rows) {
    const Json *name = row.find("content"), *id = row.find("id");
    if (name == nullptr || id == nullptr || !name->is_string() || !id->is_integer()) continue;
    ids.set(name->as_string(), *id);
  }
  const auto id_of = [&](std::string_view name) -> Result<std::int64_t> {
    const Json* id = ids.find(name);
    if (id == nullptr) return corrupt(fmt::format("tokenizer.json: has no token {}", name));
    return id->as_integer();
  };
  const std::int64_t start = TRY(id_of("<|startoftranscript|>")),
                     translate = TRY(id_of("<|translate|>"));
  // Languages stand between these two.
  for (const auto& [name, id] : ids.as_object())
    if (id.as_integer() > start && id.as_integer() < translate && name.starts_with("<|"))
      languages.set(name, id);
  return Json::object(
      {{"eos_token_id", TRY(id_of("<|endoftext|>"))},
       {"decoder_start_token_id", start},
       {"no_timestamps_token_id", TRY(id_of("<|notimestamps|>"))},
       {"prev_sot_token_id", TRY(id_of("<|startofprev|>"))},
       {"max_initial_timestamp_index", 50},
       {"lang_to_id", languages},
       {"task_to_id",
        Json::object({{"translate", translate}, {"transcribe", TRY(id_of("<|transcribe|>"))}})}});
}

}  // namespace

Result<std::vector<TensorEntry>> ctranslate2_whisper(const Package& model, Package& package) {
  const TensorEntry* conv = TRY(needed(model, "encoder/conv1/weight", 3));
  const TensorEntry* heard = TRY(needed(model, "encoder/position_encodings/encodings", 2));
  const TensorEntry* written = TRY(needed(model, "decoder/position_encodings/encodings", 2));
  const TensorEntry* table = TRY(needed(model, "decoder/embeddings/weight", 2));
  const TensorEntry* up = TRY(needed(model, "encoder/layer_0/ffn/linear_0/weight", 2));
  const auto heads = scalar(model, "encoder/num_heads");
  if (!heads || *heads < 1 || *heads > 4096) return corrupt("encoder/num_heads: needs 1 to 4096");
  const std::uint64_t encoder_layers = layers_of(model, "encoder"),
                      decoder_layers = layers_of(model, "decoder");
  constexpr std::uint64_t english_vocabulary = 51864;
  package.generation_config = TRY(generation_config(package));
  package.generation_config.set("is_multilingual", table->shape[0] != english_vocabulary);
  static constexpr std::pair<const char*, const char*> kept[] = {
      {"suppress_tokens", "suppress_ids"},
      {"begin_suppress_tokens", "suppress_ids_begin"},
      {"alignment_heads", "alignment_heads"}};
  for (const auto& [ours, theirs] : kept)
    if (const Json* list = package.config.find(theirs)) package.generation_config.set(ours, *list);
  package.config = Json::object({{"model_type", "whisper"},
                                 {"vocab_size", table->shape[0]},
                                 {"d_model", table->shape[1]},
                                 {"num_mel_bins", conv->shape[1]},
                                 {"max_source_positions", heard->shape[0]},
                                 {"max_target_positions", written->shape[0]},
                                 {"encoder_layers", encoder_layers},
                                 {"decoder_layers", decoder_layers},
                                 {"encoder_attention_heads", *heads},
                                 {"decoder_attention_heads", *heads},
                                 {"encoder_ffn_dim", up->shape[0]},
                                 {"decoder_ffn_dim", up->shape[0]}});
  Renamer names(model);
  for (const char* conv_name : {"conv1", "conv2"}) {
    const std::string from = fmt::format("encoder/{}", conv_name),
                      to = fmt::format("model.encoder.{}", conv_name);
    TRY(names.matrix(from, to + ".weight"));
    TRY(names.plain(from + "/bias", to + ".bias", 1));
  }
  for (const char* side : {"encoder", "decoder"}) {
    const std::string to = fmt::format("model.{}", side);
    TRY(names.plain(fmt::format("{}/position_encodings/encodings", side),
                    to + ".embed_positions.weight", 2));
    TRY(names.norm(fmt::format("{}/layer_norm", side), to + ".layer_norm"));
    const bool decodes = side == std::string_view("decoder");
    for (std::uint64_t i = 0; i < (decodes ? decoder_layers : encoder_layers); ++i)
      TRY(add_layer(names, fmt::format("{}/layer_{}/", side, i),
                    fmt::format("{}.layers.{}.", to, i), decodes));
  }
  TRY(names.matrix("decoder/embeddings", "model.decoder.embed_tokens.weight"));
  return names.take();
}

}  // namespace hearth
