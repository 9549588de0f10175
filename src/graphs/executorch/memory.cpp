// Which value wrote which bytes of planned memory last.
#include <fmt/core.h>

#include "graphs/executorch/flow.h"

namespace hearth::graphs::executorch {

void Memory::write(const Region& region, std::size_t value) {
  if (region.begin >= region.end) return;
  auto at = spans_.lower_bound({region.memory, region.begin});
  if (at != spans_.begin()) {
    const auto before = std::prev(at);
    if (before->first.first == region.memory && before->second.end > region.begin) {
      const Span old = before->second;
      before->second.end = region.begin;
      if (old.end > region.end) spans_.insert({{region.memory, region.end}, old});
    }
  }
  while (at != spans_.end() && at->first.first == region.memory && at->first.second < region.end) {
    const Span old = at->second;
    at = spans_.erase(at);
    if (old.end > region.end) spans_.insert({{region.memory, region.end}, old});
  }
  spans_.insert_or_assign({region.memory, region.begin}, Span{region.end, value, region});
}

Result<std::optional<std::size_t>> Memory::owner(const Region& region) const {
  auto at = spans_.upper_bound({region.memory, region.begin});
  if (at != spans_.begin()) {
    const auto before = std::prev(at);
    if (before->first.first == region.memory && before->second.end > region.begin) at = before;
  }
  if (at == spans_.end() || at->first.first != region.memory || at->first.second >= region.end)
    return std::optional<std::size_t>();
  const Span& span = at->second;
  if (span.whole == region && at->first.second == region.begin && span.end == region.end)
    return std::optional<std::size_t>(span.value);
  return Error(ErrorKind::unsupported,
               "it is a part of another value's memory, or has been written over");
}

bool Memory::is_owner(const Region& region, std::size_t value) const {
  const auto found = owner(region);
  return found && *found && **found == value;
}

}  // namespace hearth::graphs::executorch
