// Filters over lists and other iterables.  Source: Jinja2 3.1, "List of Builtin Filters".
#include <fmt/core.h>

#include <algorithm>

#include "text/jinja/callables.h"
#include "text/jinja/operators.h"
#include "text/jinja/printing.h"
#include "text/jinja/sorting.h"
#include "text/jinja/text_ops.h"

namespace hearth::jinja {
namespace {

// A value that is made while it is gone through, from `source`.
template <typename Next>
Result<Value> generator(Interpreter& in, const Value& source, Next next) {
  return in.thing(Ref<Thing>(new Generator<Next>(std::move(next))), source);
}

Result<Value> values_generator(Interpreter& in, const Value& source, std::vector<Value> values) {
  return in.thing(Ref<Thing>(new ValuesIterator(std::move(values))), source);
}

Result<Value> length_filter(Interpreter& in, const Value& subject, Bound&) {
  return Value::integer(TRY(length(in, subject)));
}

Result<Value> list(Interpreter& in, const Value& subject, Bound&) {
  return in.list(TRY(drain(in, subject)));
}

Result<Value> first(Interpreter& in, const Value& subject, Bound&) {
  const auto items = TRY(iterate(in, subject));
  Value value;
  if (TRY(items->next(in, value))) return value;
  return absent_hint("No first item, sequence was empty.");
}

Result<Value> last(Interpreter& in, const Value& subject, Bound&) {
  Value value;
  if (subject.is_string()) {
    if (subject.view().empty()) return absent_hint("No last item, sequence was empty.");
    return item(in, subject, Value::integer(-1));
  }
  if (subject.is_undefined()) return absent_hint("No last item, sequence was empty.");
  const auto items = TRY(iterate_reversed(in, subject));
  if (!items) return in.error(fmt::format("'{}' object is not reversible", type_name(subject)));
  if (TRY(items->next(in, value))) return value;
  return absent_hint("No last item, sequence was empty.");
}

// Templates must render the same twice, so this is not random at all.
Result<Value> random(Interpreter& in, const Value& subject, Bound&) {
  const std::int64_t size = TRY(length(in, subject));
  if (size == 0) return absent_hint("No random item, sequence was empty.");
  const std::int64_t now = in.now_seconds() % size;
  return item(in, subject, Value::integer(now < 0 ? now + size : now));
}

Result<Value> reverse(Interpreter& in, const Value& subject, Bound&) {
  if (subject.is_string())
    return slice(in, subject, Value::none(), Value::none(), Value::integer(-1));
  const auto items = TRY(iterate_reversed(in, subject));
  if (items) return in.thing(Ref<Thing>(items.get()), subject);
  if (!is_iterable(subject)) return in.error("argument must be iterable");
  std::vector<Value> values = TRY(drain(in, subject));
  std::reverse(values.begin(), values.end());
  return in.list(std::move(values));
}

Result<Value> join(Interpreter& in, const Value& subject, Bound& arguments) {
  const auto separator = arguments.has(0) ? TRY(soft_text(in, arguments[0])) : make<Str>();
  const AttributePath path = TRY(AttributePath::of(in, arguments[1]));
  const auto items = TRY(iterate(in, subject));
  TextBuilder out(in);
  bool first_item = true;
  for (Value value; TRY(items->next(in, value));) {
    TRY(in.spend(1));
    if (!first_item) out.append(separator->text);
    first_item = false;
    const Value part = TRY(path.get(in, value));
    TRY(print(in, out, part));
  }
  return out.value();
}

Result<Value> items(Interpreter& in, const Value& subject, Bound&) {
  if (subject.is_undefined()) return values_generator(in, subject, {});
  if (subject.kind() != Kind::dict) return in.error("Can only get item pairs from a mapping.");
  const auto pairs = TRY(iterate(in, make_view(subject, ViewOf::items)));
  return in.thing(Ref<Thing>(pairs.get()), subject);
}

Result<Value> map(Interpreter& in, const Value& subject, Bound& arguments) {
  Arguments given = std::move(arguments.rest);
  if (!truth(subject)) return values_generator(in, subject, {});
  const auto source = TRY(iterate(in, subject));
  if (given.positional.empty()) {
    Value attribute, otherwise;
    for (auto& [name, value] : given.named) {
      if (name == "attribute")
        attribute = value;
      else if (name == "default")
        otherwise = value.is_none() ? Value() : value;
      else
        return in.error(fmt::format("Unexpected keyword argument '{}'", name));
    }
    if (attribute.is_missing()) return in.error("map requires a filter argument");
    auto path = TRY(AttributePath::of(in, attribute));
    return generator(in, subject,
                     [source, path, otherwise](Interpreter& now, Value& out) -> Result<bool> {
                       if (!TRY(source->next(now, out))) return false;
                       out = TRY(path.get(now, out, otherwise));
                       return true;
                     });
  }
  const Value filter = given.positional[0];
  given.positional.erase(given.positional.begin());
  return generator(in, subject,
                   [source, filter, given](Interpreter& now, Value& out) -> Result<bool> {
                     if (!TRY(source->next(now, out))) return false;
                     out = TRY(now.apply_filter(filter, out, given));
                     return true;
                   });
}

// select, reject and the like: what passes a test, or simply is true.
Result<Value> choose(Interpreter& in, const Value& subject, Bound& arguments, bool by_attribute,
                     bool wanted) {
  Arguments given = std::move(arguments.rest);
  if (!truth(subject)) return values_generator(in, subject, {});
  AttributePath path;
  if (by_attribute) {
    if (given.positional.empty()) return in.error("Missing parameter for attribute name");
    path = TRY(AttributePath::of(in, given.positional[0]));
    given.positional.erase(given.positional.begin());
  }
  Value test;
  if (!given.positional.empty()) {
    test = given.positional[0];
    given.positional.erase(given.positional.begin());
  }
  const auto source = TRY(iterate(in, subject));
  return generator(
      in, subject,
      [source, path, test, given, wanted](Interpreter& now, Value& out) -> Result<bool> {
        while (TRY(source->next(now, out))) {
          TRY(now.spend(2));
          const Value looked_at = TRY(path.get(now, out));
          const bool passes =
              test.is_missing() ? truth(looked_at) : TRY(now.apply_test(test, looked_at, given));
          if (passes == wanted) return true;
        }
        return false;
      });
}

Result<Value> select(Interpreter& in, const Value& subject, Bound& arguments) {
  return choose(in, subject, arguments, false, true);
}
Result<Value> reject(Interpreter& in, const Value& subject, Bound& arguments) {
  return choose(in, subject, arguments, false, false);
}
Result<Value> selectattr(Interpreter& in, const Value& subject, Bound& arguments) {
  return choose(in, subject, arguments, true, true);
}
Result<Value> rejectattr(Interpreter& in, const Value& subject, Bound& arguments) {
  return choose(in, subject, arguments, true, false);
}

Result<Value> sort(Interpreter& in, const Value& subject, Bound& arguments) {
  const std::vector<Value> values = TRY(drain(in, subject));
  const bool with_case = truth_or(arguments, 1, false);
  std::vector<AttributePath> paths;
  if (arguments.given(2) && arguments[2].is_string()) {
    for (const Piece& piece : split_at(arguments[2].view(), ",", -1, false)) {
      const Value name =
          Value::text(arguments[2].view().substr(piece.first, piece.second - piece.first));
      paths.push_back(TRY(AttributePath::of(in, name)));
    }
  } else {
    paths.push_back(TRY(AttributePath::of(in, arguments[2])));
  }
  std::vector<Value> keys;
  for (const Value& value : values) {
    std::vector<Value> key;
    for (const AttributePath& path : paths) {
      Value part = TRY(path.get(in, value));
      key.push_back(with_case ? part : TRY(without_case(in, part)));
    }
    keys.push_back(TRY(in.tuple(std::move(key))));
  }
  return in.list(TRY(sorted(in, values, keys, truth_or(arguments, 0, false))));
}

Result<Value> unique(Interpreter& in, const Value& subject, Bound& arguments) {
  const AttributePath path = TRY(AttributePath::of(in, arguments[1]));
  const bool with_case = truth_or(arguments, 0, false);
  const auto source = TRY(iterate(in, subject));
  const auto seen = make<Dict>();
  return generator(in, subject,
                   [source, path, with_case, seen](Interpreter& now, Value& out) -> Result<bool> {
                     while (TRY(source->next(now, out))) {
                       TRY(now.spend(2));
                       Value key = TRY(path.get(now, out));
                       if (!with_case) key = TRY(without_case(now, key));
                       TRY(check_key(now, key));
                       if (seen->find(key)) continue;
                       seen->set(std::move(key), Value::none());
                       return true;
                     }
                     return false;
                   });
}

Result<Value> extreme(Interpreter& in, const Value& subject, const Bound& arguments, bool largest) {
  const bool with_case = truth_or(arguments, 0, false);
  const AttributePath path = TRY(AttributePath::of(in, arguments[1]));
  const auto source = TRY(iterate(in, subject));
  Value best, best_key;
  for (Value value; TRY(source->next(in, value));) {
    Value key = TRY(path.get(in, value));
    if (!with_case) key = TRY(without_case(in, key));
    if (!best.is_missing()) {
      const bool better = largest ? TRY(less(in, best_key, key)) : TRY(less(in, key, best_key));
      if (!better) continue;
    }
    best = value;
    best_key = std::move(key);
  }
  return best.is_missing() ? absent_hint("No aggregated item, sequence was empty.") : best;
}
Result<Value> min(Interpreter& in, const Value& subject, Bound& arguments) {
  return extreme(in, subject, arguments, false);
}
Result<Value> max(Interpreter& in, const Value& subject, Bound& arguments) {
  return extreme(in, subject, arguments, true);
}

Result<Value> sum(Interpreter& in, const Value& subject, Bound& arguments) {
  const AttributePath path = TRY(AttributePath::of(in, arguments[0]));
  Value total = arguments.has(1) ? arguments[1] : Value::integer(0);
  if (total.is_string()) return in.error("sum() can't sum strings [use ''.join(seq) instead]");
  const auto source = TRY(iterate(in, subject));
  for (Value value; TRY(source->next(in, value));) {
    const Value part = TRY(path.get(in, value));
    total = TRY(arithmetic(in, Operator::add, total, part));
  }
  return total;
}

Result<Value> groupby(Interpreter& in, const Value& subject, Bound& arguments) {
  const AttributePath path = TRY(AttributePath::of(in, arguments[0]));
  const Value otherwise = arguments.given(1) ? arguments[1] : Value();
  const bool with_case = truth_or(arguments, 2, false);
  const std::vector<Value> values = TRY(drain(in, subject));
  std::vector<Value> keys;
  for (const Value& value : values) {
    Value key = TRY(path.get(in, value, otherwise));
    keys.push_back(with_case ? key : TRY(without_case(in, key)));
  }
  const auto ordered = TRY(sorted(in, values, keys, false));
  const auto ordered_keys = TRY(sorted(in, keys, keys, false));
  std::vector<Value> groups;
  for (std::size_t start = 0; start < ordered.size();) {
    std::size_t end = start + 1;
    while (end < ordered.size() && TRY(equal(in, ordered_keys[start], ordered_keys[end]))) ++end;
    const Value members =
        TRY(in.list(std::vector<Value>(ordered.begin() + static_cast<std::ptrdiff_t>(start),
                                       ordered.begin() + static_cast<std::ptrdiff_t>(end))));
    const Value key = TRY(path.get(in, ordered[start], otherwise));
    const Value group = TRY(in.tuple({key, members}));
    group.as_sequence().group = true;
    groups.push_back(group);
    start = end;
  }
  return in.list(std::move(groups));
}

Result<Value> batch(Interpreter& in, const Value& subject, Bound& arguments) {
  const std::int64_t size = TRY(integer_argument(in, arguments[0]));
  const std::vector<Value> values = TRY(drain(in, subject));
  std::vector<Value> rows, row;
  for (const Value& value : values) {
    if (static_cast<std::int64_t>(row.size()) == size)
      rows.push_back(TRY(in.list(std::exchange(row, {}))));
    row.push_back(value);
  }
  if (!row.empty()) {
    if (arguments.given(1) && size > static_cast<std::int64_t>(max_items))
      return in.error(fmt::format("a list of more than {} items", max_items));
    while (arguments.given(1) && static_cast<std::int64_t>(row.size()) < size)
      row.push_back(arguments[1]);
    rows.push_back(TRY(in.list(std::move(row))));
  }
  return values_generator(in, subject, std::move(rows));
}

Result<Value> slice_filter(Interpreter& in, const Value& subject, Bound& arguments) {
  const std::int64_t slices = TRY(integer_argument(in, arguments[0]));
  const std::vector<Value> values = TRY(drain(in, subject));
  if (slices == 0) return in.error("integer division or modulo by zero");
  if (slices > static_cast<std::int64_t>(max_items))
    return in.error(fmt::format("a list of more than {} items", max_items));
  std::vector<Value> rows;
  const auto size = static_cast<std::int64_t>(values.size());
  std::int64_t start = 0;
  for (std::int64_t i = 0; i < slices; ++i) {
    const bool longer = i < size % slices;
    const std::int64_t end = start + size / slices + (longer ? 1 : 0);
    std::vector<Value> row(values.begin() + start, values.begin() + end);
    if (arguments.given(1) && !longer) row.push_back(arguments[1]);
    rows.push_back(TRY(in.list(std::move(row))));
    start = end;
  }
  return values_generator(in, subject, std::move(rows));
}

Result<Value> dictsort(Interpreter& in, const Value& subject, Bound& arguments) {
  if (subject.is_undefined()) return undefined_error(in, subject);
  if (subject.kind() != Kind::dict)
    return in.error(fmt::format("dictsort needs a mapping, got {}", type_name(subject)));
  const bool with_case = truth_or(arguments, 0, false);
  bool by_value = false;
  if (arguments.has(1)) {
    by_value = arguments[1].is_string() && arguments[1].view() == "value";
    if (!by_value && !(arguments[1].is_string() && arguments[1].view() == "key"))
      return in.error("You can only sort by either \"key\" or \"value\"");
  }
  std::vector<Value> pairs, keys;
  for (const auto& entry : subject.as_dict().entries) {
    pairs.push_back(TRY(in.tuple({entry.key, entry.value})));
    const Value& key = by_value ? entry.value : entry.key;
    keys.push_back(with_case ? key : TRY(without_case(in, key)));
  }
  return in.list(TRY(sorted(in, pairs, keys, truth_or(arguments, 2, false))));
}

constexpr Signature table[] = {
    {"length", "", length_filter},
    {"count", "", length_filter},
    {"list", "", list},
    {"join", "? d attribute", join},
    {"items", "", items},
    {"first", "", first},
    {"last", "", last},
    {"map", "*", map},
    {"select", "*", select},
    {"reject", "*", reject},
    {"selectattr", "*", selectattr},
    {"rejectattr", "*", rejectattr},
    {"sort", "? reverse case_sensitive attribute", sort},
    {"dictsort", "? case_sensitive by reverse", dictsort},
    {"unique", "? case_sensitive attribute", unique},
    {"reverse", "", reverse},
    {"min", "? case_sensitive attribute", min},
    {"max", "? case_sensitive attribute", max},
    {"sum", "? attribute start", sum},
    {"groupby", "attribute ? default case_sensitive", groupby},
    {"batch", "linecount ? fill_with", batch},
    {"slice", "slices ? fill_with", slice_filter},
    {"random", "", random},
};

}  // namespace

std::span<const Signature> sequence_filters() { return table; }

}  // namespace hearth::jinja
