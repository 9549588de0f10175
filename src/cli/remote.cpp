// hearth remote: the servers elsewhere whose models may be used, each by a name of its own.
#include <fmt/core.h>

#include <algorithm>

#include "cli/pulling.h"
#include "cli/rows.h"
#include "cli/table.h"
#include "library/remote.h"

namespace hearth::cli {
namespace {

Status add(App& app, const Arguments& arguments) {
  if (arguments.count() != 2) return Error(ErrorKind::invalid, "remote add: needs NAME and URL");
  const LibraryContext context = TRY(library_context(arguments));
  RemoteSettings remote{.name = arguments[0],
                        .url = arguments[1],
                        .model = arguments.text("--model", ""),
                        .key_env = arguments.text("--key-env", ""),
                        .embeds = arguments.has("--embeds")};
  while (remote.url.ends_with('/')) remote.url.pop_back();
  TRY(check_remote(remote));
  std::vector<RemoteSettings> remotes = TRY(read_remotes(context.folders));
  std::erase_if(remotes, [&](const RemoteSettings& old) { return old.name == remote.name; });
  remotes.push_back(remote);
  TRY(write_remotes(context.folders, remotes));
  app.out.line(fmt::format("remote:{} is {}{}", remote.name, remote.url,
                           remote.model.empty() ? "" : ", model " + remote.model));
  if (!remote.is_on_this_machine()) app.out.line("What is asked of it leaves this machine.");
  return Done{};
}

Status list(App& app, const Arguments& arguments) {
  const LibraryContext context = TRY(library_context(arguments));
  const auto remotes = TRY(read_remotes(context.folders));
  if (arguments.has("--json")) {
    Json all = Json::array();
    for (const RemoteSettings& remote : remotes)
      all.push_back(Json::object({{"name", "remote:" + remote.name},
                                  {"url", remote.url},
                                  {"model", remote.model},
                                  {"key_env", remote.key_env},
                                  {"embeds", remote.embeds},
                                  {"on_this_machine", remote.is_on_this_machine()}}));
    app.out.json(Json::object({{"remotes", std::move(all)}}));
    return Done{};
  }
  if (remotes.empty()) app.out.line("None: `hearth remote add NAME URL --model MODEL`");
  for (const RemoteSettings& remote : remotes)
    app.out.row("remote:" + remote.name,
                fmt::format("{}{}{}", remote.url, remote.model.empty() ? "" : ", " + remote.model,
                            remote.is_on_this_machine() ? "" : ", leaves this machine"));
  return Done{};
}

Status remove(App& app, const Arguments& arguments) {
  if (arguments.count() != 1) return Error(ErrorKind::invalid, "remote rm: needs a NAME");
  const LibraryContext context = TRY(library_context(arguments));
  std::vector<RemoteSettings> remotes = TRY(read_remotes(context.folders));
  TRY(find_remote(context.folders, arguments[0]));
  std::erase_if(remotes, [&](const RemoteSettings& old) { return old.name == arguments[0]; });
  TRY(write_remotes(context.folders, remotes));
  app.out.line(fmt::format("remote:{} is forgotten", arguments[0]));
  return Done{};
}

constexpr Option add_options[] = {
    {"--model", "NAME", "What that server calls the model."},
    {"--key-env", "VARIABLE", "The environment variable that holds its key."},
    {"--embeds", "", "The model turns texts into vectors."},
};

}  // namespace

const Command remote_add_command{
    .name = "remote add",
    .arguments = "NAME URL",
    .summary = "Let a model on another server be used as remote:NAME.",
    .details =
        "URL is the base address of an interface like OpenAI's: vLLM, llama-server, LM Studio,\n"
        "Ollama (its /v1), a cloud.  Nothing is sent there but by who asks for remote:NAME.\n\n"
        "  hearth remote add lab http://127.0.0.1:11434/v1 --model qwen3:8b\n"
        "  hearth chat remote:lab",
    .options = add_options,
    .run = add};

const Command remote_list_command{.name = "remote list",
                                  .arguments = "",
                                  .summary = "List the servers elsewhere that were added.",
                                  .details = "",
                                  .options = {},
                                  .run = list};

const Command remote_rm_command{.name = "remote rm",
                                .arguments = "NAME",
                                .summary = "Forget a server elsewhere.",
                                .details = "",
                                .options = {},
                                .run = remove};

}  // namespace hearth::cli
