#include "text/grammar/schema/emit.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "text/grammar/schema/keywords.h"

namespace hearth::grammar {
namespace {

constexpr std::size_t max_prefix = 1024;
constexpr std::size_t max_unique_sets = 1024, max_unique_values = 64;  // of "uniqueItems"
constexpr std::size_t max_list_values = 512;  // of an open list's items, that are told apart
constexpr std::uint64_t max_grid =
    16'384;  // places of a list or an object whose members are counted

std::uint32_t to_count(std::uint64_t count) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(count, max_repeat));
}
std::uint32_t to_limit(std::uint64_t count) {
  return count >= max_repeat ? unlimited : static_cast<std::uint32_t>(count);
}
// Its "enum" is all there is to it.
bool says_only_values(const Json& schema) {
  return std::ranges::all_of(schema.as_object(), [](const auto& member) {
    return member.first == "enum" || member.first == "title" || member.first == "description" ||
           member.first == "default" || member.first == "$schema";
  });
}
// Whole numbers without a fraction, however the schema writes them.
Json plain_value(const Json& value) {
  const bool is_whole = value.is_number() && !value.is_integer() && is_whole_number(value) &&
                        std::abs(value.as_number()) < 9.1e15;
  return is_whole ? Json(static_cast<std::int64_t>(value.as_number())) : value;
}
std::size_t prefix_of(const ArrayLimits& limits) {
  std::size_t prefix = 0;
  for (const ArrayLimits::Scope& scope : limits.scopes)
    prefix = std::max(prefix, scope.prefix.size());
  return prefix;
}
std::uint64_t less(std::uint64_t count, std::uint64_t by) { return count > by ? count - by : 0; }

}  // namespace

Error Emitter::limit_reached(std::string_view what) const {
  return document_.wrong(*here_, what, ErrorKind::exhausted);
}

Result<ExprId> Emitter::run() {
  const ExprId root = value_of({Node{&document_.root()}});
  while (!open_.empty()) {
    const std::vector<Node> all = std::move(open_.back());
    open_.pop_back();
    here_ = all.front().schema;
    rule_ = rules_[all];
    forms_[rule_];
    grammar_.define(rule_, TRY(emit(all)));
    if (grammar_.is_too_large()) return limit_reached("the schema needs too large a grammar");
  }
  return root;
}

Form& Emitter::begin_form(bool is_object) {
  Form& form = forms_[rule_].emplace_back();
  form.is_object = is_object;
  form.schema = here_;
  return form;
}

ExprId Emitter::value_of(std::vector<Node> all) {
  std::ranges::sort(all);
  all.erase(std::unique(all.begin(), all.end()), all.end());
  for (const Node& node : all)
    if (node.schema->is_bool() && node.schema->as_bool() == node.is_negated)
      return grammar_.nothing();
  std::erase_if(all, [](const Node& node) {
    return node.schema->is_bool() || (node.schema->size() == 0 && !node.is_negated);
  });
  if (all.empty()) return text_.value();
  const auto [place, is_new] = rules_.try_emplace(all, 0);
  if (is_new) {
    place->second = grammar_.declare(document_.place_of(*all.front().schema));
    open_.push_back(std::move(all));
  }
  return grammar_.rule(place->second);
}

Result<ExprId> Emitter::emit(const std::vector<Node>& all) {
  const Shapes shapes = TRY(shaper_.shapes_of(all));
  std::vector<ExprId> parts;
  std::set<std::string> written;
  unsigned simple = 0;  // types that are allowed whole, once
  for (const Shape& shape : shapes) {
    if (shape.values) {
      parts.push_back(TRY(emit_values(all, *shape.values, written)));
      continue;
    }
    simple |= shape.types & (type_null | type_false | type_true);
    if ((shape.types & type_number) != 0) parts.push_back(TRY(emit_number(shape.number)));
    if ((shape.types & type_string) != 0) parts.push_back(TRY(emit_string(shape.string)));
    if ((shape.types & type_array) != 0) parts.push_back(TRY(emit_array(shape.array)));
    if ((shape.types & type_object) != 0) parts.push_back(TRY(emit_object(shape.object)));
  }
  for (const auto& [type, word] :
       {std::pair{type_null, "null"}, {type_false, "false"}, {type_true, "true"}})
    if ((simple & type) != 0) parts.push_back(grammar_.literal(word));
  return grammar_.choice(std::move(parts));
}

Result<ExprId> Emitter::emit_values(const std::vector<Node>& all,
                                    const std::vector<const Json*>& values,
                                    std::set<std::string>& written) {
  std::vector<ExprId> parts;
  const bool is_plain = all.size() == 1 && says_only_values(*all.front().schema);
  for (const Json* value : values) {
    bool fits = true;
    for (const Node& node : is_plain ? std::vector<Node>() : all)
      fits = fits && TRY(shaper_.allows(node, *value));
    if (!fits) continue;
    // What is in it is not looked into.
    if (value->is_array()) begin_form(false).items.push_back(text_.value());
    if (value->is_object()) begin_form(true).others.push_back(text_.value());
    const Json plain = plain_value(*value);
    if (written.insert(write_json(plain)).second) parts.push_back(text_.literal(plain));
  }
  return grammar_.choice(std::move(parts));
}

Result<ExprId> Emitter::emit_number(const NumberLimits& limits) {
  if (limits.is_free()) return limits.is_integer ? text_.integer() : text_.number();
  auto dfa = number_dfa(limits);
  if (!dfa)
    return document_.wrong(*here_,
                           fmt::format("minimum, maximum, multipleOf: {}", dfa.error().message()),
                           dfa.error().kind());
  return spell(grammar_, *dfa, Spelling::plain);
}

// Errors: of the patterns, with their schema's place.
Result<Dfa> Emitter::string_dfa(const StringLimits& limits) {
  std::optional<Dfa> dfa;
  const auto add = [&](const Dfa& more) -> Status {
    dfa = dfa ? TRY(both(*dfa, more)) : more;
    return Done{};
  };
  for (const StringLimits::Pattern& pattern : limits.patterns) {
    auto one = pattern_dfa(pattern.text, pattern.is_whole);
    if (!one)
      return document_.wrong(*pattern.schema, fmt::format("pattern: {}", one.error().message()),
                             one.error().kind());
    TRY(add(pattern.is_negated ? negated(*one) : *one));
  }
  if (!limits.excluded.empty()) TRY(add(negated(dfa_of_texts(limits.excluded))));
  const bool is_short = dfa && shortest(*dfa).value_or(0) < limits.min;
  const auto most = dfa ? longest(*dfa) : std::nullopt;
  const bool is_long = limits.max != UINT64_MAX && (!most || *most > limits.max);
  if (is_short || is_long || !dfa) {
    const Dfa lengths = TRY(dfa_of_lengths(limits.min, limits.max));
    TRY(add(lengths));
  }
  return *dfa;
}

Result<ExprId> Emitter::emit_string(const StringLimits& limits) {
  const ExprId quote = grammar_.literal("\"");
  const bool has_lengths = limits.min > 0 || limits.max != UINT64_MAX;
  if (limits.patterns.empty() && limits.excluded.empty()) {
    if (!has_lengths) return text_.string();
    return grammar_.sequence(
        {quote, grammar_.repeat(text_.character(), to_count(limits.min), to_limit(limits.max)),
         quote});
  }
  if (limits.patterns.size() == 1 && limits.excluded.empty() && !has_lengths &&
      !limits.patterns[0].is_negated && !begins_with_look(limits.patterns[0].text)) {
    const StringLimits::Pattern& pattern = limits.patterns[0];
    auto body = parse_pattern(grammar_, pattern.text,
                              {.spelling = Spelling::json, .is_whole = pattern.is_whole});
    if (!body)
      return document_.wrong(*pattern.schema, fmt::format("pattern: {}", body.error().message()),
                             body.error().kind());
    return grammar_.sequence({quote, *body, quote});
  }
  auto dfa = string_dfa(limits);
  if (!dfa) {
    if (dfa.error().message().starts_with('#')) return std::move(dfa).error();
    return document_.wrong(
        *here_, fmt::format("pattern, minLength, maxLength together: {}", dfa.error().message()),
        dfa.error().kind());
  }
  return grammar_.sequence({quote, spell(grammar_, *dfa, Spelling::json), quote});
}

// What the item at `index` must satisfy.
std::vector<Node> Emitter::item(const ArrayLimits& limits, std::size_t index) const {
  std::vector<Node> all;
  for (const ArrayLimits::Scope& scope : limits.scopes) {
    if (index < scope.prefix.size())
      all.push_back(scope.prefix[index]);
    else if (scope.rest)
      all.push_back(*scope.rest);
  }
  return all;
}

Result<ExprId> Emitter::emit_array(const ArrayLimits& limits) {
  Form& list = begin_form(false);
  list.may_repeat = limits.max > 1;
  list.is_unique = limits.is_unique && list.may_repeat;
  if (!list.is_unique) return emit_plain_array(limits);
  if (const auto counted_out = TRY(emit_unique(limits))) {
    form().is_held = true;
    return *counted_out;
  }
  TRY(open_list(limits));
  return emit_plain_array(limits);
}

// The grammar lets items come twice.
Status Emitter::open_list(const ArrayLimits& limits) {
  has_open_lists_ = true;
  if (prefix_of(limits) > 0) return Done{};
  const auto values = TRY(few_values(item(limits, 0)));
  if (!values || values->size() > max_list_values) return Done{};
  for (const Json& value : *values) {
    form().values.push_back(write_json(plain_value(value)));
    if (value.is_array() || value.is_object()) {
      form().values.clear();  // which are written in several ways
      break;
    }
  }
  return Done{};
}

Result<ExprId> Emitter::emit_plain_array(const ArrayLimits& limits) {
  std::vector<ArrayLimits::Contains> contains = limits.contains;
  std::erase_if(contains, [](const auto& c) { return c.min == 0 && c.max == UINT64_MAX; });
  if (contains.size() > 1)
    return document_.unsupported(*here_, "contains: more than one at a time is not offered");
  if (!contains.empty()) return emit_array_with(limits, contains.front());
  std::size_t prefix = prefix_of(limits);
  if (prefix > max_prefix) return limit_reached("prefixItems: is too long");
  prefix = static_cast<std::size_t>(std::min<std::uint64_t>(prefix, limits.max));
  Graph graph;
  std::uint32_t at = 0;
  for (std::size_t i = 0; i < prefix; ++i) {
    const ExprId own = value_of(item(limits, i));
    form().prefix.push_back({own});
    const std::uint32_t next = graph.add();
    graph.connect(at, next, i == 0 ? own : comma(own));
    at = next;
    if (i + 1 >= limits.min) graph.ends.push_back(at);
  }
  if (limits.max > prefix) {
    const ExprId rest = value_of(item(limits, prefix));
    form().items.push_back(rest);
    const std::uint64_t first = prefix == 0 ? 1 : 0;
    const ExprId more = grammar_.repeat(
        comma(rest), to_count(less(limits.min, prefix + first)),
        limits.max == UINT64_MAX ? unlimited : to_limit(limits.max - prefix - first));
    const std::uint32_t next = graph.add();
    graph.connect(at, next, prefix == 0 ? grammar_.sequence({rest, more}) : more);
    graph.ends.push_back(next);
  }
  const ExprId items = graph.ends.empty() ? grammar_.nothing() : grammar_.graph(std::move(graph));
  return text_.brackets(items, limits.min == 0);
}

Result<std::optional<std::vector<Json>>> Emitter::few_values(const std::vector<Node>& all) {
  using Values = std::optional<std::vector<Json>>;
  std::vector<Json> candidates;
  for (const Shape& shape : TRY(shaper_.shapes_of(all))) {
    if (shape.values) {
      for (const Json* value : *shape.values) candidates.push_back(*value);
      continue;
    }
    if ((shape.types & ~unsigned{type_null | type_false | type_true}) != 0) return Values();
    if ((shape.types & type_null) != 0) candidates.emplace_back();
    if ((shape.types & type_false) != 0) candidates.emplace_back(false);
    if ((shape.types & type_true) != 0) candidates.emplace_back(true);
  }
  Values values{std::in_place};
  for (const Json& value : candidates) {
    bool fits = std::ranges::find(*values, value) == values->end();
    for (const Node& node : all) fits = fits && TRY(shaper_.allows(node, value));
    if (fits) values->push_back(value);
  }
  return values;
}

// Places are the values that have come so far, each of which came once: their number is that of the
// items.
Result<std::optional<ExprId>> Emitter::emit_unique(const ArrayLimits& limits) {
  constexpr std::optional<ExprId> too_many;
  if (!limits.contains.empty()) return too_many;
  const std::size_t prefix = prefix_of(limits);
  std::vector<Json> all;
  std::vector<std::vector<std::size_t>> places;  // for each: which of all values
  for (std::size_t i = 0; i <= prefix && i < limits.max; ++i) {
    const auto values = TRY(few_values(item(limits, i)));
    if (!values || all.size() + values->size() > max_unique_values) return too_many;
    std::vector<std::size_t>& place = places.emplace_back();
    for (const Json& value : *values) {
      const auto found = std::ranges::find(all, value);
      place.push_back(static_cast<std::size_t>(found - all.begin()));
      if (found == all.end()) all.push_back(value);
    }
  }
  Graph graph;
  std::map<std::uint64_t, std::uint32_t> nodes = {{0, 0}};
  std::vector<std::uint64_t> sets = {0};
  for (std::size_t next = 0; next < sets.size(); ++next) {
    const std::uint64_t set = sets[next];
    const auto count = static_cast<std::size_t>(std::popcount(set));
    if (count >= std::max<std::uint64_t>(1, limits.min)) graph.ends.push_back(nodes[set]);
    if (count >= limits.max) continue;
    for (const std::size_t value : places[std::min(count, places.size() - 1)]) {
      const std::uint64_t more = set | std::uint64_t{1} << value;
      if (more == set) continue;
      if (!nodes.contains(more)) {
        if (sets.size() == max_unique_sets) return too_many;
        nodes[more] = graph.add();
        sets.push_back(more);
      }
      const ExprId text = text_.literal(plain_value(all[value]));
      graph.connect(nodes[set], nodes[more], count == 0 ? text : comma(text));
    }
  }
  const ExprId items = graph.ends.empty() ? grammar_.nothing() : grammar_.graph(std::move(graph));
  return std::optional(text_.brackets(items, limits.min == 0));
}

// Places are (items so far, items that satisfy `contains` so far), each counted as far as it
// matters.
Result<ExprId> Emitter::emit_array_with(const ArrayLimits& limits,
                                        const ArrayLimits::Contains& contains) {
  if (contains.min > contains.max) return grammar_.nothing();
  const std::size_t prefix = prefix_of(limits);
  const auto last = [](std::uint64_t least, std::uint64_t max) {
    return max == UINT64_MAX ? least : std::max(least, max);
  };
  const std::uint64_t items = last(std::max<std::uint64_t>(limits.min, prefix + 1), limits.max);
  const std::uint64_t found = last(contains.min, contains.max);
  if (items >= max_grid || found >= max_grid || (items + 1) * (found + 1) > max_grid)
    return limit_reached("contains: beside so many items is not offered");
  const std::uint64_t width = found + 1;
  const auto node = [&](std::uint64_t i, std::uint64_t f) {
    return static_cast<std::uint32_t>(i * width + f);
  };
  Graph graph;
  graph.nodes = static_cast<std::uint32_t>((items + 1) * width);
  const bool is_exact = contains.max != UINT64_MAX;
  for (std::uint64_t i = 0; i <= items; ++i) {
    if (i == items && limits.max != UINT64_MAX) break;
    std::vector<Node> plain = item(limits, static_cast<std::size_t>(i)), with = plain;
    with.push_back(contains.item);
    if (is_exact) plain.push_back({contains.item.schema, !contains.item.is_negated});
    const ExprId other = value_of(plain), own = value_of(with);
    if (i < items)
      form().prefix.push_back({other, own});
    else
      form().items = {other, own};
    const std::uint64_t next = std::min(i + 1, items);
    for (std::uint64_t f = 0; f <= found; ++f) {
      graph.connect(node(i, f), node(next, f), i == 0 ? other : comma(other));
      if (f < found) graph.connect(node(i, f), node(next, f + 1), i == 0 ? own : comma(own));
    }
  }
  for (std::uint64_t i = std::max<std::uint64_t>(1, limits.min); i <= items; ++i)
    for (std::uint64_t f = contains.min; f <= found; ++f) graph.ends.push_back(node(i, f));
  const bool may_be_empty = limits.min == 0 && contains.min == 0;
  return text_.brackets(grammar_.graph(std::move(graph)), may_be_empty);
}

Result<ExprId> add_schema(Grammar& grammar, JsonText& text, const Json& schema) {
  Document document = TRY(Document::read(schema));
  Emitter emitter(grammar, text, document);
  const ExprId value = TRY(emitter.run());
  if (emitter.has_open_lists())
    grammar.add_lists(grammar[value].item, std::make_shared<const ListRules>(TRY(find_lists(
                                               grammar, emitter.forms(), value, document))));
  return value;
}

Result<Grammar> schema_grammar(const Json& schema) {
  Grammar grammar;
  JsonText text(grammar);
  const ExprId value = TRY(add_schema(grammar, text, schema));
  grammar.set_root(grammar.define("root", value));
  return grammar;
}

}  // namespace hearth::grammar
