#include "runtime/drafter.h"

#include <doctest/doctest.h>

#include <vector>

using namespace hearth;

namespace {

std::vector<Token> draft_of(std::vector<Token> tokens, std::size_t most) {
  Drafter drafter;
  const auto draft = drafter.draft(tokens, most);
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
      {"into the text itself", {4, 4, 4, 4}, 3, {4}},
  };
  for (const Row& row : rows) {
    INFO(std::string(row.what));
    CHECK(draft_of(row.tokens, row.most) == row.draft);
  }
}

TEST_CASE("wrong guesses make it wait longer and longer, right ones guess further") {
  std::vector<Token> tokens = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 1, 2, 3};
  Drafter drafter;
  CHECK(drafter.draft(tokens, 16).size() == 3);
  drafter.report(3, 3);
  CHECK(drafter.draft(tokens, 16).size() == 6);
  drafter.report(6, 1);
  CHECK(drafter.draft(tokens, 16).size() == 2);
  for (const std::size_t pause : {1, 2, 4, 8, 16, 32, 64, 64}) {
    drafter.report(1, 0);
    for (std::size_t i = 0; i < pause; ++i) CHECK(drafter.draft(tokens, 16).empty());
    CHECK(drafter.draft(tokens, 16).size() == 1);
  }
}
