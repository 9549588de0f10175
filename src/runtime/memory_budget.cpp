#include "runtime/memory_budget.h"

#include <fmt/core.h>

#include <algorithm>

#include "hardware/memory.h"
#include "runtime/sequence_pages.h"

namespace hearth {
namespace {

constexpr std::uint64_t reserve_bytes = 256u << 20;  // for weights' copies, logits, the rest
constexpr std::uint64_t plenty_bytes = 4ull << 30;   // more prefixes than this are seldom met again
constexpr std::uint32_t least_context = 256;         // a smaller one is of no use to anybody
constexpr std::uint32_t assumed_context = 4096;      // of a model that does not say
constexpr std::uint64_t max_pages = 1u << 24;
constexpr std::uint64_t least_states = 2;        // one runs, one is remembered
constexpr std::uint64_t remembered_states = 64;  // beside the running ones

std::uint64_t pages_of(std::uint64_t context) {
  return kv_tokens_of(context) / ops::kv_page_tokens;
}

// A quarter of the budget goes to states.
std::uint64_t states_of(const KvLayout& layout, const RunnerOptions& options,
                        std::uint64_t budget) {
  if (layout.state_bytes == 0) return 0;
  return std::clamp(budget / 4 / layout.state_bytes, least_states,
                    options.max_running + remembered_states);
}

// Half of what is free: other models and the system's cache of files want the rest.
std::uint64_t default_budget(std::uint64_t free_bytes, std::uint64_t four_contexts) {
  if (free_bytes <= reserve_bytes) return 0;
  return std::min((free_bytes - reserve_bytes) / 2, std::max(plenty_bytes, four_contexts));
}

}  // namespace

std::uint64_t kv_tokens_of(std::uint64_t context_tokens) {
  return std::uint64_t{pages_for(context_tokens) + 1} * ops::kv_page_tokens;
}

Result<MemoryPlan> plan_memory(const ModelInfo& model, const KvLayout& layout,
                               const RunnerOptions& options, std::uint64_t free_bytes) {
  const std::uint32_t trained = model.context_length == 0 ? assumed_context : model.context_length;
  if (options.context_tokens > trained)
    return Error(ErrorKind::invalid,
                 fmt::format("a context of {} tokens: the model was trained with {}",
                             options.context_tokens, trained));
  const std::uint32_t most =
      options.max_context_tokens == 0 ? trained : std::min(trained, options.max_context_tokens);
  std::uint32_t context = options.context_tokens == 0 ? most : options.context_tokens;
  if (layout.page_bytes == 0) return MemoryPlan{.context_tokens = context, .kv_pages = 0};

  const std::uint64_t budget =
      options.kv_budget_bytes != 0
          ? options.kv_budget_bytes
          : default_budget(free_bytes, 4 * pages_of(context) * layout.page_bytes);
  const std::uint64_t states = states_of(layout, options, budget);
  const std::uint64_t state_bytes = states * layout.state_bytes;
  const std::uint64_t left = budget - std::min(budget, state_bytes);
  const std::uint64_t pages = std::min(left / layout.page_bytes, max_pages);
  const std::uint32_t wanted =
      options.context_tokens == 0 ? std::min(context, least_context) : context;
  if (pages < pages_of(wanted))
    return Error(ErrorKind::exhausted,
                 fmt::format("a context of {} tokens needs {} bytes for keys and values, of {}",
                             wanted, pages_of(wanted) * layout.page_bytes + state_bytes, budget));
  if (pages < pages_of(context))
    context = static_cast<std::uint32_t>((pages - 1) * ops::kv_page_tokens);
  const std::uint64_t useful = pages_of(context) * options.max_running;
  return MemoryPlan{.context_tokens = context,
                    .kv_pages = static_cast<std::uint32_t>(std::min(pages, useful)),
                    .states = static_cast<std::uint32_t>(states)};
}

}  // namespace hearth
