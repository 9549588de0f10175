#include "text/pretokenizer/splits.h"

#include <algorithm>
#include <vector>

#include "text/normalizers.h"
#include "text/pretokenizer/scan_tools.h"
#include "text/vocabulary.h"

namespace hearth {
namespace {

struct Part {
  std::size_t begin, end;
  bool is_match;
};
using Parts = std::vector<Part>;

Parts join_previous(const Parts& parts) {
  Parts joined;
  bool previous = false;
  for (const Part& part : parts) {
    if (part.is_match && !previous && !joined.empty())
      joined.back().end = part.end;
    else
      joined.push_back(part);
    previous = part.is_match;
  }
  return joined;
}

Parts join_next(const Parts& parts) {
  Parts joined;
  bool previous = false;
  for (auto it = parts.rbegin(); it != parts.rend(); ++it) {
    if (it->is_match && !previous && !joined.empty())
      joined.back().begin = it->begin;
    else
      joined.push_back(*it);
    previous = it->is_match;
  }
  std::reverse(joined.begin(), joined.end());
  return joined;
}

Parts join_runs(const Parts& parts) {
  Parts joined;
  bool previous = false;
  for (const Part& part : parts) {
    if (part.is_match == previous && !joined.empty())
      joined.back().end = part.end;
    else
      joined.push_back(part);
    previous = part.is_match;
  }
  return joined;
}

Parts apply(Behavior behavior, Parts parts) {
  switch (behavior) {
    case Behavior::removed:
      std::erase_if(parts, [](const Part& p) { return p.is_match; });
      return parts;
    case Behavior::isolated:
      return parts;
    case Behavior::merged_with_previous:
      return join_previous(parts);
    case Behavior::merged_with_next:
      return join_next(parts);
    case Behavior::contiguous:
      return join_runs(parts);
  }
  return parts;
}

// Gives on the parts of `piece`; empty ones are left out.
Status emit(Piece piece, const Parts& parts, PieceSink& sink) {
  for (const Part& part : parts) {
    if (part.begin == part.end) continue;
    TRY(sink.take(
        {piece.text.substr(part.begin, part.end - part.begin), piece.at_start && part.begin == 0}));
  }
  return Done{};
}

// A split gives its matches; the gaps follow from them.
class Split : public PreTokenizerStep {
 public:
  explicit Split(SplitOptions options) : options_(options) {}
  Status split(Piece piece, PieceSink& sink) const override {
    Parts matches = TRY(find(piece.text));
    Parts parts;
    std::size_t done = 0;
    for (const Part& match : matches) {
      if (match.begin > done) parts.push_back({done, match.begin, options_.invert});
      parts.push_back({match.begin, match.end, !options_.invert});
      done = match.end;
    }
    if (done < piece.text.size()) parts.push_back({done, piece.text.size(), options_.invert});
    return emit(piece, apply(options_.behavior, std::move(parts)), sink);
  }

 private:
  virtual Result<Parts> find(std::string_view text) const = 0;
  SplitOptions options_;
};

class RegexSplit final : public Split {
 public:
  RegexSplit(Regex regex, SplitOptions options) : Split(options), regex_(std::move(regex)) {}

 private:
  Result<Parts> find(std::string_view text) const override {
    Parts parts;
    for (const Regex::Match& match : TRY(regex_.matches(text)))
      parts.push_back({match.begin, match.end, true});
    return parts;
  }
  Regex regex_;
};

class TextSplit final : public Split {
 public:
  TextSplit(std::string wanted, SplitOptions options)
      : Split(options), wanted_(std::move(wanted)) {}

 private:
  Result<Parts> find(std::string_view text) const override {
    Parts parts;
    if (wanted_.empty()) return parts;
    for (std::size_t at = text.find(wanted_); at != std::string_view::npos;
         at = text.find(wanted_, at + wanted_.size()))
      parts.push_back({at, at + wanted_.size(), true});
    return parts;
  }
  std::string wanted_;
};

class CharacterSplit final : public Split {
 public:
  CharacterSplit(IsMatch is_match, SplitOptions options) : Split(options), is_match_(is_match) {}

 private:
  Result<Parts> find(std::string_view text) const override {
    Parts parts;
    const char* const end = text.data() + text.size();
    for (const char* p = text.data(); p < end;) {
      const unicode::Char c = unicode::decode(p, end);
      const auto at = static_cast<std::size_t>(p - text.data());
      if (is_match_(c.point)) parts.push_back({at, at + c.size, true});
      p += c.size;
    }
    return parts;
  }
  IsMatch is_match_;
};

class Metaspace final : public PreTokenizerStep {
 public:
  explicit Metaspace(MetaspaceOptions options) : options_(std::move(options)) {}

  Status split(Piece piece, PieceSink& sink) const override {
    using Prepend = MetaspaceOptions::Prepend;
    std::string text = replace_all(piece.text, " ", options_.replacement);
    const bool wanted = options_.prepend == Prepend::always ||
                        (options_.prepend == Prepend::first && piece.at_start);
    if (wanted && !text.starts_with(options_.replacement)) text.insert(0, options_.replacement);
    if (!options_.split) return sink.take({text, piece.at_start});
    const std::string_view all = text;
    std::size_t begin = 0;
    for (std::size_t at = all.find(options_.replacement, 1); at != std::string_view::npos;
         at = all.find(options_.replacement, at + 1)) {
      if (at == begin) continue;
      TRY(sink.take({all.substr(begin, at - begin), piece.at_start && begin == 0}));
      begin = at;
    }
    return sink.take({all.substr(begin), piece.at_start && begin == 0});
  }

 private:
  MetaspaceOptions options_;
};

// Letters, marks, digits, connectors, joiners, and the symbols that Unicode calls alphabetic.
bool is_word(std::uint32_t c) {
  using namespace unicode;
  return (class_of(c) & (letter | mark | bit(Nd) | bit(Nl) | bit(Pc))) != 0 || c == 0x200C ||
         c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
         (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

class Whitespace final : public PreTokenizerStep {
 public:
  Status split(Piece piece, PieceSink& sink) const override {
    const char* const end = piece.text.data() + piece.text.size();
    for (const char* p = piece.text.data(); p < end;) {
      const char* const begin = p;
      const Kind kind = kind_of(unicode::decode(p, end).point);
      while (p < end) {
        const unicode::Char c = unicode::decode(p, end);
        if (kind_of(c.point) != kind) break;
        p += c.size;
      }
      if (kind == Kind::space) continue;
      TRY(sink.take({{begin, static_cast<std::size_t>(p - begin)},
                     piece.at_start && begin == piece.text.data()}));
    }
    return Done{};
  }

 private:
  enum class Kind { word, space, other };
  static Kind kind_of(std::uint32_t point) {
    if (is_word(point)) return Kind::word;
    return is_space_character(point) ? Kind::space : Kind::other;
  }
};

class BertSplit final : public PreTokenizerStep {
 public:
  BertSplit() {
    for (std::uint32_t c = 0; c < 128; ++c) ascii_[c] = kind_of(c);
  }
  Status split(Piece piece, PieceSink& sink) const override {
    const char* const text = piece.text.data();
    const char* const end = text + piece.text.size();
    const char* word = nullptr;  // where the word began that is not yet given on
    const auto give = [&](const char* from, const char* to) {
      return sink.take(
          {{from, static_cast<std::size_t>(to - from)}, piece.at_start && from == text});
    };
    for (const char* p = text; p < end;) {
      const unicode::Char c = unicode::decode(p, end);
      const Kind kind = c.point < 128 ? ascii_[c.point] : kind_of(c.point);
      if (kind == Kind::word) {
        if (word == nullptr) word = p;
      } else {
        if (word != nullptr) TRY(give(word, p));
        word = nullptr;
        if (kind == Kind::punctuation) TRY(give(p, p + c.size));
      }
      p += c.size;
    }
    return word != nullptr ? give(word, end) : Status(Done{});
  }

 private:
  enum class Kind : std::uint8_t { word, space, punctuation };
  static Kind kind_of(std::uint32_t point) {
    if (is_space_character(point)) return Kind::space;
    return is_bert_punctuation(point) ? Kind::punctuation : Kind::word;
  }
  Kind ascii_[128];
};

class PrefixSpace final : public PreTokenizerStep {
 public:
  Status split(Piece piece, PieceSink& sink) const override {
    if (piece.text.starts_with(' ')) return sink.take(piece);
    std::string text(1, ' ');
    text += piece.text;
    return sink.take({text, piece.at_start});
  }
};

class ByteNames final : public PreTokenizerStep {
 public:
  Status split(Piece piece, PieceSink& sink) const override {
    std::string text;
    append_byte_name(text, piece.text);
    return sink.take({text, piece.at_start});
  }
};

class FixedLength final : public PreTokenizerStep {
 public:
  explicit FixedLength(std::size_t characters) : characters_(characters) {}
  Status split(Piece piece, PieceSink& sink) const override {
    const char* const end = piece.text.data() + piece.text.size();
    for (const char* p = piece.text.data(); p < end;) {
      const char* const begin = p;
      for (std::size_t n = 0; n < characters_ && p < end; ++n) p += unicode::decode(p, end).size;
      TRY(sink.take({{begin, static_cast<std::size_t>(p - begin)},
                     piece.at_start && begin == piece.text.data()}));
    }
    return Done{};
  }

 private:
  std::size_t characters_;
};

}  // namespace

bool is_space_character(std::uint32_t point) {
  return (unicode::class_of(point) & unicode::space) != 0;
}
bool is_number_character(std::uint32_t point) {
  return (unicode::class_of(point) & unicode::number) != 0;
}

std::unique_ptr<PreTokenizerStep> make_regex_split(Regex regex, SplitOptions options) {
  return std::make_unique<RegexSplit>(std::move(regex), options);
}
std::unique_ptr<PreTokenizerStep> make_text_split(std::string text, SplitOptions options) {
  return std::make_unique<TextSplit>(std::move(text), options);
}
std::unique_ptr<PreTokenizerStep> make_character_split(IsMatch is_match, SplitOptions options) {
  return std::make_unique<CharacterSplit>(is_match, options);
}
std::unique_ptr<PreTokenizerStep> make_metaspace(MetaspaceOptions options) {
  return std::make_unique<Metaspace>(std::move(options));
}
std::unique_ptr<PreTokenizerStep> make_bert_split() { return std::make_unique<BertSplit>(); }
std::unique_ptr<PreTokenizerStep> make_whitespace() { return std::make_unique<Whitespace>(); }
std::unique_ptr<PreTokenizerStep> make_prefix_space() { return std::make_unique<PrefixSpace>(); }
std::unique_ptr<PreTokenizerStep> make_byte_names_step() { return std::make_unique<ByteNames>(); }
std::unique_ptr<PreTokenizerStep> make_fixed_length(std::size_t characters) {
  return std::make_unique<FixedLength>(characters);
}

}  // namespace hearth
