// What the names of model files tell.
#include <algorithm>
#include <array>
#include <charconv>

#include "base/ascii.h"
#include "base/files.h"
#include "library/local_models.h"

namespace hearth {
namespace {

// "-00001-of-00003" is the end of the stem.
constexpr std::size_t split_bytes = 15;

bool is_split(std::string_view stem) {
  if (stem.size() <= split_bytes) return false;
  const std::string_view end = stem.substr(stem.size() - split_bytes);
  return end[0] == '-' && end.substr(6, 4) == "-of-" &&
         std::ranges::all_of(end.substr(1, 5), [](char c) { return c >= '0' && c <= '9'; }) &&
         std::ranges::all_of(end.substr(10), [](char c) { return c >= '0' && c <= '9'; });
}

std::string_view stem_of(std::string_view file) {
  file = file.substr(file.find_last_of('/') + 1);
  for (const std::string_view ending : {".gguf", ".safetensors"})
    if (file.ends_with(ending)) file.remove_suffix(ending.size());
  return file;
}

int number(std::string_view digits) {
  int value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

// Is this word, in upper case, the name of a quantisation?
bool is_label(std::string_view word) {
  for (const std::string_view whole : {"F16", "BF16", "F32", "FP16", "FP32", "MXFP4", "NVFP4"})
    if (word == whole || word.starts_with(std::string(whole) + "_")) return true;
  for (const std::string_view begin : {"IQ", "TQ", "Q"})
    if (word.starts_with(begin) && word.size() > begin.size() && word[begin.size()] >= '1' &&
        word[begin.size()] <= '8')
      return word.size() == begin.size() + 1 || word[begin.size() + 1] == '_';
  return false;
}

// A good answer for its size comes first: the usual 4-bit mixtures, then what is near them.
constexpr std::array preferred = std::to_array<std::string_view>(
    {"Q4_K_M", "Q4_K",   "UD-Q4_K_XL", "Q4_K_L", "Q4_K_S", "MXFP4", "MXFP4_MOE", "Q4_0",   "IQ4_XS",
     "IQ4_NL", "Q4_1",   "Q5_K_M",     "Q5_K_S", "Q5_0",   "Q5_1",  "Q6_K",      "Q6_K_L", "Q8_0",
     "Q3_K_L", "Q3_K_M", "Q3_K_S",     "IQ3_M",  "IQ3_XS", "BF16",  "F16",       "FP16",   "F32"});

}  // namespace

int quantisation_rank(std::string_view label) {
  return static_cast<int>(std::ranges::find(preferred, label) - preferred.begin());
}

SplitPlace split_place(std::string_view file) {
  const std::string_view stem = stem_of(file);
  if (!is_split(stem)) return {};
  return {number(stem.substr(stem.size() - 14, 5)), number(stem.substr(stem.size() - 5))};
}

std::string model_stem(std::string_view file) {
  std::string_view stem = stem_of(file);
  if (is_split(stem)) stem.remove_suffix(split_bytes);
  return std::string(stem);
}

std::string quantisation_label(std::string_view file) {
  const std::string stem = ascii_upper(model_stem(file));
  // The last word between '-' and '.' that is one; what follows an underscore belongs to it.
  std::string label;
  for (std::size_t begin = 0; begin <= stem.size();) {
    const std::size_t end = std::min(stem.find_first_of("-.", begin), stem.size());
    std::string_view word = std::string_view(stem).substr(begin, end - begin);
    if (!is_label(word)) {  // some write model_Q4_0
      const std::size_t at = word.find("_Q");
      word = at == word.npos ? std::string_view() : word.substr(at + 1);
    }
    if (is_label(word)) label = word;
    begin = end + 1;
  }
  // Unsloth's own mixtures are told apart from the usual ones.
  if (!label.empty() && stem.contains("-UD-" + label)) label = "UD-" + label;
  return label;
}

}  // namespace hearth
