// For tests: a stepper with a fake model, and what its callers hear.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/fake_model.h"
#include "runtime/request_testing.h"
#include "runtime/stepper.h"

namespace hearth {

struct Heard {
  std::string text;
  std::vector<TokenInfo> tokens, prompt;
  std::optional<FinishReason> finish;
  std::string stop_string;
  std::size_t events = 0;
  std::vector<Token> ids() const;
};

struct Call {
  std::vector<Heard> choices;
  std::stop_source stop;
  int lasts = 0;
  Usage usage;
  std::optional<Error> error;
  const Heard& only() const { return choices.front(); }
};

struct Harness {
  explicit Harness(FakeOptions options = {}, StepperOptions limits = {});
  Call& add(GenerateRequest request);
  // Until there is nothing to do; every call must have ended once, and no page be in use.
  void run();
  void check_accounts() const;

  std::unique_ptr<FakeModel> model;
  std::unique_ptr<Stepper> stepper;
  std::map<std::uint64_t, Call> calls;
  std::uint64_t arrivals = 0;
  std::vector<std::size_t> rows, sequences;  // of each forward
};

std::vector<Token> prompt_of(std::size_t tokens, std::uint64_t seed, Token vocabulary = 48);
using testing::greedy;

}  // namespace hearth
