// Archives: zip, tar, gz, bz2, xz, zst unpacked within limits.  archive.cpp is the one source that
// knows libarchive.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth {

struct ArchiveLimits {
  std::uint64_t max_bytes = 1ull << 40;  // unpacked, all together; the disk's room counts too
  std::uint64_t max_ratio = 200;         // unpacked to packed, past the first 64 MB
  std::uint64_t max_entries = 10'000;
  std::size_t max_name_bytes = 1024, max_part_bytes = 255, max_depth = 32;
  std::stop_token stop = {};
  std::function<void(double share)> progress = {};  // of the packed bytes
};

// By its first bytes.
bool is_archive(const std::string& path);

// Files and folders only, into `folder`, which must not exist.  A single compressed file becomes
// one file of its name without the ending.  After an error nothing is left.
// Errors: corrupt (names that leave the folder, links, devices, entries that collide or lie about
// their size, checksums), exhausted (limits, disk), unsupported (encrypted, or a form of
// compression), cancelled, io.
Status unpack(const std::string& path, const std::string& folder, const ArchiveLimits& limits = {});

}  // namespace hearth
