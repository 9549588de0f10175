#include "text/grammar/needs.h"

#include <algorithm>

namespace hearth::grammar {

Needs::Needs(Reading& reading, const Place& start) : reading_(reading), start_(start) {
  find_beginnings();
  are_known_ = std::ranges::find(beginnings_, start.state) != beginnings_.end();
}

bool Needs::is_in_repeat(const Place& place) const {
  const auto& states = reading_.program().states;
  return place.stack == bottom && states[place.state].loop == states[start_.state].loop;
}

// By one time, read with the first bytes that can be read.
void Needs::find_beginnings() {
  constexpr int most_bytes = 8;
  SituationId at = reading_.at(start_);
  for (int i = 0; i < most_bytes; ++i) {
    SituationId next = dead;
    for (unsigned byte = 0; byte < 256 && next == dead; ++byte)
      next = reading_.after(at, static_cast<std::uint8_t>(byte));
    if (next == dead) return;
    for (const Place& place : reading_.places(next))
      if (is_in_repeat(place) && place.count == start_.count + 1)
        beginnings_.push_back(place.state);
    if (!beginnings_.empty()) return;
    at = next;
  }
}

const Needs::Situation& Needs::at(SituationId id) {
  if (id >= situations_.size()) situations_.resize(2 * id + 1);
  if (situations_[id].kind == Kind::none) {
    const Situation found = find(id);
    situations_[id] = found;
  }
  return situations_[id];
}

Needs::Situation Needs::find(SituationId id) {
  std::vector<Place> begun, outside;
  std::size_t within = 0;
  for (const Place& place : reading_.places(id)) {
    const bool begins = std::ranges::find(beginnings_, place.state) != beginnings_.end();
    if (is_in_repeat(place) && begins && place.count >= start_.count)
      begun.push_back(place);
    else if (place.stack == bottom && !is_in_repeat(place))
      outside.push_back(place);
    else
      ++within;
  }
  if (begun.empty() && within == 0) return {.kind = Kind::over};
  const bool has_left = !outside.empty() || reading_.may_end(id);
  if (begun.empty()) return {.kind = has_left ? Kind::mixed : Kind::within};
  const bool are_alike =
      std::ranges::all_of(begun, [&](const Place& place) { return place.count == begun[0].count; });
  if (within > 0 || !are_alike) return {.kind = Kind::mixed};
  return {Kind::between, begun[0].count - start_.count, reading_.at(begun),
          outside.empty() ? dead : reading_.at(outside)};
}

Needs::Step Needs::after(SituationId from, const Step& step, std::uint8_t byte, SituationId next) {
  if (!are_known_ || step.where == Where::behind) return step;
  if (step.where == Where::between) {
    const Situation here = at(from);
    const bool leaves = here.outside != dead && reading_.after(here.outside, byte) != dead;
    if (leaves) {
      are_known_ = reading_.after(here.inside, byte) == dead;
      return {step.times, Where::behind};
    }
  }
  const std::uint32_t done = step.where == Where::within ? step.times - 1 : step.times;
  const Situation& found = at(next);
  switch (found.kind) {
    case Kind::between:
      return {found.times, Where::between};
    case Kind::within:
      return {done + 1, Where::within};
    case Kind::over:  // as often as it may be
      return {done + 1, Where::behind};
    default:
      are_known_ = false;
      return step;
  }
}

}  // namespace hearth::grammar
