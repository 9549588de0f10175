// Drafter: guesses how a text goes on from how it went on before.  Where the last tokens have
// occurred already, what followed them then is what may follow now.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "runtime/guess_costs.h"
#include "text/tokenizer.h"

namespace hearth {

// Used by one thread.
class Drafter {
 public:
  Drafter() = default;
  // The texts begin with one that may be said again from `cursor` on.
  explicit Drafter(std::size_t cursor) : cursor_(cursor) {}

  // What may follow `tokens`, at most `most` of them and as many as pay: each costs a row, right or
  // wrong.  Empty: nothing like it was seen, or guesses like these have not paid lately.  `tokens`
  // only ever grows from call to call.
  std::span<const Token> draft(std::span<const Token> tokens, std::size_t most,
                               const GuessCosts& costs);

  // How many of the last draft turned out right.
  void report(std::size_t drafted, std::size_t right);

 private:
  // Where a text may go on, and how many tokens before it are equal to the last ones.
  struct Place {
    std::size_t at = 0, equal = 0;  // at 0: none
  };
  // How often guesses after so many equal tokens were right lately.
  struct Record {
    double tried = 0, right = 0;
  };
  static constexpr std::size_t kinds = 8;

  void index(std::span<const Token> tokens);
  Place find(std::span<const Token> tokens) const;
  Place find_anywhere(std::span<const Token> tokens) const;
  Place find_near(std::span<const Token> tokens) const;
  std::size_t worth(const Place& place, std::size_t most, const GuessCosts& costs);
  double chance(std::size_t kind) const;

  // By the hash of a gram: where it ended last; `earlier_` of that place: where it ended before.
  std::unordered_map<std::uint64_t, std::uint32_t> last_;
  std::vector<std::uint32_t> earlier_;
  std::array<Record, kinds> records_ = {};
  std::vector<Token> draft_;
  Place drafted_;             // where the last draft was taken from
  std::size_t seen_ = 0;      // tokens at the last draft
  std::size_t cursor_ = 0;    // where the text that is copied went on; 0: none is
  std::size_t replaced_ = 0;  // tokens when one has come for that at the cursor
};

}  // namespace hearth
