// Drafter: guesses how a text goes on from how it went on before.  Where the last tokens have
// occurred already, what followed them then is what may follow now.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "text/tokenizer.h"

namespace hearth {

// Used by one thread.
class Drafter {
 public:
  // What may follow `tokens`, at most `most` of them; empty: nothing like it was seen, or guesses
  // have not paid lately.  `tokens` only ever grows from call to call.
  std::span<const Token> draft(std::span<const Token> tokens, std::size_t most);

  // How many of the last draft turned out right.
  void report(std::size_t drafted, std::size_t right);

 private:
  void index(std::span<const Token> tokens);
  std::size_t find(std::span<const Token> tokens) const;

  // By the hash of a gram: where it ended last; `earlier_` of that place: where it ended before.
  std::unordered_map<std::uint64_t, std::uint32_t> last_;
  std::vector<std::uint32_t> earlier_;
  std::size_t length_ = 3;      // of the next draft
  std::size_t pause_ = 0;       // drafts not to be made
  std::size_t next_pause_ = 1;  // after one more that is all wrong
};

}  // namespace hearth
