#include "library/shared_file.h"

#include <fmt/core.h>

#include <chrono>
#include <thread>

#include "base/bytes.h"
#include "base/files.h"
#include "base/store_files.h"

namespace hearth {
namespace {

constexpr std::chrono::milliseconds look_again(2);
constexpr int max_looks = 1000;  // each holder needs some milliseconds

Result<FileLock> take_lock(const std::string& path) {
  for (int look = 0; look < max_looks; ++look) {
    auto lock = TRY(FileLock::try_take(path));
    if (lock) return *std::move(lock);
    std::this_thread::sleep_for(look_again);
  }
  return Error(ErrorKind::unavailable, fmt::format("{}: another process holds it", path));
}

}  // namespace

Status update_json_file(const std::string& path, std::uint64_t max_bytes,
                        const std::function<Json(Json before)>& change) {
  TRY(make_folders(parent_folder(path)));
  const FileLock lock = TRY(take_lock(path + ".lock"));
  const auto text = read_file(path, max_bytes);
  auto before = text ? parse_json(*text) : Result<Json>(Json());
  const Json after = change(before ? *std::move(before) : Json());
  return replace_file(path, bytes_of(write_json(after, {.indent = 1})));
}

}  // namespace hearth
