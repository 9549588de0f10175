// Jumps: those whose condition is known are taken; others become If and Loop.
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "graphs/executorch/flow.h"

namespace hearth::graphs::executorch {
namespace {

constexpr std::size_t most_copied = std::size_t{1} << 24;  // slots, when paths part
constexpr int most_depth = 24;                             // bodies within one another

}  // namespace

// A path that is taken or not.
struct Flow::Branch {
  std::shared_ptr<Graph> graph = std::make_shared<Graph>();
  std::unique_ptr<Scope> scope;
  State state;                       // at its end
  std::vector<std::size_t> touched;  // the values it wrote, in order
};

bool Flow::is_own(std::size_t index) const {
  return state_.slots[index].held.id != absent && state_.memory.is_owner(region_of(index), index);
}

Element Flow::number_type(const State& state, std::size_t index) const {
  const auto& number = state.slots[index].number;
  if (number && !number->real) return number->type;
  if (number && number->integer && number->type == Element::none) return Element::i64;
  const EValue::Kind kind = plan_.values[index].kind;
  return kind == EValue::Kind::boolean ? Element::boolean
         : kind == EValue::Kind::real  ? Element::f32
                                       : Element::i64;
}

// Copies of the state are what a hostile file could make without end.
Status Flow::charge_copy() {
  copied_ += state_.slots.size() + 64;
  if (copied_ > most_copied) return Error(ErrorKind::exhausted, "too many branches");
  if (scope_->depth >= most_depth)
    return Error(ErrorKind::exhausted, fmt::format("branches nested {} deep", most_depth));
  return Done{};
}

Result<Flow::Branch> Flow::run_branch(std::size_t begin, std::size_t end) {
  TRY(charge_copy());
  Branch made;
  made.scope =
      std::make_unique<Scope>(Scope{Emitter(*made.graph), scope_, scope_->depth + 1, {}, {}});
  State before = state_;
  std::vector<std::size_t> touched;
  std::swap(touched, touched_);
  Scope* const outside = scope_;
  scope_ = made.scope.get();
  auto done = follow(begin, end);
  scope_ = outside;
  std::swap(touched, touched_);
  made.state = std::move(state_);
  state_ = std::move(before);
  made.touched = std::move(touched);
  if (!done) return std::move(done).error();
  return made;
}

Status Flow::branch(std::size_t& at, std::size_t end) {
  const Instruction& jump = plan_.instructions[at];
  if (jump.to < 0 || static_cast<std::size_t>(jump.to) > plan_.instructions.size())
    return corrupt(fmt::format("a jump to {} of {}", jump.to, plan_.instructions.size()));
  const auto to = static_cast<std::size_t>(jump.to);
  const EValue* tested = TRY(value(jump.index));
  if (tested->kind != EValue::Kind::tensor) {
    const Number number = TRY(number_of(jump.index));
    if (number.real) {
      at = *number.real != 0 ? at + 1 : to;
      return Done{};
    }
  }
  if (to <= at) {
    TRY(loop(to, at));
    ++at;
    return Done{};
  }
  if (to > end) return corrupt(fmt::format("a jump to {} out of a branch", to));
  const ValueId condition =
      tested->kind == EValue::Kind::tensor
          ? b().emit("Reshape",
                     {b().cast(TRY(read(jump.index)), Element::boolean), b().integers({})})
          : TRY(number(jump.index, Element::boolean));
  // The first path ends with a jump over the second one, which is always taken.
  std::size_t first_end = to, join = to;
  const Instruction& last = plan_.instructions[to - 1];
  if (to - 1 > at && last.kind == Instruction::Kind::jump_false && last.to >= jump.to &&
      static_cast<std::size_t>(last.to) <= end) {
    const auto known = number_of(last.index);
    if (known && known->real && *known->real == 0) {
      first_end = to - 1;
      join = static_cast<std::size_t>(last.to);
    }
  }
  Branch first = TRY(run_branch(at + 1, first_end));
  Branch second = TRY(run_branch(to, join));
  TRY(merge(first, second, condition));
  at = join;
  return Done{};
}

// Values that both paths have, and one of them has written, come out of an If.
Status Flow::merge(Branch& first, Branch& second, ValueId condition) {
  std::vector<std::size_t> candidates;
  std::set<std::size_t> seen;
  for (const Branch* each : {&first, &second})
    for (const std::size_t index : each->touched)
      if (seen.insert(index).second) candidates.push_back(index);
  const auto has = [&](State& state, std::size_t index) {
    if (plan_.values[index].kind != EValue::Kind::tensor) return true;
    std::swap(state_, state);
    const bool is_there = is_own(index);
    std::swap(state_, state);
    return is_there;
  };
  std::vector<std::size_t> merged;
  std::map<std::size_t, Element> types;
  for (const std::size_t index : candidates) {
    if (!has(first.state, index) || !has(second.state, index)) continue;
    types[index] = number_type(first.state, index);
    std::vector<ValueId> ends;
    Scope* const outside = scope_;
    State outer = std::move(state_);
    for (Branch* each : {&first, &second}) {
      scope_ = each->scope.get();
      state_ = std::move(each->state);
      const auto place = static_cast<std::int64_t>(index);
      auto end = plan_.values[index].kind == EValue::Kind::tensor ? read(place)
                                                                  : number(place, types[index]);
      each->state = std::move(state_);
      if (end) ends.push_back(*end);
    }
    state_ = std::move(outer);
    scope_ = outside;
    if (ends.size() != 2) continue;  // what one path leaves is of no use after it
    first.graph->outputs.push_back(first.scope->b.emit("Identity", {ends[0]}));
    second.graph->outputs.push_back(second.scope->b.emit("Identity", {ends[1]}));
    merged.push_back(index);
  }
  const auto made = b().emit_many("If", {condition}, merged.size());
  Node& node = b().graph.nodes.back();
  TRY(finish(*first.graph));
  TRY(finish(*second.graph));
  node.captured = first.scope->captured;
  node.captured.insert(node.captured.end(), second.scope->captured.begin(),
                       second.scope->captured.end());
  node.bodies = {first.graph, second.graph};
  node.body_names = {"then_branch", "else_branch"};
  for (std::size_t i = 0; i < merged.size(); ++i) {
    const auto index = static_cast<std::int64_t>(merged[i]);
    if (plan_.values[merged[i]].kind == EValue::Kind::tensor) {
      TRY(write(index, made[i]));
    } else {
      TRY(set_number(index, made[i], types[merged[i]]));
    }
  }
  return Done{};
}

// Instructions [begin, at) have run once; they run again until the value that `at` tests is true.
Status Flow::loop(std::size_t begin, std::size_t at) {
  TRY(charge_copy());
  const std::int32_t tested = plan_.instructions[at].index;
  const auto again = [&](Scope& scope) -> Result<ValueId> {
    return scope.b.emit("Not", {TRY(number(tested, Element::boolean))});
  };
  // A turn that is thrown away says which values a turn writes.
  std::vector<std::size_t> written;
  {
    Branch trial = TRY(run_branch(begin, at));
    std::set<std::size_t> seen;
    for (const std::size_t index : trial.touched)
      if (seen.insert(index).second) written.push_back(index);
  }
  std::vector<std::size_t> carried;
  std::vector<Element> types;
  std::vector<ValueId> inputs{absent, TRY(again(*scope_))};
  for (const std::size_t index : written) {
    const auto place = static_cast<std::int64_t>(index);
    const bool is_tensor = plan_.values[index].kind == EValue::Kind::tensor;
    if (is_tensor && !is_own(index)) continue;  // written over within the turn
    const Element type = number_type(state_, index);
    inputs.push_back(is_tensor ? TRY(read(place)) : TRY(number(place, type)));
    carried.push_back(index);
    types.push_back(type);
  }
  const auto graph = std::make_shared<Graph>();
  Scope body{Emitter(*graph), scope_, scope_->depth + 1, {}, {}};
  const State before = state_;
  Scope* const outside = scope_;
  scope_ = &body;
  graph->inputs = {body.b.new_value(), body.b.new_value()};
  for (std::size_t i = 0; i < carried.size(); ++i) {
    const ValueId id = body.b.new_value();
    graph->inputs.push_back(id);
    const auto place = static_cast<std::int64_t>(carried[i]);
    if (plan_.values[carried[i]].kind == EValue::Kind::tensor)
      TRY(write(place, id));
    else
      TRY(set_number(place, id, types[i]));
  }
  TRY(follow(begin, at));
  graph->outputs.push_back(TRY(again(body)));
  for (std::size_t i = 0; i < carried.size(); ++i) {
    const auto place = static_cast<std::int64_t>(carried[i]);
    const ValueId end = plan_.values[carried[i]].kind == EValue::Kind::tensor
                            ? TRY(read(place))
                            : TRY(number(place, types[i]));
    graph->outputs.push_back(body.b.emit("Identity", {end}));
  }
  TRY(finish(*graph));
  scope_ = outside;
  state_ = before;
  const auto made = b().emit_many("Loop", inputs, carried.size());
  Node& node = b().graph.nodes.back();
  node.bodies = {graph};
  node.body_names = {"body"};
  node.captured = body.captured;
  for (std::size_t i = 0; i < carried.size(); ++i) {
    const auto place = static_cast<std::int64_t>(carried[i]);
    if (plan_.values[carried[i]].kind == EValue::Kind::tensor)
      TRY(write(place, made[i]));
    else
      TRY(set_number(place, made[i], types[i]));
  }
  return Done{};
}

}  // namespace hearth::graphs::executorch
