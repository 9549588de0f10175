#include <algorithm>
#include <bitset>
#include <map>

#include "text/grammar/machine.h"

namespace hearth::grammar {
namespace {

constexpr std::size_t max_growth = 2, spare_states = 512;  // of the new machine
constexpr std::size_t max_members_each = 8;                // of its states, on average

using Members = std::vector<StateId>;  // states of the old machine, sorted

class Subsets {
 public:
  explicit Subsets(const Machine& old) : old_(old), mark_(old.states.size()) {}

  // False: it grows too large.
  bool run(Machine& made) {
    made = {};
    made.start = state_of({old_.start}, made);
    for (StateId s = 0; s < members_.size(); ++s) {
      if (members_.size() > max_growth * old_.states.size() + spare_states ||
          total_ > max_members_each * (old_.states.size() + spare_states))
        return false;
      expand(s, made);
    }
    return true;
  }

 private:
  // The states reached from `from` without reading, but for those that are only passed through.
  Members closure(Members from) {
    ++stamp_;
    Members kept;
    for (std::size_t i = 0; i < from.size(); ++i) {
      const StateId s = from[i];
      if (mark_[s] == stamp_) continue;
      mark_[s] = stamp_;
      const Machine::State& state = old_.states[s];
      if (state.accepts || !state.edges.empty() || !state.calls.empty() || !state.tokens.empty())
        kept.push_back(s);
      for (const Program::Exit& exit : state.exits) from.push_back(exit.target);
    }
    std::ranges::sort(kept);
    return kept;
  }

  StateId state_of(Members from, Machine& made) {
    Members members = closure(std::move(from));
    const auto [place, is_new] = ids_.try_emplace(std::move(members), 0);
    if (is_new) {
      place->second = made.add();
      members_.push_back(&place->first);
      total_ += place->first.size();
      made.states.back().accepts =
          std::ranges::any_of(place->first, [&](StateId s) { return old_.states[s].accepts; });
    }
    return place->second;
  }

  void expand(StateId s, Machine& made) {
    const Members& members = *members_[s];
    std::bitset<257> cuts;
    std::map<RuleId, Members> calls;
    std::map<Token, Members> tokens;
    for (const StateId member : members) {
      for (const auto& edge : old_.states[member].edges) {
        cuts.set(edge.low);
        cuts.set(edge.high + 1u);
      }
      for (const auto& call : old_.states[member].calls) calls[call.rule].push_back(call.target);
      for (const auto& token : old_.states[member].tokens)
        tokens[token.token].push_back(token.target);
    }
    expand_bytes(s, members, cuts, made);
    for (auto& [rule, targets] : calls) {
      const StateId target = state_of(std::move(targets), made);
      made.states[s].calls.push_back({rule, target, Action::keep, false});
    }
    for (auto& [token, targets] : tokens) {
      const StateId target = state_of(std::move(targets), made);
      made.states[s].tokens.push_back({token, target, Action::keep});
    }
  }

  void expand_bytes(StateId s, const Members& members, const std::bitset<257>& cuts,
                    Machine& made) {
    std::vector<unsigned> begins;
    unsigned interval_of[257] = {};
    for (unsigned byte = 0; byte <= 256; ++byte) {
      if (cuts[byte]) begins.push_back(byte);
      interval_of[byte] = static_cast<unsigned>(begins.size());  // 1-based
    }
    std::vector<Members> targets(begins.size() + 1);
    for (const StateId member : members)
      for (const auto& edge : old_.states[member].edges)
        for (unsigned i = interval_of[edge.low]; i <= interval_of[edge.high]; ++i)
          targets[i].push_back(edge.target);
    for (unsigned i = 1; i < begins.size(); ++i) {
      if (targets[i].empty()) continue;
      const StateId target = state_of(std::move(targets[i]), made);
      const auto low = static_cast<std::uint8_t>(begins[i - 1]);
      const auto high = static_cast<std::uint8_t>(begins[i] - 1);
      auto& edges = made.states[s].edges;
      if (!edges.empty() && edges.back().target == target && edges.back().high + 1 == low)
        edges.back().high = high;
      else
        edges.push_back({low, high, Action::keep, target});
    }
  }

  const Machine& old_;
  std::vector<std::uint32_t> mark_;
  std::uint32_t stamp_ = 0;
  std::map<Members, StateId> ids_;
  std::vector<const Members*> members_;
  std::size_t total_ = 0;
};

}  // namespace

Machine determinise(Machine machine) {
  if (machine.has_loops) return machine;
  Machine made;
  return Subsets(machine).run(made) ? made : machine;
}

}  // namespace hearth::grammar
