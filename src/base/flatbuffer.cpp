#include "base/flatbuffer.h"

#include <fmt/core.h>

namespace hearth {
namespace {

constexpr std::size_t most_tables = 1u << 20;  // of one vector

template <typename T>
bool read(std::span<const std::byte> file, std::size_t at, T& value) {
  if (at > file.size() || file.size() - at < sizeof(T)) return false;
  std::memcpy(&value, file.data() + at, sizeof value);
  return true;
}

Error outside(std::size_t at) {
  return Error(ErrorKind::corrupt, fmt::format("offset {}: leads outside the file", at));
}

}  // namespace

Result<FlatTable> FlatTable::at(std::span<const std::byte> file, std::size_t place) {
  std::int32_t back = 0;
  if (!read(file, place, back)) return outside(place);
  const auto vtable = static_cast<std::int64_t>(place) - back;
  std::uint16_t bytes = 0;
  if (vtable < 0 || !read(file, static_cast<std::size_t>(vtable), bytes)) return outside(place);
  if (bytes < 4 || bytes % 2 != 0 || bytes > file.size() - static_cast<std::size_t>(vtable))
    return outside(place);
  FlatTable table;
  table.file_ = file;
  table.at_ = place;
  table.vtable_ = static_cast<std::size_t>(vtable);
  table.vtable_bytes_ = bytes;
  return table;
}

Result<FlatTable> FlatTable::root(std::span<const std::byte> file) {
  std::uint32_t place = 0;
  if (!read(file, 0, place)) return Error(ErrorKind::corrupt, "a file of fewer than 4 bytes");
  return at(file, place);
}

std::size_t FlatTable::field(unsigned slot) const {
  const std::size_t entry = 4 + std::size_t{slot} * 2;
  std::uint16_t offset = 0;
  if (at_ == 0 || entry + 2 > vtable_bytes_ || !read(file_, vtable_ + entry, offset) || offset == 0)
    return 0;
  return at_ + offset;
}

Result<std::size_t> FlatTable::follow(std::size_t place) const {
  std::uint32_t offset = 0;
  if (!read(file_, place, offset) || offset > file_.size() - place) return outside(place);
  return place + offset;
}

Result<FlatTable> FlatTable::table(unsigned slot) const {
  const std::size_t place = field(slot);
  if (place == 0) return FlatTable();
  const auto target = TRY(follow(place));
  return at(file_, target);
}

Result<std::span<const std::byte>> FlatTable::elements(unsigned slot, std::size_t size) const {
  const std::size_t place = field(slot);
  if (place == 0) return std::span<const std::byte>();
  const auto target = TRY(follow(place));
  std::uint32_t count = 0;
  if (!read(file_, target, count)) return outside(target);
  const std::size_t first = target + 4;
  if (count > (file_.size() - first) / size) return outside(target);
  return file_.subspan(first, std::size_t{count} * size);
}

Result<std::string_view> FlatTable::text(unsigned slot) const {
  const auto bytes = TRY(elements(slot, 1));
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<std::vector<FlatTable>> FlatTable::tables(unsigned slot) const {
  const auto offsets = TRY(elements(slot, 4));
  const std::size_t count = offsets.size() / 4;
  if (count > most_tables)
    return Error(ErrorKind::exhausted, fmt::format("a list of {} tables", count));
  std::vector<FlatTable> list;
  const auto first = static_cast<std::size_t>(offsets.data() - file_.data());
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t target = TRY(follow(first + i * 4));
    list.push_back(TRY(at(file_, target)));
  }
  return list;
}

Result<std::vector<std::string_view>> FlatTable::texts(unsigned slot) const {
  const auto offsets = elements(slot, 4);
  if (!offsets) return offsets.error();
  std::vector<std::string_view> list(offsets->size() / 4);
  auto at = static_cast<std::size_t>(offsets->data() - file_.data());
  for (std::string_view& each : list) {
    const auto target = follow(at);
    if (!target) return target.error();
    std::uint32_t size = 0;
    if (!read(file_, *target, size) || size > file_.size() - *target - 4) return outside(*target);
    each = {reinterpret_cast<const char*>(file_.data() + *target + 4), size};
    at += 4;
  }
  return list;
}

}  // namespace hearth
