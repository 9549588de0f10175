#include "cli/dispatch.h"

#include <fmt/core.h>

#include "base/log.h"
#include "base/nearest.h"
#include "cli/architecture_files.h"
#include "cli/command.h"
#include "cli/errors.h"
#include "cli/help.h"

namespace hearth::cli {
namespace {

const Command* find_command(std::string_view name) {
  for (const Command* command : commands())
    if (command->name == name) return command;
  return nullptr;
}

// Names are one word or two: "run", "index add".
const Command* find_command(const std::vector<std::string>& words) {
  if (words.size() > 1)
    if (const Command* command = find_command(words[0] + " " + words[1])) return command;
  return find_command(words[0]);
}

Error no_such_command(const std::vector<std::string>& words) {
  std::vector<std::string_view> names;
  std::string family;
  for (const Command* command : commands()) {
    names.push_back(command->name);
    if (command->name.starts_with(words[0] + " "))
      family += fmt::format("{}{}", family.empty() ? "" : ", ", command->name);
  }
  const std::string& name = words[0];
  if (!family.empty())
    return Error(ErrorKind::invalid,
                 fmt::format("there is: {}; `hearth help {} ...` tells more", family, name));
  return Error(ErrorKind::invalid, fmt::format("no command '{}'; did you mean `hearth {}`? "
                                               "`hearth help` lists them all",
                                               name, nearest(name, names)));
}

Status run(App& app, const std::vector<std::string>& words) {
  if (words.empty()) {
    app.out.text(help_overview());
    return Done{};
  }
  const std::string& name = words[0];
  if (name == "--version" || name == "-v" || name == "version") {
    app.out.line(fmt::format("hearth {}", HEARTH_VERSION));
    return Done{};
  }
  if (name == "--help" || name == "-h") {
    app.out.text(help_overview());
    return Done{};
  }
  const Command* command = find_command(words);
  if (!command) return no_such_command(words);
  const bool has_two_words = command->name.find(' ') != std::string_view::npos;
  const std::vector<std::string> rest(words.begin() + (has_two_words ? 2 : 1), words.end());
  for (const std::string& word : rest) {
    if (word == "--") break;
    if (word != "--help" && word != "-h") continue;
    app.out.text(help_page(*command));
    return Done{};
  }
  const Arguments arguments = TRY(Arguments::parse(*command, rest));
  if (arguments.has("--verbose")) set_log_level(LogLevel::info);
  for (const Error& error : read_architectures(architectures_folder()))
    app.out.remark(fmt::format("hearth: {}", error.message()));
  return command->run(app, arguments);
}

}  // namespace

int dispatch(const std::vector<std::string>& words) {
  Output out;
  App app{out};
  const Status status = run(app, words);
  out.progress_done();
  if (status.ok()) return 0;
  const Error& error = status.error();
  if (error.kind() != ErrorKind::cancelled) out.remark(fmt::format("hearth: {}", error.message()));
  return exit_code(error.kind());
}

}  // namespace hearth::cli
