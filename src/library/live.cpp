#include "library/live.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "library/shelf_watch.h"
#include "library/verify.h"

namespace hearth {

std::optional<Error> why_not_ours(const LocalModel& model) {
  if (model.tool == "hearth") return std::nullopt;
  if (model.tool == "program")
    return Error(ErrorKind::invalid, fmt::format("'{}' is part of the program", model.name));
  if (model.tool == "path")
    return Error(
        ErrorKind::invalid,
        fmt::format("'{}' is a file of yours: Hearth removes only what it downloaded", model.name));
  const std::string remedy =
      model.tool == "ollama"        ? fmt::format("`ollama rm {}` removes it", model.name.substr(7))
      : model.tool == "huggingface" ? std::string("`hf cache rm` removes it")
                                    : fmt::format("it lies at {}", model.path);
  return Error(ErrorKind::invalid,
               fmt::format("'{}' is not in Hearth's store but another program's ({}): {}",
                           model.name, model.tool, remedy));
}

LiveLibrary::LiveLibrary(const LibraryFolders& folders, const Network& network)
    : lifecycles(folders.lifecycle), installed(folders), network_(network) {}

LiveLibrary::~LiveLibrary() {
  stop_watching();
  downloads.reset();
  library.reset();
}

Result<std::unique_ptr<LiveLibrary>> LiveLibrary::create(LibraryOptions options,
                                                         const Network& network) {
  std::unique_ptr<LiveLibrary> live(new LiveLibrary(options.folders, network));
  LiveLibrary* raw = live.get();
  options.find = [raw](const std::string& name) { return raw->installed.find(name); };
  options.observer = [raw](const std::string& name, ModelEvent event, double share) {
    raw->note(name, event, share);
  };
  options.repair = [raw](const LocalModel& model, std::stop_token stop) {
    return raw->repair(model, std::move(stop));
  };
  live->library = TRY(Library::create(options));
  live->downloads = std::make_unique<DownloadQueue>(options.folders, network, live->lifecycles,
                                                    [raw] { raw->installed.note_change(); });
  return live;
}

void LiveLibrary::note(const std::string& name, ModelEvent event, double share) {
  if (event == ModelEvent::load && share > 0) {
    lifecycles.advance(name, share);
    return;
  }
  if (lifecycles.apply(name, event).ok() || event != ModelEvent::initialize) return;
  // It is here, or it would not be loaded.
  if (lifecycles.apply(name, ModelEvent::find_here).ok()) (void)lifecycles.apply(name, event).ok();
}

// Fetches again what of a model of our store is not what was promised.
Status LiveLibrary::repair(const LocalModel& model, std::stop_token stop) {
  const std::vector<VerifiedFile> files =
      TRY(verify(model, installed.folders(), {.stop = stop, .read = {}}));
  if (std::ranges::all_of(files, [](const VerifiedFile& file) { return file.problem.empty(); }))
    return Error(ErrorKind::corrupt, "its files are those that were promised");
  const Manifest manifest = TRY(prepare_repair(installed.folders(), network_, model, files));
  const Reference reference = TRY(parse_reference(manifest.reference));
  TRY(pull(reference, manifest.name, installed.folders(), network_,
           {.stop = std::move(stop), .progress = {}, .remark = {}}));
  installed.note_change();
  return Done{};
}

void LiveLibrary::watch(std::function<void(const LibraryNews& news)> tell) {
  struct Seen {
    std::set<std::string> names;
    bool is_first = true;
  };
  const auto look = [this, tell = std::move(tell), seen = std::make_shared<Seen>()](bool is_told) {
    installed.trust_notes(is_told);
    installed.note_change();
    std::set<std::string> names;
    const InstalledModels::List here = installed.list();  // another thread may look again
    for (const LocalModel& model : *here) names.insert(model.name);
    LibraryNews news;
    std::ranges::set_difference(names, seen->names, std::back_inserter(news.came));
    std::ranges::set_difference(seen->names, names, std::back_inserter(news.left));
    seen->names = std::move(names);
    if (std::exchange(seen->is_first, false) || (news.came.empty() && news.left.empty())) return;
    for (const std::string& name : news.came) note_arrival(name);
    for (const std::string& name : news.left)
      if (lifecycles.apply(name, ModelEvent::remove).ok())
        (void)lifecycles.apply(name, ModelEvent::finish_cleanup).ok();
    tell(news);
  };
  watch_ = std::make_unique<ShelfWatch>(installed.folders(), look);
}

void LiveLibrary::stop_watching() {
  watch_.reset();
  installed.trust_notes(false);
}

// One of ours is told of by the download that brings it.
void LiveLibrary::note_arrival(const std::string& name) {
  const ModelState state = lifecycles.view(name).state;
  if (state == ModelState::uninitialized || state == ModelState::discovered ||
      state == ModelState::error || state == ModelState::cancelled)
    (void)lifecycles.apply(name, ModelEvent::find_here).ok();
}

Status LiveLibrary::remove(const std::string& name) {
  const LocalModel model = TRY(installed.find(name));
  if (const auto refusal = why_not_ours(model)) return *refusal;
  (void)pool().unload(model.name).ok();  // its users keep what is mapped
  (void)lifecycles.apply(model.name, ModelEvent::remove).ok();
  const Status removed = remove_from_store(installed.folders().models, model.folder);
  (void)lifecycles.apply(model.name, removed.ok() ? ModelEvent::finish_cleanup : ModelEvent::fail)
      .ok();
  installed.note_change();
  return removed;
}

}  // namespace hearth
