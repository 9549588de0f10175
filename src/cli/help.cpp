#include "cli/help.h"

#include <fmt/core.h>

#include <algorithm>

#include "cli/completion.h"
#include "config/config.h"
#include "server/serve.h"

namespace hearth::cli {
namespace {

std::string usage(const Option& option) {
  return option.value.empty() ? std::string(option.name)
                              : fmt::format("{} {}", option.name, option.value);
}

void append_options(std::string& page, std::span<const Option> options) {
  std::size_t width = 0;
  for (const Option& option : options) width = std::max(width, usage(option).size());
  for (const Option& option : options)
    page += fmt::format("  {:<{}}  {}\n", usage(option), width, option.help);
}

Status run(App& app, const Arguments& arguments) {
  if (arguments.has("--markdown")) {
    app.out.text(help_markdown());
  } else if (arguments.has("--settings")) {
    app.out.text(settings_reference());
  } else if (arguments.has("--http")) {
    app.out.text(server::http_reference());
  } else if (arguments.has("--bash-completion")) {
    app.out.text(bash_completion());
  } else if (arguments.count() == 0) {
    app.out.text(help_overview());
  } else {
    std::string name, pages;
    for (const std::string& word : arguments.positional()) name += (name.empty() ? "" : " ") + word;
    for (const Command* command : commands())
      if (command->name == name || command->name.starts_with(name + " "))
        pages += (pages.empty() ? "" : "\n\n") + help_page(*command);
    if (pages.empty()) return Error(ErrorKind::invalid, fmt::format("no command '{}'", name));
    app.out.text(pages);
  }
  return Done{};
}

constexpr Option options[] = {
    {"--markdown", "", "Print the reference page of all commands."},
    {"--settings", "", "Print the reference page of all settings."},
    {"--http", "", "Print the reference page of the HTTP interface."},
    {"--bash-completion", "", "The same as `hearth completion bash`."},
};

}  // namespace

const Command help_command{.name = "help",
                           .arguments = "[COMMAND...]",
                           .summary = "Explain a command.",
                           .details = "",
                           .options = options,
                           .run = run};

std::string help_overview() {
  std::string page =
      "Hearth runs language models on this machine.\n\nusage: hearth COMMAND ...\n\n";
  std::size_t width = 0;
  for (const Command* command : commands())
    width = std::max(width, command->name.size() + command->arguments.size() + 1);
  for (const Command* command : commands())
    page += fmt::format("  {:<{}}  {}\n", fmt::format("{} {}", command->name, command->arguments),
                        width, command->summary);
  page +=
      "\nMODEL is a name that `hearth list` shows, hf:org/repo[:quantisation], ollama:name[:tag], "
      "a\n"
      "GGUF or safetensors file, a Hugging Face folder, or `builtin`: the small model that comes\n"
      "with the program.  `hearth recommend` tells what suits this machine, `hearth pull` gets "
      "it.\n"
      "`hearth help COMMAND` tells more; `hearth chat builtin` starts a conversation.\n";
  return page;
}

std::string help_page(const Command& command) {
  std::string page = fmt::format("{}\n\nusage: hearth {} {}{}\n", command.summary, command.name,
                                 command.arguments, " [options]");
  if (!command.details.empty()) page += fmt::format("\n{}\n", command.details);
  if (!command.options.empty()) {
    page += "\noptions:\n";
    append_options(page, command.options);
  }
  page += "\ncommon options:\n";
  append_options(page, common_options());
  return page;
}

std::string help_markdown() {
  std::string page =
      "# Commands\n\nMade by `hearth help --markdown` from the program's own table.\n";
  const auto table = [&](std::span<const Option> rows) {
    page += "\n| option | meaning |\n|---|---|\n";
    for (const Option& option : rows)
      page += fmt::format("| `{}` | {} |\n", usage(option), option.help);
  };
  for (const Command* command : commands()) {
    page += fmt::format("\n## hearth {}\n\n`hearth {} {}`\n\n{}\n", command->name, command->name,
                        command->arguments, command->summary);
    if (!command->details.empty()) page += fmt::format("\n{}\n", command->details);
    if (!command->options.empty()) table(command->options);
  }
  page += "\n## Options of every command\n";
  table(common_options());
  page +=
      "\n## Exit codes\n\n| code | meaning |\n|---|---|\n| 0 | done |\n| 2 | the command line or a "
      "value in it is wrong |\n| 3 | not found |\n| 4 | not supported |\n| 5 | a file is corrupt "
      "|\n| 6 | the prompt does not fit the context |\n| 7 | a limit is reached or the service is "
      "not available |\n| 8 | the operating system reported an error |\n| 130 | interrupted |\n";
  return page;
}

}  // namespace hearth::cli
