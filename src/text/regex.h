// Regex: the patterns of tokenizer files, in Oniguruma's syntax as far as they use it, run by
// PCRE2.  A search that takes too many steps or too long is an error, not a wait.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth {

// Immutable; thread-safe.
class Regex {
 public:
  // Errors: unsupported, with the place, for what PCRE2 does not read.
  static Result<Regex> compile(std::string_view pattern);
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  struct Match {
    std::size_t begin, end;
  };
  // All matches in `text`, from left to right; one character is stepped over after an empty one.
  // The text may be any bytes; no match holds one that is not UTF-8.  Errors: exhausted.
  Result<std::vector<Match>> matches(std::string_view text) const;

 private:
  struct Code;
  struct Search;
  Result<std::vector<Match>> matches(std::string_view text, Search& search) const;
  explicit Regex(std::unique_ptr<Code> code);
  std::unique_ptr<Code> code_;
};

// `text` with every match replaced; the replacement is taken as it is.
Result<std::string> replace_all(const Regex& regex, std::string_view text,
                                std::string_view replacement);

}  // namespace hearth
