// DraftOdds: how far guesses of a model go, by how probable they are, how often guesses of such a
// probability were right lately, and what another one costs.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "runtime/guess_costs.h"
#include "text/tokenizer.h"

namespace hearth {

// A draft in the making: tokens expected of the step, the chance that all so far are right, and the
// time of the step and of drafting.
struct DraftCourse {
  double expected = 1, reached = 1, time = 1;
  std::vector<Token> tokens = {};
  std::vector<std::size_t> kinds = {};  // of the tokens, by their probability

  void add(Token token, std::size_t kind, double chance_of_all, double row) {
    tokens.push_back(token);
    kinds.push_back(kind);
    reached = chance_of_all;
    expected += chance_of_all;
    time += row;
  }
};

// Used by one thread.
class DraftOdds {
 public:
  // first_round: the share of a step that a token of a draft takes, until that was seen.
  explicit DraftOdds(double first_round) : first_round_(first_round) {}

  // Whether guesses for so many sequences pay at all.  Where they do not, what is known of them
  // fades: the texts may change.
  bool pays(const GuessCosts& costs, std::size_t drafts);
  // A token of each of so many drafts, as a share of a step for one of them.
  double round_cost(const GuessCosts& costs, std::size_t drafts) const;
  void saw_round(double seconds);

  // Takes the likeliest token by these logits as the draft's next one, if it is worth its row.
  // Whether the draft goes on behind it: another token is worth its time.
  bool take(DraftCourse& draft, std::span<const float> logits, const GuessCosts& costs,
            double round, std::size_t most);

  // How many of a draft's first tokens, which were of these kinds, turned out right.
  void report(std::span<const std::size_t> kinds, std::size_t drafted, std::size_t right);

 private:
  struct Record {
    double tried = 0, right = 0;
  };
  static double chance(const Record& record, double first);

  std::array<Record, 8> records_ = {};
  Record all_;
  double first_round_;
  double round_seconds_ = 0;  // of a token of every draft
};

}  // namespace hearth
