// Strings, and features of token sequences.
// Source: ONNX operator specification, each operator's page.
#include <algorithm>
#include <map>
#include <regex>

#include "graphs/operators/families.h"
#include "graphs/operators/move.h"
#include "graphs/walk.h"

namespace hearth::graphs {
namespace {

const std::string*& slot(Tensor& y, std::int64_t i) { return y.data<const std::string*>()[i]; }

Status string_concat(Call& call) {
  const Tensor* a = TRY(call.typed(0, Element::text));
  const Tensor* b = TRY(call.typed(1, Element::text));
  Tensor* y = TRY(call.make(0, Element::text, TRY(broadcast(a->dims, b->dims))));
  const std::array<const Dims*, 2> shapes{&a->dims, &b->dims};
  const Walk walk = Walk::broadcasting(y->dims, shapes);
  walk.each(0, y->count, [&](std::int64_t place, const auto& at, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i)
      slot(*y, place + i) = call.keep(std::string(a->text(at[0] + i * walk.step(0))) +
                                      std::string(b->text(at[1] + i * walk.step(1))));
  });
  return Done{};
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// At most `most` + 1 pieces.  Without a delimiter runs of white space divide.
std::vector<std::string> pieces_of(std::string_view text, std::string_view delimiter,
                                   std::int64_t most) {
  std::vector<std::string> pieces;
  if (!delimiter.empty()) {
    if (text.empty()) return pieces;
    std::size_t at;
    while (static_cast<std::int64_t>(pieces.size()) < most &&
           (at = text.find(delimiter)) != std::string_view::npos) {
      pieces.emplace_back(text.substr(0, at));
      text.remove_prefix(at + delimiter.size());
    }
    pieces.emplace_back(text);
    return pieces;
  }
  for (;;) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    if (text.empty()) return pieces;
    const auto end = std::ranges::find_if(text, is_space);
    const auto n = static_cast<std::size_t>(end - text.begin());
    if (static_cast<std::int64_t>(pieces.size()) == most) {
      while (is_space(text.back())) text.remove_suffix(1);
      pieces.emplace_back(text);
      return pieces;
    }
    pieces.emplace_back(text.substr(0, n));
    text.remove_prefix(n);
  }
}

Status string_split(Call& call) {
  const Tensor* x = TRY(call.typed(0, Element::text));
  const std::int64_t most =
      call.has_attribute("maxsplit") ? call.integer("maxsplit", 0) : INT64_MAX;
  std::vector<std::vector<std::string>> all;
  std::size_t width = 0;
  for (std::int64_t i = 0; i < x->count; ++i) {
    all.push_back(pieces_of(x->text(i), call.text("delimiter", ""), most));
    width = std::max(width, all.back().size());
  }
  Dims dims = x->dims;
  dims.push_back(static_cast<std::int64_t>(width));
  Tensor counts = TRY(call.scratch(Element::i64, x->dims));
  Tensor* y = TRY(call.make(0, Element::text, std::move(dims)));
  for (std::size_t i = 0; i < all.size(); ++i) {
    counts.data<std::int64_t>()[i] = static_cast<std::int64_t>(all[i].size());
    for (std::size_t k = 0; k < all[i].size(); ++k)
      slot(*y, static_cast<std::int64_t>(i * width + k)) = call.keep(std::move(all[i][k]));
  }
  call.give(1, std::move(counts));
  return Done{};
}

// ASCII letters; others stay as they are.
std::string in_case(std::string_view text, bool upper) {
  std::string result(text);
  for (char& c : result) {
    if (upper && c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    if (!upper && c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return result;
}

Status string_normalizer(Call& call) {
  const Tensor* x = TRY(call.typed(0, Element::text));
  if (x->rank() < 1 || x->rank() > 2 || (x->rank() == 2 && x->dims[0] != 1))
    return invalid(fmt::format("[n] or [1, n] is needed, not {}", to_text(x->dims)));
  const bool exact = call.integer("is_case_sensitive", 0) != 0;
  const std::string_view action = call.text("case_change_action", "NONE");
  std::vector<std::string> kept;
  for (std::int64_t i = 0; i < x->count; ++i) {
    const std::string_view word = x->text(i);
    const auto stops = [&](const std::string& stop) {
      return exact ? stop == word : in_case(stop, false) == in_case(word, false);
    };
    if (std::ranges::any_of(call.texts_of("stopwords"), stops)) continue;
    kept.push_back(action == "NONE" ? std::string(word) : in_case(word, action == "UPPER"));
  }
  if (kept.empty()) kept.emplace_back();
  const auto n = static_cast<std::int64_t>(kept.size());
  Tensor* y = TRY(call.make(0, Element::text, x->rank() == 2 ? Dims{1, n} : Dims{n}));
  for (std::int64_t i = 0; i < n; ++i)
    slot(*y, i) = call.keep(std::move(kept[static_cast<std::size_t>(i)]));
  return Done{};
}

constexpr std::size_t most_pattern_bytes = 4096;
// The standard library goes a level deeper with each byte.
constexpr std::size_t most_subject_bytes = 4096;

Status regex_full_match(Call& call) {
  const Tensor* x = TRY(call.typed(0, Element::text));
  const std::string pattern(call.text("pattern", ""));
  if (pattern.size() > most_pattern_bytes) return invalid("pattern: too long");
  Tensor* y = TRY(call.make(0, Element::boolean, x->dims));
  try {
    const std::regex regex(pattern, std::regex::ECMAScript);
    for (std::int64_t i = 0; i < x->count; ++i) {
      const std::string_view text = x->text(i);
      if (text.size() > most_subject_bytes)
        return invalid(
            fmt::format("a string of {} bytes: at most {}", text.size(), most_subject_bytes));
      y->data<bool>()[i] = std::regex_match(text.begin(), text.end(), regex);
    }
  } catch (const std::regex_error& e) {
    return invalid(fmt::format("pattern: {}", e.what()));
  }
  return Done{};
}

// The n-grams of the pool, by their words (strings or numbers as text), with their places.
struct Grams {
  std::map<std::vector<std::string>, std::size_t> places;
  std::int64_t width = 0;
};

Result<Grams> grams_of(Call& call) {
  std::vector<std::string> pool = call.texts_of("pool_strings");
  for (const std::int64_t number : call.list("pool_int64s"))
    pool.push_back(fmt::format("{}", number));
  const auto& starts = call.list("ngram_counts");
  const auto& indexes = call.list("ngram_indexes");
  Grams grams;
  std::size_t next = 0;
  for (std::size_t n = 1; n <= starts.size(); ++n) {
    const auto size = static_cast<std::int64_t>(pool.size());
    const std::int64_t begin = starts[n - 1], end = n < starts.size() ? starts[n] : size;
    if (begin < 0 || end < begin || end > size) return invalid("ngram_counts");
    for (std::int64_t at = begin; at + static_cast<std::int64_t>(n) <= end;
         at += static_cast<std::int64_t>(n)) {
      if (next >= indexes.size()) return invalid("ngram_indexes: fewer than n-grams");
      grams.places.emplace(
          std::vector<std::string>(pool.begin() + at,
                                   pool.begin() + at + static_cast<std::ptrdiff_t>(n)),
          next++);
    }
  }
  for (const std::int64_t index : indexes) {
    if (index < 0 || index > (1 << 28)) return invalid("ngram_indexes");
    grams.width = std::max(grams.width, index + 1);
  }
  return grams;
}

Status tfidf_vectorizer(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  if (x->rank() < 1 || x->rank() > 2) return invalid("[n] or [batch, n] is needed");
  const Grams grams = TRY(grams_of(call));
  const std::int64_t least = call.integer("min_gram_length", 1),
                     most = call.integer("max_gram_length", 1);
  const std::int64_t skips =
      std::clamp<std::int64_t>(call.integer("max_skip_count", 0), 0, 1 << 16);
  const std::string_view mode = call.text("mode", "TF");
  const auto& weights = call.reals_of("weights");
  std::vector<std::string> words;
  if (x->type == Element::text) {
    for (std::int64_t i = 0; i < x->count; ++i) words.emplace_back(x->text(i));
  } else {
    for (const std::int64_t number : TRY(call.integers(0)))
      words.push_back(fmt::format("{}", number));
  }
  const std::int64_t rows = x->rank() == 2 ? x->dims[0] : 1, n = x->dims.back();
  Dims dims{grams.width};
  if (x->rank() == 2) dims.insert(dims.begin(), rows);
  Tensor* y = TRY(call.make(0, Element::f32, std::move(dims)));
  std::fill_n(y->data<float>(), y->count, 0.0f);
  const auto& indexes = call.list("ngram_indexes");
  for (std::int64_t row = 0; row < rows; ++row) {
    float* out = y->data<float>() + row * grams.width;
    for (std::int64_t length = std::max<std::int64_t>(least, 1); length <= std::min(most, n);
         ++length)
      for (std::int64_t skip = 0; skip <= (length == 1 ? 0 : skips); ++skip)
        for (std::int64_t at = 0; at + (length - 1) * (skip + 1) < n; ++at) {
          std::vector<std::string> gram;
          for (std::int64_t k = 0; k < length; ++k)
            gram.push_back(words[static_cast<std::size_t>(row * n + at + k * (skip + 1))]);
          const auto found = grams.places.find(gram);
          if (found == grams.places.end()) continue;
          float& count = out[indexes[found->second]];
          const float weight =
              found->second < weights.size() ? static_cast<float>(weights[found->second]) : 1.0f;
          if (mode == "TF")
            count += 1;
          else if (mode == "TFIDF")
            count += weight;
          else
            count = weight;
        }
  }
  return Done{};
}

constexpr Operator rows[] = {
    {"StringConcat", string_concat, nullptr, 2, 2},
    {"StringSplit", string_split, nullptr, 1, 1},
    {"StringNormalizer", string_normalizer, nullptr, 1, 1},
    {"RegexFullMatch", regex_full_match, nullptr, 1, 1},
    {"TfIdfVectorizer", tfidf_vectorizer, nullptr, 1, 1},
};

}  // namespace

std::span<const Operator> text_operators() { return rows; }

}  // namespace hearth::graphs
