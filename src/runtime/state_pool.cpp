#include "runtime/state_pool.h"

#include <algorithm>

namespace hearth {

std::optional<StateIndex> StatePool::take() {
  if (free_.empty()) {
    if (const auto made = pool_.make()) return *made;
    const auto oldest =
        std::ranges::min_element(known_, {}, [](const auto& copy) { return copy.second.used; });
    if (oldest == known_.end()) return std::nullopt;
    free_.push_back(oldest->second.state);
    known_.erase(oldest);
  }
  const StateIndex state = free_.back();
  free_.pop_back();
  return state;
}

void StatePool::remember(std::uint64_t node, StateIndex state) {
  if (holds(node)) return;
  const auto own = take();
  if (!own) return;
  copy(*own, state);
  known_[node] = {*own, ++now_};
}

void StatePool::forget(std::uint64_t node) {
  const auto place = known_.find(node);
  if (place == known_.end()) return;
  free_.push_back(place->second.state);
  known_.erase(place);
}

std::optional<StateIndex> StatePool::find(std::uint64_t node) {
  const auto place = known_.find(node);
  if (place == known_.end()) return std::nullopt;
  place->second.used = ++now_;
  return place->second.state;
}

}  // namespace hearth
