#include "library/recommend.h"

#include <fmt/core.h>

namespace hearth {
namespace {

constexpr double reading_tokens_per_second = 8, patient_tokens_per_second = 1.5;
// Of the memory's measured speed, what remains for weights beside keys, values and waiting.
constexpr double usable_share = 0.8;

std::string gigabytes(std::uint64_t bytes) {
  return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9);
}

std::string reason_of(const CatalogEntry& entry, const MachineFigures& machine, double speed) {
  std::string text = fmt::format("needs {} of the {} that models may take here",
                                 gigabytes(entry.memory_bytes()), gigabytes(machine.memory_bytes));
  if (entry.task == "embed") return text;
  const double rate = machine.weights_bytes_per_second > 0 ? machine.weights_bytes_per_second
                                                           : machine.read_bytes_per_second;
  text += fmt::format("; reads {} per token, at {} per second about {:.0f} tokens per second",
                      gigabytes(entry.bytes_per_token()),
                      gigabytes(static_cast<std::uint64_t>(rate)), speed);
  return text;
}

}  // namespace

double expected_tokens_per_second(const CatalogEntry& entry, const MachineFigures& machine) {
  const auto bytes = static_cast<double>(entry.bytes_per_token());
  const double rate = machine.weights_bytes_per_second > 0
                          ? machine.weights_bytes_per_second
                          : usable_share * machine.read_bytes_per_second;
  return bytes > 0 ? rate / bytes : 0;
}

std::optional<Recommendation> choose_model(const std::vector<CatalogEntry>& catalog,
                                           const MachineFigures& machine, std::string_view task,
                                           ModelWish wish) {
  const double least_speed =
      wish == ModelWish::best ? patient_tokens_per_second : reading_tokens_per_second;
  const CatalogEntry* best = nullptr;
  bool is_best_fast = false;
  double best_speed = 0;
  for (const CatalogEntry& entry : catalog) {
    if (entry.task != task || !entry.is_recommended) continue;
    if (entry.memory_bytes() > machine.memory_bytes) continue;
    const double speed = expected_tokens_per_second(entry, machine);
    const bool is_fast = task == "embed" || speed >= least_speed;
    const bool is_wanted = wish == ModelWish::smallest
                               ? !best || entry.bytes < best->bytes
                               : !best || entry.parameters > best->parameters;
    const bool is_better = !best || (is_fast && !is_best_fast) ||
                           (is_fast && is_best_fast && is_wanted) ||
                           (!is_fast && !is_best_fast && speed > best_speed);
    if (!is_better) continue;
    best = &entry;
    best_speed = speed;
    is_best_fast = is_fast;
  }
  if (!best) return std::nullopt;
  return Recommendation{std::string(task), *best, best_speed,
                        reason_of(*best, machine, best_speed)};
}

std::vector<Recommendation> recommend(const std::vector<CatalogEntry>& catalog,
                                      const MachineFigures& machine) {
  std::vector<Recommendation> chosen;
  for (const std::string_view task : {"chat", "code", "embed"})
    if (auto best = choose_model(catalog, machine, task, ModelWish::balanced))
      chosen.push_back(*std::move(best));
  return chosen;
}

}  // namespace hearth
