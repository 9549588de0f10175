#include "text/jinja/scope.h"

#include <fmt/core.h>

#include <map>
#include <optional>
#include <tuple>

#include "text/jinja/walk.h"

namespace hearth::jinja {
namespace {

struct FunctionState {
  Function* function;
  FunctionState* outer;
  std::map<std::tuple<int, int, bool>, std::uint32_t> slots = {};  // level, name, in a loop's test
};

// The variables of one scope while it is being analysed.
struct Symbols {
  struct Entry {
    int name;
    std::uint32_t slot;
    bool stored;
    bool parameter;
    Load load;
  };
  Symbols* parent;
  FunctionState* function;
  int level;
  bool is_test = false;
  std::vector<Entry> entries = {};

  Entry* find(int name) {
    for (Entry& entry : entries)
      if (entry.name == name) return &entry;
    return nullptr;
  }
  std::uint32_t slot_for(int name) {
    const auto [place, is_new] =
        function->slots.try_emplace({level, name, is_test}, function->function->slots);
    if (is_new) ++function->function->slots;
    return place->second;
  }
};

struct Found {
  FunctionState* function;
  std::uint32_t slot;
};

std::optional<Found> find_name(Symbols* symbols, int name) {
  for (; symbols; symbols = symbols->parent)
    if (const auto* entry = symbols->find(name)) return Found{symbols->function, entry->slot};
  return std::nullopt;
}

Reference reference_to(const Found& found, const FunctionState* from) {
  Reference reference{.hops = 0, .slot = found.slot};
  for (; from && from != found.function; from = from->outer) ++reference.hops;
  return reference;
}

void declare_parameter(Symbols& symbols, int name) {
  const Load load{.slot = symbols.slot_for(name), .outer = {}};
  if (auto* entry = symbols.find(name))
    *entry = {name, load.slot, true, true, load};
  else
    symbols.entries.push_back({name, load.slot, true, true, load});
}

void load_name(Symbols& symbols, int name) {
  if (find_name(&symbols, name)) return;
  const auto slot = symbols.slot_for(name);
  symbols.entries.push_back(
      {name,
       slot,
       false,
       false,
       {.slot = slot, .from = Load::From::context, .name = name, .outer = {}}});
}

// A first assignment makes a variable of this scope.  It starts as the outer one of that name; if
// there is none as nothing, but inside a condition, which may not be met, as the context has it.
void store_name(Symbols& symbols, int name, bool in_condition) {
  if (auto* entry = symbols.find(name)) {
    entry->stored = true;
    return;
  }
  Load load{.slot = symbols.slot_for(name), .name = name, .outer = {}};
  if (const auto outer = find_name(symbols.parent, name)) {
    load.from = Load::From::outer;
    load.outer = reference_to(*outer, symbols.function);
  } else if (in_condition) {
    load.from = Load::From::context;
  }
  symbols.entries.push_back({name, load.slot, true, false, load});
}

void analyse_names(Symbols& symbols, Expression* expression, bool in_condition) {
  walk_names(expression, [&](Name& name) {
    switch (name.use) {
      case Name::Use::load:
        return load_name(symbols, name.name);
      case Name::Use::store:
        return store_name(symbols, name.name, in_condition);
      case Name::Use::parameter:
        return declare_parameter(symbols, name.name);
    }
  });
}

// What the statements of a body read and write in the scope they stand in.
void analyse(Symbols& symbols, const Body& body, bool in_condition = false) {
  const auto names = [&](Expression* expression) {
    if (expression) analyse_names(symbols, expression, in_condition);
  };
  for (Statement* statement : body) {
    switch (statement->kind) {
      case StatementKind::output:
        for (auto* part : static_cast<Output*>(statement)->parts) names(part);
        break;
      case StatementKind::if_:
        for (auto& [test, branch] : static_cast<If*>(statement)->branches) {
          names(test);
          analyse(symbols, branch, true);
        }
        analyse(symbols, static_cast<If*>(statement)->otherwise, true);
        break;
      case StatementKind::for_:
        names(static_cast<For*>(statement)->items);
        break;
      case StatementKind::set:
        names(static_cast<Set*>(statement)->value);
        names(static_cast<Set*>(statement)->target);
        break;
      case StatementKind::set_block:
        names(static_cast<SetBlock*>(statement)->target);
        break;
      case StatementKind::macro:
        names(static_cast<MacroStatement*>(statement)->target);
        break;
      case StatementKind::call_block:
        names(static_cast<CallBlock*>(statement)->call);
        break;
      case StatementKind::filter_block:
        names(static_cast<FilterBlock*>(statement)->filter);
        break;
      case StatementKind::with:
        for (auto& [target, value] : static_cast<With*>(statement)->values) names(value);
        break;
      default:
        break;
    }
  }
}

Scope scope_of(const Symbols& symbols) {
  Scope scope;
  for (const auto& entry : symbols.entries) {
    scope.slots.push_back(entry.slot);
    if (!entry.parameter) scope.loads.push_back(entry.load);
  }
  return scope;
}

class Binder {
 public:
  explicit Binder(Program& program)
      : program_(program),
        loop_(program.name_id("loop")),
        caller_(program.name_id("caller")),
        kwargs_(program.name_id("kwargs")),
        varargs_(program.name_id("varargs")) {}

  Status run() {
    FunctionState state{&program_.function, nullptr};
    Symbols symbols{nullptr, &state, 0};
    analyse(symbols, program_.function.body);
    program_.function.scope = scope_of(symbols);
    TRY(bind(program_.function.body, {&symbols, &state}));
    for (const auto& entry : symbols.entries)
      if (entry.stored) program_.exported.emplace_back(entry.name, entry.slot);
    return Done{};
  }

 private:
  struct Place {
    Symbols* symbols;
    FunctionState* function;
    bool soft = false;     // inside a condition: unknown filters fail when they are reached
    bool in_loop = false;  // where break means something
  };

  Error fail(std::uint32_t line, std::string message) const {
    return Error(ErrorKind::invalid, fmt::format("line {}: {}", line, message));
  }

  Symbols inner(const Place& place, FunctionState* function = nullptr) const {
    return {place.symbols, function ? function : place.function, place.symbols->level + 1};
  }

  Status bind(const Body& body, const Place& place) {
    for (Statement* statement : body) TRY(bind(*statement, place));
    return Done{};
  }

  Status bind(Statement& statement, const Place& place) {
    switch (statement.kind) {
      case StatementKind::output:
        for (auto* part : static_cast<Output&>(statement).parts) TRY(bind(part, place));
        return Done{};
      case StatementKind::if_:
        return bind_if(static_cast<If&>(statement), place);
      case StatementKind::for_:
        return bind_for(static_cast<For&>(statement), place);
      case StatementKind::set:
        TRY(bind(static_cast<Set&>(statement).value, place));
        return bind(static_cast<Set&>(statement).target, place);
      case StatementKind::set_block:
        return bind_set_block(static_cast<SetBlock&>(statement), place);
      case StatementKind::macro:
        TRY(bind(static_cast<MacroStatement&>(statement).target, place));
        return bind_function(static_cast<MacroStatement&>(statement).function, statement, place);
      case StatementKind::call_block:
        TRY(bind(static_cast<CallBlock&>(statement).call, place));
        return bind_function(static_cast<CallBlock&>(statement).function, statement, place);
      case StatementKind::generation:
        return bind_function(static_cast<GenerationBlock&>(statement).function, statement, place);
      case StatementKind::filter_block:
        return bind_filter_block(static_cast<FilterBlock&>(statement), place);
      case StatementKind::with:
        return bind_with(static_cast<With&>(statement), place);
      case StatementKind::block:
        return bind_block(static_cast<BlockStatement&>(statement));
      case StatementKind::break_:
      case StatementKind::continue_:
        if (!place.in_loop) return fail(statement.line, "break or continue outside of a loop");
        return Done{};
    }
    return Done{};
  }

  Status bind_if(If& node, Place place) {
    place.soft = true;
    for (auto& [test, body] : node.branches) {
      TRY(bind(test, place));
      TRY(bind(body, place));
    }
    return bind(node.otherwise, place);
  }

  Status bind_set_block(SetBlock& node, const Place& place) {
    Symbols symbols = inner(place);
    analyse(symbols, node.body);
    if (node.filter) analyse_names(symbols, node.filter, false);
    node.scope = scope_of(symbols);
    const Place within{&symbols, place.function, false, place.in_loop};
    TRY(bind(node.body, within));
    if (node.filter) TRY(bind(node.filter, within));
    return bind(node.target, place);
  }

  Status bind_filter_block(FilterBlock& node, const Place& place) {
    Symbols symbols = inner(place);
    analyse(symbols, node.body);
    analyse_names(symbols, node.filter, false);
    node.scope = scope_of(symbols);
    const Place within{&symbols, place.function, false, place.in_loop};
    TRY(bind(node.body, within));
    return bind(node.filter, within);
  }

  Status bind_with(With& node, const Place& place) {
    Symbols symbols = inner(place);
    for (auto& [target, value] : node.values) analyse_names(symbols, target, false);
    analyse(symbols, node.body);
    node.scope = scope_of(symbols);
    const Place within{&symbols, place.function, false, place.in_loop};
    for (auto& [target, value] : node.values) {
      TRY(bind(value, place));
      TRY(bind(target, within));
    }
    return bind(node.body, within);
  }

  Status bind_block(BlockStatement& node) {
    FunctionState state{&node.function, nullptr};
    Symbols symbols{nullptr, &state, 0};
    analyse(symbols, node.function.body);
    node.function.scope = scope_of(symbols);
    return bind(node.function.body, {&symbols, &state});
  }

  // A macro, or a body that is called like one.
  Status bind_function(Function& function, const Statement& node, const Place& place) {
    place.function->function->keeps_frame = true;
    FunctionState state{&function, place.function};
    Symbols symbols = inner(place, &state);
    for (Name* parameter : function.parameters) {
      declare_parameter(symbols, parameter->name);
      if (parameter->name == caller_) function.names_caller = true;
    }
    TRY(declare_special(function, node, symbols));
    for (Expression* value : function.defaults) analyse_names(symbols, value, false);
    analyse(symbols, function.body);
    function.scope = scope_of(symbols);
    const Place within{&symbols, &state};
    for (Name* parameter : function.parameters) TRY(bind(parameter, within));
    for (Expression* value : function.defaults) TRY(bind(value, within));
    return bind(function.body, within);
  }

  // caller, kwargs and varargs are parameters of every macro that mentions them.
  Status declare_special(Function& function, const Statement& node, Symbols& symbols) {
    const auto wants = [&](int name) { return name >= 0 && reads_name(function.body, name); };
    const auto has = [&](int name) {
      for (const Name* parameter : function.parameters)
        if (parameter->name == name) return true;
      return false;
    };
    if (wants(caller_)) {
      function.takes_caller = true;
      if (function.names_caller) {
        const std::size_t with_default = function.parameters.size() - function.defaults.size();
        for (std::size_t i = 0; i < with_default; ++i)
          if (function.parameters[i]->name == caller_)
            return fail(node.line, "the parameter 'caller' needs a default");
      } else {
        declare_parameter(symbols, caller_);
      }
      function.caller_slot = symbols.slot_for(caller_);
    }
    if (wants(kwargs_) && !has(kwargs_)) {
      function.takes_named = true;
      declare_parameter(symbols, kwargs_);
      function.named_slot = symbols.slot_for(kwargs_);
    }
    if (wants(varargs_) && !has(varargs_)) {
      function.takes_rest = true;
      declare_parameter(symbols, varargs_);
      function.rest_slot = symbols.slot_for(varargs_);
    }
    return Done{};
  }

  Status bind_for(For& node, const Place& place) {
    TRY(bind(node.items, place));
    if (loop_ >= 0 && writes_name(node, loop_))
      return fail(node.line, "cannot assign to the special variable 'loop'");
    FunctionState state{&node.function, place.function};
    FunctionState* function = place.function;
    if (node.recursive) {
      place.function->function->keeps_frame = true;
      function = &state;
    }
    node.uses_loop = node.recursive || (loop_ >= 0 && reads_name(node.body, loop_));
    TRY(bind_loop_body(node, place, function));
    if (node.test) TRY(bind_loop_test(node, place, function));
    if (node.otherwise.empty()) return Done{};
    Symbols symbols = inner(place, function);
    analyse(symbols, node.otherwise);
    node.else_scope = scope_of(symbols);
    return bind(node.otherwise, {&symbols, function, false, place.in_loop && !node.recursive});
  }

  Status bind_loop_body(For& node, const Place& place, FunctionState* function) {
    Symbols symbols = inner(place, function);
    if (node.uses_loop && loop_ >= 0) {
      declare_parameter(symbols, loop_);
      node.loop_slot = symbols.slot_for(loop_);
    } else {
      node.uses_loop = false;
    }
    analyse_names(symbols, node.target, false);
    analyse(symbols, node.body);
    node.scope = scope_of(symbols);
    const Place within{&symbols, function, false, true};
    TRY(bind(node.target, within));
    return bind(node.body, within);
  }

  Status bind_loop_test(For& node, const Place& place, FunctionState* function) {
    Symbols symbols = inner(place, function);
    symbols.is_test = true;
    analyse_names(symbols, node.test_target, false);
    analyse_names(symbols, node.test, false);
    node.test_scope = scope_of(symbols);
    const Place within{&symbols, function};
    TRY(bind(node.test_target, within));
    return bind(node.test, within);
  }

  Status bind(Expression* expression, const Place& place) {
    walk_names(expression, [&](Name& name) {
      // Everything was declared by the analysis of the scope.
      if (const auto found = find_name(place.symbols, name.name))
        name.reference = reference_to(*found, place.function);
    });
    return check_filters(expression, place.soft);
  }

  Status check_filters(Expression* expression, bool soft) {
    if (soft || !expression) return Done{};
    Status status = Done{};
    walk_steps(expression, [&](const Step& step, bool in_condition) {
      if (in_condition || step.signature || !status.ok()) return;
      if (step.kind == Step::Kind::filter || step.kind == Step::Kind::test)
        status = fail(step.line,
                      fmt::format("No {} named '{}'.",
                                  step.kind == Step::Kind::filter ? "filter" : "test", step.name));
    });
    return status;
  }

  Program& program_;
  const int loop_, caller_, kwargs_, varargs_;
};

}  // namespace

Status resolve_names(Program& program) { return Binder(program).run(); }

}  // namespace hearth::jinja
