// For fuzzers of the store: one file of any bytes, with checksums that fit where that is wanted, so
// that what lies behind them is reached.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "base/crc32c.h"
#include "vectors/store/encoding.h"
#include "vectors/store/fake_files.h"

namespace hearth::vectors {

inline std::shared_ptr<FakeFiles> one_file(const std::string& path, std::string_view content) {
  auto files = std::make_shared<FakeFiles>();
  const auto file = files->create(path);
  HEARTH_CHECK(file.ok() && (*file)->append(bytes_of(content)).ok());
  return files;
}

template <typename T>
T number_at(std::string_view bytes, std::size_t at) {
  T value{};
  if (at + sizeof value <= bytes.size()) std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <typename T>
void set_number(std::string& bytes, std::size_t at, T value) {
  if (at + sizeof value <= bytes.size()) std::memcpy(bytes.data() + at, &value, sizeof value);
}

inline void set_checksum(std::string& bytes, std::size_t at, std::string_view of) {
  set_number(bytes, at, crc32c(bytes_of(of)));
}

}  // namespace hearth::vectors
