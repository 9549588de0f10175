// hearth init and hearth use: the first run, and which model is meant when none is named.
#include <fmt/core.h>
#include <unistd.h>

#include "cli/first_model.h"
#include "cli/measure.h"
#include "cli/rows.h"
#include "cli/settings.h"
#include "hardware/cpu.h"
#include "hardware/memory.h"
#include "library/resolve.h"

namespace hearth::cli {
namespace {

struct Profile {
  std::string_view name, summary;
  ModelWish wish;
};
// To add a profile: a row.
constexpr Profile profiles[] = {
    {"minimalist", "the smallest model that is of use", ModelWish::smallest},
    {"balanced", "the best answers that come faster than people read", ModelWish::balanced},
    {"perfectionist", "the best answers that fit the memory, however long they take",
     ModelWish::best},
};

Result<Profile> profile_of(const Arguments& arguments) {
  const std::string wanted = arguments.text("--profile", "balanced");
  for (const Profile& profile : profiles)
    if (profile.name == wanted) return profile;
  return Error(
      ErrorKind::invalid,
      fmt::format("--profile = '{}': needs minimalist, balanced or perfectionist", wanted));
}

void show_machine(Output& out, const MachineFigures& machine) {
  const hardware::Cpu cpu = hardware::read_cpu();
  out.line(out.bold("This machine"));
  out.row("processor", fmt::format("{}, {} cores for Hearth", cpu.brand, cpu.usable_cores));
  out.row("memory", fmt::format("{}, of which models may take {}",
                                readable_bytes(hardware::read_memory().total_bytes),
                                readable_bytes(machine.memory_bytes)));
  out.row("its speed",
          fmt::format("{} per second, as measured",
                      readable_bytes(static_cast<std::uint64_t>(machine.read_bytes_per_second))));
}

void show_choice(Output& out, const Profile& profile, const Recommendation& chosen) {
  out.line("");
  out.line(fmt::format("{} {}", out.bold("For conversation:"), chosen.entry.name));
  out.row("what", chosen.entry.summary);
  out.row("profile", fmt::format("{}: {}", profile.name, profile.summary));
  out.row("why", chosen.reason);
  out.row("download", fmt::format("{} from {}, {}", readable_bytes(chosen.entry.bytes),
                                  chosen.entry.reference, chosen.entry.licence));
}

struct Outcome {
  std::string model;
  std::string problem;  // why it is not the one that was chosen
  bool is_here = false, was_here = false;
};

// Without a person to ask, consent was given with the command.
Result<Outcome> fetch(App& app, const Arguments& arguments, const LibraryContext& context,
                      const Recommendation& chosen) {
  const std::string& name = chosen.entry.name;
  Outcome outcome{.model = name, .problem = ""};
  if (find_model(name, context.folders)) {
    outcome.is_here = outcome.was_here = true;
    return outcome;
  }
  Status came = Done{};
  if (arguments.has("--non-interactive") || arguments.has("--yes")) {
    const Reference remote = TRY(parse_reference(chosen.entry.reference));
    const auto pulled = pull_with_progress(app, context, remote, name);
    if (!pulled) came = pulled.error();
  } else {
    came = offer_to_pull(app, arguments, name);
  }
  if (!came.ok() && came.error().kind() == ErrorKind::cancelled) return came.error();
  outcome.is_here = came.ok();
  if (!came.ok()) {
    outcome.problem = came.error().message();
    outcome.model = std::string(builtin_chat);
  }
  return outcome;
}

void show_outcome(Output& out, const Outcome& outcome) {
  out.line("");
  if (!outcome.problem.empty()) {
    out.line(fmt::format("The model was not downloaded: {}", outcome.problem));
    out.line("Until then the small built-in model answers; `hearth init` tries again.");
  } else {
    out.line(fmt::format("{} is {}, and meant wherever no model is named.", out.bold(outcome.model),
                         outcome.was_here ? "here already" : "here, verified"));
  }
  out.line("  hearth chat                 talk to it");
  out.line("  hearth run default \"...\"    ask one thing");
  out.line("  hearth serve                serve it to editors and other clients");
  out.line("  hearth list --available     other models");
}

Status run(App& app, const Arguments& arguments) {
  const Profile profile = TRY(profile_of(arguments));
  const LibraryContext context = TRY(download_context(arguments));
  const auto catalog = TRY(load_catalog(context.folders));
  const MachineFigures machine = TRY(figures_of_machine(app));
  const bool json = arguments.has("--json");
  const auto chosen = TRY(choose_first_model(arguments, catalog, machine, profile.wish));
  Outcome outcome{.model = std::string(builtin_chat),
                  .problem = "no model of the catalog fits this machine's memory"};
  if (!json) show_machine(app.out, machine);
  if (chosen) {
    if (!json) show_choice(app.out, profile, *chosen);
    outcome = TRY(fetch(app, arguments, context, *chosen));
  }
  if (outcome.is_here) TRY(set_user_setting("models.default", outcome.model));
  if (json)
    app.out.json(Json::object({{"profile", profile.name},
                               {"memory_for_models", machine.memory_bytes},
                               {"read_bytes_per_second", machine.read_bytes_per_second},
                               {"chosen", chosen ? Json(chosen->entry.name) : Json()},
                               {"model", outcome.model},
                               {"was_here", outcome.was_here},
                               {"problem", outcome.problem}}));
  else
    show_outcome(app.out, outcome);
  return Done{};
}

Status use(App& app, const Arguments& arguments) {
  if (arguments.count() == 0) {
    const auto now = TRY(best_installed(app, arguments));
    app.out.line(now.value_or(std::string(builtin_chat)));
    return Done{};
  }
  const LocalModel model = TRY(find_named(app, arguments, arguments[0]));
  const bool is_file_of_ones_own = model.tool == "path";
  const std::string name = is_file_of_ones_own ? model.path : model.name;
  TRY(set_user_setting("models.default", name));
  if (arguments.has("--json"))
    app.out.json(Json::object({{"default", name}}));
  else
    app.out.line(fmt::format("{} is meant from now on wherever no model is named.", name));
  return Done{};
}

std::span<const Option> init_options() {
  static const std::vector<Option> list = [] {
    std::vector<Option> all{
        {"--profile", "NAME", "minimalist, balanced (default) or perfectionist."},
        {"--non-interactive", "", "Ask nothing: the command itself is the consent to download."}};
    for (const Option& option : setting_options("library.")) all.push_back(option);
    return all;
  }();
  return list;
}

}  // namespace

const Command init_command{
    .name = "init",
    .arguments = "",
    .summary = "First steps: choose a model for this machine and download it.",
    .details =
        "Shows the machine, proposes the model that suits it, downloads it when you agree and\n"
        "makes it the one that is meant when none is named.  Without a network, or without your\n"
        "consent, the small built-in model stays.\n\n"
        "  hearth init --non-interactive --profile minimalist",
    .options = init_options(),
    .run = run};

const Command use_command{
    .name = "use",
    .arguments = "[MODEL]",
    .summary = "Say which model is meant where none is named; without MODEL, tell which.",
    .details =
        "Sets models.default in your settings: for `hearth chat`, for requests to `hearth\n"
        "serve` that name none, and for the name `default`.",
    .options = {},
    .run = use};

}  // namespace hearth::cli
