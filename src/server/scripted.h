// For tests and benches: a model that says what a script says.  Everything around it is real: the
// scheduler with its batches and pages, the tokenizer, the chat template, grammars and parsers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "library/library.h"

namespace hearth::server {

// The first line whose conditions hold of the prompt is what the model answers.
struct ScriptLine {
  std::vector<std::string> with, without;  // what the prompt must hold, and must not
  std::string say;
};
using Script = std::vector<ScriptLine>;

// [{"if": [...], "unless": [...], "say": "..."}, ...]
Result<Script> parse_script(const std::string& text);

struct ScriptedOptions {
  Script script = {};
  std::uint32_t context = 262'144;
  std::function<void()> before_step = {};  // on the scheduler's thread
  RunnerOptions runner = {};
};

// A text of bytes, ChatML, thoughts between <think> marks, tools in the manner of Hermes.
Result<Lease> scripted_lease(std::string id, ScriptedOptions options);

}  // namespace hearth::server
