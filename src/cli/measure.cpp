#include "cli/measure.h"

#include <fmt/core.h>

#include "cli/interrupts.h"
#include "library/folders.h"
#include "library/measure_speeds.h"

namespace hearth::cli {
namespace {

Result<MachineSpeeds> measure(App& app, const std::string& kernels) {
  const InterruptScope interrupts;
  auto speeds = measure_speeds(
      standard_folders(), kernels, interrupts.token(),
      [&](std::string_view what) { app.out.progress_text(fmt::format("measuring: {}", what)); });
  app.out.progress_done();
  return speeds;
}

}  // namespace

Result<MachineSpeeds> measure_machine(App& app, const Arguments& arguments) {
  auto speeds = measure(app, arguments.text("--cpu"));
  if (speeds) TRY(save_speeds(standard_folders(), *speeds));
  return speeds;
}

Result<MachineFigures> figures_of_machine(App& app) {
  const LibraryFolders folders = standard_folders();
  if (const auto kept = load_speeds(folders)) return figures_of(*kept);
  const MachineSpeeds speeds = TRY(measure(app, ""));
  (void)save_speeds(folders, speeds).ok();  // where nothing can be written, measured each time
  return figures_of(speeds);
}

}  // namespace hearth::cli
