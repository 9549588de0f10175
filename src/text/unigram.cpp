#include "text/unigram.h"

#include <algorithm>
#include <limits>

#include "text/byte_trie.h"
#include "text/unicode.h"

namespace hearth {
namespace {

class Unigram final : public Model {
 public:
  Unigram(ByteTrie trie, UnigramOptions options)
      : trie_(std::move(trie)), options_(std::move(options)) {}

  void encode(std::string_view piece, std::uint64_t, std::vector<Token>& out,
              Scratch&) const override {
    std::vector<Best> best(piece.size() + 1);
    best[0].score = 0;
    const char* const end = piece.data() + piece.size();
    for (std::size_t at = 0; at < piece.size();) {
      const std::size_t size = unicode::decode(piece.data() + at, end).size;
      if (!relax_tokens(piece, at, size, best))
        relax(best[at + size], best[at].score + options_.unknown_score, at, no_token);
      at += size;
    }
    append_path(piece, best, out);
  }

 private:
  struct Best {
    double score = -std::numeric_limits<double>::infinity();
    std::uint32_t begin = unreached;
    Token id = no_token;  // no_token: unknown
  };
  static constexpr std::uint32_t unreached = std::numeric_limits<std::uint32_t>::max();

  static void relax(Best& to, double score, std::size_t begin, Token id) {
    if (to.begin == unreached || score > to.score)
      to = {score, static_cast<std::uint32_t>(begin), id};
  }

  // Whether some token is just the character at `at`.
  bool relax_tokens(std::string_view piece, std::size_t at, std::size_t character_bytes,
                    std::vector<Best>& best) const {
    bool single = false;
    ByteTrie::Node node = ByteTrie::root;
    for (std::size_t i = at; i < piece.size(); ++i) {
      node = trie_.child(node, static_cast<unsigned char>(piece[i]));
      if (node == ByteTrie::none) break;
      const Token id = trie_.value(node);
      if (id == no_token) continue;
      relax(best[i + 1], best[at].score + options_.scores.data()[id], at, id);
      single |= i + 1 - at == character_bytes;
    }
    return single;
  }

  // Unknown characters side by side are one text.
  void append_path(std::string_view piece, const std::vector<Best>& best,
                   std::vector<Token>& out) const {
    const std::size_t first = out.size();
    std::vector<std::pair<std::uint32_t, Token>> path;  // begins and ids, last first
    for (std::size_t at = piece.size(); at > 0; at = best[at].begin) {
      const bool continues = options_.fallback.fuse_unknown && best[at].id == no_token &&
                             !path.empty() && path.back().second == no_token;
      if (continues)
        path.back().first = best[at].begin;
      else
        path.emplace_back(best[at].begin, best[at].id);
    }
    for (std::size_t i = path.size(); i-- > 0;) {
      const auto [begin, id] = path[i];
      const std::size_t end = i > 0 ? path[i - 1].first : piece.size();
      if (id != no_token)
        out.push_back(id);
      else
        options_.fallback.append(piece.substr(begin, end - begin), out, first);
    }
  }

  ByteTrie trie_;
  UnigramOptions options_;
};

}  // namespace

Result<std::unique_ptr<Model>> make_unigram(std::span<const UnigramKey> keys,
                                            UnigramOptions options) {
  ByteTrie trie;
  for (const UnigramKey& key : keys)
    if (!key.name.empty() && !trie.insert(key.name, key.id))
      return Error(ErrorKind::corrupt, "vocabulary: more text than is read");
  return std::unique_ptr<Model>(std::make_unique<Unigram>(std::move(trie), std::move(options)));
}

}  // namespace hearth
