#include "text/grammar/masks.h"

#include <algorithm>
#include <bit>

namespace hearth::grammar {
namespace {

constexpr std::size_t max_kept_bytes = 48u << 20;    // of a grammar's masks; then all are forgotten
constexpr std::size_t max_shared_bytes = 64u << 20;  // of a vocabulary's
constexpr std::size_t max_key_states = 96;           // larger ones are seldom met again
constexpr std::size_t max_few = 512;                 // tokens; more are kept as a set

// The walk over the vocabulary from one place.
class Walk {
 public:
  Walk(const TokenTrie& trie, Reading& reading) : trie_(trie), reading_(reading) {}

  PlaceMask run(StateId state, std::uint32_t count) {
    set_.assign(trie_.words(), 0);
    const std::uint32_t plain = plain_characters_from(state, count);
    for (const TokenTrie::Plain& token : trie_.plain()) {
      if (token.characters > plain) break;
      put(set_, token.token);
      ++accepted_;
    }
    walk(reading_.at({state, count, bottom}), plain);
    return pack();
  }

 private:
  // So many plain characters may come next, whichever they are.
  std::uint32_t plain_characters_from(StateId state, std::uint32_t count) const {
    const Program::State& s = reading_.program().states[state];
    if (!s.is_plain) return 0;
    const Program::Loop& loop = reading_.program().loops[s.loop];
    return loop.max == unlimited ? unlimited : loop.max - std::min(count, loop.max);
  }

  // Tokens of up to `plain` plain characters are decided already.
  void walk(SituationId start, std::uint32_t plain) {
    const auto nodes = trie_.nodes();
    std::vector<SituationId> at(trie_.longest_bytes() + 1);
    at[0] = start;
    for (std::uint32_t i = 0; i < nodes.size();) {
      const TokenTrie::Node& node = nodes[i];
      if (!node.has_other && node.longest <= plain) {
        i = node.end;
        continue;
      }
      const SituationId next = reading_.after(at[node.depth - 1u], node.byte);
      if (next == dead) {
        i = node.end;
        continue;
      }
      at[node.depth] = next;
      if (node.token >= 0) accept(node.token);
      const bool has_more = node.end > i + 1;
      if (has_more && reading_.may_end(next)) ends_.push_back(i);
      i = reading_.places(next).empty() ? node.end : i + 1;
    }
  }

  void accept(Token token) {
    for (; token >= 0; token = trie_.twin(token))
      if (!has(set_, token)) {
        put(set_, token);
        ++accepted_;
      }
  }

  PlaceMask pack() {
    PlaceMask mask;
    for (const std::uint32_t end : ends_)
      if (is_undecided(end)) mask.ends.push_back(end);
    if (accepted_ > max_few) {
      mask.set = std::move(set_);
      return mask;
    }
    for (std::size_t word = 0; word < set_.size(); ++word)
      for (std::uint64_t bits = set_[word]; bits != 0; bits &= bits - 1)
        mask.few.push_back(static_cast<Token>(word * 64) + std::countr_zero(bits));
    return mask;
  }

  // Some token below is not accepted yet.
  bool is_undecided(std::uint32_t end) const {
    const auto nodes = trie_.nodes();
    for (std::uint32_t i = end + 1; i < nodes[end].end; ++i)
      if (nodes[i].token >= 0 && !has(set_, nodes[i].token)) return true;
    return false;
  }

  const TokenTrie& trie_;
  Reading& reading_;
  std::vector<std::uint64_t> set_;
  std::vector<std::uint32_t> ends_;
  std::size_t accepted_ = 0;
};

}  // namespace

std::shared_ptr<const PlaceMask> MaskStore::find(const std::string& key) const {
  return kept_.with([&](const Kept& kept) -> std::shared_ptr<const PlaceMask> {
    const auto found = kept.masks.find(key);
    return found == kept.masks.end() ? nullptr : found->second;
  });
}

void MaskStore::keep(const std::string& key, std::shared_ptr<const PlaceMask> mask) {
  kept_.with([&](Kept& kept) {
    if (kept.bytes > max_shared_bytes) kept = {};
    kept.bytes += mask->bytes() + key.size();
    kept.masks.emplace(key, std::move(mask));
  });
}

std::size_t Masks::made() const {
  return kept_.with([](const Kept& kept) { return kept.made; });
}

std::size_t Masks::bytes() const {
  return kept_.with([](const Kept& kept) { return kept.bytes; });
}

std::shared_ptr<const PlaceMask> Masks::at(StateId state, std::uint32_t count, Reading& scratch) {
  count = standard_count(state, count);
  const std::pair key(state, count);
  auto mask = kept_.with([&](const Kept& kept) -> std::shared_ptr<const PlaceMask> {
    const auto found = kept.masks.find(key);
    return found == kept.masks.end() ? nullptr : found->second;
  });
  if (mask) return mask;
  mask = find(state, count, scratch);
  kept_.with([&](Kept& kept) {
    if (kept.bytes > max_kept_bytes) kept.masks.clear(), kept.bytes = 0;
    if (kept.masks.emplace(key, mask).second) kept.bytes += mask->bytes();
    ++kept.made;
  });
  return mask;
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

std::shared_ptr<const PlaceMask> Masks::find(StateId state, std::uint32_t count, Reading& scratch) {
  const std::string key = key_of(state, count);
  if (!key.empty())
    if (auto mask = store_->find(key)) return mask;
  auto mask = std::make_shared<const PlaceMask>(Walk(trie(), scratch).run(state, count));
  if (!key.empty()) store_->keep(key, mask);
  return mask;
}

// What can be read from the place before its rule ends, spelled out; empty when it is too much.
std::string Masks::key_of(StateId state, std::uint32_t count) const {
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
    put_number(s.loop == 0 ? 0 : 1);
    put_number(loop.min);
    put_number(loop.max);
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
