// hearth gc: what nobody needs any more.
#include <fmt/core.h>
#include <unistd.h>

#include <ctime>

#include "base/duration.h"
#include "base/files.h"
#include "base/store_files.h"
#include "cli/pulling.h"
#include "cli/rows.h"
#include "library/aliases.h"
#include "library/store.h"

namespace hearth::cli {
namespace {

struct Litter {
  std::string path, what;
  std::uint64_t bytes = 0;
};

std::int64_t age_seconds(const std::string& path) {
  const auto identity = file_identity(path);
  return identity ? std::time(nullptr) - identity->modified_ns / 1'000'000'000 : 0;
}

// Of all files below, the newest one's age and their sizes.
void walk(const std::string& path, std::int64_t& age, std::uint64_t& bytes) {
  if (const auto identity = file_identity(path); identity && !is_folder(path)) {
    bytes += identity->bytes;
    age = std::min(age, age_seconds(path));
  }
  if (!is_folder(path)) return;
  for (const std::string& name : list_folder(path).value_or({}))
    walk(join_path(path, name), age, bytes);
}

// Unfinished downloads and uploads that nothing has touched for so long, and graves that a killed
// process left.
std::vector<Litter> find_litter(const LibraryFolders& folders, std::int64_t older_than) {
  const std::string& store = folders.models;
  std::vector<Litter> found;
  const auto add_if_old = [&](std::string path, const char* what) {
    std::int64_t age = age_seconds(path);
    std::uint64_t bytes = 0;
    walk(path, age, bytes);
    if (age >= older_than) found.push_back({std::move(path), what, bytes});
  };
  const std::string prefixes = join_path(folders.cache, "prefixes");
  for (const std::string& name : list_folder(prefixes).value_or({}))
    if (!name.ends_with(".lock"))
      add_if_old(join_path(prefixes, name), "prompts that a server kept for its next start");
  for (const std::string& path : unused_adapter_folders(folders))
    add_if_old(path, "an adapter that no name needs");
  for (const char* folder : {".partial", ".uploads"}) {
    const std::string root = join_path(store, folder);
    for (const std::string& name : list_folder(root).value_or({})) {
      const std::string path = join_path(root, name);
      if (name.ends_with(".lock")) continue;
      std::int64_t age = age_seconds(path);
      std::uint64_t bytes = 0;
      walk(path, age, bytes);
      const bool is_grave = name.starts_with(".removed-");
      if (!is_grave && age < older_than) continue;
      found.push_back({path,
                       is_grave                      ? "what was being removed"
                       : folder[1] == 'u'            ? "an upload: " + name
                       : name.ends_with(".unpacked") ? "an unpacked archive: " + name
                                                     : "an unfinished download: " + name,
                       bytes});
    }
  }
  return found;
}

Status run(App& app, const Arguments& arguments) {
  const LibraryContext context = TRY(library_context(arguments));
  const auto age = TRY(parse_duration(arguments.text("--older-than", "7d")));
  const std::vector<Litter> litter = find_litter(context.folders, age.count() / 1000);
  std::uint64_t freed = 0;
  Json removed = Json::array();
  for (const Litter& one : litter) {
    if (!arguments.has("--dry-run")) {
      // Somebody may be at work on it after all.
      const auto lock = TRY(FileLock::try_take(one.path + ".lock"));
      if (!lock) continue;
      TRY(remove_all(one.path));
    }
    freed += one.bytes;
    removed.push_back(Json::object({{"what", one.what}, {"bytes", one.bytes}}));
    if (!arguments.has("--json"))
      app.out.line(fmt::format("{} ({})", one.what, readable_bytes(one.bytes)));
  }
  if (arguments.has("--json")) {
    app.out.json(Json::object({{"removed", std::move(removed)}, {"bytes", freed}}));
    return Done{};
  }
  if (removed.size() == 0)
    app.out.line(
        "Nothing to remove; `hearth du` shows what takes room, `hearth rm` removes "
        "models.");
  else
    app.out.line(fmt::format("{} {}", readable_bytes(freed),
                             arguments.has("--dry-run") ? "would be freed" : "freed"));
  return Done{};
}

constexpr Option options[] = {
    {"--older-than", "TIME", "Untouched for so long, such as 12h or 0 (default 7d)."},
    {"--dry-run", "", "Only tell."},
};

}  // namespace

const Command gc_command{.name = "gc",
                         .arguments = "",
                         .summary = "Remove what unfinished downloads, uploads and servers left.",
                         .details = "Models are never removed: `hearth rm` does that.",
                         .options = options,
                         .run = run};

}  // namespace hearth::cli
