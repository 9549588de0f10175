#include "text/pipeline.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/utf8.h"

namespace hearth {
namespace {

// Text from which a memory of pieces pays.
constexpr std::size_t cache_from_bytes = 1024;

// The ids of pieces seen before in the same call: where in the output they stand.
class PieceCache {
 public:
  static constexpr std::size_t max_piece_bytes = 23;
  struct Entry {
    char text[max_piece_bytes];
    std::uint8_t size;         // 0: free
    std::uint32_t begin, ids;  // in the output
  };

  void start(std::size_t text_bytes) {
    if (text_bytes >= cache_from_bytes && entries_.empty()) entries_.resize(slots);
  }
  Entry* entry(std::string_view piece, std::uint64_t hash) {
    if (entries_.empty() || piece.size() > max_piece_bytes) return nullptr;
    return &entries_[(hash >> 32) % slots];
  }
  static bool holds(const Entry& entry, std::string_view piece) {
    return entry.size == piece.size() && std::memcmp(entry.text, piece.data(), piece.size()) == 0;
  }
  static void put(Entry& entry, std::string_view piece, std::size_t begin, std::size_t end) {
    std::memcpy(entry.text, piece.data(), piece.size());
    entry.size = static_cast<std::uint8_t>(piece.size());
    entry.begin = static_cast<std::uint32_t>(begin);
    entry.ids = static_cast<std::uint32_t>(end - begin);
  }

 private:
  static constexpr std::size_t slots = 16384;
  std::vector<Entry> entries_;
};

// Appends the ids of the pieces it is given.
class ModelSink final : public PieceSink {
 public:
  ModelSink(const Model& model, std::vector<Token>& out) : model_(model), out_(out) {}
  void start(std::size_t text_bytes) { cache_.start(text_bytes); }

  Status take(Piece piece) override {
    const std::uint64_t hash = hash_bytes(piece.text);
    PieceCache::Entry* const entry = cache_.entry(piece.text, hash);
    const std::size_t begin = out_.size();
    if (entry != nullptr && PieceCache::holds(*entry, piece.text)) {
      out_.resize(begin + entry->ids);
      std::copy_n(out_.data() + entry->begin, entry->ids, out_.data() + begin);
      entry->begin = static_cast<std::uint32_t>(begin);
      return Done{};
    }
    model_.encode(piece.text, hash, out_, scratch_);
    if (entry != nullptr) PieceCache::put(*entry, piece.text, begin, out_.size());
    return Done{};
  }

 private:
  const Model& model_;
  std::vector<Token>& out_;
  PieceCache cache_;
  Scratch scratch_;
};

struct Repaired {
  std::string text;
  std::vector<TextRange> untrusted;
};

// Text with U+FFFD for what is no UTF-8, and where the ranges are in it.
Repaired repair(std::string_view text, std::span<const TextRange> untrusted) {
  Repaired out;
  std::size_t done = 0;
  const auto copy_to = [&](std::size_t end) {
    end = std::clamp(end, done, text.size());
    out.text += repair_utf8(text.substr(done, end - done));
    done = end;
    return out.text.size();
  };
  for (const TextRange& range : untrusted) {
    const std::size_t begin = copy_to(range.begin);
    out.untrusted.push_back({begin, copy_to(range.end)});
  }
  copy_to(text.size());
  return out;
}

class PipelineTokenizer final : public Tokenizer {
 public:
  explicit PipelineTokenizer(Pipeline parts) : parts_(std::move(parts)) {}

  Result<std::vector<Token>> encode(std::string_view text, EncodeOptions options) const override {
    if (text.size() > max_text_bytes)
      return Error(ErrorKind::invalid, fmt::format("a text of {} bytes; at most {} are encoded",
                                                   text.size(), max_text_bytes));
    Repaired repaired;
    AddedTokens::Trust trust{options.parse_special, options.untrusted};
    if (!parts_.any_bytes && !is_utf8(text)) {
      repaired = repair(text, options.untrusted);
      text = repaired.text;
      trust.untrusted = repaired.untrusted;
    }
    std::vector<Token> out;
    out.reserve(text.size() / 4 + 8);
    if (options.add_special) out = parts_.before;
    TRY(encode_text(text, trust, out));
    if (options.add_special) out.insert(out.end(), parts_.after.begin(), parts_.after.end());
    return out;
  }

  std::string_view piece(Token id, bool special) const override {
    if (!parts_.vocabulary.has(id) || (!special && parts_.vocabulary.is_hidden(id))) return {};
    return parts_.vocabulary.piece(id);
  }

  std::string decode(std::span<const Token> ids, bool special) const override {
    if (parts_.decoder == nullptr) return join(ids, special);
    std::vector<std::string> names;
    for (const Token id : ids) {
      if (!parts_.vocabulary.has(id) || (!special && parts_.vocabulary.is_hidden(id))) continue;
      names.emplace_back(parts_.vocabulary.name(id));
    }
    return repair_utf8(parts_.decoder->decode(std::move(names)));
  }

  std::int32_t size() const override { return static_cast<std::int32_t>(parts_.vocabulary.size()); }
  std::string_view name(Token id) const override {
    return parts_.vocabulary.has(id) ? parts_.vocabulary.name(id) : std::string_view();
  }
  TokenKind kind(Token id) const override {
    return parts_.vocabulary.has(id) ? parts_.vocabulary.kind(id) : TokenKind::unused;
  }
  std::optional<Token> find(std::string_view name) const override {
    const Token id = parts_.vocabulary.find(name);
    return id == no_token ? std::nullopt : std::optional(id);
  }
  const SpecialTokens& special() const override { return parts_.special; }
  std::string_view algorithm() const override { return parts_.algorithm; }

 private:
  Status encode_text(std::string_view text, const AddedTokens::Trust& trust,
                     std::vector<Token>& out) const {
    ModelSink sink(*parts_.model, out);
    std::vector<AddedTokens::Segment> segments;
    parts_.added.split(text, trust, segments);
    bool after_token = true;
    for (const AddedTokens::Segment& segment : segments) {
      if (segment.id != no_token) {
        out.push_back(segment.id);
        after_token = true;
        continue;
      }
      const auto begin = static_cast<std::size_t>(segment.text.data() - text.data());
      const bool trusted = trust.covers({begin, begin + segment.text.size()});
      TRY(encode_segment({segment.text, begin == 0, after_token}, trusted, out, sink));
      after_token = false;
    }
    return Done{};
  }

  // Special tokens in normalized text count where all of it is trusted.
  Status encode_segment(const NormalizerInput& input, bool trusted, std::vector<Token>& out,
                        ModelSink& sink) const {
    std::string normalized;
    std::string_view text = input.text;
    if (parts_.normalizer != nullptr) text = normalized = TRY(parts_.normalizer->apply(input));
    if (text.size() > 4 * max_text_bytes - 1)
      return Error(ErrorKind::invalid,
                   fmt::format("a text of {} bytes once normalized", text.size()));
    sink.start(text.size());
    if (parts_.added_after.empty()) return encode_pieces({text, input.at_start}, sink);
    std::vector<AddedTokens::Segment> segments;
    parts_.added_after.split(text, {.parse_special = trusted}, segments);
    for (const AddedTokens::Segment& segment : segments) {
      if (segment.id != no_token)
        out.push_back(segment.id);
      else
        TRY(encode_pieces({segment.text, input.at_start && segment.text.data() == text.data()},
                          sink));
    }
    return Done{};
  }

  Status encode_pieces(Piece piece, ModelSink& sink) const {
    return piece.text.empty() ? Status(Done{}) : parts_.pretokenizer.split(piece, sink);
  }

  std::string join(std::span<const Token> ids, bool special) const {
    std::string text;
    for (const Token id : ids) text += piece(id, special);
    if (parts_.strip_first_space && text.starts_with(' ')) text.erase(0, 1);
    return repair_utf8(text);
  }

  Pipeline parts_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(Pipeline pipeline) {
  return std::make_unique<PipelineTokenizer>(std::move(pipeline));
}

bool Tokenizer::ends_generation(Token id) const {
  const std::vector<Token>& ends = special().end_of_generation;
  return std::binary_search(ends.begin(), ends.end(), id);
}

}  // namespace hearth
