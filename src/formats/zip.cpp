#include "formats/zip.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/limits.h"

namespace hearth {
namespace {

constexpr std::size_t local_bytes = 30, central_bytes = 46, end_bytes = 22, locator_bytes = 20,
                      end64_bytes = 56;
constexpr std::uint32_t in_extra = 0xFFFFFFFF;  // the value stands in the ZIP64 field
constexpr std::uint16_t flag_encrypted = 1, flag_sizes_follow = 8, flag_utf8 = 1 << 11,
                        flags_of_deflate = 6;

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, std::move(what)); }

// A part of the file that is known to be there.
template <typename T>
T number(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}
std::uint16_t u16(std::span<const std::byte> b, std::size_t at) {
  return number<std::uint16_t>(b, at);
}
std::uint32_t u32(std::span<const std::byte> b, std::size_t at) {
  return number<std::uint32_t>(b, at);
}
std::uint64_t u64(std::span<const std::byte> b, std::size_t at) {
  return number<std::uint64_t>(b, at);
}

bool begins(std::span<const std::byte> bytes, std::string_view signature) {
  return text_of(bytes).starts_with(signature);
}

struct Directory {
  std::uint64_t entries = 0, bytes = 0, offset = 0;
};

// The ZIP64 end, where a locator stands right before the plain one.
Result<Directory> read_end64(std::span<const std::byte> file, std::size_t end) {
  const auto locator = file.subspan(end - locator_bytes, locator_bytes);
  const std::uint64_t at = u64(locator, 8);
  if (u32(locator, 4) != 0 || u32(locator, 16) > 1)
    return Error(ErrorKind::unsupported, "a ZIP archive on several disks");
  if (at > end - locator_bytes || end - locator_bytes - at != end64_bytes ||
      !begins(file.subspan(at), "PK\x06\x06"))
    return corrupt(fmt::format("offset {}: no ZIP64 end of directory at {}", end, at));
  const auto end64 = file.subspan(at, end64_bytes);
  const Directory directory{u64(end64, 32), u64(end64, 40), u64(end64, 48)};
  if (directory.offset > at || at - directory.offset != directory.bytes)
    return corrupt(fmt::format("offset {}: the directory does not end here", at));
  return directory;
}

// A comment after the end would let two readers find two ends.
Result<Directory> read_end(std::span<const std::byte> file) {
  if (file.size() < end_bytes || !begins(file.subspan(file.size() - end_bytes), "PK\x05\x06"))
    return corrupt(
        "the last 22 bytes are no end of a ZIP directory: cut short, or something follows");
  const std::size_t at = file.size() - end_bytes;
  const auto end = file.subspan(at);
  if (u16(end, 20) != 0) return corrupt(fmt::format("offset {}: a comment", at + 20));
  if (u16(end, 4) != 0 || u16(end, 6) != 0)
    return Error(ErrorKind::unsupported, "a ZIP archive on several disks");
  const Directory plain{u16(end, 10), u32(end, 12), u32(end, 16)};
  const bool has64 =
      at >= locator_bytes + end64_bytes && begins(file.subspan(at - locator_bytes), "PK\x06\x07");
  if (!has64) {
    if (plain.offset > at || at - plain.offset != plain.bytes)
      return corrupt(fmt::format("offset {}: the directory does not end here", at));
    return plain;
  }
  const Directory directory = TRY(read_end64(file, at));
  if ((plain.entries != 0xFFFF && plain.entries != directory.entries) ||
      (plain.bytes != in_extra && plain.bytes != directory.bytes) ||
      (plain.offset != in_extra && plain.offset != directory.offset))
    return corrupt(fmt::format("offset {}: the two ends of the directory differ", at));
  return directory;
}

Status check_name(std::string_view name, std::size_t offset) {
  bool good = !name.empty() && name.size() <= limits::zip_name_bytes && is_utf8(name) &&
              printable(name, name.size()) == name && !name.starts_with('/') &&
              name.find_first_of("\\:") == std::string_view::npos;
  for (std::size_t begin = 0; good && begin <= name.size();) {
    const std::size_t slash = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, slash - begin);
    good = part != ".." && part != "." && (!part.empty() || slash == name.size());
    begin = slash + 1;
  }
  if (good) return Done{};
  return Error(ErrorKind::corrupt,
               fmt::format("offset {}: entry name '{}'", offset, printable(name)));
}

// One record of the directory.
struct Record {
  std::string_view name;
  std::uint16_t flags = 0, method = 0;
  std::uint32_t crc = 0;
  std::uint64_t packed = 0, size = 0, header = 0;
};

// Replaces the sizes that the ZIP64 field (id 1) holds.
Status read_extra(std::span<const std::byte> extra, Record& record, std::size_t offset) {
  ByteReader in(extra);
  while (in.remaining() > 0) {
    if (in.remaining() < 4) return Done{};  // padding that writers leave
    const auto id = TRY(in.value<std::uint16_t>());
    const auto size = TRY(in.value<std::uint16_t>());
    const auto field = in.take(size);
    if (!field) return corrupt(fmt::format("offset {}: an extra field past its end", offset));
    if (id != 1) continue;
    ByteReader wide(*field);
    for (std::uint64_t* value : {&record.size, &record.packed, &record.header})
      if (*value == in_extra) *value = TRY(wide.value<std::uint64_t>());
  }
  return Done{};
}

Result<Record> read_record(ByteReader& in, std::uint64_t base) {
  const std::size_t offset = base + in.position();
  const auto fixed = TRY(in.take(central_bytes));
  if (!begins(fixed, "PK\x01\x02"))
    return corrupt(fmt::format("offset {}: no entry of the ZIP directory", offset));
  Record record{.name = {},
                .flags = u16(fixed, 8),
                .method = u16(fixed, 10),
                .crc = u32(fixed, 16),
                .packed = u32(fixed, 20),
                .size = u32(fixed, 24),
                .header = u32(fixed, 42)};
  record.name = text_of(TRY(in.take(u16(fixed, 28))));
  const auto extra = TRY(in.take(u16(fixed, 30)));
  TRY(in.skip(u16(fixed, 32)));
  TRY(check_name(record.name, offset));
  TRY(read_extra(extra, record, offset));
  if (u16(fixed, 34) != 0) return Error(ErrorKind::unsupported, "a ZIP archive on several disks");
  if ((record.flags & flag_encrypted) != 0)
    return Error(ErrorKind::unsupported, fmt::format("{}: encrypted", record.name));
  const unsigned known =
      flag_sizes_follow | flag_utf8 | (record.method == 8 ? flags_of_deflate : 0);
  if ((record.flags & ~known) != 0)
    return corrupt(fmt::format("{}: flags {:#06x}", record.name, record.flags));
  if (record.method == 0 && record.packed != record.size)
    return corrupt(
        fmt::format("{}: stored, but {} bytes are {}", record.name, record.packed, record.size));
  return record;
}

// The entry's own header must say what the directory says.
Result<ZipEntry> open_entry(std::span<const std::byte> before_directory, const Record& record) {
  const auto disagrees = [&](std::string_view what) {
    return corrupt(fmt::format("{}: the header at {} disagrees with the directory: {}", record.name,
                               record.header, what));
  };
  ByteReader in(before_directory);
  TRY(in.skip(record.header));
  const auto fixed = TRY(in.take(local_bytes));
  if (!begins(fixed, "PK\x03\x04")) return disagrees("signature");
  const auto name = text_of(TRY(in.take(u16(fixed, 26))));
  const auto extra = TRY(in.take(u16(fixed, 28)));
  if (name != record.name) return disagrees("name");
  if (u16(fixed, 6) != record.flags || u16(fixed, 8) != record.method) return disagrees("flags");
  const bool follows = (record.flags & flag_sizes_follow) != 0;
  Record own{.name = name, .packed = u32(fixed, 18), .size = u32(fixed, 22)};
  TRY(read_extra(extra, own, record.header));
  const bool absent = follows && own.packed == 0 && own.size == 0;
  if (!absent && (own.packed != record.packed || own.size != record.size)) return disagrees("size");
  if (!absent && u32(fixed, 14) != record.crc && !(follows && u32(fixed, 14) == 0))
    return disagrees("checksum");
  return ZipEntry{record.name, record.method == 0, record.crc, TRY(in.take(record.packed))};
}

constexpr std::array<std::uint32_t, 256> crc_table = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit)
      value = (value & 1) != 0 ? 0xEDB88320u ^ value >> 1 : value >> 1;
    table[i] = value;
  }
  return table;
}();

}  // namespace

Result<std::vector<ZipEntry>> read_zip(std::span<const std::byte> file) {
  const Directory directory = TRY(read_end(file));
  if (directory.entries > limits::zip_entries)
    return corrupt(fmt::format("{} entries, at most {}", directory.entries, limits::zip_entries));
  ByteReader in(file.subspan(directory.offset, directory.bytes));
  TRY(in.expect_records(directory.entries, central_bytes));
  std::vector<Record> records;
  std::set<std::string_view> names;
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    records.push_back(TRY(read_record(in, directory.offset)));
    if (!names.insert(records.back().name).second)
      return corrupt(fmt::format("{}: twice", records.back().name));
  }
  if (in.remaining() > 0) return corrupt("bytes after the last entry of the ZIP directory");
  std::ranges::sort(records, {}, &Record::header);
  std::vector<ZipEntry> entries;
  std::uint64_t end = 0;
  for (const Record& record : records) {
    if (record.header < end)
      return corrupt(fmt::format("{}: overlaps the entry before it", record.name));
    entries.push_back(TRY(open_entry(file.first(directory.offset), record)));
    end = static_cast<std::uint64_t>(entries.back().data.data() - file.data()) + record.packed;
  }
  return entries;
}

std::uint32_t zip_checksum(std::span<const std::byte> bytes, std::uint32_t before) {
  std::uint32_t crc = ~before;
  for (const std::byte byte : bytes)
    crc = crc_table[(crc ^ std::to_integer<std::uint32_t>(byte)) & 255] ^ crc >> 8;
  return ~crc;
}

Status check_zip_content(const ZipEntry& entry) {
  if (!entry.stored)
    return Error(ErrorKind::unsupported, fmt::format("{}: compressed", entry.name));
  if (zip_checksum(entry.data) != entry.crc)
    return corrupt(fmt::format("{}: checksum", entry.name));
  return Done{};
}

}  // namespace hearth
