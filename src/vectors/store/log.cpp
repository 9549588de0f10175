#include "vectors/store/log.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "vectors/store/encoding.h"
#include "vectors/store/schema.h"

namespace hearth::vectors {
namespace {

constexpr std::string_view file_magic = "HEARTHLG";
constexpr std::uint32_t version = 1;
constexpr std::size_t header_bytes = 32;  // magic, version, crc, store id, epoch
constexpr std::uint32_t group_magic = 0x50554f47;
constexpr std::size_t group_header_bytes = 32;     // magic, bytes, number, durable, crc, steps
constexpr std::size_t max_frame_bytes = 1u << 30;  // of one group
constexpr std::uint64_t max_log_bytes = 1ull << 36;
constexpr std::string_view name_prefix = "log-";

std::string file_header(std::uint64_t store_id, std::uint64_t epoch) {
  std::string body;
  put(body, store_id);
  put(body, epoch);
  std::string header(file_magic);
  put(header, version);
  put(header, crc32c(bytes_of(body)));
  return header + body;
}

// Covers the place of the group too: one of another log or store is no good here.
std::uint32_t group_checksum(std::uint64_t store_id, std::uint64_t epoch, std::uint64_t number,
                             std::uint64_t durable, std::uint32_t steps, std::string_view body) {
  std::string place;
  put(place, store_id);
  put(place, epoch);
  put(place, number);
  put(place, durable);
  put(place, steps);
  put(place, static_cast<std::uint32_t>(body.size()));
  return crc32c(bytes_of(body), crc32c(bytes_of(place)));
}

void put_step(std::string& out, const LogStep& step) {
  put(out, std::uint8_t{step.document != nullptr});
  put(out, step.dead);
  if (!step.document) return;
  const StoredDocument& document = *step.document;
  put(out, step.row);
  put(out, static_cast<std::uint32_t>(document.id.size()));
  put(out, static_cast<std::uint32_t>(document.text.size()));
  put(out, static_cast<std::uint32_t>(document.metadata.size()));
  out += document.id;
  out += document.text;
  out += document.metadata;
  put_bytes(out, document.vector);
}

Result<LogStep> read_step(ByteReader& in, std::size_t dim) {
  LogStep step;
  const auto has_document = TRY(in.value<std::uint8_t>());
  step.dead = TRY(in.value<Row>());
  if (has_document == 0) return step;
  step.row = TRY(in.value<Row>());
  const auto id_bytes = TRY(in.value<std::uint32_t>());
  const auto text_bytes = TRY(in.value<std::uint32_t>());
  const auto metadata_bytes = TRY(in.value<std::uint32_t>());
  auto document = std::make_shared<StoredDocument>();
  document->id = text_of(TRY(in.take(id_bytes)));
  document->text = text_of(TRY(in.take(text_bytes)));
  document->metadata = text_of(TRY(in.take(metadata_bytes)));
  const auto raw = TRY(in.take(dim * sizeof(float)));
  document->vector.resize(dim);
  std::memcpy(document->vector.data(), raw.data(), raw.size());
  step.document = std::move(document);
  return step;
}

struct Group {
  std::uint64_t number, durable;
  std::uint32_t steps;
  std::span<const std::byte> body;
};

class LogReader {
 public:
  LogReader(std::span<const std::byte> bytes, std::uint64_t store_id, std::uint64_t epoch)
      : bytes_(bytes), store_id_(store_id), epoch_(epoch) {}

  // The group at `offset`; nothing where there is no whole one.
  std::optional<Group> group_at(std::size_t offset) const {
    ByteReader in(bytes_.subspan(offset));
    if (in.remaining() < group_header_bytes) return std::nullopt;
    if (*in.value<std::uint32_t>() != group_magic) return std::nullopt;
    const std::uint32_t size = *in.value<std::uint32_t>();
    Group group{};
    group.number = *in.value<std::uint64_t>();
    group.durable = *in.value<std::uint64_t>();
    const std::uint32_t crc = *in.value<std::uint32_t>();
    group.steps = *in.value<std::uint32_t>();
    const auto body = in.take(size);
    if (!body.ok()) return std::nullopt;
    group.body = *body;
    const std::uint32_t wanted = group_checksum(store_id_, epoch_, group.number, group.durable,
                                                group.steps, text_of(group.body));
    if (crc != wanted) return std::nullopt;
    return group;
  }

  // Whether a whole group behind `offset` says that group `number` had reached the disk.
  bool was_durable(std::size_t offset, std::uint64_t number) const {
    const std::string_view all = text_of(bytes_);
    std::string magic;
    put(magic, group_magic);
    for (std::size_t at = all.find(magic, offset); at != all.npos; at = all.find(magic, at + 1))
      if (const auto group = group_at(at); group && group->durable > number) return true;
    return false;
  }

 private:
  std::span<const std::byte> bytes_;
  std::uint64_t store_id_, epoch_;
};

}  // namespace

LogWriter::LogWriter(std::unique_ptr<AppendFile> file, std::uint64_t store_id, std::uint64_t epoch)
    : file_(std::move(file)), store_id_(store_id), epoch_(epoch), size_(header_bytes) {}

Result<LogWriter> LogWriter::create(Files& files, const std::string& folder, std::uint64_t store_id,
                                    std::uint64_t epoch) {
  const std::string path = join_path(folder, log_name(epoch));
  auto file = TRY(files.create(path));
  const std::string header = file_header(store_id, epoch);
  TRY(file->append(bytes_of(header)));
  TRY(file->sync());
  TRY(files.sync_folder(folder));
  return LogWriter(std::move(file), store_id, epoch);
}

Status LogWriter::append(const std::vector<LogStep>& steps, bool is_durable) {
  if (is_broken_)
    return Error(ErrorKind::io, "an earlier write failed: the collection must be opened again");
  std::string body;
  for (const LogStep& step : steps) put_step(body, step);
  if (body.size() > max_frame_bytes)
    return Error(ErrorKind::invalid,
                 fmt::format("{} bytes in one write: at most {}", body.size(), max_frame_bytes));
  const auto count = static_cast<std::uint32_t>(steps.size());
  std::string group;
  group.reserve(group_header_bytes + body.size());
  put(group, group_magic);
  put(group, static_cast<std::uint32_t>(body.size()));
  put(group, groups_);
  put(group, durable_groups_);
  put(group, group_checksum(store_id_, epoch_, groups_, durable_groups_, count, body));
  put(group, count);
  group += body;

  Status written = file_->append(bytes_of(group));
  if (!written.ok()) {
    // What was written of it must not stand before the next group.
    is_broken_ = !file_->truncate(size_).ok();
    return written;
  }
  if (is_durable) {
    Status synced = file_->sync();
    if (!synced.ok()) {
      is_broken_ = true;
      return Error(ErrorKind::io, synced.error().message());
    }
  }
  size_ += group.size();
  ++groups_;
  if (is_durable) durable_groups_ = groups_;
  return Done{};
}

Status LogWriter::sync() {
  if (is_broken_) return Error(ErrorKind::io, "an earlier write failed");
  if (durable_groups_ == groups_) return Done{};
  Status synced = file_->sync();
  if (!synced.ok()) {
    is_broken_ = true;
    return synced;
  }
  durable_groups_ = groups_;
  return Done{};
}

Result<LogContents> read_log(Files& files, const std::string& path, std::uint64_t store_id,
                             std::uint64_t epoch, std::size_t dim) {
  const std::string text = TRY(files.read(path, max_log_bytes));
  LogContents contents;
  if (text.size() < header_bytes || text.substr(0, header_bytes) != file_header(store_id, epoch)) {
    // The header is synced before anything follows it.
    if (text.size() > header_bytes)
      return Error(ErrorKind::corrupt, fmt::format("{}: its header is damaged", path));
    contents.dropped_bytes = text.size();
    return contents;
  }
  const LogReader reader(bytes_of(text), store_id, epoch);
  std::size_t at = header_bytes;
  for (std::uint64_t number = 0; at < text.size(); ++number) {
    const auto group = reader.group_at(at);
    if (!group || group->number != number) {
      if (reader.was_durable(at, number))
        return Error(ErrorKind::corrupt,
                     fmt::format("{}: damaged at byte {}, before writes that are whole", path, at));
      break;
    }
    ByteReader body(group->body);
    for (std::uint32_t i = 0; i < group->steps; ++i) {
      auto step = read_step(body, dim);
      if (!step.ok()) return Error(ErrorKind::corrupt, step.error().message()).within(path);
      contents.steps.push_back(std::move(*step));
    }
    at += group_header_bytes + group->body.size();
  }
  contents.good_bytes = at;
  contents.dropped_bytes = text.size() - at;
  return contents;
}

std::string log_name(std::uint64_t epoch) { return fmt::format("{}{}", name_prefix, epoch); }

std::optional<std::uint64_t> log_epoch(std::string_view file_name) {
  if (!file_name.starts_with(name_prefix)) return std::nullopt;
  std::uint64_t epoch = 0;
  const char* last = file_name.data() + file_name.size();
  const auto [end, error] = std::from_chars(file_name.data() + name_prefix.size(), last, epoch);
  if (error != std::errc() || end != last) return std::nullopt;
  return epoch;
}

}  // namespace hearth::vectors
