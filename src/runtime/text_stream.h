// TextStream: the tokens of one answer become whole UTF-8, up to a stop string.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/runner.h"

namespace hearth {

// Text that may yet turn out to be the beginning of a stop string, or of a character, is held back.
// A token leaves with the last of its bytes, or cut, when a stop string begins inside it.  Used by
// one thread.
class TextStream {
 public:
  struct Piece {
    std::string text;  // whole UTF-8; bytes that cannot become a character leave as U+FFFD
    std::vector<TokenInfo> tokens;
    std::optional<std::size_t> stop;  // which stop string was met: nothing comes after it
  };

  // stop: non-empty strings, which must outlive this object.  They are looked for in the bytes of
  // the text, across tokens; the one that begins first wins, of those the first in the list.
  explicit TextStream(std::span<const std::string> stop) : stop_(stop) {}

  // token.bytes: what the token adds to the text, in whole or part characters.
  Piece add(TokenInfo token);
  // All that is still held.
  Piece finish();

 private:
  struct Waiting {
    TokenInfo token;
    std::size_t end;  // of its bytes in held_
  };
  Piece release(std::size_t bytes);
  std::size_t possible_stop() const;

  std::span<const std::string> stop_;
  std::string held_;
  std::deque<Waiting> waiting_;
};

}  // namespace hearth
