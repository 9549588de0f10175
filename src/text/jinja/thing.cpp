#include "text/jinja/thing.h"

#include <fmt/core.h>

#include <algorithm>

#include "text/jinja/callables.h"
#include "text/jinja/operators.h"
#include "text/jinja/printing.h"

namespace hearth::jinja {
namespace {

class SequenceIterator final : public Iterator {
 public:
  SequenceIterator(Ref<Sequence> sequence, bool backwards)
      : sequence_(std::move(sequence)),
        at_(backwards ? static_cast<std::ptrdiff_t>(sequence_->items.size()) - 1 : 0),
        step_(backwards ? -1 : 1) {}
  Result<bool> next(Interpreter& in, Value& out) override {
    if (at_ < 0 || at_ >= static_cast<std::ptrdiff_t>(sequence_->items.size())) return false;
    TRY(in.spend(1));
    out = sequence_->items[static_cast<std::size_t>(at_)];
    at_ += step_;
    return true;
  }

 private:
  Ref<Sequence> sequence_;
  std::ptrdiff_t at_, step_;
};

class CharacterIterator final : public Iterator {
 public:
  explicit CharacterIterator(Ref<Str> text) : text_(std::move(text)) {}
  Result<bool> next(Interpreter& in, Value& out) override {
    if (at_ >= text_->text.size()) return false;
    TRY(in.spend(4));
    const std::size_t end = at_ + point_size(text_->text.view(), at_);
    out = Value::text(text_->text.sub(at_, end));  // plain, also from markup
    at_ = end;
    return true;
  }

 private:
  Ref<Str> text_;
  std::size_t at_ = 0;
};

class DictIterator final : public Iterator {
 public:
  DictIterator(Ref<Dict> dict, ViewOf what, bool backwards)
      : dict_(std::move(dict)), what_(what), size_(dict_->entries.size()), backwards_(backwards) {}
  Result<bool> next(Interpreter& in, Value& out) override {
    if (dict_->entries.size() != size_) return in.error("dictionary changed size during iteration");
    if (at_ >= size_) return false;
    TRY(in.spend(1));
    const auto& entry = dict_->entries[backwards_ ? size_ - 1 - at_ : at_];
    ++at_;
    if (what_ == ViewOf::items)
      out = TRY(in.tuple({entry.key, entry.value}));
    else
      out = what_ == ViewOf::keys ? entry.key : entry.value;
    return true;
  }

 private:
  Ref<Dict> dict_;
  ViewOf what_;
  std::size_t size_, at_ = 0;
  bool backwards_;
};

class View final : public Thing {
 public:
  View(Ref<Dict> dict, ViewOf what) : dict_(std::move(dict)), what_(what) {
    depth = static_cast<std::uint16_t>(std::min(dict_->depth + 1, max_value_depth));
  }
  std::string_view type_name() const override {
    return what_ == ViewOf::keys     ? "dict_keys"
           : what_ == ViewOf::values ? "dict_values"
                                     : "dict_items";
  }
  bool truth() const override { return !dict_->entries.empty(); }
  std::optional<std::size_t> length() const override { return dict_->entries.size(); }
  bool iterable() const override { return true; }
  Result<Ref<Iterator>> iterate(Interpreter&) override {
    return Ref<Iterator>(new DictIterator(dict_, what_, false));
  }
  Result<Ref<Iterator>> reversed(Interpreter&) override {
    return Ref<Iterator>(new DictIterator(dict_, what_, true));
  }
  Status print(Interpreter& in, TextBuilder& out) override {
    const bool trusted = !dict_->from_input;
    out.append(type_name());
    out.append("([", trusted);
    DictIterator items(dict_, what_, false);
    bool first = true;
    for (Value value; TRY(items.next(in, value));) {
      if (!first) out.append(", ", trusted);
      first = false;
      TRY(print_quoted(in, out, value));
    }
    out.append("])", trusted);
    return out.check();
  }

 private:
  Ref<Dict> dict_;
  ViewOf what_;
};

class RangeIterator final : public Iterator {
 public:
  RangeIterator(std::int64_t at, std::int64_t step, std::int64_t count)
      : at_(at), step_(step), left_(count) {}
  Result<bool> next(Interpreter& in, Value& out) override {
    if (left_ == 0) return false;
    TRY(in.spend(1));
    out = Value::integer(at_);
    if (--left_ > 0) at_ += step_;
    return true;
  }

 private:
  std::int64_t at_, step_, left_;
};

class Range final : public Thing {
 public:
  Range(std::int64_t start, std::int64_t stop, std::int64_t step, std::int64_t count)
      : start_(start), stop_(stop), step_(step), count_(count) {}
  std::string_view type_name() const override { return "range"; }
  bool truth() const override { return count_ > 0; }
  std::optional<std::size_t> length() const override { return static_cast<std::size_t>(count_); }
  bool iterable() const override { return true; }
  Result<Ref<Iterator>> iterate(Interpreter&) override {
    return Ref<Iterator>(new RangeIterator(start_, step_, count_));
  }
  Result<Ref<Iterator>> reversed(Interpreter&) override {
    return Ref<Iterator>(new RangeIterator(start_ + step_ * (count_ - 1), -step_, count_));
  }
  bool subscriptable() const override { return true; }
  Result<Value> item(Interpreter&, const Value& key) override {
    if (!key.is_integral()) return Value();
    std::int64_t at = key.as_integer();
    if (at < 0) at += count_;
    if (at < 0 || at >= count_) return Value();
    return Value::integer(start_ + at * step_);
  }
  Value part(std::int64_t start, std::int64_t stop, std::int64_t step) override {
    const std::int64_t distance = step > 0 ? stop - start : start - stop;
    const std::int64_t stride = step > 0 ? step : -std::max(step, -count_ - 1);
    const std::int64_t count = distance > 0 ? (distance - 1) / stride + 1 : 0;
    return thing_value(make<Range>(start_ + start * step_, start_ + stop * step_,
                                   step_ * std::clamp(step, -count_ - 1, count_ + 1), count));
  }
  Result<Value> attribute(Interpreter&, std::string_view name) override {
    if (name == "start") return Value::integer(start_);
    if (name == "stop") return Value::integer(stop_);
    if (name == "step") return Value::integer(step_);
    return Value();
  }
  Status print(Interpreter&, TextBuilder& out) override {
    out.append(step_ == 1 ? fmt::format("range({}, {})", start_, stop_)
                          : fmt::format("range({}, {}, {})", start_, stop_, step_));
    return Done{};
  }

 private:
  std::int64_t start_, stop_, step_, count_;
};

}  // namespace

Value thing_value(Thing* thing) { return Value::of(Kind::thing, thing); }

Result<Value> Thing::call(Interpreter& in, Arguments) {
  return in.error(fmt::format("'{}' object is not callable", type_name()));
}
Result<Value> Thing::attribute(Interpreter&, std::string_view) { return Value(); }
Result<Value> Thing::item(Interpreter&, const Value&) { return Value(); }
Value Thing::part(std::int64_t, std::int64_t, std::int64_t) { return Value(); }
Result<Ref<Iterator>> Thing::iterate(Interpreter& in) {
  return in.error(fmt::format("'{}' object is not iterable", type_name()));
}
Result<Ref<Iterator>> Thing::reversed(Interpreter&) { return Ref<Iterator>(); }
Status Thing::print(Interpreter&, TextBuilder& out) {
  out.append(fmt::format("<{} object>", type_name()));
  return Done{};
}

Result<bool> ValuesIterator::next(Interpreter& in, Value& out) {
  if (at_ == values_.size()) return false;
  TRY(in.spend(1));
  out = std::move(values_[at_++]);
  return true;
}

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::string:
    case Kind::list:
    case Kind::tuple:
    case Kind::dict:
      return true;
    case Kind::thing:
      return value.as_thing().iterable();
    default:
      return false;
  }
}

Result<Ref<Iterator>> iterate(Interpreter& in, const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return Ref<Iterator>(new ValuesIterator({}));
    case Kind::string:
      return Ref<Iterator>(new CharacterIterator(Ref<Str>(&value.as_str())));
    case Kind::list:
    case Kind::tuple:
      return Ref<Iterator>(new SequenceIterator(Ref<Sequence>(&value.as_sequence()), false));
    case Kind::dict:
      return Ref<Iterator>(new DictIterator(Ref<Dict>(&value.as_dict()), ViewOf::keys, false));
    case Kind::thing:
      return value.as_thing().iterate(in);
    default:
      return in.error(fmt::format("'{}' object is not iterable", type_name(value)));
  }
}

Result<Ref<Iterator>> iterate_reversed(Interpreter& in, const Value& value) {
  if (value.is_sequence())
    return Ref<Iterator>(new SequenceIterator(Ref<Sequence>(&value.as_sequence()), true));
  if (value.kind() == Kind::dict)
    return Ref<Iterator>(new DictIterator(Ref<Dict>(&value.as_dict()), ViewOf::keys, true));
  if (value.kind() == Kind::thing) return value.as_thing().reversed(in);
  return Ref<Iterator>();
}

Result<std::vector<Value>> drain(Interpreter& in, const Value& value) {
  if (value.is_sequence()) {
    TRY(in.spend(value.as_sequence().items.size()));
    return value.as_sequence().items;
  }
  const auto items = TRY(iterate(in, value));
  std::vector<Value> all;
  for (Value next; TRY(items->next(in, next));) {
    TRY(in.spend(1));
    if (all.size() >= max_items)
      return in.error(fmt::format("a list of more than {} items", max_items));
    all.push_back(std::move(next));
  }
  return all;
}

Value make_view(const Value& dict, ViewOf what) {
  return thing_value(make<View>(Ref<Dict>(&dict.as_dict()), what));
}

Result<Value> make_range(Interpreter& in, Arguments arguments) {
  const auto& given = arguments.positional;
  if (given.empty() || given.size() > 3 || !arguments.named.empty())
    return in.error("range() takes one to three arguments");
  std::int64_t start = 0, step = 1, stop = TRY(integer_argument(in, given[0]));
  if (given.size() > 1) {
    start = stop;
    stop = TRY(integer_argument(in, given[1]));
  }
  if (given.size() > 2) step = TRY(integer_argument(in, given[2]));
  if (step == 0) return in.error("range() arg 3 must not be zero");
  // Differences as unsigned: they may pass 63 bits.
  const auto distance = [](std::int64_t low, std::int64_t high) {
    return static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
  };
  std::uint64_t count = 0;
  if (step > 0 && start < stop)
    count = (distance(start, stop) - 1) / static_cast<std::uint64_t>(step) + 1;
  if (step < 0 && stop < start)
    count = (distance(stop, start) - 1) / (0 - static_cast<std::uint64_t>(step)) + 1;
  if (count > static_cast<std::uint64_t>(max_range))
    return in.error(
        fmt::format("Range too big. The sandbox blocks ranges larger than {}.", max_range));
  return thing_value(make<Range>(start, stop, step, static_cast<std::int64_t>(count)));
}

Result<Value> Namespace::attribute(Interpreter&, std::string_view name) {
  const Value* found = attributes_->find(name);
  return found ? *found : Value();
}

Status Namespace::print(Interpreter& in, TextBuilder& out) {
  out.append("<Namespace ");
  TRY(print_quoted(in, out, Value::of(Kind::dict, attributes_.get())));
  out.append(">");
  return out.check();
}

}  // namespace hearth::jinja
