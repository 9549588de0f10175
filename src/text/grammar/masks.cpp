#include "text/grammar/masks.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "text/grammar/needs.h"
#include "text/grammar/run.h"

namespace hearth::grammar {
namespace {

constexpr std::size_t max_kept_bytes = 48u << 20;    // of a grammar's masks; then all are forgotten
constexpr std::size_t max_shared_bytes = 64u << 20;  // of a vocabulary's
constexpr std::size_t max_key_states = 96;           // larger ones are seldom met again
constexpr std::size_t max_few = 512;                 // tokens; more are kept as a set
constexpr std::size_t max_splits = 64;               // of some 100 KB, for runs that come again

// Some token below the node is not in the set.
bool is_undecided(const TokenTrie& trie, std::span<const std::uint64_t> set, std::uint32_t end) {
  const auto nodes = trie.nodes();
  for (std::uint32_t i = end + 1; i < nodes[end].end; ++i)
    if (nodes[i].token >= 0 && !has(set, nodes[i].token)) return true;
  return false;
}

void put_set(PlaceMask& mask, std::vector<std::uint64_t> set) {
  for (std::size_t word = 0; word < set.size() && mask.few.size() <= max_few; ++word)
    for (std::uint64_t bits = set[word]; bits != 0; bits &= bits - 1)
      mask.few.push_back(static_cast<Token>(word * 64) + std::countr_zero(bits));
  if (mask.few.size() <= max_few) return;
  mask.few = {};
  mask.set = std::move(set);
}

// The mask of a place where so many times of its repeat are left.
PlaceMask at_count(const LaterCounts& later, std::uint32_t left, const TokenTrie& trie) {
  const auto shorter = trie.up_to(std::min(left, max_counted_characters));
  std::vector<std::uint64_t> set(shorter.begin(), shorter.end());
  for (std::size_t i = 0; i < set.size(); ++i) set[i] &= later.set[i];
  for (const auto& [token, needs] : later.late) {
    if (needs > left) break;
    put(set, static_cast<Token>(token));
  }
  PlaceMask mask;
  for (const auto& [node, needs] : later.ends)
    if (needs <= left && is_undecided(trie, set, node)) mask.ends.push_back(node);
  put_set(mask, std::move(set));
  return mask;
}

bool reads_letters(const Program& program, StateId s) {
  constexpr std::size_t many = 12;
  std::size_t letters = 0;
  for (const Program::Edge& edge : program.edges_of(s))
    for (const auto& [first, last] : {std::pair{'a', 'z'}, std::pair{'A', 'Z'}})
      for (int c = first; c <= last; ++c) letters += edge.low <= c && c <= edge.high;
  return letters >= many;
}

// Most of the vocabulary is words, with a blank or a quote before them or without.
bool reads_words(const Program& program, StateId s) {
  const auto begins_word = [](const Program::Edge& edge) {
    return (edge.low <= ' ' && ' ' <= edge.high) || (edge.low <= '"' && '"' <= edge.high);
  };
  const auto goes_on = [&](StateId target) {
    return reads_letters(program, target) ||
           std::ranges::any_of(program.calls_of(target), [&](const Program::Call& call) {
             return reads_letters(program, program.starts[call.rule]);
           });
  };
  return reads_letters(program, s) ||
         std::ranges::any_of(program.edges_of(s), [&](const Program::Edge& edge) {
           return begins_word(edge) && goes_on(edge.target);
         });
}

// The walk over the vocabulary from one place.
class Walk {
 public:
  Walk(MaskStore& store, Reading& reading)
      : store_(store), trie_(store.trie()), reading_(reading) {}

  PlaceMask run(StateId state, std::uint32_t count) {
    begin(state, count);
    run_ = find_run(reading_, steps_[0].at, trie_);
    const Program::Loop& loop = reading_.program().loops[reading_.program().states[state].loop];
    // What a run decides must take as many times as it has characters.
    const bool is_counted = run_.is_all && run_.characters == loop.max - loop.min;
    if (loop.max != unlimited && count == loop.min && (is_counted || !is_worth_it(run_)))
      needs_.emplace(reading_, Place{state, count, bottom});
    if (is_worth_it(run_)) {
      const auto tokens = store_.split(run_.symbols, run_.characters != unlimited);
      set_ = tokens->written;
      if (run_.characters != unlimited)
        keep(trie_.up_to(std::min(run_.characters, max_counted_characters)));
      walk(*tokens);
    } else {
      set_.assign(trie_.words(), 0);
      walk(0, static_cast<std::uint32_t>(trie_.nodes().size()));
    }
    return pack();
  }

 private:
  struct Step {  // after some bytes of the token
    SituationId at;
    std::uint32_t characters;
    Needs::Step need = {};
  };

  void begin(StateId state, std::uint32_t count) {
    steps_.resize(trie_.longest_bytes() + 1);
    steps_[0] = {reading_.at({state, count, bottom}), 0};
  }

  void keep(std::span<const std::uint64_t> set) {
    for (std::size_t i = 0; i < set_.size(); ++i) set_[i] &= set[i];
  }

  // A run of few symbols is read as fast as it is looked up.
  static bool is_worth_it(const Run& run) {
    constexpr std::size_t many = 12;
    return run.symbols.count() >= many && (run.is_all || run.characters > max_counted_characters);
  }

  // What a run has left.
  void walk(const RunTokens& tokens) {
    for (std::uint32_t i = 0; i < tokens.left.size();) {
      const RunTokens::Node& left = tokens.left[i];
      const Step before = steps_[left.depth - 1u];
      const SituationId next = reading_.after(before.at, left.byte);
      if (next == dead) {
        i = left.next;
      } else if (!take(left.node, before, next)) {
        i = left.next;
      } else if (left.leaves) {
        walk(left.node + 1, trie_.nodes()[left.node].end);
        i = left.next;
      } else {
        ++i;
      }
    }
  }

  // The nodes from `i` on, all below one that has been taken.
  void walk(std::uint32_t i, std::uint32_t end) {
    const auto nodes = trie_.nodes();
    while (i < end) {
      const TokenTrie::Node& node = nodes[i];
      const Step before = steps_[node.depth - 1u];
      const SituationId next = reading_.after(before.at, node.byte);
      if (next == dead) {
        i = node.end;
      } else if (is_all_taken(node, i, before, next)) {
        take_all(i, before, next);
        i = node.end;
      } else {
        i = take(i, before, next) ? i + 1 : node.end;
      }
    }
  }

  // False: nothing below can be read.
  bool take(std::uint32_t i, const Step& before, SituationId next) {
    const TokenTrie::Node& node = trie_.nodes()[i];
    Step& step = steps_[node.depth];
    step = {next, before.characters + (is_inside_character(node.byte) ? 0 : 1),
            need_after(before, node.byte, next)};
    for (Token token = node.token; token >= 0; token = trie_.twin(token)) {
      put(set_, token);
      if (needs_ && !is_counted(token, step.need.times))
        late_.push_back({static_cast<std::uint32_t>(token), step.need.times});
    }
    const bool has_more = node.end > i + 1;
    if (has_more && reading_.may_end(next)) ends_.push_back({i, step.need.times});
    return !reading_.places(next).empty();
  }

  // It is among the tokens of no more characters than the times it takes.
  bool is_counted(Token token, std::uint32_t times) const {
    return times > 0 && has(trie_.up_to(std::min(times, max_counted_characters)), token);
  }

  static bool is_inside_character(std::uint8_t byte) { return (byte & 0xC0) == 0x80; }

  // Everything at `i` and below can be read, by the run from where the token is.
  bool is_all_taken(const TokenTrie::Node& node, std::uint32_t i, const Step& before,
                    SituationId next) {
    // What is below so few nodes is read as fast, and from where it takes so many to find a run.
    constexpr std::uint32_t few = 4, many = 256;
    const std::uint32_t below = node.end - i;
    if (below < few || is_inside_character(node.byte)) return false;
    if (needs_ && need_after(before, node.byte, next).where != Needs::Where::behind) return false;
    const Run* run = run_from(before.at, below >= many);
    return run != nullptr && (node.tail & ~run->symbols).none() &&
           (run->characters == unlimited ||
            (node.longest < 255 && node.longest - before.characters <= run->characters));
  }

  void take_all(std::uint32_t i, const Step& before, SituationId next) {
    const Needs::Step need = need_after(before, trie_.nodes()[i].byte, next);
    for (const Token token : trie_.tokens_from(i)) {
      put(set_, token);
      if (needs_) late_.push_back({static_cast<std::uint32_t>(token), need.times});
    }
  }

  Needs::Step need_after(const Step& before, std::uint8_t byte, SituationId next) {
    return needs_ ? needs_->after(before.at, before.need, byte, next) : Needs::Step();
  }

  // nullptr: none is known, and none was to be found.
  const Run* run_from(SituationId at, bool finds) {
    constexpr std::size_t max_runs = 16;
    if (last_run_ < runs_.size() && runs_[last_run_].first == at) return &runs_[last_run_].second;
    const auto found = std::ranges::find(runs_, at, &std::pair<SituationId, Run>::first);
    if (found == runs_.end()) {
      if (!finds || runs_.size() == max_runs) return nullptr;
      last_run_ = runs_.size();
      runs_.emplace_back(at, find_run(reading_, at, trie_));
      return &runs_.back().second;
    }
    last_run_ = static_cast<std::size_t>(found - runs_.begin());
    return &runs_[last_run_].second;
  }

  PlaceMask pack() {
    PlaceMask mask;
    for (const LaterCounts::Late& end : ends_)
      if (is_undecided(trie_, set_, end.item)) mask.ends.push_back(end.item);
    if (needs_ && needs_->are_known()) mask.later = later();
    put_set(mask, std::move(set_));
    return mask;
  }

  std::shared_ptr<const LaterCounts> later() {
    auto later = std::make_shared<LaterCounts>();
    later->set = set_;
    std::ranges::sort(late_, {}, &LaterCounts::Late::needs);
    later->late = std::move(late_);
    later->ends = std::move(ends_);
    return later;
  }

  MaskStore& store_;
  const TokenTrie& trie_;
  Reading& reading_;
  std::vector<Step> steps_;
  std::vector<std::uint64_t> set_;
  std::vector<LaterCounts::Late> late_, ends_;
  std::optional<Needs> needs_;                     // where the mask says what comes at other counts
  Run run_;                                        // from the place
  std::vector<std::pair<SituationId, Run>> runs_;  // of places within tokens
  std::size_t last_run_ = 0;
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
    if (kept.bytes > max_shared_bytes) kept.masks.clear(), kept.bytes = 0;
    kept.bytes += mask->bytes() + key.size();
    kept.masks.emplace(key, std::move(mask));
  });
}

std::shared_ptr<const RunTokens> MaskStore::split(const Symbols& symbols, bool has_longer) {
  const SplitKey key(symbols.to_string(), has_longer);
  auto tokens = kept_.with([&](const Kept& kept) -> std::shared_ptr<const RunTokens> {
    const auto found = kept.splits.find(key);
    return found == kept.splits.end() ? nullptr : found->second;
  });
  if (tokens) return tokens;
  tokens = std::make_shared<const RunTokens>(grammar::split(trie_, symbols, has_longer));
  kept_.with([&](Kept& kept) {
    if (kept.splits.size() == max_splits) kept.splits.clear();
    kept.splits.emplace(key, tokens);
  });
  return tokens;
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

void Masks::prepare() {
  constexpr std::size_t max_wide = 24;
  Reading scratch(program_);
  std::size_t wide = 0;
  for (StateId s = 0; s + 1 < program_->states.size() && wide < max_wide; ++s) {
    if (!reads_words(*program_, s)) continue;
    ++wide;
    at(s, 0, scratch);
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

std::shared_ptr<const PlaceMask> Masks::find(StateId state, std::uint32_t count, Reading& scratch) {
  const std::string key = key_of(state, count);
  if (!key.empty())
    if (auto mask = store_->find(key)) return mask;
  const Program::Loop& loop = program_->loops[program_->states[state].loop];
  const bool is_later = loop.max != unlimited && count > loop.min && count < loop.max;
  const auto first = is_later ? at(state, loop.min, scratch) : nullptr;
  auto mask = std::make_shared<const PlaceMask>(
      first && first->later ? at_count(*first->later, loop.max - count, trie())
                            : Walk(*store_, scratch).run(state, count));
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
