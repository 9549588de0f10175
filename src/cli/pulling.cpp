#include "cli/pulling.h"

#include <fmt/core.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "cli/interrupts.h"
#include "cli/settings.h"
#include "config/secrets.h"
#include "hardware/system_files.h"
#include "library/auto_settings.h"
#include "library/catalog.h"
#include "library/resolve.h"

namespace hearth::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto terminal_interval = std::chrono::milliseconds(200);
constexpr auto pipe_interval = std::chrono::seconds(10);
constexpr int bar_width = 24;

std::string bar(double share) {
  const auto done = static_cast<std::size_t>(share * bar_width);
  return fmt::format("[{}{}]", std::string(done, '#'), std::string(bar_width - done, ' '));
}

std::string line_of(const PullProgress& progress) {
  const double share =
      progress.total > 0 ? static_cast<double>(progress.bytes) / static_cast<double>(progress.total)
                         : 0;
  std::string text =
      progress.total > 0
          ? fmt::format("{:3.0f} % {} of {}", std::min(share, 1.0) * 100,
                        readable_bytes(progress.bytes), readable_bytes(progress.total))
          : readable_bytes(progress.bytes);
  if (progress.bytes_per_second >= 1)
    text += fmt::format(", {}/s",
                        readable_bytes(static_cast<std::uint64_t>(progress.bytes_per_second)));
  if (const double left = progress.seconds_left(); left > 0)
    text += fmt::format(", {} left", readable_seconds(left));
  return text;
}

// Draws as often as a reader of the place it goes to can bear.
class ProgressLines {
 public:
  explicit ProgressLines(Output& out) : out_(out) {}

  void show(const PullProgress& progress) {
    const auto now = Clock::now();
    if (out_.shows_progress()) {
      if (now - last_ < terminal_interval) return;
      last_ = now;
      const double share = progress.total > 0 ? static_cast<double>(progress.bytes) /
                                                    static_cast<double>(progress.total)
                                              : 0;
      out_.progress_text(fmt::format("{} {}", bar(std::min(share, 1.0)), line_of(progress)));
    } else if (now - last_ >= pipe_interval) {
      last_ = now;
      out_.remark(line_of(progress));
    }
  }

 private:
  Output& out_;
  Clock::time_point last_ = Clock::now();
};

bool is_yes(const char* line) { return line[0] == '\n' || line[0] == 'y' || line[0] == 'Y'; }

// At a terminal only.
bool agrees(App& app, const std::string& question) {
  app.out.progress_done();
  std::fprintf(stderr, "%s [Y/n] ", question.c_str());
  char line[16] = "";
  return std::fgets(line, sizeof line, stdin) && is_yes(line);
}

}  // namespace

Result<LibraryContext> library_context(const Arguments& arguments) {
  const Config config = TRY(read_config(arguments));
  LibraryContext context;
  context.folders = standard_folders(config.library.folders);
  context.network =
      standard_network(config.library.hub, config.library.ollama, config.library.offline);
  context.network.stall_seconds = static_cast<int>(config.library.stall_seconds);
  context.network.connections = static_cast<int>(config.library.connections);
  for (std::string mirror : config.library.mirrors) {
    while (mirror.ends_with('/')) mirror.pop_back();
    context.network.mirrors.push_back(std::move(mirror));
  }
  if (config.library.max_kb_per_second > 0)
    context.network.limit = std::make_shared<RateLimit>(
        static_cast<std::uint64_t>(config.library.max_kb_per_second) * 1024);
  return context;
}

Result<LibraryContext> download_context(const Arguments& arguments) {
  LibraryContext context = TRY(library_context(arguments));
  const LoadedConfig loaded = TRY(load_config(tuned_sources_of(arguments)));
  const Config& config = loaded.config;
  if (!config.library.token.empty()) {
    auto token = read_secret(config.library.token);
    if (!token) return std::move(token).error().within("library.token");
    context.network.hub_token = *std::move(token);
  }
  if (!arguments.has("--force"))
    context.most_bytes = memory_for_models(hardware::read_memory(hardware::machine_root()));
  context.network.quantisation = config.models.quantisation;
  // Whoever names one gets it, however large.
  if (loaded.given.find("models.quantisation")->second.back().layer == Layer::automatic)
    context.network.quantisation_bytes =
        comfortable_bytes(read_machine(context.folders, hardware::machine_root()));
  return context;
}

Result<Pulled> pull_with_progress(App& app, const LibraryContext& context,
                                  const Reference& reference, const std::string& name) {
  ProgressLines lines(app.out);
  const InterruptScope interrupts;
  auto pulled = pull(reference, name, context.folders, context.network,
                     {.stop = interrupts.token(),
                      .progress = [&](const PullProgress& progress) { lines.show(progress); },
                      .remark = [&](const std::string& text) { app.out.remark(text); },
                      .most_bytes = context.most_bytes});
  app.out.progress_done();
  if (!pulled && pulled.error().kind() == ErrorKind::cancelled)
    app.out.remark("stopped; what came is kept: the same command goes on from here");
  return pulled;
}

Status offer_to_pull(App& app, const Arguments& arguments, const std::string& reference) {
  const LibraryContext context = TRY(library_context(arguments));
  const Resolved resolved = TRY(resolve(reference, context.folders));
  if (resolved.local) return Done{};
  const Missing& missing = *resolved.missing;
  if (!missing.remote) return missing.error;
  if (!arguments.has("--yes")) {
    if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDERR_FILENO) != 1) return missing.error;
    const auto& entry = missing.catalog_entry;
    const std::string what =
        entry ? fmt::format("{} ({}, {}, {})", entry->name, readable_bytes(entry->bytes),
                            entry->licence, missing.remote->text())
              : missing.remote->text();
    if (!agrees(app, fmt::format("{} is not on this machine. Download it?", what)))
      return missing.error;
  }
  const std::string name = missing.catalog_entry ? missing.catalog_entry->name : "";
  const LibraryContext fetching = TRY(download_context(arguments));
  TRY(pull_with_progress(app, fetching, *missing.remote, name));
  return Done{};
}

Result<LocalModel> find_named(App& app, const Arguments& arguments, const std::string& reference) {
  TRY(offer_to_pull(app, arguments, reference));
  const LibraryContext context = TRY(library_context(arguments));
  return find_model(reference, context.folders);
}

}  // namespace hearth::cli
