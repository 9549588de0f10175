// Walker: finds the tokens that may come at a place of a grammar, by reading the vocabulary's tree
// from there.
//
// Three things spare most of the reading.  Where any text of some symbols can be read (a run), all
// tokens of these are taken at once.  Where a counted repeat begins, one walk says what each token
// needs of the count.  And a place at which all that a walk looked at is found again, such as the
// next of the 63 characters of a host's label, has what that walk found.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "text/grammar/mask_store.h"
#include "text/grammar/reading.h"

namespace hearth::grammar {

// What a walk looked at.
struct Trace {
  struct Look {
    SituationId from;
    std::uint8_t byte;
    SituationId next;
  };
  SituationId start = unknown;  // unknown: it was too much to keep
  std::vector<Look> looks;      // from the start, or from where an earlier one led to
  std::vector<std::pair<SituationId, Run>> runs;  // that were relied upon
};

// Used by one thread at a time.
class Walker {
 public:
  Walker(std::shared_ptr<const Program> program, std::shared_ptr<MaskStore> store);

  PlaceMask mask_at(StateId state, std::uint32_t count);
  // For a state in a counted repeat; nullptr: no time of it begins there, or a token can be read in
  // ways that take different numbers of times.
  std::shared_ptr<const CountedMask> counted_at(StateId state) const;

  std::size_t work() const { return work_; }  // that was done, in nodes read: some 10 ns each
  std::size_t bytes() const;                  // of memory, about

 private:
  // Of the tokens that a run from the place leaves, or of all.
  struct Known {
    std::shared_ptr<const RunTokens> tokens;  // nullptr: of all
    Trace trace;
    std::vector<std::uint64_t> set;
    std::vector<std::uint32_t> ends;
  };
  // `greatest_count`: of what would be come across from the start.
  const Known& known_from(SituationId start, const std::shared_ptr<const RunTokens>& tokens,
                          std::uint32_t& greatest_count);
  bool is_alike(const Trace& trace, SituationId start, std::uint32_t& greatest_count);
  void tidy();

  const std::shared_ptr<const Program> program_;
  const std::shared_ptr<MaskStore> store_;
  std::vector<std::uint8_t> class_bytes_;  // one of each class
  Reading reading_;
  std::deque<Known> known_;  // the latest first
  std::vector<SituationId> images_;
  std::size_t work_ = 0;
};

}  // namespace hearth::grammar
