#include "vectors/store/field_index.h"

#include <cmath>

#include "base/check.h"

namespace hearth::vectors {
namespace {

// A tail longer than this part of the sorted numbers is merged into them.
constexpr std::size_t max_recent = 1024, recent_share = 16;

void set_all(const std::vector<Row>& rows, Bits& out) {
  for (const Row row : rows) out.set(row);
}

}  // namespace

void FieldIndex::add(Row row, const Json* value) {
  if (!value || value->is_null()) return;
  present_.set(row);
  if (value->is_string()) {
    texts_[value->as_string()].push_back(row);
  } else if (value->is_bool()) {
    truths_[value->as_bool()].push_back(row);
  } else if (value->is_number()) {
    recent_.emplace_back(value->as_number(), row);
    if (recent_.size() > std::max(max_recent, numbers_.size() / recent_share)) merge();
  } else if (value->is_array()) {
    if (!elements_) elements_ = std::make_unique<FieldIndex>();
    for (const Json& item : value->as_array())
      if (!item.is_array()) elements_->add(row, &item);
  }
}

void FieldIndex::merge() {
  std::sort(recent_.begin(), recent_.end());
  const auto middle = static_cast<std::ptrdiff_t>(numbers_.size());
  numbers_.insert(numbers_.end(), recent_.begin(), recent_.end());
  std::inplace_merge(numbers_.begin(), numbers_.begin() + middle, numbers_.end());
  recent_.clear();
}

Bits FieldIndex::select_number(Filter::Op op, double value, std::size_t rows) const {
  using Op = Filter::Op;
  const auto meant = [&](double x) {
    switch (op) {
      case Op::less:
        return x < value;
      case Op::at_most:
        return x <= value;
      case Op::greater:
        return x > value;
      case Op::at_least:
        return x >= value;
      default:
        return x == value;
    }
  };
  const auto below = [&](const Entry& entry, double x) { return entry.first < x; };
  const auto above = [&](double x, const Entry& entry) { return x < entry.first; };
  const auto lower = std::lower_bound(numbers_.begin(), numbers_.end(), value, below);
  const auto upper = std::upper_bound(lower, numbers_.end(), value, above);
  auto first = numbers_.begin(), last = numbers_.end();
  if (op == Op::less) last = lower;
  if (op == Op::at_most) last = upper;
  if (op == Op::greater) first = upper;
  if (op == Op::at_least) first = lower;
  if (op == Op::equal) first = lower, last = upper;
  Bits out(rows);
  for (auto entry = first; entry != last; ++entry) out.set(entry->second);
  for (const Entry& entry : recent_)
    if (meant(entry.first)) out.set(entry.second);
  return out;
}

Bits FieldIndex::select_text(Filter::Op op, const std::string& value, std::size_t rows) const {
  using Op = Filter::Op;
  Bits out(rows);
  auto first = texts_.begin(), last = texts_.end();
  if (op == Op::less) last = texts_.lower_bound(value);
  if (op == Op::at_most) last = texts_.upper_bound(value);
  if (op == Op::greater) first = texts_.upper_bound(value);
  if (op == Op::at_least || op == Op::prefix) first = texts_.lower_bound(value);
  if (op == Op::equal) std::tie(first, last) = texts_.equal_range(value);
  for (auto entry = first; entry != last; ++entry) {
    if (op == Op::prefix && !entry->first.starts_with(value)) break;
    if (op == Op::contains && entry->first.find(value) == std::string::npos) continue;
    set_all(entry->second, out);
  }
  return out;
}

Bits FieldIndex::select_equal(const Json& value, std::size_t rows) const {
  if (value.is_string()) return select_text(Filter::Op::equal, value.as_string(), rows);
  if (value.is_number()) return select_number(Filter::Op::equal, value.as_number(), rows);
  Bits out(rows);
  if (value.is_bool()) set_all(truths_[value.as_bool()], out);
  return out;
}

Bits FieldIndex::select(const Filter& filter, std::size_t rows) const {
  using Op = Filter::Op;
  const Json& value = filter.value;
  Bits out(rows);
  switch (filter.op) {
    case Op::is_null:
      out = Bits(rows, true);
      out.drop(present_);
      return out;
    case Op::not_equal:
      out = Bits(rows, true);
      out.drop(select_equal(value, rows));
      return out;
    case Op::equal:
      return select_equal(value, rows);
    case Op::in:
      for (const Json& item : value.as_array()) out.add(select_equal(item, rows));
      return out;
    case Op::contains:
      if (value.is_string()) out = select_text(Op::contains, value.as_string(), rows);
      if (elements_) out.add(elements_->select_equal(value, rows));
      return out;
    default:
      break;
  }
  if (value.is_string()) return select_text(filter.op, value.as_string(), rows);
  if (value.is_number()) return select_number(filter.op, value.as_number(), rows);
  const bool wanted = value.is_bool() && value.as_bool();  // false < true
  if (filter.op == Op::at_most || (filter.op == Op::less && wanted)) set_all(truths_[0], out);
  if ((filter.op == Op::at_most && wanted)) set_all(truths_[1], out);
  if (filter.op == Op::at_least || (filter.op == Op::greater && !wanted)) set_all(truths_[1], out);
  if (filter.op == Op::at_least && !wanted) set_all(truths_[0], out);
  return out;
}

std::size_t FieldIndex::memory_bytes() const {
  constexpr std::size_t node_bytes = 96;  // of the map: its links, the text, the list's head
  std::size_t total = (numbers_.capacity() + recent_.capacity()) * sizeof(Entry) +
                      (truths_[0].capacity() + truths_[1].capacity()) * sizeof(Row) +
                      present_.words().size() * sizeof(std::uint64_t);
  for (const auto& [text, rows] : texts_)
    total += node_bytes + text.size() + rows.capacity() * sizeof(Row);
  return total + (elements_ ? elements_->memory_bytes() : 0);
}

Bits select(const Filter& filter, const FieldIndexes& fields, const Bits& live, std::size_t rows) {
  switch (filter.op) {
    case Filter::Op::all: {
      if (filter.parts.empty()) return live;
      Bits all = select(filter.parts[0], fields, live, rows);
      for (std::size_t i = 1; i < filter.parts.size(); ++i)
        all.keep(select(filter.parts[i], fields, live, rows));
      return all;
    }
    case Filter::Op::any: {
      Bits any(rows);
      for (const Filter& part : filter.parts) any.add(select(part, fields, live, rows));
      return any;
    }
    case Filter::Op::negation: {
      Bits rest(rows, true);
      rest.drop(select(filter.parts[0], fields, live, rows));
      return rest;
    }
    default: {
      const auto found = fields.find(filter.field);
      HEARTH_CHECK(found != fields.end());
      return found->second->select(filter, rows);
    }
  }
}

}  // namespace hearth::vectors
