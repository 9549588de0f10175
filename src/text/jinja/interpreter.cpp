#include "text/jinja/interpreter.h"

#include <fmt/core.h>

#include <algorithm>

#include "text/jinja/callables.h"
#include "text/jinja/operators.h"

namespace hearth::jinja {

TextBuilder::TextBuilder(Interpreter& in) : in_(in), limit_(in.limits().text_bytes) {}

bool TextBuilder::fits(std::size_t bytes) {
  if (overflowed_ || bytes > limit_ - text_.size()) {
    overflowed_ = true;
    return false;
  }
  return true;
}

Status TextBuilder::check() const {
  if (overflowed_)
    return in_.error(fmt::format("a text of more than {} bytes (limit output_bytes)", limit_));
  return Done{};
}

Result<Marked> TextBuilder::finish() {
  TRY(check());
  TRY(in_.spend(text_.size() / bytes_per_unit));
  return std::move(text_);
}

Result<Value> TextBuilder::value(bool markup) { return Value::text(TRY(finish()), markup); }

Interpreter::Interpreter(const Program& program, const Limits& limits, std::int64_t now_seconds)
    : program_(program),
      limits_(limits),
      now_seconds_(now_seconds),
      context_(program.names.size()),
      fuel_(limits.fuel > ~std::uint64_t{0} / units_per_step ? ~std::uint64_t{0}
                                                             : limits.fuel * units_per_step) {}

Interpreter::~Interpreter() {
  // Variables and attributes go first, one holder at a time, so that circles are cut and no chain
  // of holders is taken apart recursively.
  for (auto& frame : kept_frames_) frame->slots.clear();
  for (std::size_t i = 0; i < namespaces_.size(); ++i) namespaces_[i]->attributes().clear();
}

Status Interpreter::spend(std::uint64_t units) {
  if (units > fuel_) {
    fuel_ = 0;
    return error(fmt::format("the template needs more than {} steps (limit fuel)", limits_.fuel));
  }
  fuel_ -= units;
  return Done{};
}

Error Interpreter::error(std::string message) const {
  return Error(ErrorKind::invalid, std::move(message));
}

Error Interpreter::raised(std::string message) {
  raised_ = true;
  return Error(ErrorKind::invalid, std::move(message));
}

Status Interpreter::Nest::check() const {
  if (in_.nesting_ > max_nesting) return in_.error("nested too deeply (limit depth)");
  return Done{};
}

namespace {

// A unit is some 60 ns and, of what a template keeps, some 16 bytes.
constexpr std::uint64_t units_per_container = 8;

Status check_container(Interpreter& in, std::size_t items, int depth) {
  if (items > max_items) return in.error(fmt::format("a list of more than {} items", max_items));
  if (depth > max_value_depth) return in.error("values nested too deeply (limit depth)");
  return in.spend(items + units_per_container);
}

int depth_of(const std::vector<Value>& items) {
  int depth = 0;
  for (const Value& value : items) depth = std::max<int>(depth, value.depth());
  return depth;
}

// A list can still be appended to: what goes in must be less deep than the list, so lists made by
// a template leave room.
constexpr int room_in_lists = 16;

}  // namespace

Result<Value> Interpreter::list(std::vector<Value> items) {
  const int depth = std::max(depth_of(items) + 1, room_in_lists);
  TRY(check_container(*this, items.size(), depth));
  const auto made = make<Sequence>();
  made->items = std::move(items);
  made->depth = static_cast<std::uint16_t>(depth);
  return Value::of(Kind::list, made.get());
}

Result<Value> Interpreter::tuple(std::vector<Value> items) {
  const int depth = depth_of(items) + 1;
  TRY(check_container(*this, items.size(), depth));
  const auto made = make<Sequence>();
  made->items = std::move(items);
  made->depth = static_cast<std::uint16_t>(depth);
  return Value::of(Kind::tuple, made.get());
}

Result<Value> Interpreter::dict(Ref<Dict> made) {
  int depth = room_in_lists;
  for (const auto& entry : made->entries)
    depth = std::max<int>(depth, std::max(entry.key.depth(), entry.value.depth()) + 1);
  TRY(check_container(*this, made->entries.size(), depth));
  TRY(spend(made->entries.size() * 4));
  made->depth = static_cast<std::uint16_t>(depth);
  return Value::of(Kind::dict, made.get());
}

Result<Value> Interpreter::thing(Ref<Thing> made, const Value& inside) {
  const int depth = inside.depth() + 1;
  TRY(check_container(*this, 1, depth));
  made->depth = static_cast<std::uint16_t>(depth);
  return thing_value(made);
}

Result<Value> Interpreter::string(Marked text, bool markup) {
  if (text.size() > limits_.text_bytes)
    return error(
        fmt::format("a text of more than {} bytes (limit output_bytes)", limits_.text_bytes));
  TRY(spend(text.size() / bytes_per_unit + 4));
  return Value::text(std::move(text), markup);
}

Result<Value> Interpreter::new_namespace(const Value& attributes) {
  const auto made = make<Namespace>();
  if (!attributes.is_missing()) {
    for (const auto& entry : attributes.as_dict().entries) {
      if (entry.key.is_string() && entry.key.view().starts_with('_'))
        return error(fmt::format("a namespace cannot have the attribute '{}'", entry.key.view()));
      made->attributes().set(entry.key, entry.value);
    }
  }
  namespaces_.push_back(made);
  TRY(spend(units_per_step));
  return thing_value(made);
}

Result<Marked> Interpreter::run() {
  Frame frame;
  frame.slots.resize(program_.function.slots);
  frame_ = root_frame_ = &frame;
  TextBuilder out(*this);
  out_ = &out;
  enter(program_.function.scope);
  const auto flow = execute(program_.function.body);
  frame_ = root_frame_ = nullptr;
  out_ = nullptr;
  frame.slots.clear();
  if (!flow) {
    if (raised_) return flow.error();
    return Error(flow.error()).within(fmt::format("line {}", line_));
  }
  return out.finish();
}

Result<Value> Interpreter::call(const Value& callee, Arguments arguments) {
  if (callee.is_undefined()) return undefined_error(*this, callee);
  if (callee.kind() != Kind::thing || !callee.as_thing().callable())
    return error(fmt::format("'{}' object is not callable", type_name(callee)));
  return callee.as_thing().call(*this, std::move(arguments));
}

Result<Value> Interpreter::apply_filter(const Value& name, const Value& subject,
                                        Arguments arguments) {
  const Signature* found = name.is_string() ? find_filter(name.view()) : nullptr;
  if (!found)
    return error(fmt::format("No filter named '{}'.", name.is_string() ? name.view() : "?"));
  return invoke(*this, *found, subject, std::move(arguments));
}

Result<bool> Interpreter::apply_test(const Value& name, const Value& subject, Arguments arguments) {
  const Signature* found = name.is_string() ? find_test(name.view()) : nullptr;
  if (!found)
    return error(fmt::format("No test named '{}'.", name.is_string() ? name.view() : "?"));
  return truth(TRY(invoke(*this, *found, subject, std::move(arguments))));
}

}  // namespace hearth::jinja
