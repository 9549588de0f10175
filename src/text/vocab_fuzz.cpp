// Any bytes as tiktoken ranks, vocab.txt, vocab.json with merges.txt, or the arrays of a GGUF
// vocabulary.  The first byte says which; NUL separates parts, newlines the entries of a part.
#include <vector>

#include "base/fuzz_parts.h"
#include "text/fuzz_tools.h"

using namespace hearth;
using hearth::fuzz::split;

namespace {

// Parts: pre, tokens, kinds and scores (a byte each), merges, charsmap.
Result<std::unique_ptr<Tokenizer>> make_gguf(std::string_view model, std::string_view input) {
  auto parts = split(input, '\0');
  parts.resize(6);
  GgufVocabulary v;
  v.model = model;
  v.pre = parts[0];
  v.tokens = split(parts[1], '\n');
  for (const char c : parts[2]) v.kinds.push_back(c - '0');
  for (const char c : parts[3]) v.scores.push_back(static_cast<float>(c) / 8);
  v.merges = split(parts[4], '\n');
  v.precompiled_charsmap = std::as_bytes(std::span(parts[5]));
  v.bos = 1;
  v.eos = input.size() % 7;
  v.unk = 0;
  if (input.size() % 2 == 0) v.add_bos = v.add_eos = v.add_space_prefix = true;
  return make_tokenizer(v);
}

Result<std::unique_ptr<Tokenizer>> make(std::uint8_t kind, std::string_view input) {
  constexpr std::string_view models[] = {"llama", "gpt2", "gemma4", "bert", "t5", "rwkv"};
  if (kind % 9 == 0) return make_tokenizer(TokenizerFiles{.tiktoken = input});
  if (kind % 9 == 1) return make_tokenizer(TokenizerFiles{.vocab_txt = input});
  if (kind % 9 == 2) {
    const auto parts = split(input, '\0');
    return make_tokenizer(TokenizerFiles{.vocab_json = parts.front(), .merges_txt = parts.back()});
  }
  return make_gguf(models[kind % 9 - 3], input);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto tokenizer = make(data[0], input);
  if (tokenizer) fuzz::use(**tokenizer, input);
  return 0;
}
