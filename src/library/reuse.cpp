#include "library/reuse.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/files.h"
#include "base/share_file.h"
#include "base/store_files.h"
#include "library/checksum.h"
#include "library/known_sums.h"
#include "library/local_models.h"
#include "library/split_files.h"

namespace hearth {
namespace {

constexpr std::uint64_t least_bytes = 1 << 20;  // smaller ones are fetched sooner than looked for

// A file that may be the one that is wanted.
struct Candidate {
  std::string path;
  std::string_view tool;
};

void add_if_alike(const RemoteFile& wanted, const std::string& path, std::string_view tool,
                  const KnownSums& known, std::vector<Candidate>& found) {
  const auto identity = file_identity(path);
  if (!identity || identity->bytes != wanted.bytes) return;
  std::string sum = promised_by_name(path);
  const auto read = known.find(path);
  if (read != known.end() && read->second.identity == *identity) {
    if (!read->second.problem.empty()) return;
    sum = read->second.sha256;
  }
  if (sum.empty() || sum == wanted.sha256) found.push_back({path, tool});
}

std::vector<Candidate> candidates(const RemoteFile& wanted, const std::vector<LocalModel>& models,
                                  const KnownSums& known) {
  std::vector<Candidate> found;
  for (const LocalModel& model : models) {
    const int parts = is_folder(model.path) ? 0 : split_place(model.path).parts;
    for (int part = 1; part <= parts; ++part)
      add_if_alike(wanted, part_path(model.path, part), model.tool, known, found);
    if (parts > 0) continue;
    for (const std::string& name : list_folder(model.path).value_or({}))
      add_if_alike(wanted, join_path(model.path, name), model.tool, known, found);
  }
  return found;
}

// What was read is remembered: nobody needs to read it again to know.  Errors: cancelled.
Result<bool> is_same(const RemoteFile& wanted, const Candidate& candidate,
                     const LibraryFolders& folders, const PullHooks& hooks) {
  const FileIdentity identity = file_identity(candidate.path).value_or(FileIdentity{});
  Checksum checksum(~0ull);
  const Status read = add_file(checksum, candidate.path,
                               [&](std::uint64_t) { return !hooks.stop.stop_requested(); });
  if (hooks.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
  if (!read.ok()) return false;
  const std::string sum = checksum.sha256();
  // Files that somebody promised something of are judged by `hearth verify`.
  if (candidate.tool != "hearth" && promised_by_name(candidate.path).empty())
    (void)remember_sums(folders, {{candidate.path, {identity, sum, ""}}}).ok();
  return sum == wanted.sha256;
}

// Errors: cancelled.
Result<bool> reuse(const RemoteFile& wanted, const Candidate& candidate, const std::string& partial,
                   const LibraryFolders& folders, const PullHooks& hooks) {
  if (hooks.remark)
    hooks.remark(fmt::format("{} may be here already: reading {}", wanted.name, candidate.path));
  if (!TRY(is_same(wanted, candidate, folders, hooks))) return false;
  const std::string path = join_path(partial, wanted.name);
  // A person's own files may be written in place; programs replace theirs.
  const bool may_link = candidate.tool != "folder";
  if (!make_folders(parent_folder(path)).ok() || !share_file(candidate.path, path, may_link).ok())
    return false;
  if (!keep_for_download(partial, wanted.name, wanted.sha256).ok()) return false;
  if (hooks.remark) hooks.remark(fmt::format("{} is the same file: not fetched", wanted.name));
  return true;
}

}  // namespace

Status reuse_files(const DownloadPlan& plan, const std::string& partial,
                   const LibraryFolders& folders, const PullHooks& hooks) {
  std::vector<RemoteFile> wanted = plan.files;
  std::erase_if(wanted, [&](const RemoteFile& file) {
    return file.sha256.empty() || file.bytes < least_bytes || bytes_here(file, partial) > 0;
  });
  if (wanted.empty()) return Done{};
  const std::vector<LocalModel> models = find_local_models(folders);
  const KnownSums known = read_known_sums(folders);
  for (const RemoteFile& file : wanted)
    for (const Candidate& candidate : candidates(file, models, known))
      if (TRY(reuse(file, candidate, partial, folders, hooks))) break;
  return Done{};
}

}  // namespace hearth
