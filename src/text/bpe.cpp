#include "text/bpe.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>

#include "text/merge.h"
#include "text/unicode.h"

namespace hearth {
namespace {

// (left, right) -> Merge, by open addressing; a byte of hash per slot tells most absent pairs.
class PairTable {
 public:
  explicit PairTable(std::span<const MergeRule> rules) {
    const std::size_t slots = std::bit_ceil(std::max<std::size_t>(16, rules.size() * 3 / 2 + 1));
    slots_.assign(slots, {0, no_merge});
    tags_.assign(slots, 0);
    mask_ = slots - 1;
    for (std::size_t i = 0; i < rules.size(); ++i) {
      const std::uint64_t key = key_of(rules[i].left, rules[i].right);
      const std::size_t slot = place(key);
      tags_[slot] = tag_of(hash_short(key, 8));
      slots_[slot] = {key, {static_cast<std::uint32_t>(i), rules[i].whole}};
    }
  }
  Merge find(Token left, Token right) const {
    const std::size_t slot = place(key_of(left, right));
    return tags_.data()[slot] == 0 ? no_merge : slots_.data()[slot].merge;
  }

 private:
  struct Slot {
    std::uint64_t key;
    Merge merge;
  };
  static std::uint64_t key_of(Token left, Token right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }
  std::size_t place(std::uint64_t key) const {
    const std::uint64_t hash = hash_short(key, 8);
    const std::uint8_t tag = tag_of(hash);
    const std::uint8_t* const tags = tags_.data();
    std::size_t i = hash & mask_;
    while (tags[i] != 0 && (tags[i] != tag || slots_.data()[i].key != key)) i = (i + 1) & mask_;
    return i;
  }
  std::vector<std::uint8_t> tags_;  // 0: free
  std::vector<Slot> slots_;
  std::size_t mask_ = 0;
};

// Whether the merges of a token's own bytes end in that token alone.  Found when first asked and
// then remembered: every thread finds the same.
class WholeWords {
 public:
  enum class State : std::uint8_t { unknown, yes, no };
  explicit WholeWords(std::size_t tokens) : states_(new std::atomic<State>[tokens]()) {}
  State of(Token id) const {
    return states_[static_cast<std::size_t>(id)].load(std::memory_order_relaxed);
  }
  void remember(Token id, bool is_whole) const {
    states_[static_cast<std::size_t>(id)].store(is_whole ? State::yes : State::no,
                                                std::memory_order_relaxed);
  }

 private:
  std::unique_ptr<std::atomic<State>[]> states_;
};

class MergeBpe final : public Model {
 public:
  MergeBpe(FlatVocab vocab, std::span<const MergeRule> rules, MergeBpeOptions options)
      : vocab_(std::move(vocab)),
        pairs_(rules),
        whole_(vocab_.ids()),
        options_(std::move(options)),
        decorated_(!options_.continuing_prefix.empty() || !options_.end_suffix.empty()) {}

  void encode(std::string_view piece, std::uint64_t hash, std::vector<Token>& out,
              Scratch& scratch) const override {
    const Token whole = decorated_ && !options_.whole_first ? no_token : vocab_.find(piece, hash);
    if (whole != no_token) {
      if (options_.whole_first || whole_.of(whole) == WholeWords::State::yes ||
          (options_.whole_newlines && piece.find_first_not_of('\n') == std::string_view::npos)) {
        out.push_back(whole);
        return;
      }
    }
    fill(piece, scratch.symbols);
    const auto rules = [this](const Symbol& left, const Symbol& right, std::uint32_t) {
      return left.id < 0 || right.id < 0 ? no_merge : pairs_.find(left.id, right.id);
    };
    merge_symbols(scratch, static_cast<std::uint32_t>(piece.size()), rules);
    if (whole != no_token)
      whole_.remember(whole, scratch.symbols.size() == 1 && scratch.symbols[0].id == whole);
    for (const Symbol& symbol : scratch.symbols) out.push_back(symbol.id);
  }

 private:
  void fill(std::string_view piece, std::vector<Symbol>& symbols) const {
    symbols.clear();
    if (options_.bytes && !decorated_) {
      for (std::size_t i = 0; i < piece.size(); ++i) {
        const Token id = options_.fallback.bytes[static_cast<unsigned char>(piece[i])];
        if (id != no_token) symbols.push_back({id, static_cast<std::uint32_t>(i)});
      }
      return;
    }
    const char* const end = piece.data() + piece.size();
    for (const char* p = piece.data(); p < end;) {
      const std::size_t size = options_.bytes ? 1 : unicode::decode(p, end).size;
      const std::string_view character(p, size);
      const auto begin = static_cast<std::uint32_t>(p - piece.data());
      p += size;
      const Token id =
          decorated_ ? find_decorated(character, begin == 0, p == end) : vocab_.find(character);
      if (id != no_token)
        symbols.push_back({id, begin});
      else
        options_.fallback.append(character, begin, symbols);
    }
  }

  Token find_decorated(std::string_view character, bool is_first, bool is_last) const {
    std::string key;
    if (!is_first) key += options_.continuing_prefix;
    key += character;
    if (is_last) key += options_.end_suffix;
    return vocab_.find(key);
  }

  FlatVocab vocab_;
  PairTable pairs_;
  WholeWords whole_;
  MergeBpeOptions options_;
  bool decorated_;
};

class RankBpe final : public Model {
 public:
  RankBpe(FlatVocab vocab, RankBpeOptions options)
      : vocab_(std::move(vocab)), whole_(vocab_.ids()), options_(std::move(options)) {}

  void encode(std::string_view piece, std::uint64_t hash, std::vector<Token>& out,
              Scratch& scratch) const override {
    const Token whole = vocab_.find(piece, hash);
    if (whole != no_token && (options_.whole_first || whole_.of(whole) == WholeWords::State::yes)) {
      out.push_back(whole);
      return;
    }
    const std::size_t first = out.size();
    std::vector<Parts> parts;
    merge(piece, scratch, parts);
    if (whole != no_token)
      whole_.remember(whole, scratch.symbols.size() == 1 && scratch.symbols[0].id == whole &&
                                 !is_unused(whole));
    for (std::size_t i = 0; i < scratch.symbols.size(); ++i) {
      const Symbol& symbol = scratch.symbols[i];
      const std::size_t end =
          i + 1 < scratch.symbols.size() ? scratch.symbols[i + 1].begin : piece.size();
      append({piece.substr(symbol.begin, end - symbol.begin), symbol.id}, parts, {out, first}, 0);
    }
  }

 private:
  struct Part {
    std::string_view text;
    Token id;
  };
  // How an unused token was last put together.
  struct Parts {
    Part left, right;
    Token whole;
  };

  bool is_unused(Token id) const {
    return id >= 0 && static_cast<std::size_t>(id) < options_.unused.size() &&
           options_.unused[static_cast<std::size_t>(id)];
  }

  void merge(std::string_view piece, Scratch& scratch, std::vector<Parts>& parts) const {
    fill(piece, scratch.symbols);
    const auto rules = [&](const Symbol& left, const Symbol& right, std::uint32_t end) {
      const Token id = vocab_.find(piece.substr(left.begin, end - left.begin));
      if (id == no_token) return no_merge;
      if (is_unused(id))
        parts.push_back({{piece.substr(left.begin, right.begin - left.begin), left.id},
                         {piece.substr(right.begin, end - right.begin), right.id},
                         id});
      return Merge{options_.ranks.data()[id], id};
    };
    merge_symbols(scratch, static_cast<std::uint32_t>(piece.size()), rules);
  }

  struct Output {
    std::vector<Token>& ids;
    std::size_t first;  // of this piece
  };
  // Recursion ends: both parts are shorter than the whole.
  void append(Part part, const std::vector<Parts>& parts, Output out, int depth) const {
    if (part.id != no_token && !is_unused(part.id)) {
      out.ids.push_back(part.id);
      return;
    }
    const auto it = std::find_if(parts.rbegin(), parts.rend(),
                                 [&](const Parts& p) { return p.whole == part.id; });
    if (part.id == no_token || it == parts.rend() || depth > max_depth)
      return options_.fallback.append(part.text, out.ids, out.first);
    append(it->left, parts, out, depth + 1);
    append(it->right, parts, out, depth + 1);
  }

  void fill(std::string_view piece, std::vector<Symbol>& symbols) const {
    symbols.clear();
    const char* const end = piece.data() + piece.size();
    for (const char* p = piece.data(); p < end;) {
      const std::size_t size = options_.bytes ? 1 : unicode::decode(p, end).size;
      const auto begin = static_cast<std::uint32_t>(p - piece.data());
      // A character without a token of its own may still be part of one.
      symbols.push_back({options_.bytes ? options_.fallback.bytes[static_cast<unsigned char>(*p)]
                                        : vocab_.find({p, size}),
                         begin});
      p += size;
    }
  }

  static constexpr int max_depth = 1000;
  FlatVocab vocab_;
  WholeWords whole_;
  RankBpeOptions options_;
};

}  // namespace

void Fallback::append(std::string_view character, std::uint32_t begin,
                      std::vector<Symbol>& symbols) const {
  if (has_bytes(character)) {
    for (std::size_t i = 0; i < character.size(); ++i)
      symbols.push_back(
          {bytes[static_cast<unsigned char>(character[i])], begin + static_cast<std::uint32_t>(i)});
    return;
  }
  if (unknown == no_token) return;
  if (fuse_unknown && !symbols.empty() && symbols.back().id == unknown) return;
  symbols.push_back({unknown, begin});
}

void Fallback::append(std::string_view text, std::vector<Token>& out, std::size_t first) const {
  if (has_bytes(text)) {
    for (const char c : text) out.push_back(bytes[static_cast<unsigned char>(c)]);
    return;
  }
  if (unknown == no_token) return;
  if (fuse_unknown && out.size() > first && out.back() == unknown) return;
  out.push_back(unknown);
}

bool Fallback::has_bytes(std::string_view text) const {
  return use_bytes && std::all_of(text.begin(), text.end(), [&](char c) {
           return bytes[static_cast<unsigned char>(c)] != no_token;
         });
}

std::unique_ptr<Model> make_merge_bpe(FlatVocab vocab, std::span<const MergeRule> rules,
                                      MergeBpeOptions options) {
  return std::make_unique<MergeBpe>(std::move(vocab), rules, std::move(options));
}

std::unique_ptr<Model> make_rank_bpe(FlatVocab vocab, RankBpeOptions options) {
  return std::make_unique<RankBpe>(std::move(vocab), std::move(options));
}

std::uint32_t rank_of_score(float score) {
  if (std::isnan(score)) return no_merge.rank - 1;
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0f);  // -0 is 0
  const std::uint32_t ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return std::min(~ascending, no_merge.rank - 1);
}

}  // namespace hearth
