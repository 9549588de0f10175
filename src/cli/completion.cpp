// hearth completion: what a shell needs to complete commands, options and names of models.
#include "cli/completion.h"

#include <fmt/core.h>

#include "cli/rows.h"
#include "library/local_models.h"
#include "library/reference.h"

namespace hearth::cli {
namespace {

// What a shell asks for the names that MODEL may be.
constexpr std::string_view list_models = "hearth completion --models 2>/dev/null";

bool takes_model(const Command& command) { return command.arguments.contains("MODEL"); }

std::string_view first_word(std::string_view name) { return name.substr(0, name.find(' ')); }
std::string_view second_word(std::string_view name) {
  const std::size_t space = name.find(' ');
  return space == name.npos ? std::string_view() : name.substr(space + 1);
}

// In single quotes, for all three shells.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("’") : std::string(1, c);
  return out + "'";
}

// First words, each once, in order.
std::vector<std::string_view> first_words() {
  std::vector<std::string_view> words;
  for (const Command* command : commands()) {
    const std::string_view word = first_word(command->name);
    bool is_known = false;
    for (const std::string_view one : words) is_known = is_known || one == word;
    if (!is_known) words.push_back(word);
  }
  return words;
}

std::string_view summary_of(std::string_view word) {
  for (const Command* command : commands())
    if (command->name == word) return command->summary;
  return "More commands.";
}

template <typename Use>
void for_options(const Command& command, Use&& use) {
  for (const Option& option : command.options) use(option);
  for (const Option& option : common_options()) use(option);
}

}  // namespace

std::string bash_completion() {
  std::string names, families, cases;
  for (const std::string_view word : first_words()) {
    names += fmt::format("{} ", word);
    std::string seconds;
    for (const Command* command : commands())
      if (first_word(command->name) == word && !second_word(command->name).empty())
        seconds += fmt::format("{} ", second_word(command->name));
    if (!seconds.empty()) families += fmt::format("    {}) words=\"{}\" ;;\n", word, seconds);
  }
  for (const Command* command : commands()) {
    std::string words;
    for_options(*command, [&](const Option& option) { words += fmt::format("{} ", option.name); });
    const bool is_two = !second_word(command->name).empty();
    cases += fmt::format("      {}) options=\"{}\"; models={} ;;\n",
                         is_two ? quoted(command->name) : fmt::format("'{} '*", command->name),
                         words, takes_model(*command) ? 1 : 0);
  }
  return fmt::format(
      "_hearth() {{\n"
      "  local word=\"${{COMP_WORDS[COMP_CWORD]}}\" words= options= models=0\n"
      "  COMPREPLY=()\n"
      "  if [ \"$COMP_CWORD\" = 1 ]; then COMPREPLY=($(compgen -W \"{}\" -- \"$word\")); return; "
      "fi\n"
      "  if [ \"$COMP_CWORD\" = 2 ]; then case \"${{COMP_WORDS[1]}}\" in\n{}  esac; fi\n"
      "  case \"${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}}\" in\n{}  esac\n"
      "  case \"$word\" in\n"
      "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")); return ;;\n"
      "  esac\n"
      "  [ \"$models\" = 1 ] && words=\"$words $({})\"\n"
      "  COMPREPLY=($(compgen -W \"$words\" -f -- \"$word\"))\n"
      "  # Names of models hold colons, at which bash ends words.\n"
      "  if declare -F __ltrimcolon_completions > /dev/null; then\n"
      "    __ltrimcolon_completions \"$word\"\n  fi\n"
      "}}\ncomplete -o filenames -F _hearth hearth\n",
      names, families, cases, list_models);
}

std::string zsh_completion() {
  std::string names, cases;
  for (const std::string_view word : first_words())
    names += fmt::format("    {}\n", quoted(fmt::format("{}:{}", word, summary_of(word))));
  for (const Command* command : commands()) {
    std::string options;
    for_options(*command, [&](const Option& option) {
      options += fmt::format(" {}", quoted(fmt::format("{}:{}", option.name, option.help)));
    });
    const bool is_two = !second_word(command->name).empty();
    cases += fmt::format("    {}) options=({}); models={} ;;\n",
                         is_two ? quoted(command->name) : fmt::format("'{} '*", command->name),
                         options, takes_model(*command) ? 1 : 0);
  }
  return fmt::format(
      "#compdef hearth\n_hearth() {{\n  local -a commands options names\n  local models=0\n"
      "  commands=(\n{}  )\n"
      "  if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
      "  case \"$words[2] $words[3]\" in\n{}  esac\n"
      "  if [[ $words[CURRENT] == -* ]]; then _describe -o option options; return; fi\n"
      "  (( models )) && names=(${{(f)\"$({})\"}})\n"
      "  compadd -a names\n  _files\n}}\n"
      "if [ \"$funcstack[1]\" = _hearth ]; then _hearth \"$@\"; else compdef _hearth hearth; fi\n",
      names, cases, list_models);
}

std::string fish_completion() {
  std::string script = "complete -c hearth -f\n";
  for (const std::string_view word : first_words())
    script += fmt::format("complete -c hearth -n __fish_use_subcommand -a {} -d {}\n", word,
                          quoted(summary_of(word)));
  for (const Command* command : commands()) {
    const std::string_view first = first_word(command->name), second = second_word(command->name);
    std::string seen = fmt::format("__fish_seen_subcommand_from {}", first);
    if (!second.empty()) {
      script += fmt::format("complete -c hearth -n '{}' -a {} -d {}\n", seen, second,
                            quoted(command->summary));
      seen += fmt::format("; and __fish_seen_subcommand_from {}", second);
    }
    for (const Option& option : command->options)
      script +=
          fmt::format("complete -c hearth -n '{}' -l {} -d {}{}\n", seen, option.name.substr(2),
                      quoted(option.help), option.value.empty() ? "" : " -r");
    if (takes_model(*command))
      script += fmt::format("complete -c hearth -n '{}' -F -a '({})'\n", seen, list_models);
  }
  for (const Option& option : common_options())
    script += fmt::format("complete -c hearth -l {} -d {}{}\n", option.name.substr(2),
                          quoted(option.help), option.value.empty() ? "" : " -r");
  return script;
}

namespace {

Status run(App& app, const Arguments& arguments) {
  if (arguments.has("--models")) {
    app.out.line(builtin_chat);
    app.out.line(builtin_embedder);
    for (const LocalModel& model : find_local_models(standard_folders())) app.out.line(model.name);
    return Done{};
  }
  const std::string& shell = arguments[0];
  if (shell == "bash") {
    app.out.text(bash_completion());
  } else if (shell == "zsh") {
    app.out.text(zsh_completion());
  } else if (shell == "fish") {
    app.out.text(fish_completion());
  } else {
    return Error(ErrorKind::invalid, fmt::format("'{}': needs bash, zsh or fish", shell));
  }
  return Done{};
}

constexpr Option options[] = {
    {"--models", "", "The names that MODEL may be, one to a line, as the scripts ask for them."}};

}  // namespace

const Command completion_command{
    .name = "completion",
    .arguments = "[SHELL]",
    .summary = "Print a completion script for bash, zsh or fish.",
    .details =
        "  source <(hearth completion bash)                      # in ~/.bashrc\n"
        "  source <(hearth completion zsh)                       # in ~/.zshrc\n"
        "  hearth completion fish > ~/.config/fish/completions/hearth.fish",
    .options = options,
    .run = run};

}  // namespace hearth::cli
