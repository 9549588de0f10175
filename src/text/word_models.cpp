#include "text/word_models.h"

#include <algorithm>

#include "text/byte_trie.h"

namespace hearth {
namespace {

bool is_continuation_byte(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

class WordPiece final : public Model {
 public:
  explicit WordPiece(WordPieceOptions options) : options_(std::move(options)) {}

  void encode(std::string_view word, std::uint64_t hash, std::vector<Token>& out,
              Scratch&) const override {
    const Token whole = options_.beginnings.find(word, hash);
    if (whole != no_token && characters(word) <= options_.max_characters) {
      out.push_back(whole);
      return;
    }
    const std::size_t first = out.size();
    if (characters(word) <= options_.max_characters && append_parts(word, out)) return;
    out.resize(first);
    if (options_.unknown != no_token) out.push_back(options_.unknown);
  }

 private:
  static std::size_t characters(std::string_view word) {
    return static_cast<std::size_t>(
        std::count_if(word.begin(), word.end(), [](char c) { return !is_continuation_byte(c); }));
  }

  bool append_parts(std::string_view word, std::vector<Token>& out) const {
    for (std::size_t at = 0; at < word.size();) {
      const FlatVocab& vocab = at == 0 ? options_.beginnings : options_.continuations;
      std::size_t size = std::min(word.size() - at, vocab.longest_key_bytes());
      Token id = no_token;
      for (; size > 0; --size) {
        if (at + size < word.size() && is_continuation_byte(word[at + size])) continue;
        id = vocab.find(word.substr(at, size));
        if (id != no_token) break;
      }
      if (id == no_token) return false;
      out.push_back(id);
      at += size;
    }
    return true;
  }

  WordPieceOptions options_;
};

class WordLevel final : public Model {
 public:
  WordLevel(FlatVocab vocab, Token unknown) : vocab_(std::move(vocab)), unknown_(unknown) {}
  void encode(std::string_view word, std::uint64_t hash, std::vector<Token>& out,
              Scratch&) const override {
    const Token id = vocab_.find(word, hash);
    if (id != no_token)
      out.push_back(id);
    else if (unknown_ != no_token)
      out.push_back(unknown_);
  }

 private:
  FlatVocab vocab_;
  Token unknown_;
};

class Greedy final : public Model {
 public:
  Greedy(ByteTrie trie, Token unknown) : trie_(std::move(trie)), unknown_(unknown) {}
  void encode(std::string_view text, std::uint64_t, std::vector<Token>& out,
              Scratch&) const override {
    for (std::size_t at = 0; at < text.size();) {
      std::size_t size = 1;
      Token id = unknown_;
      ByteTrie::Node node = ByteTrie::root;
      for (std::size_t i = at; i < text.size(); ++i) {
        node = trie_.child(node, static_cast<unsigned char>(text[i]));
        if (node == ByteTrie::none) break;
        if (trie_.value(node) < 0) continue;
        id = trie_.value(node);
        size = i + 1 - at;
      }
      if (id != no_token) out.push_back(id);
      at += size;
    }
  }

 private:
  ByteTrie trie_;
  Token unknown_;
};

}  // namespace

std::unique_ptr<Model> make_wordpiece(WordPieceOptions options) {
  return std::make_unique<WordPiece>(std::move(options));
}

std::unique_ptr<Model> make_wordlevel(FlatVocab vocab, Token unknown) {
  return std::make_unique<WordLevel>(std::move(vocab), unknown);
}

Result<std::unique_ptr<Model>> make_greedy(std::span<const GreedyKey> keys, Token unknown) {
  ByteTrie trie;
  for (const GreedyKey& key : keys)
    if (!key.bytes.empty() && !trie.insert(key.bytes, key.id))
      return Error(ErrorKind::corrupt, "vocabulary: more text than is read");
  return std::unique_ptr<Model>(std::make_unique<Greedy>(std::move(trie), unknown));
}

}  // namespace hearth
