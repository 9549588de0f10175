#include <fmt/core.h>

#include <algorithm>
#include <bitset>

#include "text/grammar/machine.h"
#include "text/grammar/program.h"

namespace hearth::grammar {
namespace {

class Compiler {
 public:
  Compiler(Grammar grammar, Facts facts)
      : grammar_(std::move(grammar)),
        facts_(std::move(facts)),
        builder_(grammar_, facts_, program_.loops) {}

  Result<std::shared_ptr<const Program>> run() {
    program_.root = grammar_.root();
    want(program_.root);
    for (std::size_t i = 0; i < wanted_.size(); ++i) {
      append(wanted_[i], determinise(builder_.build(grammar_.rules()[wanted_[i]].body)));
      if (program_.states.size() > max_states || program_.edges.size() > max_transitions ||
          grammar_.is_too_large() || facts_.is_incomplete)
        return Error(ErrorKind::exhausted,
                     fmt::format("the grammar is too large: over {} states or {} transitions",
                                 max_states, max_transitions));
    }
    program_.states.push_back(end_of_lists());
    find_classes();
    for (StateId s = 0; s + 1 < program_.states.size(); ++s) mark_tail_calls(s);
    return std::make_shared<const Program>(std::move(program_));
  }

 private:
  void want(RuleId rule) {
    if (is_wanted_.size() <= rule) is_wanted_.resize(grammar_.rules().size());
    if (is_wanted_[rule]) return;
    is_wanted_[rule] = true;
    wanted_.push_back(rule);
  }

  Program::State end_of_lists() const {
    return {.edges = static_cast<std::uint32_t>(program_.edges.size()),
            .calls = static_cast<std::uint32_t>(program_.calls.size()),
            .tokens = static_cast<std::uint32_t>(program_.tokens.size()),
            .exits = static_cast<std::uint32_t>(program_.exits.size())};
  }

  void append(RuleId rule, const Machine& machine) {
    const auto offset = static_cast<StateId>(program_.states.size());
    if (program_.starts.size() <= rule) program_.starts.resize(grammar_.rules().size());
    program_.starts[rule] = offset + machine.start;
    for (const Machine::State& state : machine.states) {
      Program::State packed = end_of_lists();
      packed.loop = state.loop;
      packed.accepts = state.accepts;
      packed.is_head = state.is_head;
      program_.states.push_back(packed);
      const auto take = [&](const auto& from, auto& to) {
        for (auto transition : from) {
          transition.target += offset;
          to.push_back(transition);
        }
      };
      take(state.edges, program_.edges);
      take(state.calls, program_.calls);
      take(state.tokens, program_.tokens);
      take(state.exits, program_.exits);
      for (const Program::Call& call : state.calls) want(call.rule);
    }
    if (const auto lists = grammar_.lists().find(rule); lists != grammar_.lists().end())
      for (const StateId state : begins_of(machine))
        program_.lists.emplace(offset + state, lists->second);
  }

  // The states that the first byte of a rule's text may be read from.
  static std::vector<StateId> begins_of(const Machine& machine) {
    std::vector<StateId> begins = {machine.start};
    for (std::size_t i = 0; i < begins.size(); ++i)
      for (const Program::Exit& exit : machine.states[begins[i]].exits)
        if (std::ranges::find(begins, exit.target) == begins.end()) begins.push_back(exit.target);
    return begins;
  }

  void find_classes() {
    std::bitset<257> cuts;
    for (const Program::Edge& edge : program_.edges) {
      cuts.set(edge.low);
      cuts.set(edge.high + 1u);
    }
    std::uint32_t next = 0;
    for (unsigned byte = 0; byte < 256; ++byte) {
      if (byte > 0 && cuts[byte]) ++next;
      program_.classes[byte] = static_cast<std::uint8_t>(next);
    }
    program_.class_count = next + 1;
  }

  // The rule can only end at `target`.
  bool is_only_end(StateId target) const {
    constexpr std::size_t max_passed = 8;
    std::vector<StateId> passed = {target};
    bool ends = false;
    for (std::size_t i = 0; i < passed.size(); ++i) {
      const StateId s = passed[i];
      const Program::State& state = program_.states[s];
      if (passed.size() > max_passed || state.loop != 0 || program_.reads(s) ||
          !program_.calls_of(s).empty())
        return false;
      ends = ends || state.accepts;
      for (const Program::Exit& exit : program_.exits_of(s)) passed.push_back(exit.target);
    }
    return ends;
  }

  void mark_tail_calls(StateId s) {
    for (std::uint32_t i = program_.states[s].calls; i < program_.states[s + 1].calls; ++i)
      program_.calls[i].is_tail = is_only_end(program_.calls[i].target);
  }

  Grammar grammar_;
  Facts facts_;
  Program program_;
  MachineBuilder builder_;
  std::vector<bool> is_wanted_;
  std::vector<RuleId> wanted_;
};

}  // namespace

const CharSet& plain_characters() {
  static const CharSet set = [] {
    CharSet excluded(0, 0x1F);
    excluded.add('"', '"');
    excluded.add('\\', '\\');
    return excluded.negated();
  }();
  return set;
}

std::size_t Program::bytes() const {
  return sizeof *this + states.size() * sizeof(State) + edges.size() * sizeof(Edge) +
         calls.size() * sizeof(Call) + tokens.size() * sizeof(TokenEdge) +
         exits.size() * sizeof(Exit) + starts.size() * sizeof(StateId) +
         loops.size() * sizeof(Loop);
}

Result<std::shared_ptr<const Program>> compile(Grammar grammar) {
  Facts facts = TRY(find_facts(grammar));
  return Compiler(std::move(grammar), std::move(facts)).run();
}

}  // namespace hearth::grammar
