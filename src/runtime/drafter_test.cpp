#include "runtime/drafter.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "runtime/step_cost.h"

using namespace hearth;

namespace {

std::vector<Token> draft_of(std::vector<Token> tokens, std::size_t most) {
  Drafter drafter;
  const auto draft = drafter.draft(tokens, most, {.row = 0.01});
  return {draft.begin(), draft.end()};
}

}  // namespace

TEST_CASE("what followed the same tokens before is what may follow now") {
  struct Row {
    const char* what;
    std::vector<Token> tokens;
    std::size_t most;
    std::vector<Token> draft;
  };
  const Row rows[] = {
      {"nothing", {}, 4, {}},
      {"too short", {1, 2}, 4, {}},
      {"no repetition", {1, 2, 3, 4, 5, 6}, 4, {}},
      {"two equal tokens are not enough", {1, 2, 9, 8, 1, 2}, 4, {}},
      {"three are", {1, 2, 3, 9, 8, 1, 2, 3}, 2, {9, 8}},
      {"as many as are asked for", {1, 2, 3, 9, 8, 7, 1, 2, 3}, 1, {9}},
      {"none are asked for", {1, 2, 3, 9, 8, 7, 1, 2, 3}, 0, {}},
      {"the last place of two", {1, 2, 3, 9, 9, 1, 2, 3, 8, 8, 1, 2, 3}, 1, {8}},
      {"the longer run of two", {5, 1, 2, 3, 9, 9, 6, 1, 2, 3, 8, 8, 5, 1, 2, 3}, 1, {9}},
      {"into the text itself", {4, 4, 4, 4}, 3, {4, 4, 4}},
  };
  for (const Row& row : rows) {
    INFO(std::string(row.what));
    CHECK(draft_of(row.tokens, row.most) == row.draft);
  }
}

TEST_CASE("a draft is as long as pays: longer after right ones, none where it is always wrong") {
  std::vector<Token> tokens = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 1, 2, 3};
  Drafter drafter;
  const auto length = [&](double row_cost) {
    return drafter.draft(tokens, 13, {.row = row_cost}).size();
  };
  CHECK(length(0.0) == 13);
  CHECK(length(0.1) > length(0.3));
  CHECK(length(1) == 0);
  const std::size_t before = length(0.3);
  for (int i = 0; i < 10; ++i) drafter.report(length(0.1), length(0.1));
  CHECK(length(0.3) > before);
  for (int i = 0; i < 60; ++i) drafter.report(length(0.1), 0);
  CHECK(length(0.1) == 0);
  CHECK(length(0.01) > 0);
  std::size_t idle = 0;
  while (length(0.1) == 0 && idle < 1000) ++idle;
  CHECK(idle > 3);
  CHECK(idle < 1000);  // the text may have changed
}

TEST_CASE("behind a change the copied text is found again at once") {
  // 10 to 39 is copied; what comes instead of 20 is 99, then 99 and 98.
  std::vector<Token> source(30), answer;
  for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<Token>(10 + i);
  const auto steps = [&](std::vector<Token> wanted) {
    std::vector<Token> tokens = source;
    tokens.insert(tokens.end(), {7, 8, 9});
    Drafter drafter;
    std::size_t made = 0, count = 0;
    for (; made < wanted.size(); ++count) {
      const auto draft = drafter.draft(tokens, 15, {.row = 0.02});
      std::size_t right = 0;
      while (right < draft.size() && made + right < wanted.size() &&
             draft[right] == wanted[made + right])
        ++right;
      const std::size_t drafted = draft.size();
      const std::size_t added = std::min(right + 1, wanted.size() - made);
      for (std::size_t i = 0; i < added; ++i) tokens.push_back(wanted[made + i]);
      made += added;
      drafter.report(drafted, right);
    }
    return count;
  };
  const std::size_t copied = steps(source);
  std::vector<Token> replaced = source, inserted = source, dropped = source;
  replaced[12] = 99;
  inserted.insert(inserted.begin() + 12, {99, 98});
  dropped.erase(dropped.begin() + 12, dropped.begin() + 15);
  CHECK(copied <= 8);
  CHECK(steps(replaced) <= copied + 2);
  CHECK(steps(inserted) <= copied + 5);
  CHECK(steps(dropped) <= copied + 4);
}

TEST_CASE("what a row costs is learned from steps") {
  StepCost cost;
  CHECK(cost.of_row(1) == doctest::Approx(0.07));
  for (int i = 0; i < 50; ++i) cost.saw(1, 1.0);
  CHECK(cost.of_row(1) == doctest::Approx(0.07).epsilon(0.01));  // nothing else was seen
  for (std::size_t i = 0; i < 200; ++i)
    cost.saw(1 + i % 5, 0.8 + 0.2 * static_cast<double>(1 + i % 5));
  CHECK(cost.of_row(1) == doctest::Approx(0.2).epsilon(0.1));
  cost.saw(1, 1e6);  // the machine slept
  CHECK(cost.of_row(1) > 0.1);
  CHECK(cost.of_row(4) < cost.of_row(1));
}
