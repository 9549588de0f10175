#include "library/known_sums.h"

#include <fmt/core.h>

#include <cstdio>
#include <filesystem>

#include "base/files.h"
#include "base/json.h"
#include "library/json_members.h"
#include "library/shared_file.h"

namespace hearth {
namespace {

constexpr std::uint64_t max_file_bytes = 64u << 20;

// Beside what else is remembered of models; empty: nowhere.
std::string sums_path(const LibraryFolders& folders) {
  if (folders.lifecycle.empty()) return "";
  return join_path(parent_folder(folders.lifecycle), "checksums.json");
}

// Inodes and times do not fit the numbers of JSON that others read.
std::string identity_text(const FileIdentity& id) {
  return fmt::format("{} {} {} {}", id.device, id.inode, id.bytes, id.modified_ns);
}

FileIdentity identity_in(const std::string& text) {
  FileIdentity id;
  long long modified = 0;
  unsigned long long device = 0, inode = 0, bytes = 0;
  if (std::sscanf(text.c_str(), "%llu %llu %llu %lld", &device, &inode, &bytes, &modified) == 4)
    id = {.device = device, .inode = inode, .bytes = bytes, .modified_ns = modified};
  return id;
}

KnownSums sums_in(const Json& json) {
  KnownSums sums;
  if (!json.is_object()) return sums;
  for (const auto& [path, sum] : json.as_object())
    sums[path] = {.identity = identity_in(text_member(sum, "file")),
                  .sha256 = text_member(sum, "sha256"),
                  .problem = text_member(sum, "problem")};
  return sums;
}

bool is_of(const LocalModel& model, std::string_view path) {
  std::error_code error;
  const std::string own = std::filesystem::absolute(model.path, error).string();
  if (path == own) return true;
  const std::string& folder = model.folder.empty() ? own : model.folder;
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

}  // namespace

KnownSums read_known_sums(const LibraryFolders& folders) {
  const auto text = read_file(sums_path(folders), max_file_bytes);
  const auto json = text ? parse_json(*text) : Result<Json>(Json());
  return json ? sums_in(*json) : KnownSums();
}

Status remember_sums(const LibraryFolders& folders, const KnownSums& news) {
  const std::string file = sums_path(folders);
  if (file.empty() || news.empty()) return Done{};
  return update_json_file(file, max_file_bytes, [&](const Json& before) {
    KnownSums sums = sums_in(before);
    std::erase_if(sums, [](const auto& known) { return !file_identity(known.first); });
    for (const auto& [path, sum] : news) sums[path] = sum;
    Json json = Json::object();
    for (const auto& [path, sum] : sums) {
      Json entry = Json::object({{"file", identity_text(sum.identity)}, {"sha256", sum.sha256}});
      if (!sum.problem.empty()) entry.set("problem", sum.problem);
      json.set(path, std::move(entry));
    }
    return json;
  });
}

bool is_sha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

std::string promised_by_name(const std::string& path) {
  std::error_code error;
  const std::filesystem::path target = std::filesystem::read_symlink(path, error);
  std::string name = error ? file_name(path) : target.filename().string();
  if (name.starts_with("sha256-")) name.erase(0, 7);
  return is_sha256(name) ? name : "";
}

namespace {

// Of the model's only file, as somebody promised it or as it was when it was last read.  Empty: not
// known, it has several, or it is damaged.
std::string sum_of(const LocalModel& model, const KnownSums& sums) {
  if (is_folder(model.path) || split_place(model.path).parts > 1) return "";
  const auto read = sums.find(model.path);
  if (read != sums.end() && read->second.identity == model.identity)
    return read->second.problem.empty() ? read->second.sha256 : "";
  return model.tool == "hearth" ? model.sha256 : promised_by_name(model.path);
}

}  // namespace

std::vector<ModelCopies> find_copies(const std::vector<LocalModel>& models, const KnownSums& sums) {
  std::map<std::uint64_t, int> of_size;  // sums are looked up where they may be alike
  for (const LocalModel& model : models) ++of_size[model.bytes];
  std::vector<ModelCopies> groups;
  std::map<std::string, std::size_t> by_sum;
  for (const LocalModel& model : models) {
    const std::string sum = of_size[model.bytes] > 1 ? sum_of(model, sums) : "";
    const auto [place, is_new] = by_sum.try_emplace(sum.empty() ? model.path : sum, groups.size());
    if (is_new) {
      groups.push_back({&model, {}});
      continue;
    }
    ModelCopies& group = groups[place->second];
    group.others.push_back(&model);
    // What is ours is what is used.
    if (model.tool == "hearth" && group.model->tool != "hearth")
      std::swap(group.model, group.others.back());
  }
  return groups;
}

std::optional<Error> damage_of(const LocalModel& model, const KnownSums& sums) {
  for (const auto& [path, sum] : sums) {
    if (sum.problem.empty() || !is_of(model, path) || file_identity(path) != sum.identity) continue;
    const std::string remedy =
        model.tool == "hearth" ? fmt::format(
                                     "`hearth verify --repair {}` fetches what is wrong "
                                     "again",
                                     model.name)
        : model.tool == "path" ? std::string("fetch it again from where it came")
                               : fmt::format(
                                     "it belongs to another program ({}), which has to "
                                     "fetch it again",
                                     model.tool);
    return Error(ErrorKind::corrupt, fmt::format("{} is set aside, since {} is damaged: {}; {}",
                                                 model.name, path, sum.problem, remedy));
  }
  return std::nullopt;
}

}  // namespace hearth
