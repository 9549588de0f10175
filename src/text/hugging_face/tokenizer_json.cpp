// tokenizer.json as a whole.
// Source: Hugging Face tokenizers, tokenizers/src/tokenizer/serialization.rs.
#include <algorithm>

#include "text/hugging_face/parts.h"
#include "text/pretokenizer/safe_cut.h"
#include "text/pretokenizer/splits.h"
#include "text/special_tokens.h"
#include "text/tokenizer_files.h"

namespace hearth {
namespace {

namespace hf = hugging_face;

const Json& member(const Json& object, std::string_view key) {
  static const Json none;
  const Json* const value = object.find(key);
  return value != nullptr ? *value : none;
}

// An added token that the model knows by name has the model's id.
void use_model_ids(const hf::ModelWords& words, std::vector<AddedTokenRow>& rows) {
  FlatVocab contents;
  for (std::size_t i = 0; i < rows.size(); ++i)
    contents.insert(rows[i].token.content, static_cast<Token>(i));
  for (const auto& [name, id] : words.words) {
    const Token row = contents.find(name);
    if (row != no_token) rows[static_cast<std::size_t>(row)].token.id = id;
  }
}

Result<Vocabulary> make_vocabulary(const hf::ModelWords& words,
                                   const std::vector<AddedTokenRow>& rows, bool byte_fallback) {
  VocabularyBuilder builder;
  // In the order of ids a gap is seen as a gap; of equal ids the last in the file counts.
  std::vector<std::pair<Token, std::size_t>> order;
  order.reserve(words.words.size());
  for (const auto& [name, id] : words.words) order.emplace_back(id, order.size());
  std::sort(order.begin(), order.end());
  for (const auto& [id, index] : order) {
    const std::string_view name = words.words[index].first;
    const bool is_byte = byte_fallback && byte_of_name(name) >= 0;
    TRY(builder.put(id, name, is_byte ? TokenKind::byte : TokenKind::normal));
  }
  order.clear();
  for (const AddedTokenRow& row : rows) order.emplace_back(row.token.id, order.size());
  std::sort(order.begin(), order.end());
  for (const auto& [id, index] : order) {
    const AddedToken& token = rows[index].token;
    TRY(builder.put(id, token.content,
                    token.special ? TokenKind::control : TokenKind::user_defined));
  }
  return builder.build();
}

// What each token adds to a text in which other tokens stand around it.
void fill_decoded_pieces(Vocabulary& vocabulary, const DecoderSteps& steps) {
  const auto decode = [&](std::vector<std::string> tokens) {
    for (const auto& step : steps) step->apply(tokens);
    std::string text;
    for (const std::string& token : tokens) text += token;
    return text;
  };
  const std::string_view before = "a";
  const std::string with_neighbour = decode({"a", "b"});  // "ab", or "a b" where words are spaced
  const std::string_view after =
      std::string_view(with_neighbour).substr(std::min<std::size_t>(1, with_neighbour.size()));
  for (Token id = 0; vocabulary.has(id); ++id) {
    const int byte =
        vocabulary.kind(id) == TokenKind::byte ? byte_of_name(vocabulary.name(id)) : -1;
    if (byte >= 0) {
      const char c = static_cast<char>(byte);
      vocabulary.add_piece({&c, 1});
      continue;
    }
    const std::string name(vocabulary.name(id));
    const std::string all = decode({"a", name, "b"});
    std::string_view piece = all;
    if (piece.starts_with(before) && piece.ends_with(after) &&
        piece.size() >= before.size() + after.size()) {
      piece.remove_prefix(before.size());
      piece.remove_suffix(after.size());
    } else {
      piece = name;
    }
    vocabulary.add_piece(piece);
  }
}

Status add_decoder(const Json& part, Pipeline& parts) {
  hf::DecoderPart decoder = TRY(hf::read_decoder(part));
  if (decoder.is_byte_level) {
    fill_pieces(parts.vocabulary, PieceStyle::byte_names);
    return Done{};
  }
  fill_decoded_pieces(parts.vocabulary, decoder.steps);
  parts.decoder = make_decoder(std::move(decoder.steps));
  return Done{};
}

Status add_frame(const TokenizerFiles& files, const Json& post_processor, Pipeline& parts) {
  hf::Frame frame;
  TRY(hf::read_post_processor(post_processor, frame));
  for (const std::vector<Token>* const side : {&frame.before, &frame.after})
    for (const Token id : *side)
      if (!parts.vocabulary.has(id))
        return Error(ErrorKind::corrupt, "post_processor: an id past the vocabulary");
  SpecialTokens& special = parts.special;
  if (frame.before.empty() && frame.after.empty()) {
    frame_by_config(files, {}, parts);
    return Done{};
  }
  special.add_bos = special.bos && !frame.before.empty() && frame.before.front() == *special.bos;
  special.add_eos = special.eos && !frame.after.empty() && frame.after.back() == *special.eos;
  parts.before = std::move(frame.before);
  parts.after = std::move(frame.after);
  return Done{};
}

Status add_model(const Json& model, const hf::ModelWords& words, hf::PreTokenizerPart pre,
                 Pipeline& parts) {
  const bool bytes = pre.bytes && hf::takes_bytes(model, words);
  if (pre.bytes && !bytes) pre.steps.add(make_byte_names_step());
  hf::ModelPart read = TRY(hf::read_model(model, words, {parts.vocabulary, bytes}));
  const bool may_cut = read.algorithm == "unigram" ||
                       (read.algorithm == "bpe" && !bytes && hf::is_undecorated(model));
  if (may_cut)
    if (auto cut = make_safe_cut(parts.vocabulary)) pre.steps.add(std::move(cut));
  parts.pretokenizer = std::move(pre.steps);
  parts.model = std::move(read.model);
  parts.algorithm = std::move(read.algorithm);
  parts.any_bytes = bytes && parts.normalizer == nullptr;
  if (read.unknown != no_token && !parts.special.unk) parts.special.unk = read.unknown;
  return Done{};
}

}  // namespace

Result<Pipeline> read_tokenizer_json(const TokenizerFiles& files) {
  return make_pipeline(TRY(parse_json(files.tokenizer_json)), files);
}

Result<Pipeline> make_pipeline(const Json& file, const TokenizerFiles& files) {
  const Json& model = member(file, "model");
  if (!model.is_object()) return Error(ErrorKind::corrupt, "has no 'model'");
  const hf::ModelWords words = TRY(hf::read_words(model));
  auto rows = TRY(read_added_tokens(member(file, "added_tokens")));
  const auto more = TRY(read_added_tokens_decoder(files.tokenizer_config));
  for (const AddedTokenRow& row : more) {
    const bool known = std::any_of(rows.begin(), rows.end(), [&](const AddedTokenRow& r) {
      return r.token.id == row.token.id || r.token.content == row.token.content;
    });
    if (!known) rows.push_back(row);
  }
  use_model_ids(words, rows);
  const bool byte_fallback = TRY(hf::flag(model, "byte_fallback", false));

  Pipeline parts;
  parts.vocabulary = TRY(make_vocabulary(words, rows, byte_fallback));
  find_special_tokens(files, parts);
  NormalizerSteps steps;
  TRY(hf::read_normalizer(member(file, "normalizer"), steps));
  if (!steps.empty()) parts.normalizer = make_normalizer(std::move(steps));
  auto pre = TRY(hf::read_pretokenizer(member(file, "pre_tokenizer")));
  TRY(add_model(model, words, std::move(pre), parts));
  TRY(add_decoder(member(file, "decoder"), parts));
  TRY(place_added_tokens(parts, std::move(rows)));
  TRY(add_frame(files, member(file, "post_processor"), parts));
  return parts;
}

}  // namespace hearth
