#include "library/library.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "base/guarded.h"
#include "engines/engines.h"
#include "hardware/cpu.h"
#include "kernels/select.h"
#include "library/builtin.h"
#include "library/recommended.h"
#include "library/resolve.h"
#include "text/grammar/engine.h"

namespace hearth {
namespace {

Result<Package> open_found(const LocalModel& model) {
  if (const auto file = builtin_file(model.path))
    return open_package(model.path, MappedFile::of_program(*file));
  return open_package(model.path);
}

// The same file under another name is the same model.
std::string canonical(const std::string& path) {
  if (builtin_file(path)) return path;
  std::error_code error;
  const auto same = std::filesystem::canonical(path, error);
  return error ? path : same.string();
}

std::string id_of(const LocalModel& model) {
  if (model.name != model.path || builtin_file(model.path)) return model.name;
  std::string name = file_name(canonical(model.path));
  for (const std::string_view ending : {".gguf", ".safetensors"})
    if (name.ends_with(ending)) name.resize(name.size() - ending.size());
  return name;
}

struct Held {
  std::string path;  // canonical
  Lease lease;
};

}  // namespace

struct Library::State {
  LibraryOptions options;
  const kernels::Kernels* table = nullptr;
  std::shared_ptr<ThreadPool> pool;
  std::mutex loading;  // one model at a time; never taken while `held` is locked
  Guarded<std::vector<Held>> held;

  // By what it is called, or by its file.
  Lease find(const std::string& reference, const std::string& path = "") {
    return held.with([&](std::vector<Held>& list) -> Lease {
      for (const Held& one : list)
        if (one.lease->id == reference || one.lease->reference == reference || one.path == path)
          return one.lease;
      return nullptr;
    });
  }

  // An id that no loaded model has: "model", "model-2", ...
  std::string free_id(const LocalModel& model) {
    const std::string wanted = id_of(model);
    return held.with([&](const std::vector<Held>& list) {
      std::string id = wanted;
      for (int n = 2; std::ranges::any_of(list, [&](const Held& h) { return h.lease->id == id; });
           ++n)
        id = fmt::format("{}-{}", wanted, n);
      return id;
    });
  }
};

Result<Package> open_reference(const std::string& reference, const LibraryFolders& folders) {
  return open_found(TRY(find_model(reference, folders)));
}

Library::Library(std::unique_ptr<State> state) : state_(std::move(state)) {}
Library::~Library() = default;

Result<std::unique_ptr<Library>> Library::create(const LibraryOptions& options) {
  auto state = std::make_unique<State>();
  state->options = options;
  state->table = TRY(kernels::choose(options.kernels));
  const int threads = options.threads > 0 ? options.threads : hardware::usable_cores();
  state->pool = std::make_shared<ThreadPool>(threads);
  return std::unique_ptr<Library>(new Library(std::move(state)));
}

Result<Lease> Library::acquire(const std::string& reference,
                               const std::function<void(double share)>& progress,
                               std::stop_token stop) {
  State& state = *state_;
  if (Lease lease = state.find(reference)) return lease;
  const LocalModel found = TRY(find_model(reference, state.options.folders));
  const std::string path = canonical(found.path);
  const std::lock_guard loading(state.loading);
  // Loaded under another name, or by somebody else meanwhile.
  if (Lease lease = state.find(reference, path)) return lease;

  const Package package = TRY(open_found(found));
  ops::Context ctx{.kernels = state.table, .pool = state.pool.get()};
  LoadOptions options;
  options.context_tokens = state.options.runner.context_tokens;
  options.progress = progress;
  options.stop = std::move(stop);
  auto model = load_with_best_engine(ctx, package, options);
  if (!model) return std::move(model).error().within(reference);

  auto loaded = std::make_shared<LoadedModel>();
  loaded->reference = reference;
  loaded->path = path;
  loaded->id = state.free_id(found);
  loaded->loaded_seconds = std::chrono::duration_cast<std::chrono::seconds>(
                               std::chrono::system_clock::now().time_since_epoch())
                               .count();
  loaded->sampling = recommended_sampling(package);
  loaded->runner =
      TRY(make_runner(std::move(*model), *state.table, state.pool, state.options.runner));
  loaded->grammars = std::make_shared<GrammarEngine>(loaded->model().tokenizer());
  state.held.with([&](std::vector<Held>& list) { list.push_back({path, loaded}); });
  return Lease(std::move(loaded));
}

std::vector<Lease> Library::loaded() const {
  return state_->held.with([](const std::vector<Held>& list) {
    std::vector<Lease> leases;
    for (const Held& one : list) leases.push_back(one.lease);
    return leases;
  });
}

int Library::threads() const { return state_->pool->threads(); }
std::string_view Library::kernels() const { return state_->table->name; }

}  // namespace hearth
