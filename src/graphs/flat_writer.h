// FlatBuffers for tests, written without a schema.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace hearth::graphs::flat {

// What is pointed to comes behind what points to it.
struct Flat {
  std::string bytes;
  std::size_t entry = 0;  // where references lead
};

template <typename T>
std::string raw(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

struct Field {
  unsigned slot;
  std::string value;  // of a number
  Flat child;         // of anything else
};

template <typename T>
Field number(unsigned slot, T value) {
  return {slot, raw(value), {}};
}
inline Field child(unsigned slot, Flat flat) { return {slot, "", std::move(flat)}; }

inline Flat table(const std::vector<Field>& fields) {
  unsigned slots = 0;
  for (const Field& field : fields) slots = std::max(slots, field.slot + 1);
  std::vector<std::uint16_t> places(slots, 0);
  std::string body(4, '\0'), behind;
  std::vector<std::pair<std::size_t, std::size_t>> links;  // from the body, to what is behind
  for (const Field& field : fields) {
    places[field.slot] = static_cast<std::uint16_t>(body.size());
    if (!field.value.empty()) {
      body += field.value;
      continue;
    }
    links.emplace_back(body.size(), behind.size() + field.child.entry);
    body += std::string(4, '\0');
    behind += field.child.bytes;
  }
  std::string vtable =
      raw(static_cast<std::uint16_t>(4 + 2 * slots)) + raw(static_cast<std::uint16_t>(body.size()));
  for (const std::uint16_t place : places) vtable += raw(place);
  body.replace(0, 4, raw(static_cast<std::int32_t>(vtable.size())));
  for (const auto& [from, to] : links)
    body.replace(from, 4, raw(static_cast<std::uint32_t>(body.size() + to - from)));
  return {vtable + body + behind, vtable.size()};
}

inline Flat tables(const std::vector<Flat>& items) {
  std::string head = raw(static_cast<std::uint32_t>(items.size())), behind;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::size_t from = 4 + 4 * i, to = 4 + 4 * items.size() + behind.size() + items[i].entry;
    head += raw(static_cast<std::uint32_t>(to - from));
    behind += items[i].bytes;
  }
  return {head + behind, 0};
}

template <typename T>
Flat list(const std::vector<T>& items) {
  std::string bytes = raw(static_cast<std::uint32_t>(items.size()));
  for (const T item : items) bytes += raw(item);
  return {bytes, 0};
}
inline Flat text(const std::string& value) {
  return {raw(static_cast<std::uint32_t>(value.size())) + value + '\0', 0};
}

}  // namespace hearth::graphs::flat
