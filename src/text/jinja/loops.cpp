// for loops and the variable "loop".
#include <fmt/core.h>

#include "text/jinja/callables.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/operators.h"

namespace hearth::jinja {

// What the template sees as "loop".
class Loop final : public Thing {
 public:
  Loop(Ref<Iterator> items, std::optional<std::size_t> length, int level)
      : items_(std::move(items)), length_(length), level_(level) {}

  // For a recursive loop: what loop(...) runs, and the variables around it.
  void set_recursion(const For& node, Frame* closure) {
    node_ = &node;
    closure_ = closure;
  }

  Result<bool> advance(Interpreter& in) {
    if (!TRY(peek(in))) return false;
    before_ = std::move(current_);
    current_ = std::exchange(after_, Value());
    has_after_ = false;
    ++index_;
    return true;
  }
  const Value& current() const { return current_; }

  // A loop that is over holds nothing, so that loops kept in a namespace make no chains.
  void clear() {
    items_ = {};
    before_ = current_ = after_ = changed_ = Value();
    at_end_ = true;
    has_after_ = false;
  }

  std::string_view type_name() const override { return "LoopContext"; }
  bool callable() const override { return true; }
  Result<Value> call(Interpreter& in, Arguments arguments) override {
    if (!node_)
      return in.error("The loop must have the 'recursive' marker to be called recursively.");
    if (arguments.positional.size() != 1 || !arguments.named.empty())
      return in.error("loop() takes one argument");
    return in.call_loop(*node_, closure_, arguments.positional[0], level_ + 1);
  }

  Result<Value> attribute(Interpreter& in, std::string_view name) override;
  Status print(Interpreter& in, TextBuilder& out) override {
    const std::int64_t total = TRY(count(in));
    out.append(fmt::format("<LoopContext {}/{}>", index_ + 1, total));
    return Done{};
  }

  Result<bool> is_changed(Interpreter& in, const Value& values) {
    if (!changed_.is_missing() && TRY(equal(in, changed_, values))) return false;
    changed_ = values;
    return true;
  }
  std::int64_t index() const { return index_; }

 private:
  Result<bool> peek(Interpreter& in) {
    if (!has_after_ && !at_end_) {
      has_after_ = TRY(items_->next(in, after_));
      at_end_ = !has_after_;
    }
    return has_after_;
  }

  Result<std::int64_t> count(Interpreter& in) {
    if (!length_) {
      std::vector<Value> left;
      for (Value value; !at_end_ && TRY(items_->next(in, value));) {
        TRY(in.spend(1));
        left.push_back(std::move(value));
      }
      length_ = left.size() + static_cast<std::size_t>(index_ + 1) + (has_after_ ? 1 : 0);
      items_ = Ref<Iterator>(new ValuesIterator(std::move(left)));
    }
    return static_cast<std::int64_t>(*length_);
  }

  Ref<Iterator> items_;
  std::optional<std::size_t> length_;
  Value before_, current_, after_, changed_;
  bool has_after_ = false, at_end_ = false;
  std::int64_t index_ = -1;
  int level_;
  const For* node_ = nullptr;
  Frame* closure_ = nullptr;
};

namespace {

Result<Value> loop_cycle(Interpreter& in, const Value& subject, Bound& arguments) {
  const auto& values = arguments.rest.positional;
  if (values.empty()) return in.error("no items for cycling given");
  const auto& loop = static_cast<Loop&>(subject.as_thing());
  return values[static_cast<std::size_t>(loop.index()) % values.size()];
}

Result<Value> loop_changed(Interpreter& in, const Value& subject, Bound& arguments) {
  const Value values = TRY(in.tuple(std::move(arguments.rest.positional)));
  auto& loop = static_cast<Loop&>(subject.as_thing());
  return Value::boolean(TRY(loop.is_changed(in, values)));
}

constexpr Signature cycle_method{"cycle", "*", loop_cycle};
constexpr Signature changed_method{"changed", "*", loop_changed};

std::optional<std::size_t> known_length(const Value& items) {
  switch (items.kind()) {
    case Kind::list:
    case Kind::tuple:
      return items.as_sequence().items.size();
    case Kind::dict:
      return items.as_dict().entries.size();
    case Kind::string:
      return items.as_str().points();
    case Kind::thing:
      return items.as_thing().length();
    default:
      return 0;  // undefined: nothing to go through
  }
}

}  // namespace

Result<Value> Loop::attribute(Interpreter& in, std::string_view name) {
  if (name == "index") return Value::integer(index_ + 1);
  if (name == "index0") return Value::integer(index_);
  if (name == "first") return Value::boolean(index_ == 0);
  if (name == "last") return Value::boolean(!TRY(peek(in)));
  if (name == "length") return Value::integer(TRY(count(in)));
  if (name == "revindex") return Value::integer(TRY(count(in)) - index_);
  if (name == "revindex0") return Value::integer(TRY(count(in)) - index_ - 1);
  if (name == "depth") return Value::integer(level_ + 1);
  if (name == "depth0") return Value::integer(level_);
  if (name == "previtem") return index_ == 0 ? absent_hint("there is no previous item") : before_;
  if (name == "nextitem") return TRY(peek(in)) ? after_ : absent_hint("there is no next item");
  if (name == "cycle") return native_value(cycle_method, thing_value(this));
  if (name == "changed") return native_value(changed_method, thing_value(this));
  return Value();
}

// The items that pass the loop's "if", found one at a time.
Result<Ref<Iterator>> Interpreter::filtered(const For& node, Ref<Iterator> items) {
  Frame* const home = frame_;
  auto next = [&node, home, items = std::move(items), entered = false](
                  Interpreter& in, Value& out) mutable -> Result<bool> {
    Frame* const caller = std::exchange(in.frame_, home);
    if (!entered) in.enter(node.test_scope);
    entered = true;
    auto passed = in.next_passing(node, *items, out);
    in.frame_ = caller;
    return passed;
  };
  return Ref<Iterator>(new Generator(std::move(next)));
}

Result<bool> Interpreter::next_passing(const For& node, Iterator& items, Value& out) {
  for (;;) {
    TRY(spend(units_per_step));
    if (!TRY(items.next(*this, out))) return false;
    TRY(assign(*node.test_target, out));
    if (truth(TRY(evaluate(*node.test)))) return true;
  }
}

Result<Interpreter::Flow> Interpreter::execute_for(const For& node, const Value& items,
                                                   Frame* closure, int depth) {
  Ref<Iterator> source = TRY(iterate(*this, items));
  std::optional<std::size_t> length;
  if (node.test)
    source = TRY(filtered(node, std::move(source)));
  else
    length = known_length(items);
  const auto loop = make<Loop>(std::move(source), length, depth);
  if (node.recursive) loop->set_recursion(node, closure);
  const auto flow = run_rounds(node, *loop);
  loop->clear();
  return flow;
}

Result<Interpreter::Flow> Interpreter::run_rounds(const For& node, Loop& loop) {
  bool any = false;
  while (TRY(loop.advance(*this))) {
    any = true;
    TRY(spend(units_per_step));
    TRY(assign(*node.target, loop.current()));
    if (node.uses_loop) frame_->slots[node.loop_slot] = thing_value(&loop);
    enter(node.scope);
    const Flow flow = TRY(execute(node.body));
    if (flow == Flow::leave_loop) break;
  }
  leave(node.scope);
  if (any || node.otherwise.empty()) return Flow::next;
  enter(node.else_scope);
  const Flow flow = TRY(execute(node.otherwise));
  leave(node.else_scope);
  return flow;
}

// A recursive loop is a function of what it goes through, and gives its text.
Result<Value> Interpreter::call_loop(const For& loop, Frame* closure, const Value& items,
                                     int depth) {
  if (calls_ >= limits_.calls)
    return error(fmt::format("calls nested deeper than {} (limit depth)", limits_.calls));
  TRY(spend(units_per_step));
  Frame local;
  Frame* const caller_frame = std::exchange(frame_, new_frame(loop.function, closure, local));
  TextBuilder inner(*this);
  TextBuilder* const caller_out = std::exchange(out_, &inner);
  ++calls_;
  const auto flow = execute_for(loop, items, closure, depth);
  --calls_;
  out_ = caller_out;
  frame_ = caller_frame;
  if (!flow) return flow.error();
  return inner.value();
}

}  // namespace hearth::jinja
