// Interpreter: one rendering of a Program.  Everything it does is paid from a budget of fuel, and
// every string, container and recursion has a bound, so that any template ends, soon.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/thing.h"
#include "text/jinja/value.h"

namespace hearth::jinja {

struct Limits {
  std::uint64_t fuel = 1'000'000;      // steps: statements, rounds of loops, calls
  std::size_t text_bytes = 32u << 20;  // of one string
  int calls = 64;                      // macros and recursive loops inside one another
};

class Loop;

constexpr std::uint64_t units_per_step = 16;  // an expression costs one unit
constexpr std::size_t bytes_per_unit = 8;     // of text read or made
constexpr std::size_t max_items = 1u << 20;   // of one list or dict
constexpr int max_value_depth = 250;          // containers inside containers
constexpr int max_nesting = 1500;             // expressions, statements and walks over values

// The variables of one call of a function: the template itself, a macro, a recursive loop.
struct Frame {
  Frame* parent = nullptr;  // where the function was defined
  std::vector<Value> slots;
};

// Builds a string under the limits.  What no longer fits is dropped, and finish() says so.
class TextBuilder {
 public:
  explicit TextBuilder(Interpreter& in);

  void append(std::string_view text, bool trusted = true) {
    if (fits(text.size())) text_.append(text, trusted);
  }
  void append(const Marked& text) { append(text, 0, text.size()); }
  void append(const Marked& text, std::size_t from, std::size_t to) {
    if (fits(to - from)) text_.append(text, from, to);
  }
  void append(const Str& text) { append(text.text); }
  bool overflowed() const { return overflowed_; }
  std::size_t size() const { return text_.size(); }
  const Marked& text() const { return text_; }
  Status check() const;                      // error: the limit is passed
  Result<Marked> finish();                   // pays for the bytes
  Result<Value> value(bool markup = false);  // the same as a string

 private:
  bool fits(std::size_t bytes);

  Interpreter& in_;
  Marked text_;
  std::size_t limit_;
  bool overflowed_ = false;
};

class Interpreter {
 public:
  // The program outlives the interpreter.
  Interpreter(const Program& program, const Limits& limits, std::int64_t now_seconds);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // Variables and globals by name id; missing where there is none.  To be filled before run().
  std::vector<Value>& context() { return context_; }
  Result<Marked> run();  // errors begin with the line, except the text of raise_exception

  // For filters, methods and the like.
  Status spend(std::uint64_t units);
  void earn(std::uint64_t units) { fuel_ += std::min(units, ~std::uint64_t{0} - fuel_); }
  Error error(std::string message) const;  // invalid
  Error raised(std::string message);       // by raise_exception: keeps its text
  const Limits& limits() const { return limits_; }
  std::int64_t now_seconds() const { return now_seconds_; }

  Result<Value> list(std::vector<Value> items);
  Result<Value> tuple(std::vector<Value> items);
  Result<Value> dict(Ref<Dict> dict);
  Result<Value> thing(Ref<Thing> thing, const Value& inside);  // holds `inside`
  Result<Value> new_namespace(const Value& attributes);
  Result<Value> string(Marked text, bool markup = false);

  Result<Value> call(const Value& callee, Arguments arguments);
  Result<Value> call_macro(const Function& function, Frame* closure, std::string_view name,
                           Arguments arguments);
  Result<Value> call_loop(const For& loop, Frame* closure, const Value& items, int depth);
  std::string_view name_of(const Name& node) const {
    return program_.names[static_cast<std::size_t>(node.name)];
  }
  Result<Value> apply_filter(const Value& name, const Value& subject, Arguments arguments);
  Result<bool> apply_test(const Value& name, const Value& subject, Arguments arguments);

  // Counts the levels of one recursion, whatever it walks.
  class Nest {
   public:
    explicit Nest(Interpreter& in) : in_(in) { ++in_.nesting_; }
    ~Nest() { --in_.nesting_; }
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;
    Status check() const;

   private:
    Interpreter& in_;
  };

 private:
  enum class Flow { next, leave_loop, next_round };

  // execute.cpp
  Result<Flow> execute(const Body& body);
  Result<Flow> execute(const Statement& statement);
  Result<Flow> execute_if(const If& node);
  Result<Flow> execute_with(const With& node);
  Status execute_output(const Output& node);
  Status execute_set(const Set& node);
  Status execute_set_block(const SetBlock& node, Flow& flow);
  Status execute_filter_block(const FilterBlock& node, Flow& flow);
  Status execute_macro(const MacroStatement& node);
  Status execute_call_block(const CallBlock& node);
  Status execute_generation(const GenerationBlock& node);
  Status execute_block(const BlockStatement& node);
  Status capture(const Body& body, Value& text, Flow& flow);
  Status assign(const Expression& target, Value value);
  Status check_namespaces(const Expression& target);
  void enter(const Scope& scope);
  void leave(const Scope& scope);
  Result<Value> run_function(const Function& function, Frame* frame);
  Status fill_defaults(const Function& function);
  Frame* new_frame(const Function& function, Frame* parent, Frame& local);

  // loops.cpp
  Result<Flow> execute_for(const For& node, const Value& items, Frame* closure, int depth);
  Result<Flow> run_rounds(const For& node, Loop& loop);
  Result<bool> next_passing(const For& node, Iterator& items, Value& out);
  Result<Ref<Iterator>> filtered(const For& node, Ref<Iterator> items);

  // evaluate.cpp
  Result<Value> evaluate(const Expression& node);
  Result<Value> evaluate_name(const Name& node);
  Result<Value> evaluate_items(const ItemsLiteral& node);
  Result<Value> evaluate_dict(const DictLiteral& node);
  Result<Value> evaluate_chain(const Chain& node);
  Result<Value> evaluate_logic(const Logic& node);
  Result<Value> evaluate_compare(const Compare& node);
  Result<Value> evaluate_concat(const Concat& node);
  Result<Value> evaluate_conditional(const Conditional& node);
  Result<Value> evaluate_postfix(const Postfix& node, Value value);
  Result<Value> apply_step(const Step& step, Value value);
  Result<Value> apply_slice(const Step& step, const Value& value);
  Result<Arguments> evaluate_arguments(const CallArguments& node);
  Value& slot(Reference reference);

  const Program& program_;
  const Limits limits_;
  const std::int64_t now_seconds_;
  std::vector<Value> context_;  // by name id
  std::uint64_t fuel_;
  std::uint32_t line_ = 1;
  int nesting_ = 0;
  int calls_ = 0;
  bool raised_ = false;
  Frame* frame_ = nullptr;
  Frame* root_frame_ = nullptr;
  TextBuilder* out_ = nullptr;
  // Frames that a macro may still need, and namespaces: both may be part of circles of references,
  // which the destructor cuts.
  std::vector<std::unique_ptr<Frame>> kept_frames_;
  std::vector<Ref<Namespace>> namespaces_;
};

}  // namespace hearth::jinja
