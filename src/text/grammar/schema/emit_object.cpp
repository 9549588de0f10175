// Objects: properties in order, then others.
#include <fmt/core.h>

#include <algorithm>

#include "text/grammar/program.h"
#include "text/grammar/schema/emit.h"

namespace hearth::grammar {
namespace {

constexpr std::size_t max_key_patterns = 6;  // each doubles the kinds of keys that are told apart
constexpr std::uint64_t max_grid = 16'384;

// Keys are written without control characters.
Result<Dfa> any_key() {
  CharSet set = plain_characters();
  set.add('"', '"');
  set.add('\\', '\\');
  Grammar grammar;
  return make_dfa(grammar, grammar.repeat(grammar.chars(set), 0, unlimited));
}

}  // namespace

// What the property must satisfy.
Result<std::vector<Node>> Emitter::property(const ObjectLimits& limits, const std::string& name) {
  std::vector<Node> all;
  for (const ObjectLimits::Scope& scope : limits.scopes) {
    bool is_known = false;
    for (const auto& [own, node] : scope.names)
      if (own == name) {
        all.push_back(node);
        is_known = true;
      }
    for (const auto& [pattern, node] : scope.patterns)
      if (TRY(shaper_.checker().matches(pattern, false, name))) {
        all.push_back(node);
        is_known = true;
      }
    if (!is_known && scope.rest) all.push_back(*scope.rest);
  }
  return all;
}

// The properties that have names, in order; those that can never be there are left out.
Result<std::vector<Emitter::Member>> Emitter::members(const ObjectLimits& limits,
                                                      std::vector<std::string>& names) {
  std::set<std::string> seen;
  const auto add = [&](const std::string& name) {
    if (seen.insert(name).second) names.push_back(name);
  };
  for (const ObjectLimits::Scope& scope : limits.scopes)
    for (const auto& [name, node] : scope.names) add(name);
  for (const std::string& name : limits.required) add(name);
  for (const std::string& name : limits.absent) add(name);
  if (names.size() > max_properties)
    return limit_reached(fmt::format("over {} properties", max_properties));
  std::vector<Member> list;
  const std::set<std::string> required(limits.required.begin(), limits.required.end());
  const std::set<std::string> absent(limits.absent.begin(), limits.absent.end());
  for (const std::string& name : names) {
    bool is_allowed = !absent.contains(name);
    const Json key(name);
    for (const Node& schema : limits.key_schemas)
      is_allowed = is_allowed && TRY(shaper_.allows(schema, key));
    ExprId value = grammar_.nothing();
    if (is_allowed) value = value_of(TRY(property(limits, name)));
    form().members.emplace_back(name, value);
    const bool is_required = required.contains(name);
    if (value == grammar_.nothing() && !is_required) continue;
    list.push_back({grammar_.sequence({grammar_.literal(write_json(key)), text_.colon(), value}),
                    is_required});
  }
  return list;
}

// The keys that "propertyNames" allows; nothing: all.
Result<std::optional<Dfa>> Emitter::key_dfa(const ObjectLimits& limits) {
  if (limits.key_schemas.empty()) return std::optional<Dfa>();
  Dfa keys;
  keys.states.emplace_back();
  const Shapes shapes = TRY(shaper_.shapes_of(limits.key_schemas));
  for (const Shape& shape : shapes) {
    if ((shape.types & type_string) == 0) continue;
    Dfa one;
    if (shape.values) {
      std::vector<std::string> texts;
      for (const Json* value : *shape.values) {
        bool fits = value->is_string();
        for (const Node& node : limits.key_schemas)
          fits = fits && TRY(shaper_.allows(node, *value));
        if (fits) texts.push_back(value->as_string());
      }
      one = dfa_of_texts(texts);
    } else {
      one = TRY(string_dfa(shape.string));
    }
    keys = TRY(either(keys, one));
  }
  return std::optional(std::move(keys));
}

// A member with a key that is none of `names`.
Result<ExprId> Emitter::other_member(const ObjectLimits& limits,
                                     const std::vector<std::string>& names) {
  std::vector<std::pair<std::string, Node>> patterns;
  for (const ObjectLimits::Scope& scope : limits.scopes)
    for (const auto& pattern : scope.patterns) patterns.push_back(pattern);
  if (patterns.size() > max_key_patterns)
    return limit_reached(fmt::format("patternProperties: over {} patterns", max_key_patterns));
  const std::optional<Dfa> allowed = TRY(key_dfa(limits));
  if (patterns.empty() && names.empty() && !allowed) {
    form().others.push_back(value_of(TRY(property(limits, ""))));
    return grammar_.sequence({text_.string(), text_.colon(), form().others.back()});
  }
  Dfa keys = TRY(any_key());
  if (allowed) keys = TRY(both(keys, *allowed));
  if (!names.empty()) keys = TRY(both(keys, negated(dfa_of_texts(names))));
  std::vector<Dfa> matching;
  for (const auto& [pattern, node] : patterns) {
    auto dfa = pattern_dfa(pattern, false);
    if (!dfa)
      return document_.wrong(*here_, fmt::format("patternProperties: {}", dfa.error().message()),
                             dfa.error().kind());
    matching.push_back(std::move(*dfa));
  }
  // Every kind of key: which of the patterns it matches.
  std::vector<ExprId> parts;
  for (std::size_t kind = 0; kind < std::size_t{1} << patterns.size(); ++kind) {
    Dfa own = keys;
    for (std::size_t i = 0; i < patterns.size() && !own.is_empty(); ++i)
      own = TRY(both(own, (kind >> i & 1) != 0 ? matching[i] : negated(matching[i])));
    if (own.is_empty()) continue;
    std::vector<Node> all;
    std::size_t next = 0;
    for (const ObjectLimits::Scope& scope : limits.scopes) {
      bool is_known = false;
      for (const auto& [pattern, node] : scope.patterns)
        if ((kind >> next++ & 1) != 0) {
          all.push_back(node);
          is_known = true;
        }
      if (!is_known && scope.rest) all.push_back(*scope.rest);
    }
    const ExprId value = value_of(std::move(all));
    if (value == grammar_.nothing()) continue;
    form().others.push_back(value);
    const ExprId quote = grammar_.literal("\"");
    parts.push_back(grammar_.sequence(
        {quote, spell(grammar_, own, Spelling::json), quote, text_.colon(), value}));
  }
  return grammar_.choice(std::move(parts));
}

// One of the named properties that are none of those known, or another one.
Result<ExprId> Emitter::emit_foreign(ObjectLimits limits) {
  static const Json anything(true);
  const std::set<std::string> known(limits.foreign.back().begin(), limits.foreign.back().end());
  limits.foreign.pop_back();
  const auto is_foreign = [&](const std::string& name) { return !known.contains(name); };
  if (std::ranges::any_of(limits.required, is_foreign)) return emit_object(limits);
  std::set<std::string> named;
  for (const ObjectLimits::Scope& scope : limits.scopes)
    for (const auto& [name, node] : scope.names)
      if (is_foreign(name)) named.insert(name);
  std::vector<ExprId> parts;
  for (const std::string& name : named) {
    ObjectLimits with = limits;
    with.required.push_back(name);
    parts.push_back(TRY(emit_object(with)));
  }
  limits.needs_other = true;
  ObjectLimits::Scope scope;
  for (const std::string& name : known) scope.names.emplace_back(name, Node{&anything});
  limits.scopes.push_back(std::move(scope));
  parts.push_back(TRY(emit_object(limits)));
  return grammar_.choice(std::move(parts));
}

Result<ExprId> Emitter::emit_object(const ObjectLimits& limits) {
  if (!limits.foreign.empty()) return emit_foreign(limits);
  begin_form(true);
  std::vector<std::string> names;
  const std::vector<Member> list = TRY(members(limits, names));
  auto other = other_member(limits, names);
  if (!other) {
    if (other.error().message().starts_with('#')) return std::move(other).error();
    return document_.wrong(*here_, fmt::format("properties: {}", other.error().message()),
                           other.error().kind());
  }
  ExprId member = *other;
  if (member != grammar_.nothing()) member = grammar_.rule(grammar_.define("other", member));
  if (list.empty() && member != grammar_.nothing()) {
    const std::uint64_t max = limits.max;
    const std::uint64_t min = std::max<std::uint64_t>(limits.min, limits.needs_other ? 1 : 0);
    if (max == 0) return text_.braces(grammar_.nothing(), limits.min == 0);
    const auto count = [](std::uint64_t n) {
      return n >= max_repeat ? unlimited : static_cast<std::uint32_t>(n);
    };
    const ExprId more = grammar_.repeat(
        grammar_.sequence({text_.comma(), member}),
        static_cast<std::uint32_t>(std::min<std::uint64_t>(min > 0 ? min - 1 : 0, max_repeat)),
        count(max == UINT64_MAX ? max : max - 1));
    return text_.braces(grammar_.sequence({member, more}), min == 0);
  }
  const auto required = static_cast<std::uint64_t>(
      std::ranges::count_if(list, [](const Member& m) { return m.is_required; }));
  const bool is_counted =
      limits.min > required ||
      (limits.max != UINT64_MAX && (member != grammar_.nothing() || limits.max < list.size()));
  if (is_counted && limits.needs_other)
    return document_.unsupported(*here_, "minProperties, maxProperties: not beside such a oneOf");
  return is_counted ? join_counted(list, member, limits) : join(list, member, limits);
}

// Before any member, and after one: from there each further one follows a comma.
Result<ExprId> Emitter::join(const std::vector<Member>& list, ExprId other,
                             const ObjectLimits& limits) {
  Graph graph;
  std::uint32_t before = 0, after = graph.add();
  bool may_be_empty = limits.min == 0;
  for (const Member& member : list) {
    const std::uint32_t own = graph.add(), next_after = graph.add();
    graph.connect(before, own, grammar_.empty());
    graph.connect(after, own, text_.comma());
    graph.connect(own, next_after, member.text);
    const std::uint32_t next_before = graph.add();
    if (member.is_required) {
      may_be_empty = false;
    } else {
      graph.connect(before, next_before, grammar_.empty());
      graph.connect(after, next_after, grammar_.empty());
    }
    before = next_before;
    after = next_after;
  }
  if (other != grammar_.nothing() || limits.needs_other) {
    const std::uint32_t last = limits.needs_other ? graph.add() : after;
    const ExprId more = grammar_.sequence({text_.comma(), other});
    graph.connect(before, last, other);
    graph.connect(after, last, more);
    if (last != after) graph.connect(last, last, more);
    after = last;
    if (limits.needs_other) may_be_empty = false;
  }
  graph.ends.push_back(after);
  return text_.braces(grammar_.graph(std::move(graph)), may_be_empty);
}

// As join(), with the number of members so far, as far as it matters.
Result<ExprId> Emitter::join_counted(const std::vector<Member>& list, ExprId other,
                                     const ObjectLimits& limits) {
  const bool has_max = limits.max != UINT64_MAX;
  const std::uint64_t last = has_max ? limits.max : limits.min;
  const std::uint64_t rows = list.size() + 1;
  if (last >= max_grid || rows * (last + 1) > max_grid)
    return limit_reached("minProperties, maxProperties: too many beside named properties");
  Graph graph;
  graph.nodes = static_cast<std::uint32_t>(rows * (last + 1));
  const auto node = [&](std::uint64_t row, std::uint64_t count) {
    return static_cast<std::uint32_t>(row * (last + 1) + count);
  };
  const auto with_comma = [&](ExprId text, std::uint64_t count) {
    return count == 0 ? text : grammar_.sequence({text_.comma(), text});
  };
  bool may_be_empty = limits.min == 0;
  for (std::uint64_t row = 0; row < rows; ++row) {
    const bool is_last = row + 1 == rows;
    const ExprId text = is_last ? other : list[row].text;
    for (std::uint64_t count = 0; count <= last; ++count) {
      const std::uint64_t target = is_last ? row : row + 1;
      if (count < last || !has_max)
        graph.connect(node(row, count), node(target, std::min(count + 1, last)),
                      with_comma(text, count));
      if (!is_last && !list[row].is_required)
        graph.connect(node(row, count), node(row + 1, count), grammar_.empty());
      if (is_last && count >= std::max<std::uint64_t>(1, limits.min))
        graph.ends.push_back(node(row, count));
    }
    if (!is_last && list[row].is_required) may_be_empty = false;
  }
  if (graph.ends.empty()) return text_.braces(grammar_.nothing(), may_be_empty);
  return text_.braces(grammar_.graph(std::move(graph)), may_be_empty);
}

}  // namespace hearth::grammar
