#include "library/recommend.h"

#include <fmt/core.h>

namespace hearth {
namespace {

constexpr double reading_tokens_per_second = 8;
// Of the memory's measured speed, what remains for weights beside keys, values and waiting.
constexpr double usable_share = 0.8;

std::string gigabytes(std::uint64_t bytes) {
  return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9);
}

std::string reason_of(const CatalogEntry& entry, const MachineFigures& machine, double speed) {
  std::string text = fmt::format("needs {} of the {} that models may take here",
                                 gigabytes(entry.memory_bytes()), gigabytes(machine.memory_bytes));
  if (entry.task == "embed") return text;
  text += fmt::format("; reads {} per token, at {} per second about {:.0f} tokens per second",
                      gigabytes(entry.bytes_per_token()),
                      gigabytes(static_cast<std::uint64_t>(machine.read_bytes_per_second)), speed);
  return text;
}

}  // namespace

double expected_tokens_per_second(const CatalogEntry& entry, const MachineFigures& machine) {
  const auto bytes = static_cast<double>(entry.bytes_per_token());
  return bytes > 0 ? usable_share * machine.read_bytes_per_second / bytes : 0;
}

std::vector<Recommendation> recommend(const std::vector<CatalogEntry>& catalog,
                                      const MachineFigures& machine) {
  std::vector<Recommendation> chosen;
  for (const std::string_view task : {"chat", "code", "embed"}) {
    const CatalogEntry* best = nullptr;
    bool is_best_fast = false;
    double best_speed = 0;
    for (const CatalogEntry& entry : catalog) {
      if (entry.task != task || !entry.is_recommended) continue;
      if (entry.memory_bytes() > machine.memory_bytes) continue;
      const double speed = expected_tokens_per_second(entry, machine);
      const bool is_fast = task == "embed" || speed >= reading_tokens_per_second;
      const bool is_better = !best || (is_fast && !is_best_fast) ||
                             (is_fast && is_best_fast && entry.parameters > best->parameters) ||
                             (!is_fast && !is_best_fast && speed > best_speed);
      if (!is_better) continue;
      best = &entry;
      best_speed = speed;
      is_best_fast = is_fast;
    }
    if (best)
      chosen.push_back(
          {std::string(task), *best, best_speed, reason_of(*best, machine, best_speed)});
  }
  return chosen;
}

}  // namespace hearth
