#include "text/grammar/masks.h"

#include <algorithm>

namespace hearth::grammar {
namespace {

constexpr std::size_t max_kept_bytes = 48u << 20;  // of a grammar's masks; then all are forgotten
constexpr std::size_t max_key_states = 96;         // larger ones are seldom met again

bool reads_letters(const Program& program, StateId s) {
  constexpr std::size_t many = 12;
  std::size_t letters = 0;
  for (const Program::Edge& edge : program.edges_of(s))
    for (const auto& [first, last] : {std::pair{'a', 'z'}, std::pair{'A', 'Z'}})
      for (int c = first; c <= last; ++c) letters += edge.low <= c && c <= edge.high;
  return letters >= many;
}

// What can be read first there.
std::vector<StateId> opened(const Program& program, StateId from) {
  constexpr std::size_t few = 16;
  std::vector<StateId> states = {from};
  const auto add = [&](StateId state) {
    if (states.size() < few && std::ranges::find(states, state) == states.end())
      states.push_back(state);
  };
  for (std::size_t i = 0; i < states.size(); ++i) {
    for (const Program::Exit& exit : program.exits_of(states[i])) add(exit.target);
    for (const Program::Call& call : program.calls_of(states[i])) add(program.starts[call.rule]);
  }
  return states;
}

// Most of the vocabulary is words, with a blank, a quote or a point before them or without.
bool reads_words(const Program& program, StateId s) {
  const auto letters = [&](StateId state) { return reads_letters(program, state); };
  return letters(s) || std::ranges::any_of(program.edges_of(s), [&](const Program::Edge& edge) {
           return std::ranges::any_of(opened(program, edge.target), letters);
         });
}

// The states that a time of a counted repeat may be read from.
std::vector<bool> beginnings_of_times(const Program& program) {
  std::vector<bool> begins(program.states.size());
  for (StateId head = 0; head + 1 < program.states.size(); ++head) {
    if (!program.states[head].is_head) continue;
    std::vector<StateId> reached = {head};
    for (std::size_t i = 0; i < reached.size(); ++i)
      for (const Program::Exit& exit : program.exits_of(reached[i])) {
        if (exit.action != Action::keep || begins[exit.target]) continue;
        begins[exit.target] = true;
        reached.push_back(exit.target);
      }
  }
  return begins;
}

}  // namespace

Masks::Masks(std::shared_ptr<const Program> program, std::shared_ptr<MaskStore> store)
    : program_(program),
      store_(store),
      begins_time_(beginnings_of_times(*program)),
      walker_(std::move(program), std::move(store)) {}

std::size_t Masks::bytes() const {
  return kept_.with([](const Kept& kept) { return kept.bytes + kept.walker_bytes; });
}

std::shared_ptr<const PlaceMask> Masks::kept_at(StateId state, std::uint32_t count) const {
  return kept_.with([&](const Kept& kept) -> std::shared_ptr<const PlaceMask> {
    const auto found = kept.masks.find({state, count});
    return found == kept.masks.end() ? nullptr : found->second;
  });
}

std::shared_ptr<const PlaceMask> Masks::at(StateId state, std::uint32_t count) {
  count = standard_count(state, count);
  if (auto mask = kept_at(state, count)) return mask;
  const std::lock_guard lock(finding_);
  return find_at(state, count);
}

// With the lock held.
std::shared_ptr<const PlaceMask> Masks::find_at(StateId state, std::uint32_t count) {
  if (auto mask = kept_at(state, count)) return mask;  // found while this thread waited
  auto mask = find(state, count);
  kept_.with([&](Kept& kept) {
    if (kept.bytes > max_kept_bytes) kept.masks.clear(), kept.bytes = 0;
    kept.bytes += mask->bytes();
    kept.masks.emplace(std::pair(state, count), mask);
    kept.walker_bytes = walker_.bytes();
  });
  return mask;
}

void Masks::prepare() {
  constexpr std::size_t max_work = 400'000;  // about 4 ms
  constexpr std::size_t max_looked_at = 16'384;
  constexpr std::uint32_t max_counts = 4;  // of a repeat that may come so few times
  const std::size_t states = std::min<std::size_t>(program_->states.size() - 1, max_looked_at);
  for (std::uint32_t pass = 0; pass < max_counts; ++pass)
    for (StateId s = 0; s < states && walker_.work() < max_work; ++s) {
      const Program::Loop& loop = program_->loops[program_->states[s].loop];
      const std::uint32_t count = loop.min + pass - 1;
      const bool has_more_counts = loop.max > 1 && loop.max <= 2 * max_counts;
      if (pass > 0 && (count == 0 || !has_more_counts || count >= loop.max)) continue;
      if (!reads_words(*program_, s)) continue;
      at(s, pass == 0 ? 0 : count);
    }
}

// No token is long enough to tell some counts apart: those are made the same.
std::uint32_t Masks::standard_count(StateId state, std::uint32_t count) const {
  const Program::Loop& loop = program_->loops[program_->states[state].loop];
  const std::uint32_t longest = trie().longest_bytes() + 1;
  const bool is_far_from_max =
      loop.max == unlimited || loop.max - std::min(count, loop.max) >= longest;
  if (!is_far_from_max) return count;
  if (count >= loop.min) return loop.min;
  return loop.min - count >= longest ? 0 : count;
}

std::shared_ptr<const PlaceMask> Masks::find(StateId state, std::uint32_t count) {
  const Program::Loop& loop = program_->loops[program_->states[state].loop];
  if (program_->states[state].loop != 0)
    if (const CountedMask* counted = counted_at(state))
      return std::make_shared<const PlaceMask>(at_count(
          *counted, loop.min - std::min(count, loop.min),
          loop.max == unlimited ? unlimited : loop.max - std::min(count, loop.max - 1), trie()));
  if (loop.max != unlimited && count > loop.min) {
    const auto first = find_at(state, loop.min);
    if (first->greatest_count < loop.max - (count - loop.min)) return first;
  }
  const std::string key = key_of(state, count, false);
  if (!key.empty())
    if (auto mask = store_->mask(key)) return mask;
  auto mask = std::make_shared<const PlaceMask>(walker_.mask_at(state, count));
  if (!key.empty()) store_->keep(key, mask);
  return mask;
}

const CountedMask* Masks::counted_at(StateId state) {
  if (!begins_time_[state]) return nullptr;
  const auto [place, is_new] = counted_.try_emplace(state);
  if (!is_new) return place->second.get();
  const std::string key = key_of(state, 0, true);
  if (!key.empty()) place->second = store_->counted(key);
  if (place->second) return place->second.get();
  place->second = walker_.counted_at(state);
  if (place->second && !key.empty()) store_->keep(key, place->second);
  return place->second.get();
}

// What can be read from the place before its rule ends, spelled out; empty when it is too much.
// `is_any_count`: the bounds of the repeat that the place is in are left out.
std::string Masks::key_of(StateId state, std::uint32_t count, bool is_any_count) const {
  std::vector<StateId> states = {state};
  std::string key;
  const auto put_number = [&](std::uint32_t number) {
    key.append(reinterpret_cast<const char*>(&number), sizeof number);
  };
  const auto put_state = [&](StateId s) {
    const auto found = std::ranges::find(states, s);
    put_number(static_cast<std::uint32_t>(found - states.begin()));
    if (found == states.end()) states.push_back(s);
  };
  put_number(count);
  for (std::size_t i = 0; i < states.size(); ++i) {
    if (states.size() > max_key_states) return "";
    const Program::State& s = program_->states[states[i]];
    const Program::Loop& loop = program_->loops[s.loop];
    const bool has_any_count = is_any_count && s.loop == program_->states[state].loop;
    put_number(s.loop == 0 ? 0 : has_any_count ? 2 : 1);
    put_number(has_any_count ? 0 : loop.min);
    put_number(has_any_count ? unlimited : loop.max);
    put_number(static_cast<std::uint32_t>(s.accepts << 1 | s.is_head));
    for (const Program::Edge& edge : program_->edges_of(states[i])) {
      put_number(0x100u | edge.low);
      put_number(edge.high | std::uint32_t(edge.action) << 8);
      put_state(edge.target);
    }
    for (const Program::Call& call : program_->calls_of(states[i])) {
      put_number(0x200u | std::uint32_t(call.action));
      put_state(call.target);
      put_state(program_->starts[call.rule]);
    }
    for (const Program::Exit& exit : program_->exits_of(states[i])) {
      put_number(0x300u | std::uint32_t(exit.action));
      put_state(exit.target);
    }
    put_number(0x400u);
  }
  return key;
}

}  // namespace hearth::grammar
