// Vocabularies of ranks.  tiktoken's format: lines of base64, a space and a rank, which is the id
// too.
// Source: openai/tiktoken, tiktoken/load.py and tiktoken_ext/openai_public.py.
#include <algorithm>
#include <charconv>
#include <iterator>

#include <fmt/core.h>

#include "base/ascii.h"
#include "text/base64.h"
#include "text/bpe.h"
#include "text/pretokenizer/scanners.h"
#include "text/ranks.h"
#include "text/token_keys.h"

namespace hearth {
namespace {

struct Special {
  std::string_view name;
  Token id;
};
constexpr Special gpt2_specials[] = {{"<|endoftext|>", 50256}};
constexpr Special cl100k_specials[] = {{"<|endoftext|>", 100257},
                                       {"<|fim_prefix|>", 100258},
                                       {"<|fim_middle|>", 100259},
                                       {"<|fim_suffix|>", 100260},
                                       {"<|endofprompt|>", 100276}};
constexpr Special o200k_specials[] = {{"<|endoftext|>", 199999}, {"<|endofprompt|>", 200018}};
constexpr Special qwen_specials[] = {
    {"<|endoftext|>", 151643}, {"<|im_start|>", 151644}, {"<|im_end|>", 151645}};
constexpr Special llama3_specials[] = {
    {"<|begin_of_text|>", 128000}, {"<|end_of_text|>", 128001}, {"<|start_header_id|>", 128006},
    {"<|end_header_id|>", 128007}, {"<|eom_id|>", 128008},      {"<|eot_id|>", 128009},
    {"<|python_tag|>", 128010}};

// The file holds neither the pattern nor the special tokens; the number of ranks tells which it is.
struct Encoding {
  std::size_t ranks;  // one past the largest
  Scanner scanner;
  std::span<const Special> specials;
  std::string_view bos, eos;
};
constexpr Encoding encodings[] = {
    {50256, scan::gpt2, gpt2_specials, "", "<|endoftext|>"},
    {50281, scan::gpt2, gpt2_specials, "", "<|endoftext|>"},
    {100256, scan::cl100k, cl100k_specials, "", "<|endoftext|>"},
    {128000, scan::llama3, llama3_specials, "<|begin_of_text|>", "<|end_of_text|>"},
    {151643, scan::qwen2, qwen_specials, "", "<|endoftext|>"},
    {163584, scan::kimi, {}, "[BOS]", "[EOS]"},
    {199998, scan::gpt4o, o200k_specials, "", "<|endoftext|>"},
    {200000, scan::gpt4o, {}, "<|begin_of_text|>", "<|end_of_text|>"},
};
constexpr Encoding unknown_encoding = {0, scan::llama3, {}, "", ""};
constexpr Encoding whisper_encoding = {0, scan::gpt2, {}, "", ""};  // of any size

Result<Rank> read_line(std::string_view line, std::size_t number) {
  const auto wrong = [&](std::string_view what) {
    return Error(ErrorKind::corrupt, fmt::format("line {}: {}", number, what));
  };
  const std::size_t at = line.find(' ');
  if (at == std::string_view::npos) return wrong("no space between token and rank");
  Rank rank;
  auto bytes = decode_base64(line.substr(0, at));
  if (!bytes || bytes->empty()) return wrong("the token is no base64");
  rank.bytes = *std::move(bytes);
  const std::string_view digits = line.substr(at + 1);
  const char* const end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, rank.id);
  if (read.ec != std::errc() || read.ptr != end || rank.id < 0 ||
      static_cast<std::size_t>(rank.id) >= max_vocabulary)
    return wrong("the rank is no id");
  return rank;
}

Result<std::vector<Rank>> read_ranks(std::string_view text) {
  std::vector<Rank> ranks;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = take_line(text);
    if (!line.empty()) ranks.push_back(TRY(read_line(line, number)));
  }
  if (ranks.empty()) return Error(ErrorKind::corrupt, "no ranks");
  std::sort(ranks.begin(), ranks.end(), [](const Rank& a, const Rank& b) { return a.id < b.id; });
  return ranks;
}

std::vector<AddedTokenRow> rows_of(std::span<const Special> specials) {
  std::vector<AddedTokenRow> rows;
  for (const Special& special : specials)
    rows.push_back({{.content = std::string(special.name), .id = special.id, .special = true}});
  return rows;
}

Status fill(const std::vector<Rank>& ranks, const std::vector<AddedTokenRow>& rows,
            Pipeline& parts) {
  VocabularyBuilder builder;
  std::string name;
  for (const Rank& rank : ranks) {
    if (builder.has(rank.id))
      return Error(ErrorKind::corrupt, fmt::format("rank {} stands twice", rank.id));
    name.clear();
    append_byte_name(name, rank.bytes);
    TRY(builder.put(rank.id, name, TokenKind::normal));
  }
  for (const AddedTokenRow& row : rows) {
    if (builder.has(row.token.id))
      return Error(ErrorKind::corrupt, fmt::format("'{}' has the id {} of another token",
                                                   row.token.content, row.token.id));
    TRY(builder.put(row.token.id, row.token.content,
                    row.token.special ? TokenKind::control : TokenKind::user_defined));
  }
  parts.vocabulary = builder.build();
  return Done{};
}

const Encoding& encoding_of(const TokenizerFiles& files, const std::vector<Rank>& ranks) {
  const Json* const type = files.config.find("model_type");
  if (type != nullptr && type->is_string() && type->as_string() == "whisper")
    return whisper_encoding;
  const auto count = static_cast<std::size_t>(ranks.back().id) + 1;
  const auto* const it = std::find_if(std::begin(encodings), std::end(encodings),
                                      [&](const Encoding& e) { return e.ranks == count; });
  return it == std::end(encodings) ? unknown_encoding : *it;
}

Result<RankedVocabulary> read_vocabulary(const TokenizerFiles& files) {
  if (is_tekken(files.tiktoken)) return read_tekken(files.tiktoken);
  RankedVocabulary vocabulary;
  vocabulary.ranks = TRY(read_ranks(files.tiktoken));
  const Encoding& encoding = encoding_of(files, vocabulary.ranks);
  vocabulary.rows = TRY(read_added_tokens_decoder(files.tokenizer_config));
  if (vocabulary.rows.empty()) vocabulary.rows = rows_of(encoding.specials);
  vocabulary.scanner = encoding.scanner;
  vocabulary.bos = encoding.bos;
  vocabulary.eos = encoding.eos;
  vocabulary.adds_bos = encoding.ranks == 128000;
  return vocabulary;
}

}  // namespace

Status find_rank_scanner(const TokenizerFiles& files, Scanner& scanner) {
  scanner = TRY(read_vocabulary(files)).scanner;
  return Done{};
}

Result<Pipeline> read_tiktoken(const TokenizerFiles& files) {
  RankedVocabulary vocabulary = TRY(read_vocabulary(files));
  const std::vector<Rank>& ranks = vocabulary.ranks;
  Pipeline parts;
  parts.algorithm = "bpe";
  TRY(fill(ranks, vocabulary.rows, parts));
  const auto named = [&](std::string_view name) {
    const Token id = parts.vocabulary.find(name);
    return id == no_token ? std::nullopt : std::optional(id);
  };
  find_special_tokens(files, parts);
  if (!parts.special.bos) parts.special.bos = named(vocabulary.bos);
  if (!parts.special.eos) parts.special.eos = named(vocabulary.eos);
  fill_pieces(parts.vocabulary, PieceStyle::byte_names);
  parts.pretokenizer.add(make_scanner_step(vocabulary.scanner));

  RankBpeOptions options;
  options.bytes = options.whole_first = true;
  options.ranks.resize(parts.vocabulary.size());
  FlatVocab keys;
  keys.reserve(ranks.size());
  for (const Rank& rank : ranks) {
    options.ranks[static_cast<std::size_t>(rank.id)] = static_cast<std::uint32_t>(rank.id);
    if (keys.insert(rank.bytes, rank.id) && rank.bytes.size() == 1)
      options.fallback.bytes[static_cast<unsigned char>(rank.bytes[0])] = rank.id;
  }
  parts.model = make_rank_bpe(std::move(keys), std::move(options));
  TRY(place_added_tokens(parts, std::move(vocabulary.rows)));
  frame_by_config(files, {.bos = vocabulary.adds_bos}, parts);
  return parts;
}

}  // namespace hearth
