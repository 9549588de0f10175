// How much memory keys and values may take, and the context that fits it.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "models/model.h"
#include "runtime/runner.h"

namespace hearth {

struct MemoryPlan {
  std::uint32_t context_tokens = 0;
  std::uint32_t kv_pages = 0;  // at least what one sequence of the whole context needs
  std::uint32_t states = 0;    // of recurrent layers: running ones and copies
};

// Tokens of keys and values that a sequence of the whole context takes: whole pages, and one more,
// since a page is copied before the shared one is let go.
std::uint64_t kv_tokens_of(std::uint64_t context_tokens);

// Errors: exhausted (not even a small context, or not the one asked for, fits: need and have),
// invalid (more context than the model was trained with).
Result<MemoryPlan> plan_memory(const ModelInfo& model, const KvLayout& layout,
                               const RunnerOptions& options, std::uint64_t free_bytes);

}  // namespace hearth
