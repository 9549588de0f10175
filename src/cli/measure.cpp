#include "cli/measure.h"

#include <fmt/core.h>

#include "cli/interrupts.h"
#include "library/folders.h"

namespace hearth::cli {

Result<MachineSpeeds> measure_machine(App& app, const Arguments& arguments) {
  const LibraryFolders folders = standard_folders();
  const InterruptScope interrupts;
  auto speeds = measure_speeds(
      folders, arguments.text("--cpu"), interrupts.token(),
      [&](std::string_view what) { app.out.progress_text(fmt::format("measuring: {}", what)); });
  app.out.progress_done();
  if (speeds) TRY(save_speeds(folders, *speeds));
  return speeds;
}

}  // namespace hearth::cli
