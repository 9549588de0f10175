#include "vectors/checked_file.h"

#include <fmt/core.h>

#include <array>

#include "base/crc32c.h"

namespace hearth::vectors {

constexpr std::size_t magic_bytes = 8, checksum_bytes = 4, alignment = 64;

Result<CheckedWriter> CheckedWriter::create(const std::string& path) {
  return CheckedWriter(TRY(DraftFile::create(path)));
}

void CheckedWriter::bytes(std::span<const std::byte> bytes) {
  if (!status_.ok() || bytes.empty()) return;
  checksum_ = crc32c(bytes, checksum_);
  size_ += bytes.size();
  status_ = file_.write(bytes);
}

void CheckedWriter::align() {
  constexpr std::array<std::byte, alignment> zeros{};
  bytes(std::span(zeros).first((alignment - size_ % alignment) % alignment));
}

Status CheckedWriter::finish() {
  value(checksum_);
  TRY(std::move(status_));
  return file_.commit();
}

Result<CheckedFile> open_checked(const std::string& path, std::string_view magic) {
  std::shared_ptr<const MappedFile> file = TRY(MappedFile::open(path));
  const std::span<const std::byte> all = file->bytes();
  if (all.size() < magic_bytes + checksum_bytes || text_of(all.first(magic_bytes)) != magic)
    return Error(ErrorKind::corrupt, fmt::format("{}: not a file of this kind of index", path));
  const auto body = all.first(all.size() - checksum_bytes);
  std::uint32_t checksum;
  std::memcpy(&checksum, all.data() + body.size(), sizeof checksum);
  if (crc32c(body) != checksum)
    return Error(ErrorKind::corrupt, fmt::format("{}: the checksum does not fit", path));
  return CheckedFile{std::move(file), body.subspan(magic_bytes)};
}

Status skip_alignment(ByteReader& in) {
  const std::size_t place = magic_bytes + in.position();
  return in.skip((alignment - place % alignment) % alignment);
}

}  // namespace hearth::vectors
