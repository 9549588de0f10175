// Regex: the patterns of tokenizer files, in Oniguruma's syntax as far as they use it, run by
// PCRE2.  A search that takes too many steps is an error, not a wait.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

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
  // The first match at `from` or later in `text`, which is valid UTF-8.  Errors: exhausted.
  Result<std::optional<Match>> find(std::string_view text, std::size_t from) const;

 private:
  struct Code;
  explicit Regex(std::unique_ptr<Code> code);
  std::unique_ptr<Code> code_;
};

// `text` with every match replaced; the replacement is taken as it is.
Result<std::string> replace_all(const Regex& regex, std::string_view text,
                                std::string_view replacement);

}  // namespace hearth
