// The options that choose how tokens are drawn, shared by `run` and `chat`.
#pragma once

#include <array>

#include "cli/open_model.h"

namespace hearth::cli {

inline constexpr Option sampling_flags[] = {
    {"--max-tokens", "N",
     "Stop after N tokens (default: when the model ends or the context is full)."},
    {"--temperature", "T",
     "0 to 2; 0 always takes the likeliest token (default: the model's own)."},
    {"--top-k", "N", "Choose among the N likeliest tokens; 0: all."},
    {"--top-p", "P", "Choose among the likeliest tokens that make up probability P."},
    {"--min-p", "P", "Leave out tokens less likely than P times the likeliest."},
    {"--typical-p", "P", "Choose among the most typical tokens that make up probability P."},
    {"--repetition-penalty", "R", "Divide the logits of recent tokens by R; 1: off."},
    {"--frequency-penalty", "F", "Subtract F per earlier occurrence, -2 to 2."},
    {"--presence-penalty", "F", "Subtract F once per token seen before, -2 to 2."},
    {"--dry", "M", "Multiplier of the penalty on repeated runs (DRY); 0: off."},
    {"--mirostat", "0|1|2", "Hold the surprise of the text steady instead of truncating."},
    {"--seed", "S", "The same seed and request give the same text (default: a new one each time)."},
    {"--stop", "TEXT", "End before TEXT; may be given several times.", true},
    {"--ignore-eos", "", "Go on past the model's own end."},
    {"--system", "TEXT", "The system message."},
};

// Starts from the model's own recommendation; errors name the option.
Result<SamplingOptions> read_sampling(const Arguments& arguments,
                                      const SamplingOptions& recommended);

// Everything of a request but its prompt: as the options say, else the name's preset, else the
// model's own recommendation, with a seed of its own.
Result<GenerateRequest> read_request(const Arguments& arguments, const OpenModel& open);

}  // namespace hearth::cli
