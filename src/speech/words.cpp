// Times of words: which place of the sound each token attends to, made monotonic.
// Source: openai/whisper, timing.py; Giorgino 2009 (dynamic time warping).
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/utf8.h"
#include "speech/rules.h"
#include "speech/transcribe.h"

namespace hearth::speech {
namespace {

constexpr std::size_t median_width = 7;
constexpr double seconds_of_place = 0.02;
constexpr std::string_view opening = "\"'“¿([{-";
constexpr std::string_view closing = "\"'.。,，!！?？:：”)]}、";

std::vector<Head> heads_of(const Whisper& model) {
  std::vector<Head> heads;
  for (const auto& [layer, head] : model.codes().alignment_heads)
    if (layer < model.sizes().decoder_layers && head < model.sizes().decoder_heads)
      heads.push_back({layer, head});
  if (!heads.empty()) return heads;
  // Where nobody said which heads follow the sound: those of the upper half.
  for (std::uint32_t layer = model.sizes().decoder_layers / 2; layer < model.sizes().decoder_layers;
       ++layer)
    for (std::uint32_t head = 0; head < model.sizes().decoder_heads; ++head)
      heads.push_back({layer, head});
  return heads;
}

// The shares of what is sound add up to 1; then each place's shares over the tokens get mean 0 and
// deviation 1.
void standardise(float* shares, std::size_t rows, std::size_t places, std::size_t stride) {
  for (std::size_t i = 0; i < rows; ++i) {
    double sum = 0;
    for (std::size_t t = 0; t < places; ++t) sum += shares[i * stride + t];
    if (sum <= 0) continue;
    for (std::size_t t = 0; t < places; ++t)
      shares[i * stride + t] = static_cast<float>(shares[i * stride + t] / sum);
  }
  for (std::size_t t = 0; t < places; ++t) {
    double sum = 0, squares = 0;
    for (std::size_t i = 0; i < rows; ++i) sum += shares[i * stride + t];
    const double mean = sum / static_cast<double>(rows);
    for (std::size_t i = 0; i < rows; ++i)
      squares += (shares[i * stride + t] - mean) * (shares[i * stride + t] - mean);
    const double deviation = std::sqrt(squares / static_cast<double>(rows));
    for (std::size_t i = 0; i < rows; ++i) {
      const double value = (shares[i * stride + t] - mean) / deviation;
      shares[i * stride + t] = std::isfinite(value) ? static_cast<float>(value) : 0.0f;
    }
  }
}

// Medians of neighbours, mirrored at the ends.
void smooth(const float* from, std::size_t places, double weight, std::vector<double>& into,
            std::size_t at) {
  constexpr auto reach = static_cast<std::ptrdiff_t>(median_width / 2);
  const auto count = static_cast<std::ptrdiff_t>(places);
  for (std::ptrdiff_t t = 0; t < count; ++t) {
    float near[median_width];
    for (std::ptrdiff_t k = -reach; k <= reach; ++k) {
      std::ptrdiff_t place = t + k < 0 ? -(t + k) : t + k;
      if (place >= count) place = 2 * count - 2 - place;
      near[k + reach] = from[count <= reach ? t : place];
    }
    std::nth_element(near, near + reach, near + median_width);
    into[at + static_cast<std::size_t>(t)] += weight * near[reach];
  }
}

// The place at which each row begins, on the cheapest monotonic way through the matrix.
std::vector<std::size_t> begin_of_rows(const std::vector<double>& gain, std::size_t rows,
                                       std::size_t places) {
  const std::size_t width = places + 1;
  constexpr float far = std::numeric_limits<float>::infinity();
  std::vector<float> cost((rows + 1) * width, far);
  std::vector<std::uint8_t> trace((rows + 1) * width, 2);  // 0: both, 1: row, 2: place
  cost[0] = 0;
  for (std::size_t j = 1; j <= places; ++j)
    for (std::size_t i = 1; i <= rows; ++i) {
      const float both = cost[(i - 1) * width + j - 1], row = cost[(i - 1) * width + j],
                  place = cost[i * width + j - 1];
      const bool takes_both = both < row && both < place, takes_row = row < both && row < place;
      const float least = takes_both ? both : takes_row ? row : place;
      trace[i * width + j] = takes_both ? 0 : takes_row ? 1 : 2;
      cost[i * width + j] =
          static_cast<float>(-gain[(i - 1) * places + j - 1] + static_cast<double>(least));
    }
  std::vector<std::size_t> begins(rows, 0);
  for (std::size_t i = rows, j = places; i > 0 || j > 0;) {
    if (i > 0 && j > 0) begins[i - 1] = j - 1;
    const std::uint8_t step = i == 0 ? 2 : j == 0 ? 1 : trace[i * width + j];
    if (step != 2) --i;
    if (step != 1) --j;
  }
  return begins;
}

// A run of tokens that is whole characters, or a word.
struct Piece {
  std::string text;
  std::size_t first = 0, last = 0;  // of the text's tokens: [first, last)
};

std::vector<Piece> characters_of(const Whisper& model, std::span<const Token> tokens) {
  std::vector<Piece> pieces;
  std::string held;
  std::size_t first = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    held += model.tokenizer().piece(tokens[i]);
    if (incomplete_tail(held) > 0 && i + 1 < tokens.size()) continue;
    pieces.push_back({repair_utf8(held), first, i + 1});
    held.clear();
    first = i + 1;
  }
  return pieces;
}

bool is_one_of(std::string_view text, std::string_view marks) {
  return !text.empty() && marks.find(text) != marks.npos;
}

bool writes_without_spaces(std::string_view language) {
  constexpr std::string_view all[] = {"zh", "ja", "th", "lo", "my", "yue"};
  return std::ranges::find(all, language) != std::end(all);
}

std::vector<Piece> words_of(const Whisper& model, std::span<const Token> tokens,
                            std::string_view language) {
  std::vector<Piece> pieces = characters_of(model, tokens);
  if (writes_without_spaces(language)) return pieces;
  std::vector<Piece> words;
  for (Piece& piece : pieces) {
    std::string_view bare = piece.text;
    while (bare.starts_with(' ')) bare.remove_prefix(1);
    const bool is_mark = bare.size() == 1 && std::ispunct(static_cast<unsigned char>(bare[0])) != 0;
    if (words.empty() || piece.text.starts_with(' ') || is_mark) {
      words.push_back(std::move(piece));
    } else {
      words.back().text += piece.text;
      words.back().last = piece.last;
    }
  }
  return words;
}

// Punctuation belongs to the word that it stands at.
void join_punctuation(std::vector<Word>& words) {
  for (std::size_t i = words.size(); i-- > 1;) {
    Word& before = words[i - 1];
    if (!before.text.starts_with(' ') ||
        !is_one_of(std::string_view(before.text).substr(1), opening))
      continue;
    before.text += words[i].text;
    before.end = words[i].end;
    before.probability = words[i].probability;
    words.erase(words.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (std::size_t i = 1; i < words.size();) {
    if (words[i - 1].text.ends_with(' ') || !is_one_of(words[i].text, closing)) {
      ++i;
      continue;
    }
    words[i - 1].text += words[i].text;
    words.erase(words.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

// Words of a pause would last as long as the pause.
void shorten(std::vector<Word>& words) {
  std::vector<double> lengths;
  for (const Word& word : words)
    if (word.end > word.start) lengths.push_back(word.end - word.start);
  if (lengths.empty()) return;
  std::ranges::nth_element(lengths, lengths.begin() + std::ssize(lengths) / 2);
  const double most = 2 * std::min(0.7, lengths[lengths.size() / 2]);
  for (Word& word : words) {
    const bool ends = word.text.find_first_of(".!?") != word.text.npos;
    if (word.end - word.start > most && ends) word.end = word.start + most;
  }
  if (words.front().end - words.front().start > most)
    words.front().start = words.front().end - most;
}

struct Aligned {
  std::vector<double> begins;         // of each token and of the end, seconds from the window's
  std::vector<double> probabilities;  // of each token
};

Result<Aligned> align(ops::Context& ctx, const Whisper& model, Window& window,
                      std::span<const Token> beginning, std::span<const Token> text,
                      std::uint32_t frames) {
  const Codes& codes = model.codes();
  std::vector<Token> tokens(beginning.begin(), beginning.end());
  if (tokens.back() != codes.no_timestamps) tokens.push_back(codes.no_timestamps);
  const std::size_t first = tokens.size();  // of the text
  tokens.insert(tokens.end(), text.begin(), text.end());
  tokens.push_back(codes.end);
  Attention attention;
  attention.heads = heads_of(model);
  std::vector<std::uint32_t> rows;
  for (std::size_t i = 0; i < text.size(); ++i)
    rows.push_back(static_cast<std::uint32_t>(first - 1 + i));
  const std::size_t width = model.sizes().vocabulary;
  std::vector<float> logits(rows.size() * width);
  TRY(model.say(ctx, window, tokens, 0, rows, logits, &attention));

  const std::size_t places = std::clamp<std::size_t>(frames / 2, 1, attention.places);
  const std::size_t wanted = text.size() + 1;  // the text and its end
  std::vector<double> gain(wanted * places, 0.0);
  const double weight = 1.0 / static_cast<double>(attention.heads.size());
  for (std::size_t h = 0; h < attention.heads.size(); ++h) {
    float* shares = attention.shares.data() + h * attention.rows * attention.places;
    standardise(shares, attention.rows, places, attention.places);
    // The row that writes a token is the one before it.
    for (std::size_t i = 0; i < wanted; ++i)
      smooth(shares + (first - 1 + i) * attention.places, places, weight, gain, i * places);
  }
  Aligned aligned;
  for (const std::size_t begin : begin_of_rows(gain, wanted, places))
    aligned.begins.push_back(static_cast<double>(begin) * seconds_of_place);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto row = std::span(logits).subspan(i * width, width);
    log_softmax(row.first(static_cast<std::size_t>(codes.end)));
    aligned.probabilities.push_back(std::exp(row[static_cast<std::size_t>(text[i])]));
  }
  return aligned;
}

}  // namespace

Status add_word_times(ops::Context& ctx, const Whisper& model, Window& window,
                      std::span<const Token> beginning, std::string_view language,
                      std::uint32_t frames, std::span<Segment> segments) {
  std::vector<Token> text;
  std::vector<std::size_t> ends;  // of each segment in `text`
  for (const Segment& segment : segments) {
    for (const Token id : segment.tokens)
      if (model.codes().is_text(id)) text.push_back(id);
    ends.push_back(text.size());
  }
  const std::size_t most = model.sizes().target_positions - beginning.size() - 2;
  if (text.empty() || text.size() > most) return Done{};
  const Aligned aligned = TRY(align(ctx, model, window, beginning, text, frames));
  std::size_t from = 0;
  for (std::size_t s = 0; s < segments.size(); from = ends[s++]) {
    Segment& segment = segments[s];
    const double offset = 0.01 * segment.seek_frames;
    const auto own = std::span(text).subspan(from, ends[s] - from);
    for (Piece& piece : words_of(model, own, language)) {
      Word word{std::move(piece.text), offset + aligned.begins[from + piece.first],
                offset + aligned.begins[from + piece.last], 0};
      for (std::size_t i = piece.first; i < piece.last; ++i)
        word.probability += aligned.probabilities[from + i];
      word.probability /= static_cast<double>(piece.last - piece.first);
      segment.words.push_back(std::move(word));
    }
    join_punctuation(segment.words);
    shorten(segment.words);
  }
  return Done{};
}

}  // namespace hearth::speech
