// What a generation request may ask for, beside its prompt.  Source: OpenAI API reference, "Create
// chat completion" and "Create completion"; llama-server's names for what that does not have.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "runtime/runner.h"
#include "server/fields.h"
#include "text/grammar/engine.h"

namespace hearth::server {

// A number that goes straight to the sampler.
struct SamplingField {
  std::string_view name;
  bool is_whole;
  Range range;
  void (*apply)(SamplingOptions& sampling, double value);
  std::string_view help;
};
std::span<const SamplingField> sampling_fields();

enum class Dialect { chat, completion };

struct Asked {
  GenerateRequest generate;  // all but the prompt, max_tokens and the stop token
  std::optional<std::int64_t> max_tokens;
  int n = 1;  // answers wanted; generate.n may be more (best_of)
  bool stream = false;
  bool include_usage = false;
  AnswerRule rule;                   // what the answer must be
  std::string_view rule_field = {};  // that said so, for messages
  bool echo = false;                 // completions: the prompt comes before the answer
  // LoRA adapters of the model, by their place in its list or their name, with scales.
  struct Adapter {
    std::variant<std::int64_t, std::string> which;
    float scale = 1;
  };
  std::optional<std::vector<Adapter>> adapters;  // nothing: those in use where nothing is said
  // Fields that were left out of what the model sees, for the warning header.
  std::string warning;
};

constexpr std::int64_t max_answers = 8;
constexpr std::int64_t max_alternatives = 20;
constexpr std::size_t max_biases = 1024;

// Errors: 400 with the field's name, for each field of a wrong type, out of its range, or asking
// for what is not offered.  Unknown fields are ignored.  What the request does not say is taken
// from `recommended`.
Checked<Asked> read_parameters(const Json& body, Dialect dialect, std::int32_t vocabulary,
                               const SamplingOptions& recommended = {});

}  // namespace hearth::server
