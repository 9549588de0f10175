// Times of schemas: to compile them, and to find the tokens that may come at each place of a text.
//   grammar_bench CASES.json [TOKENS.json]
// CASES: [{"name", "schema", "text"}, ...], each text one that satisfies its schema.  TOKENS: where
// to write the vocabulary and each text's tokens, for other engines to run on the same.
#include <fmt/core.h>
#include <time.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/files.h"
#include "text/grammar/engine.h"
#include "text/grammar/matcher.h"
#include "text/test_data.h"

namespace {

using namespace hearth;

double microseconds() {  // of processor time
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

struct Times {
  std::vector<double> masks;
  double mean() const {
    double sum = 0;
    for (const double one : masks) sum += one;
    return sum / static_cast<double>(std::max<std::size_t>(1, masks.size()));
  }
  double worst() const { return masks.empty() ? 0 : *std::ranges::max_element(masks); }
};

// One text, token by token: the set, then the token.
bool follow(const std::shared_ptr<grammar::Masks>& masks, std::span<const Token> tokens,
            Times& times) {
  grammar::Matcher matcher(masks);
  std::vector<std::uint64_t> set(masks->trie().words());
  for (const Token token : tokens) {
    const double begin = microseconds();
    std::ranges::fill(set, 0);
    matcher.allow(set);
    const bool is_allowed = grammar::has(set, token) && matcher.accept(token);
    times.masks.push_back(microseconds() - begin);
    if (!is_allowed) return false;
  }
  return matcher.may_end();
}

std::unique_ptr<Tokenizer> qwen() {
  const std::string folder = test::data_file("conformance/tokenizer/qwen2/vocab.json");
  if (folder.empty()) return nullptr;
  const std::string vocab = test::read_all(folder);
  const std::string merges =
      test::read_all(test::data_file("conformance/tokenizer/qwen2/merges.txt"));
  const Json config =
      Json::object({{"eos_token", "<|endoftext|>"}, {"tokenizer_class", "Qwen2Tokenizer"}});
  auto tokenizer = make_tokenizer(
      TokenizerFiles{.vocab_json = vocab, .merges_txt = merges, .tokenizer_config = config});
  if (!tokenizer) fmt::print("{}\n", tokenizer.error().message());
  return tokenizer ? std::move(*tokenizer) : nullptr;
}

void write_tokens(const std::string& path, const Tokenizer& tokenizer, const Json& cases) {
  std::string all = "{\"pieces\": [";
  for (Token token = 0; token < tokenizer.size(); ++token) {
    all += token == 0 ? "\"" : ", \"";
    for (const char byte : tokenizer.piece(token))
      all += fmt::format("{:02x}", static_cast<unsigned char>(byte));
    all += '"';
  }
  all += "], \"texts\": {";
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Json& one = cases.as_array()[i];
    all += fmt::format("{}{}: [", i == 0 ? "" : ", ", write_json(*one.find("name")));
    const auto tokens = tokenizer.encode(one.find("text")->as_string(), {});
    for (std::size_t k = 0; tokens && k < tokens->size(); ++k)
      all += fmt::format("{}{}", k == 0 ? "" : ", ", (*tokens)[k]);
    all += ']';
  }
  all += "}}";
  if (!replace_file(path, bytes_of(all)).ok()) fmt::print("{}: cannot be written\n", path);
}

int run(const std::string& cases_path, const std::string& tokens_path) {
  const auto tokenizer = qwen();
  const auto cases = parse_json(test::read_all(cases_path));
  if (!tokenizer || !cases) return 1;
  if (!tokens_path.empty()) write_tokens(tokens_path, *tokenizer, *cases);
  const double begin = microseconds();
  GrammarEngine engine(*tokenizer);
  if (!engine.compile({.kind = AnswerRule::Kind::json})) return 1;
  fmt::print("vocabulary {} tokens, sorted and its common sets found once in {:.0f} ms\n",
             tokenizer->size(), (microseconds() - begin) / 1000);
  fmt::print("{:24} {:>8} {:>10} {:>7} {:>10} {:>10} {:>10}\n", "schema", "bytes", "compile ms",
             "tokens", "first us", "worst us", "again us");
  for (const Json& one : cases->as_array()) {
    const AnswerRule rule{.kind = AnswerRule::Kind::schema, .schema = *one.find("schema")};
    const std::string name = one.find("name")->as_string();
    const double start = microseconds();
    const auto compiled = engine.compile(rule);
    const double compile_microseconds = microseconds() - start;
    if (!compiled) {
      fmt::print("{:24} {}\n", name, compiled.error().message());
      continue;
    }
    const std::shared_ptr<grammar::Masks>& masks = *compiled;
    const std::vector<Token> tokens = tokenizer->encode(one.find("text")->as_string(), {}).value();
    Times first, again;
    const bool fits = follow(masks, tokens, first) && follow(masks, tokens, again);
    fmt::print("{:24} {:>8} {:>10.2f} {:>7} {:>10.1f} {:>10.0f} {:>10.1f}{}\n", name,
               write_json(rule.schema).size(), compile_microseconds / 1000, tokens.size(),
               first.mean(), first.worst(), again.mean(), fits ? "" : "  NOT TAKEN");
  }
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    fmt::print("grammar_bench CASES.json [TOKENS.json]\n");
    return 2;
  }
  return run(arguments[1], count > 2 ? arguments[2] : "");
}
