#include "cli/open_model.h"

#include "cli/first_model.h"
#include "cli/interrupts.h"
#include "cli/pulling.h"
#include "cli/settings.h"
#include "library/store.h"
#include "server/manage/tuning.h"

namespace hearth::cli {

Result<LibraryOptions> library_options(const Arguments& arguments) {
  const Config config = TRY(read_tuned_config(arguments));
  const LibraryTuning tuning = server::tuning_of(config);
  LibraryOptions options;
  options.threads = tuning.threads;
  options.kernels = config.runtime.cpu;
  options.runner = tuning.runner;
  options.draft = tuning.draft;
  options.kv_dtype = tuning.kv_dtype;
  options.sampling = tuning.sampling;
  options.folders = standard_folders(config.library.folders);
  return options;
}

Result<std::vector<AdapterWish>> adapter_wishes(const Arguments& arguments) {
  std::vector<AdapterWish> wishes;
  for (const std::string& text : arguments.all("--lora"))
    wishes.push_back(TRY(read_adapter_wish(text)));
  return wishes;
}

std::string output_stem(const LocalModel& model) {
  return model.tool == "path" ? model.path : store_name(model.name);
}

Result<Lease> acquire(App& app, const Arguments& arguments, Library& library,
                      const std::string& reference) {
  if (reference == "default") {
    const auto meant = TRY(best_installed(app, arguments));
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
  LibraryOptions options = TRY(library_options(arguments));
  options.tower = arguments.text("--mmproj");
  options.engine = arguments.text("--engine", "");
  options.adapters = TRY(adapter_wishes(arguments));
  options.adapters_must_fit = true;
  open.library = TRY(Library::create(options));
  open.lease = TRY(acquire(app, arguments, *open.library, reference));
  const Aliases aliases = read_aliases(options.folders);
  if (const Alias* alias = find_alias(aliases, reference)) open.preset = alias->preset;
  open.lease = TRY(open.library->with_preset(open.lease, open.preset));
  return open;
}

}  // namespace hearth::cli
