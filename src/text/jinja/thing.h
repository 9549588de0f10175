// Thing: values beyond scalars, strings, lists and dicts: callables, ranges, views, iterators,
// namespaces, loops.  What one cannot do it leaves to these defaults.
#pragma once

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja/value.h"

namespace hearth::jinja {

class Interpreter;
class TextBuilder;
class Iterator;

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Thing : public Object {
 public:
  virtual std::string_view type_name() const = 0;
  virtual bool truth() const { return true; }
  virtual bool callable() const { return false; }
  virtual Result<Value> call(Interpreter& in, Arguments arguments);
  // Missing if there is none of that name.
  virtual Result<Value> attribute(Interpreter& in, std::string_view name);
  virtual bool subscriptable() const { return false; }
  virtual Result<Value> item(Interpreter& in, const Value& key);  // missing if there is none
  // value[start:stop:step], the places already inside [0, length]; only if subscriptable.
  virtual Value part(std::int64_t start, std::int64_t stop, std::int64_t step);
  virtual std::optional<std::size_t> length() const { return std::nullopt; }
  virtual bool iterable() const { return false; }
  virtual Result<Ref<Iterator>> iterate(Interpreter& in);   // only if iterable
  virtual Result<Ref<Iterator>> reversed(Interpreter& in);  // null: cannot
  virtual Status print(Interpreter& in, TextBuilder& out);
};

// One pass over some values; used up by use, like a Python generator.
class Iterator : public Thing {
 public:
  virtual Result<bool> next(Interpreter& in, Value& out) = 0;  // false at the end
  // Values left, where that is known without taking them: the length of what is iterated.
  virtual std::optional<std::size_t> total() const { return std::nullopt; }

  std::string_view type_name() const override { return "generator"; }
  bool iterable() const override { return true; }
  Result<Ref<Iterator>> iterate(Interpreter&) override { return Ref<Iterator>(this); }
};

Value thing_value(Thing* thing);
template <typename T>
Value thing_value(const Ref<T>& thing) {
  return thing_value(thing.get());
}

// An Iterator over a list, tuple, string, dict (its keys), undefined (nothing) or iterable thing.
// Error: "'int' object is not iterable".
Result<Ref<Iterator>> iterate(Interpreter& in, const Value& value);
bool is_iterable(const Value& value);
// All that is left of it.
Result<std::vector<Value>> drain(Interpreter& in, const Value& value);
// Backwards; null if the value has no reverse.
Result<Ref<Iterator>> iterate_reversed(Interpreter& in, const Value& value);

// What `next` gives, as an Iterator; used for the lazy filters.
template <typename Next>
class Generator final : public Iterator {
 public:
  explicit Generator(Next next) : next_(std::move(next)) {}
  Result<bool> next(Interpreter& in, Value& out) override { return next_(in, out); }

 private:
  Next next_;
};

// An iterator over values that exist already.
class ValuesIterator final : public Iterator {
 public:
  explicit ValuesIterator(std::vector<Value> values) : values_(std::move(values)) {}
  Result<bool> next(Interpreter&, Value& out) override;

 private:
  std::vector<Value> values_;
  std::size_t at_ = 0;
};

// range(start, stop, step), never of more than max_range values.
constexpr std::int64_t max_range = 100000;
Result<Value> make_range(Interpreter& in, Arguments arguments);

// dict.keys(), .values(), .items().
enum class ViewOf { keys, values, items };
Value make_view(const Value& dict, ViewOf what);

// namespace(): the one thing a template can change from within a loop.
class Namespace final : public Thing {
 public:
  std::string_view type_name() const override { return "Namespace"; }
  Result<Value> attribute(Interpreter& in, std::string_view name) override;
  Status print(Interpreter& in, TextBuilder& out) override;
  Dict& attributes() { return *attributes_; }

 private:
  Ref<Dict> attributes_ = make<Dict>();
};

}  // namespace hearth::jinja
