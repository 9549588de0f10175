// Needs: how many times of a counted repeat a text takes that is read from between two of them.
// A text that can be read while there is room for `n` times can be read while there is room for
// more, so that one walk over the vocabulary says what comes at every count.
#pragma once

#include <cstdint>
#include <vector>

#include "text/grammar/reading.h"

namespace hearth::grammar {

// Used by one thread.
class Needs {
 public:
  // `start`: in a repeat that may be left, with nothing under it, where a time begins.
  Needs(Reading& reading, const Place& start);

  enum class Where : std::uint8_t { between, within, behind };  // of its times
  struct Step {
    std::uint32_t times = 0;  // that the text so far takes
    Where where = Where::between;
  };
  // `next`, not dead: what `byte` leads to from `from`, where `step` holds.
  Step after(SituationId from, const Step& step, std::uint8_t byte, SituationId next);
  // No text was read in two ways that take different times.
  bool are_known() const { return are_known_; }

 private:
  enum class Kind : std::uint8_t { none, between, within, over, mixed };
  struct Situation {
    Kind kind = Kind::none;
    std::uint32_t times = 0;                    // between: that are done
    SituationId inside = dead, outside = dead;  // between: the repeat goes on, and is left
  };
  bool is_in_repeat(const Place& place) const;
  void find_beginnings();
  const Situation& at(SituationId id);
  Situation find(SituationId id);

  Reading& reading_;
  const Place start_;
  std::vector<StateId> beginnings_;  // of a time
  std::vector<Situation> situations_;
  bool are_known_ = true;
};

}  // namespace hearth::grammar
