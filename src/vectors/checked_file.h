// Files of indexes: written whole with one checksum at the end, believed only when it fits.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/files.h"
#include "base/result.h"

namespace hearth::vectors {

// Little-endian numbers and arrays; the first error stays and is told by finish().
class CheckedWriter {
 public:
  static Result<CheckedWriter> create(const std::string& path);

  void bytes(std::span<const std::byte> bytes);
  template <typename T>
  void value(T value) {
    bytes(std::as_bytes(std::span(&value, 1)));
  }
  template <typename T>
  void array(std::span<const T> values) {
    bytes(std::as_bytes(values));
  }
  // Zeros up to the next multiple of 64: what follows may be used where it is mapped.
  void align();
  std::uint64_t size() const { return size_; }
  // Adds the checksum and gives the file its name.
  Status finish();

 private:
  explicit CheckedWriter(DraftFile file) : file_(std::move(file)) {}
  DraftFile file_;
  Status status_ = Done{};
  std::uint32_t checksum_ = 0;
  std::uint64_t size_ = 0;
};

struct CheckedFile {
  std::shared_ptr<const MappedFile> file;
  std::span<const std::byte> body;  // between the magic and the checksum
};
// The file, if it begins with the magic (8 bytes) and its checksum fits.
Result<CheckedFile> open_checked(const std::string& path, std::string_view magic);

// Skips to the next multiple of 64 of the whole file, whose body `in` reads.
Status skip_alignment(ByteReader& in);

// The next `count` values of a file whose body `in` reads, where they are.  The offset in the file
// must suit T: see align().
template <typename T>
Result<std::span<const T>> take_array(ByteReader& in, std::uint64_t count) {
  const std::uint64_t size = TRY(checked_mul(count, sizeof(T)));
  const std::span<const std::byte> raw = TRY(in.take(size));
  if (reinterpret_cast<std::uintptr_t>(raw.data()) % alignof(T) != 0)
    return Error(ErrorKind::corrupt, "an array at an odd place");
  return std::span<const T>(reinterpret_cast<const T*>(raw.data()), count);
}

}  // namespace hearth::vectors
