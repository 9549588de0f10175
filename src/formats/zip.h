// ZIP archives whose entries are used in place: the directory, checked against what it describes.
// Source: APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth {

// Points into the archive.
struct ZipEntry {
  std::string_view name;  // UTF-8, relative, without ".." and control characters
  bool stored;            // neither compressed nor encrypted: `data` is the content
  std::uint32_t crc;
  std::span<const std::byte> data;
};

// In the order of the data.  Touches the directory and each entry's own header.  Errors: corrupt
// (a name twice, entries that overlap, a directory that disagrees with the entries), unsupported
// (several disks, encryption).
Result<std::vector<ZipEntry>> read_zip(std::span<const std::byte> file);

// The checksum of a ZIP entry, over several pieces: begin with 0.
std::uint32_t zip_checksum(std::span<const std::byte> bytes, std::uint32_t before = 0);

// Errors: corrupt (the checksum differs), unsupported (compressed).
Status check_zip_content(const ZipEntry& entry);

}  // namespace hearth
