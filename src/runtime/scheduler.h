// Scheduler: which sequences run in the next step, and how many rows each.
//
// Every sequence that generates gets its row.  The rest of the step's rows goes, in equal shares,
// to sequences whose prompt is not yet computed, so that a long prompt delays nobody by more than
// a step.  Sequences are admitted in order of arrival while there is memory for what they hold now;
// when memory runs out after all, the youngest gives its pages back and waits: the oldest always
// goes on, so all finish.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/sequence.h"
#include "runtime/step_cost.h"

namespace hearth {

// Positions [computed, computed + rows) of a sequence; its pages are reserved.
struct Slice {
  Sequence* sequence;
  std::size_t rows;
};

struct Plan {
  std::vector<Slice> slices;  // those that generate first
  Sequence* stuck = nullptr;  // runs alone and has no memory to go on
};

// Used by one thread.  Refers to sequences between add() and remove().
class Scheduler {
 public:
  struct Limits {
    std::uint32_t step_tokens, max_running;
    std::uint32_t lone_step_tokens = 0;  // rows where nobody waits for a next token; 0: as above
    std::uint32_t guessing_rows = 0;     // that sequences which generate share, with their guesses
  };
  Scheduler(KvCache& cache, Limits limits) : cache_(cache), limits_(limits) {}

  void add(Sequence& sequence);          // it waits for its turn
  void add_running(Sequence& sequence);  // a fork of one that runs
  void remove(Sequence& sequence);       // gives its pages back

  // What the next step computes: prompts, and each sequence's last token with its drafts.
  Plan plan();

  // Oldest first.
  std::span<Sequence* const> running_sequences() const { return running_; }
  // For those of them that generate: drafts that each may bring to the next step, and what these
  // cost of a step of its own.
  struct GuessingRoom {
    std::size_t most = 0;
    GuessCosts costs = {};
  };
  GuessingRoom guessing_room() const;

  // A step of so many rows, none of a prompt, took so long.
  void saw_step(std::size_t rows, double seconds) { step_cost_.saw(rows, seconds); }

  void limit(const Limits& limits) { limits_ = limits; }  // between plans

  std::uint32_t running() const { return static_cast<std::uint32_t>(running_.size()); }
  std::uint32_t waiting() const { return static_cast<std::uint32_t>(waiting_.size()); }
  std::uint64_t preemptions() const { return preemptions_; }

 private:
  void admit();
  bool has_room_for(const Sequence& next) const;
  void give_rows();
  void share_rows(std::size_t budget);
  bool waits_for_older(Sequence& sequence, std::vector<const Sequence*>& older) const;
  void preempt_youngest();

  KvCache& cache_;
  Limits limits_;
  std::vector<Sequence*> waiting_, running_;  // oldest first
  std::vector<std::size_t> rows_;             // per running sequence, in the step being planned
  std::size_t turn_ = 0;
  StepCost step_cost_;
  std::uint64_t preemptions_ = 0;
};

// Rows of one step of a request with prompt_logprobs, each of which needs a row of logits.
constexpr std::size_t max_scored_rows = 64;

}  // namespace hearth
