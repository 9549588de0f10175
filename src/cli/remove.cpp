// hearth rm and hearth du: room on the disk.
#include <fmt/core.h>

#include <map>

#include "base/files.h"
#include "base/store_files.h"
#include "cli/pulling.h"
#include "cli/rows.h"
#include "library/aliases.h"
#include "library/known_sums.h"
#include "library/live.h"
#include "library/resolve.h"
#include "library/store.h"

namespace hearth::cli {
namespace {

// False: what is to go is a model, which may have been named by its own name.
Result<bool> forget_name(const LibraryFolders& folders, const std::string& text) {
  const Aliases aliases = read_aliases(folders);
  const Alias* alias = find_alias(aliases, text);
  if (!alias) return false;
  TRY(set_alias(folders, text, {}));
  return alias->model != text;
}

Status remove(App& app, const Arguments& arguments) {
  const LibraryContext context = TRY(library_context(arguments));
  Json removed = Json::array();
  for (const std::string& text : arguments.positional()) {
    if (TRY(forget_name(context.folders, text))) {
      removed.push_back(Json::object({{"name", text}, {"bytes", 0}}));
      if (!arguments.has("--json")) app.out.line(fmt::format("{} removed: a name", text));
      continue;
    }
    const Resolved resolved = TRY(resolve(text, context.folders));
    const Reference wanted = TRY(parse_reference(text));
    std::uint64_t bytes = 0;
    std::string name = text;
    if (resolved.local) {
      if (const auto refusal = why_not_ours(*resolved.local)) return *refusal;
      name = resolved.local->name;
      bytes = resolved.local->bytes;
      TRY(remove_from_store(context.folders.models, resolved.local->folder));
    } else {
      // What an unfinished download left.
      const Reference& remote = resolved.missing->remote ? *resolved.missing->remote : wanted;
      const std::string prefix = store_name(remote.text());
      bool is_begun = false;
      for (const PartialDownload& partial : partial_downloads(context.folders.models)) {
        if (partial.name != prefix && !partial.name.starts_with(prefix + "--")) continue;
        const std::string folder =
            join_path(join_path(context.folders.models, ".partial"), partial.name);
        const auto lock = TRY(FileLock::try_take(folder + ".lock"));
        if (!lock)
          return Error(ErrorKind::unavailable, fmt::format("'{}' is being downloaded now", text));
        TRY(remove_all(folder));
        bytes += partial.bytes;
        is_begun = true;
      }
      if (!is_begun) return resolved.missing->error;
    }
    removed.push_back(Json::object({{"name", name}, {"bytes", bytes}}));
    if (!arguments.has("--json"))
      app.out.line(fmt::format("{} removed, {} freed", name, readable_bytes(bytes)));
  }
  if (arguments.has("--json")) app.out.json(Json::object({{"removed", std::move(removed)}}));
  return Done{};
}

// A file whose bytes lie on the disk once more.
struct Twice {
  std::string name, path, copy;
  std::uint64_t bytes = 0;
};

Status usage(App& app, const Arguments& arguments) {
  const LibraryContext context = TRY(library_context(arguments));
  struct Sum {
    std::uint64_t bytes = 0, models = 0;
  };
  std::map<std::string_view, Sum> tools;
  std::vector<Twice> twice;
  const std::vector<LocalModel> models = find_local_models(context.folders);
  for (const ModelCopies& one : find_copies(models, read_known_sums(context.folders))) {
    ++tools[one.model->tool].models;
    tools[one.model->tool].bytes += one.model->bytes;
    for (const LocalModel* copy : one.others) {
      ++tools[copy->tool].models;
      if (copy->identity == one.model->identity) continue;  // the very same file
      tools[copy->tool].bytes += copy->bytes;
      twice.push_back({copy->name, copy->path, one.model->path, copy->bytes});
    }
  }
  const auto partials = partial_downloads(context.folders.models);
  const std::uint64_t free = free_disk_bytes(context.folders.models);
  if (arguments.has("--json")) {
    Json by_tool = Json::array(), unfinished = Json::array(), copies = Json::array();
    for (const auto& [tool, sum] : tools)
      by_tool.push_back(
          Json::object({{"from", tool}, {"models", sum.models}, {"bytes", sum.bytes}}));
    for (const PartialDownload& partial : partials)
      unfinished.push_back(Json::object({{"name", partial.name}, {"bytes", partial.bytes}}));
    for (const Twice& one : twice)
      copies.push_back(Json::object(
          {{"name", one.name}, {"bytes", one.bytes}, {"path", one.path}, {"copy", one.copy}}));
    app.out.json(Json::object({{"store", context.folders.models},
                               {"free_bytes", free},
                               {"sums", std::move(by_tool)},
                               {"copies", std::move(copies)},
                               {"unfinished", std::move(unfinished)}}));
    return Done{};
  }
  for (const auto& [tool, sum] : tools)
    app.out.row(tool, fmt::format("{} in {} {}", readable_bytes(sum.bytes), sum.models,
                                  sum.models == 1 ? "model" : "models"));
  for (const PartialDownload& partial : partials)
    app.out.row("unfinished", fmt::format("{} of {}", readable_bytes(partial.bytes), partial.name));
  for (const Twice& one : twice)
    app.out.row("twice", fmt::format("{}, {}: {} and {}", one.name, readable_bytes(one.bytes),
                                     one.path, one.copy));
  app.out.row("free", fmt::format("{} at {}", readable_bytes(free), context.folders.models));
  return Done{};
}

}  // namespace

const Command rm_command{
    .name = "rm",
    .arguments = "MODEL...",
    .summary = "Remove a downloaded model, or what a download left.",
    .details =
        "Only from Hearth's own store: files of other programs are theirs to remove.\n\n"
        "  hearth rm qwen3:0.6b",
    .options = {},
    .run = remove};

const Command du_command{.name = "du",
                         .arguments = "",
                         .summary = "Tell how much room models take.",
                         .details = "",
                         .options = {},
                         .run = usage};

}  // namespace hearth::cli
