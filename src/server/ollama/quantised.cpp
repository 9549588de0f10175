// Source: Ollama, docs/api.md, "Create a model", quantize.
#include "server/ollama/quantised.h"

#include <fmt/core.h>

#include "adapt/quantise.h"
#include "adapt/translate.h"
#include "base/store_files.h"
#include "base/utf8.h"
#include "hardware/cpu.h"
#include "http/secrets.h"
#include "library/import.h"

namespace hearth::server::ollama {

Check check_recipe(const std::string& recipe) {
  if (adapt::find_recipe(recipe) != nullptr) return Done{};
  std::string names;
  for (const adapt::Recipe& known : adapt::recipes())
    names += fmt::format("{}{}", names.empty() ? "" : ", ", known.name);
  return invalid_value("quantize", fmt::format("'{}': needs one of {}", printable(recipe), names));
}

Status import_quantised(LiveLibrary& library, const std::string& name, const Package& package,
                        const std::string& recipe, const std::stop_token& stop) {
  const LibraryFolders& folders = library.installed.folders();
  const std::string folder = join_path(join_path(folders.models, ".uploads"),
                                       fmt::format("quantised-{:016x}", http::random_u64()));
  TRY(make_folders(folder));
  const std::string file = join_path(folder, "model.gguf");
  const auto make = [&]() -> Status {
    const adapt::Translated translated = TRY(adapt::translate(package, Naming::gguf));
    adapt::QuantiseOptions options;
    options.recipe = adapt::find_recipe(recipe);
    options.stop = stop;
    ThreadPool threads(hardware::usable_cores());
    TRY(adapt::quantise(translated.package, file, options, threads));
    ImportOptions wish;
    wish.name = name;
    wish.is_replacing = true;
    wish.stop = stop;
    TRY(import_model(file, folders, wish));
    return Done{};
  };
  Status made = make();
  (void)remove_all(folder).ok();
  return made;
}

}  // namespace hearth::server::ollama
