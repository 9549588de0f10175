#include "library/verify.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "library/checksum.h"
#include "library/download.h"
#include "library/store.h"

namespace hearth {
namespace {

namespace fs = std::filesystem;

bool is_sha256(std::string_view text) {
  return text.size() == 64 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// The SHA-256 in the name of the file that `path` leads to: "<hash>" or "sha256-<hash>".
std::string promised_by_name(const std::string& path) {
  std::error_code error;
  std::string name = fs::canonical(path, error).filename().string();
  if (name.starts_with("sha256-")) name.erase(0, 7);
  return is_sha256(name) ? name : "";
}

std::vector<VerifiedFile> promised_files(const LocalModel& model) {
  std::vector<VerifiedFile> files;
  if (model.tool == "hearth") {
    const auto manifest = read_manifest(model.folder);
    if (!manifest) return {{model.folder, "", manifest.error().message()}};
    for (const StoredFile& file : manifest->files)
      if (is_sha256(file.sha256))
        files.push_back({join_path(model.folder, file.name), file.sha256, ""});
    return files;
  }
  std::vector<std::string> paths{model.path};
  if (is_folder(model.path)) {
    paths.clear();
    for (const std::string& name : list_folder(model.path).value_or({}))
      paths.push_back(join_path(model.path, name));
  }
  for (const std::string& path : paths)
    if (std::string sum = promised_by_name(path); !sum.empty())
      files.push_back({path, std::move(sum), ""});
  return files;
}

}  // namespace

Result<std::vector<VerifiedFile>> verify(const LocalModel& model, const VerifyHooks& hooks) {
  std::vector<VerifiedFile> files = promised_files(model);
  for (VerifiedFile& file : files) {
    if (!file.problem.empty()) continue;
    if (!is_file(file.path)) {
      file.problem = "is missing";
      continue;
    }
    Checksum checksum(~0ull);
    const Status status = add_file(checksum, file.path, [&](std::uint64_t bytes) {
      if (hooks.read) hooks.read(bytes);
      return !hooks.stop.stop_requested();
    });
    if (hooks.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    if (!status)
      file.problem = status.error().message();
    else if (const std::string sum = checksum.sha256(); sum != file.sha256)
      file.problem = fmt::format("SHA-256 is {}, needs {}", sum, file.sha256);
  }
  return files;
}

Result<Manifest> prepare_repair(const LibraryFolders& folders, const Network& network,
                                const LocalModel& model, const std::vector<VerifiedFile>& files) {
  if (model.tool != "hearth")
    return Error(ErrorKind::invalid,
                 fmt::format("'{}' belongs to another program ({}), which has to fetch it again",
                             model.name, model.tool));
  if (!network.offline.empty())
    return Error(ErrorKind::unavailable,
                 fmt::format("'{}': not fetched again, since {}", model.name, network.offline));
  Manifest manifest = TRY(read_manifest(model.folder));
  const std::string partial = partial_folder(folders.models, model.reference);
  const auto lock = TRY(FileLock::try_take(partial + ".lock"));
  if (!lock)
    return Error(ErrorKind::unavailable, fmt::format("'{}' is being downloaded now", model.name));
  TRY(remove_all(partial));
  TRY(move_path(model.folder, partial));
  TRY(remove_all(join_path(partial, manifest_file)));
  for (const VerifiedFile& file : files) {
    const std::string name = file.path.substr(model.folder.size() + 1);
    if (file.problem.empty())
      TRY(keep_for_download(partial, name, file.sha256));
    else
      TRY(remove_all(join_path(partial, name)));
  }
  return manifest;
}

}  // namespace hearth
