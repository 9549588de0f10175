#include "text/grammar/walk.h"

#include <algorithm>
#include <optional>

#include "text/grammar/needs.h"

namespace hearth::grammar {
namespace {

constexpr std::size_t max_known = 24;             // of some 20 KB and more
constexpr std::size_t max_looks = 1u << 13;       // of a trace: to follow it costs a part of a walk
constexpr std::size_t max_new_situations = 1024;  // found while a trace is followed
constexpr std::size_t max_reading_bytes = 1u << 20;  // then all is forgotten

// A run of few symbols is read as fast as it is looked up.
bool is_worth_it(const Run& run) {
  constexpr std::size_t many = 12;
  return run.symbols.count() >= many && (run.is_all || run.characters > max_counted_characters);
}

// Tokens of more characters than are told apart must be read.
bool has_longer(const Run& run) {
  return run.characters != unlimited && !(run.is_all && run.characters <= max_counted_characters);
}

bool is_inside_character(std::uint8_t byte) { return (byte & 0xC0) == 0x80; }

class Walk {
 public:
  Walk(const TokenTrie& trie, Reading& reading, SituationId start)
      : trie_(trie), reading_(reading), set_(trie.words()) {
    steps_.resize(trie.longest_bytes() + 1);
    steps_[0] = {start, 0};
    visit(start);
  }
  // Counts the times of the repeat that `start` is in.
  void count_from(const Place& start) { needs_.emplace(reading_, start); }
  bool are_times_known() const { return needs_->are_known(); }

  void read_all() { read(0, static_cast<std::uint32_t>(trie_.nodes().size())); }

  // What a run has left.
  void read(std::span<const RunTokens::Node> nodes) {
    for (std::uint32_t i = 0; i < nodes.size() && !is_vain(); ++nodes_read_) {
      const RunTokens::Node& left = nodes[i];
      const Step before = steps_[left.depth - 1u];
      const SituationId next = reading_.after(before.at, left.byte);
      if (next == dead) {
        i = left.next;
      } else if (!take(left.node, before, next)) {
        i = left.next;
      } else if (left.leaves) {
        read(left.node + 1, trie_.nodes()[left.node].end);
        i = left.next;
      } else {
        ++i;
      }
    }
  }

  // Of what can be read.
  std::vector<std::uint64_t>& set() { return set_; }
  std::vector<std::uint32_t>& ends() { return ends_; }
  std::uint32_t greatest_count() const { return greatest_count_; }
  std::size_t nodes_read() const { return nodes_read_; }

  CountedMask counted() {
    std::ranges::sort(fewer_, {}, &CountedMask::Item::times);
    std::ranges::sort(leaving_, {}, &CountedMask::Item::times);
    std::ranges::sort(counted_ends_, {}, &CountedMask::Item::item);
    const auto again = std::ranges::unique(counted_ends_, {}, &CountedMask::Item::item);
    counted_ends_.erase(again.begin(), again.end());
    return {.set = std::move(set_),
            .fewer = std::move(fewer_),
            .leaving = std::move(leaving_),
            .ends = std::move(counted_ends_)};
  }

  Trace trace(std::span<const std::uint8_t> class_bytes) const {
    Trace trace{.start = visited_[0], .looks = {}, .runs = {}};
    for (const SituationId from : visited_)
      for (std::uint32_t c = 0; c < class_bytes.size(); ++c)
        if (const SituationId next = reading_.known_after(from, c); next != unknown)
          trace.looks.push_back({from, class_bytes[c], next});
    if (trace.looks.size() > max_looks) return {};
    for (const KnownRun& run : runs_)
      if (run.is_relied_upon) trace.runs.emplace_back(run.from, run.run);
    return trace;
  }

 private:
  struct Step {  // after some bytes of the token
    SituationId at;
    std::uint32_t characters;
    Needs::Step need = {};
  };
  struct KnownRun {
    SituationId from;
    Run run;
    bool is_relied_upon = false;
  };

  bool is_vain() const { return needs_ && !needs_->are_known(); }

  void visit(SituationId at) {
    if (at >= is_visited_.size()) is_visited_.resize(2 * std::size_t{at} + 64);
    if (is_visited_[at]) return;
    is_visited_[at] = true;
    greatest_count_ = std::max(greatest_count_, reading_.greatest_count(at));
    visited_.push_back(at);
  }

  // The nodes from `i` on, all below one that has been taken.
  void read(std::uint32_t i, std::uint32_t end) {
    const auto nodes = trie_.nodes();
    for (; i < end && !is_vain(); ++nodes_read_) {
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
    visit(next);
    Step& step = steps_[node.depth];
    step = {next, before.characters + (is_inside_character(node.byte) ? 0 : 1),
            need_after(before, node.byte, next)};
    for (Token token = node.token; token >= 0; token = trie_.twin(token)) {
      put(set_, token);
      if (needs_) note_times(token, step.need);
    }
    const bool has_more = node.end > i + 1;
    if (has_more && reading_.may_end(next)) {
      ends_.push_back(i);
      if (needs_) counted_ends_.push_back({i, step.need.times});
    }
    return !reading_.places(next).empty();
  }

  void note_times(Token token, const Needs::Step& need) {
    const CountedMask::Item item{static_cast<std::uint32_t>(token), need.times};
    if (!has_as_many_characters(token, need.times)) fewer_.push_back(item);
    if (need.where == Needs::Where::behind) leaving_.push_back(item);
  }

  // It is among the tokens of no more characters than the times it takes.
  bool has_as_many_characters(Token token, std::uint32_t times) const {
    return times > 0 && has(trie_.up_to(std::min(times, max_counted_characters)), token);
  }

  // Everything at `i` and below can be read, by the run from where the token is.
  bool is_all_taken(const TokenTrie::Node& node, std::uint32_t i, const Step& before,
                    SituationId next) {
    // What is below so few nodes is read as fast, and from where it takes so many to find a run.
    constexpr std::uint32_t few = 4, many = 256;
    const std::uint32_t below = node.end - i;
    if (below < few || is_inside_character(node.byte)) return false;
    if (needs_ && need_after(before, node.byte, next).where != Needs::Where::behind) return false;
    KnownRun* known = run_from(before.at, below >= many);
    if (known == nullptr) return false;
    const Run& run = known->run;
    const bool is_taken =
        (node.tail & ~run.symbols).none() &&
        (run.characters == unlimited ||
         (node.longest < 255 && node.longest - before.characters <= run.characters));
    if (is_taken) {
      known->is_relied_upon = true;
      greatest_count_ = std::max(greatest_count_, run.greatest_count);
    }
    return is_taken;
  }

  void take_all(std::uint32_t i, const Step& before, SituationId next) {
    const Needs::Step need = need_after(before, trie_.nodes()[i].byte, next);
    for (const Token token : trie_.tokens_from(i)) {
      put(set_, token);
      if (needs_) note_times(token, need);
    }
  }

  Needs::Step need_after(const Step& before, std::uint8_t byte, SituationId next) {
    return needs_ ? needs_->after(before.at, before.need, byte, next) : Needs::Step();
  }

  // nullptr: none is known, and none was to be found.
  KnownRun* run_from(SituationId at, bool finds) {
    constexpr std::size_t max_runs = 16;
    if (last_run_ < runs_.size() && runs_[last_run_].from == at) return &runs_[last_run_];
    const auto found = std::ranges::find(runs_, at, &KnownRun::from);
    if (found == runs_.end()) {
      if (!finds || runs_.size() == max_runs) return nullptr;
      last_run_ = runs_.size();
      runs_.push_back({at, find_run(reading_, at, trie_)});
      return &runs_.back();
    }
    last_run_ = static_cast<std::size_t>(found - runs_.begin());
    return &*found;
  }

  const TokenTrie& trie_;
  Reading& reading_;
  std::vector<Step> steps_;
  std::vector<std::uint64_t> set_;
  std::vector<std::uint32_t> ends_;
  std::vector<bool> is_visited_;  // by situation
  std::vector<SituationId> visited_;
  std::uint32_t greatest_count_ = 0;
  std::size_t nodes_read_ = 0;
  std::vector<KnownRun> runs_;  // of places within tokens
  std::size_t last_run_ = 0;
  std::optional<Needs> needs_;
  std::vector<CountedMask::Item> fewer_, leaving_, counted_ends_;
};

void add(std::vector<std::uint64_t>& to, std::span<const std::uint64_t> from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] |= from[i];
}

// The tokens that are written with the run's symbols, as far as the run says.
void add_run(std::vector<std::uint64_t>& set, const RunTokens& tokens, const Run& run,
             const TokenTrie& trie) {
  if (run.characters == unlimited) return add(set, tokens.written);
  const auto shorter = trie.up_to(std::min(run.characters, max_counted_characters));
  for (std::size_t i = 0; i < set.size(); ++i) set[i] |= tokens.written[i] & shorter[i];
}

}  // namespace

Walker::Walker(std::shared_ptr<const Program> program, std::shared_ptr<MaskStore> store)
    : program_(std::move(program)),
      store_(std::move(store)),
      class_bytes_(program_->class_count),
      reading_(program_) {
  for (unsigned byte = 0; byte < 256; ++byte)
    class_bytes_[program_->classes[byte]] = static_cast<std::uint8_t>(byte);
}

PlaceMask Walker::mask_at(StateId state, std::uint32_t count) {
  constexpr std::size_t work_without_walk = 1500;
  work_ += work_without_walk;
  tidy();
  const TokenTrie& trie = store_->trie();
  const SituationId start = reading_.at({state, count, bottom});
  const Run run = find_run(reading_, start, trie);
  const auto tokens = is_worth_it(run) ? store_->split(run.symbols, run.leaving) : nullptr;
  std::uint32_t greatest_count = 0;
  const Known& known = known_from(start, tokens, greatest_count);
  std::vector<std::uint64_t> set = known.set;
  std::vector<std::uint32_t> ends = known.ends;
  if (tokens) add_run(set, *tokens, run, trie);
  if (tokens && has_longer(run)) {
    Walk walk(trie, reading_, start);
    walk.read(tokens->longer);
    add(set, walk.set());
    ends.insert(ends.end(), walk.ends().begin(), walk.ends().end());
    std::ranges::sort(ends);
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    greatest_count = std::max(greatest_count, walk.greatest_count());
  }
  PlaceMask mask = make_mask(trie, std::move(set), ends);
  mask.greatest_count = std::max(greatest_count, run.greatest_count);
  return mask;
}

const Walker::Known& Walker::known_from(SituationId start,
                                        const std::shared_ptr<const RunTokens>& tokens,
                                        std::uint32_t& greatest_count) {
  for (const Known& known : known_)
    if (known.tokens == tokens && is_alike(known.trace, start, greatest_count)) return known;
  Walk walk(store_->trie(), reading_, start);
  tokens ? walk.read(tokens->left) : walk.read_all();
  work_ += walk.nodes_read();
  greatest_count = walk.greatest_count();
  if (known_.size() == max_known) known_.pop_back();
  return known_.emplace_front(Known{.tokens = tokens,
                                    .trace = walk.trace(class_bytes_),
                                    .set = std::move(walk.set()),
                                    .ends = std::move(walk.ends())});
}

// A walk from `start` would find the same: all that was looked at is there, one for one.
bool Walker::is_alike(const Trace& trace, SituationId start, std::uint32_t& greatest_count) {
  greatest_count = reading_.greatest_count(start);
  if (trace.start == unknown) return false;
  const std::size_t most_situations = reading_.situations() + max_new_situations;
  images_.assign(reading_.situations(), unknown);  // of the trace's situations
  images_[trace.start] = start;
  for (const Trace::Look& look : trace.looks) {
    const SituationId from = images_[look.from];
    const SituationId next = from == look.from ? look.next : reading_.after(from, look.byte);
    if ((next == dead) != (look.next == dead)) return false;
    if (next == dead) continue;
    if (reading_.situations() > most_situations) return false;
    SituationId& image = images_[look.next];
    if (image == unknown && (reading_.may_end(next) != reading_.may_end(look.next) ||
                             reading_.places(next).empty() != reading_.places(look.next).empty()))
      return false;
    if (image != unknown && image != next) return false;
    image = next;
    greatest_count = std::max(greatest_count, reading_.greatest_count(next));
  }
  return std::ranges::all_of(trace.runs, [&](const auto& relied) {
    const SituationId from = images_[relied.first];
    const Run run = from == relied.first ? relied.second : find_run(reading_, from, store_->trie());
    greatest_count = std::max(greatest_count, run.greatest_count);
    return are_alike(run, relied.second);
  });
}

void Walker::tidy() {
  if (reading_.bytes() < max_reading_bytes) return;
  known_.clear();
  reading_ = Reading(program_);
}

std::shared_ptr<const CountedMask> Walker::counted_at(StateId state) const {
  Reading reading(program_, program_->states[state].loop);
  const TokenTrie& trie = store_->trie();
  const Place start{state, 0, bottom};
  Walk walk(trie, reading, reading.at(start));
  walk.count_from(start);
  if (!walk.are_times_known()) return nullptr;
  const Run run = find_run(reading, reading.at(start), trie);
  if (is_worth_it(run)) {
    // What the run decides must take as many times as it has characters.
    if (!run.is_all || run.characters != max_repeat) return nullptr;
    const auto tokens = store_->split(run.symbols, run.leaving);
    walk.read(tokens->left);
    walk.read(tokens->longer);
    add_run(walk.set(), *tokens, run, trie);
  } else {
    walk.read_all();
  }
  if (!walk.are_times_known()) return nullptr;
  return std::make_shared<const CountedMask>(walk.counted());
}

std::size_t Walker::bytes() const {
  std::size_t bytes = reading_.bytes();
  for (const Known& known : known_)
    bytes += known.set.size() * 8 + known.ends.size() * 4 +
             known.trace.looks.size() * sizeof(Trace::Look);
  return bytes;
}

}  // namespace hearth::grammar
