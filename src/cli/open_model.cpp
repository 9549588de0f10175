#include "cli/open_model.h"

#include <fmt/format.h>

#include "cli/first_model.h"
#include "cli/interrupts.h"
#include "cli/pulling.h"
#include "cli/settings.h"

namespace hearth::cli {

Result<LibraryOptions> library_options(const Arguments& arguments) {
  const Config config = TRY(read_config(arguments));
  LibraryOptions options;
  options.threads = static_cast<int>(config.runtime.threads);
  options.kernels = config.runtime.cpu;
  options.runner.context_tokens = static_cast<std::uint32_t>(config.runtime.context);
  options.runner.deterministic = config.runtime.deterministic;
  const auto tier = ops::tier_named(config.runtime.tier);
  if (!tier)
    return Error(ErrorKind::invalid,
                 fmt::format("runtime.tier = '{}': needs one of {}", config.runtime.tier,
                             fmt::join(ops::tier_names, ", ")));
  options.runner.tier = *tier;
  options.runner.speculate = config.runtime.speculate;
  options.runner.max_queued = static_cast<std::uint32_t>(config.server.queue);
  options.folders = standard_folders(config.library.folders);
  return options;
}

Result<Lease> acquire(App& app, const Arguments& arguments, Library& library,
                      const std::string& reference) {
  if (reference == "default") {
    const auto meant = TRY(best_installed(arguments));
    return acquire(app, arguments, library, meant.value_or(std::string(builtin_chat)));
  }
  TRY(offer_to_pull(app, arguments, reference));
  const InterruptScope interrupts;
  auto lease = library.acquire(
      reference, [&](double share) { app.out.progress("loading", share); }, interrupts.token());
  app.out.progress_done();
  return lease;
}

Result<OpenModel> open_model(App& app, const Arguments& arguments, const std::string& reference) {
  OpenModel open;
  const LibraryOptions options = TRY(library_options(arguments));
  open.library = TRY(Library::create(options));
  open.lease = TRY(acquire(app, arguments, *open.library, reference));
  return open;
}

}  // namespace hearth::cli
