// Methods of lists, tuples and dicts.  Source: Python 3.11, "Built-in Types".
// What changes a container changes only values of this rendering; a value that goes in is always
// less deep than its container, so containers never come to hold themselves.
#include <fmt/core.h>

#include <algorithm>

#include "text/jinja/callables.h"
#include "text/jinja/operators.h"
#include "text/jinja/sorting.h"

namespace hearth::jinja {
namespace {

Status may_hold(Interpreter& in, const Object& container, std::size_t items, const Value& value) {
  if (items >= max_items) return in.error(fmt::format("a list of more than {} items", max_items));
  if (value.depth() >= container.depth)
    return in.error("values nested too deeply in a list or dict that is changed (limit depth)");
  return in.spend(1);
}

std::vector<Value>& items_of(const Value& subject) { return subject.as_sequence().items; }

Result<Value> append(Interpreter& in, const Value& subject, Bound& arguments) {
  auto& items = items_of(subject);
  TRY(may_hold(in, *subject.object(), items.size(), arguments[0]));
  items.push_back(arguments[0]);
  return Value::none();
}

Result<Value> extend(Interpreter& in, const Value& subject, Bound& arguments) {
  const auto more = TRY(drain(in, arguments[0]));
  auto& items = items_of(subject);
  for (const Value& value : more) {
    TRY(may_hold(in, *subject.object(), items.size(), value));
    items.push_back(value);
  }
  return Value::none();
}

Result<Value> insert(Interpreter& in, const Value& subject, Bound& arguments) {
  auto& items = items_of(subject);
  const auto size = static_cast<std::int64_t>(items.size());
  std::int64_t at = TRY(integer_argument(in, arguments[0]));
  if (at < 0) at = std::max<std::int64_t>(at + size, 0);
  TRY(may_hold(in, *subject.object(), items.size(), arguments[1]));
  TRY(in.spend(items.size()));
  items.insert(items.begin() + std::min(at, size), arguments[1]);
  return Value::none();
}

Result<Value> pop(Interpreter& in, const Value& subject, Bound& arguments) {
  auto& items = items_of(subject);
  const auto size = static_cast<std::int64_t>(items.size());
  std::int64_t at = TRY(integer_or(in, arguments, 0, -1));
  if (at < 0) at += size;
  if (at < 0 || at >= size)
    return in.error(items.empty() ? "pop from empty list" : "pop index out of range");
  TRY(in.spend(items.size()));
  Value value = items[static_cast<std::size_t>(at)];
  items.erase(items.begin() + at);
  return value;
}

// Where the value is from `start` on; items.size() if nowhere.
Result<std::size_t> find_value(Interpreter& in, const std::vector<Value>& items, const Value& value,
                               std::size_t start = 0) {
  for (std::size_t i = start; i < items.size(); ++i)
    if (TRY(equal(in, items[i], value))) return i;
  return items.size();
}

Result<Value> remove(Interpreter& in, const Value& subject, Bound& arguments) {
  auto& items = items_of(subject);
  const std::size_t found = TRY(find_value(in, items, arguments[0]));
  if (found == items.size()) return in.error("list.remove(x): x not in list");
  items.erase(items.begin() + static_cast<std::ptrdiff_t>(found));
  return Value::none();
}

Result<Value> index(Interpreter& in, const Value& subject, Bound& arguments) {
  const auto& items = items_of(subject);
  const auto size = static_cast<std::int64_t>(items.size());
  std::int64_t start = TRY(integer_or(in, arguments, 1, 0));
  std::int64_t stop = TRY(integer_or(in, arguments, 2, size));
  if (start < 0) start = std::max<std::int64_t>(start + size, 0);
  if (stop < 0) stop += size;
  const std::size_t found =
      TRY(find_value(in, items, arguments[0], static_cast<std::size_t>(std::min(start, size))));
  if (static_cast<std::int64_t>(found) >= std::min(stop, size))
    return in.error(fmt::format("{}.index(x): x not in it", type_name(subject)));
  return Value::integer(static_cast<std::int64_t>(found));
}

Result<Value> count(Interpreter& in, const Value& subject, Bound& arguments) {
  std::int64_t found = 0;
  for (const Value& value : items_of(subject))
    if (TRY(equal(in, value, arguments[0]))) ++found;
  return Value::integer(found);
}

Result<Value> reverse(Interpreter& in, const Value& subject, Bound&) {
  auto& items = items_of(subject);
  TRY(in.spend(items.size()));
  std::reverse(items.begin(), items.end());
  return Value::none();
}

Result<Value> sort(Interpreter& in, const Value& subject, Bound& arguments) {
  if (arguments.given(0)) return in.error("sort: a key function is not offered");
  auto& items = items_of(subject);
  const std::vector<Value> keys = items;
  items = TRY(sorted(in, items, keys, truth_or(arguments, 1, false)));
  return Value::none();
}

Result<Value> clear_list(Interpreter&, const Value& subject, Bound&) {
  items_of(subject).clear();
  return Value::none();
}

Result<Value> copy_list(Interpreter& in, const Value& subject, Bound&) {
  return in.list(items_of(subject));
}

// ---- dicts ----

Result<Value> get(Interpreter& in, const Value& subject, Bound& arguments) {
  TRY(check_key(in, arguments[0]));
  const Value* found = subject.as_dict().find(arguments[0]);
  if (found) return *found;
  return arguments.has(1) ? arguments[1] : Value::none();
}

Result<Value> keys(Interpreter&, const Value& subject, Bound&) {
  return make_view(subject, ViewOf::keys);
}
Result<Value> values(Interpreter&, const Value& subject, Bound&) {
  return make_view(subject, ViewOf::values);
}
Result<Value> items(Interpreter&, const Value& subject, Bound&) {
  return make_view(subject, ViewOf::items);
}

Result<Value> copy_dict(Interpreter& in, const Value& subject, Bound&) {
  const auto made = make<Dict>();
  TRY(in.spend(subject.as_dict().entries.size()));
  for (const auto& entry : subject.as_dict().entries) made->set(entry.key, entry.value);
  return in.dict(made);
}

Status put(Interpreter& in, const Value& subject, const Value& key, const Value& value) {
  TRY(check_key(in, key));
  auto& dict = subject.as_dict();
  TRY(may_hold(in, dict, dict.entries.size(), key));
  TRY(may_hold(in, dict, dict.entries.size(), value));
  dict.set(key, value);
  return Done{};
}

Result<Value> update(Interpreter& in, const Value& subject, Bound& arguments) {
  for (const Value& source : arguments.rest.positional) {
    if (source.kind() == Kind::dict) {
      TRY(in.spend(source.as_dict().entries.size() * 4));
      const auto entries = make<Dict>();
      for (const auto& entry : source.as_dict().entries) entries->set(entry.key, entry.value);
      for (const auto& entry : entries->entries) TRY(put(in, subject, entry.key, entry.value));
      continue;
    }
    const auto pairs = TRY(drain(in, source));
    for (const Value& pair : pairs) {
      const auto both = TRY(drain(in, pair));
      if (both.size() != 2) return in.error("update() needs pairs of a key and a value");
      TRY(put(in, subject, both[0], both[1]));
    }
  }
  for (const auto& [name, value] : arguments.rest.named)
    TRY(put(in, subject, Value::text(name), value));
  return Value::none();
}

Result<Value> setdefault(Interpreter& in, const Value& subject, Bound& arguments) {
  TRY(check_key(in, arguments[0]));
  if (const Value* found = subject.as_dict().find(arguments[0])) return *found;
  const Value value = arguments.has(1) ? arguments[1] : Value::none();
  TRY(put(in, subject, arguments[0], value));
  return value;
}

Result<Value> pop_key(Interpreter& in, const Value& subject, Bound& arguments) {
  TRY(check_key(in, arguments[0]));
  auto& dict = subject.as_dict();
  if (const Value* found = dict.find(arguments[0])) {
    Value value = *found;
    TRY(in.spend(dict.entries.size()));
    dict.remove(arguments[0]);
    return value;
  }
  if (arguments.has(1)) return arguments[1];
  return in.error("pop: the dict has no such key");
}

Result<Value> popitem(Interpreter& in, const Value& subject, Bound&) {
  auto& dict = subject.as_dict();
  if (dict.entries.empty()) return in.error("popitem(): dictionary is empty");
  const Value key = dict.entries.back().key;
  const Value pair = TRY(in.tuple({key, dict.entries.back().value}));
  TRY(in.spend(dict.entries.size()));
  dict.remove(key);
  return pair;
}

Result<Value> clear_dict(Interpreter&, const Value& subject, Bound&) {
  auto& dict = subject.as_dict();
  dict.clear();
  return Value::none();
}

constexpr Signature list_table[] = {
    {"append", "/object", append},
    {"pop", "/? index", pop},
    {"index", "/value ? start stop", index},
    {"count", "/value", count},
    {"extend", "/iterable", extend},
    {"insert", "/index object", insert},
    {"remove", "/value", remove},
    {"reverse", "", reverse},
    {"sort", "? key reverse", sort},
    {"clear", "", clear_list},
    {"copy", "", copy_list},
};
constexpr Signature tuple_table[] = {{"index", "/value ? start stop", index},
                                     {"count", "/value", count}};
constexpr Signature dict_table[] = {
    {"items", "", items},
    {"get", "/key ? default", get},
    {"keys", "", keys},
    {"values", "", values},
    {"copy", "", copy_dict},
    {"update", "*", update},
    {"pop", "/key ? default", pop_key},
    {"setdefault", "/key ? default", setdefault},
    {"popitem", "", popitem},
    {"clear", "", clear_dict},
};

const Signature* find_in(std::span<const Signature> table, std::string_view name) {
  for (const Signature& row : table)
    if (row.name == name) return &row;
  return nullptr;
}

}  // namespace

const Signature* find_list_method(std::string_view name) { return find_in(list_table, name); }
const Signature* find_tuple_method(std::string_view name) { return find_in(tuple_table, name); }
const Signature* find_dict_method(std::string_view name) { return find_in(dict_table, name); }

}  // namespace hearth::jinja
