#include "library/library.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/files.h"
#include "base/guarded.h"
#include "base/log.h"
#include "base/store_files.h"
#include "engines/engines.h"
#include "formats/graph_folder.h"
#include "graphs/open.h"
#include "hardware/condition.h"
#include "hardware/cpu.h"
#include "hardware/memory.h"
#include "hardware/system_files.h"
#include "kernels/select.h"
#include "library/builtin.h"
#include "library/engine_speeds.h"
#include "library/known_sums.h"
#include "library/recommended.h"
#include "library/remote.h"
#include "library/resolve.h"
#include "library/towers.h"
#include "library/transcriber.h"
#include "runtime/draft_model.h"
#include "runtime/memory_budget.h"
#include "text/grammar/engine.h"

namespace hearth {
namespace {

Result<Package> open_found(const LocalModel& model, const std::string& tower = "") {
  if (model.tool == "remote")
    return Error(ErrorKind::unsupported,
                 fmt::format("{} runs on another server: there is no file of it here", model.name));
  if (const auto file = builtin_file(model.path))
    return open_package(model.path, MappedFile::of_program(*file));
  if (graphs::is_graph(model.path) && !has_text_side(model.path))
    return Error(ErrorKind::unsupported,
                 fmt::format("{} is an operator graph, which holds no conversation: `hearth run {} "
                             "--input`, or POST /api/graphs/{}/run",
                             model.name, model.name, model.name));
  Package package = TRY(open_package(model.path));
  TRY(attach_tower(package, tower.empty() ? model.tower : tower));
  return package;
}

std::string id_of(const LocalModel& model) {
  if (model.tool != "path") return model.name;
  std::error_code error;
  const auto same = std::filesystem::canonical(model.path, error);
  std::string name = file_name(error ? model.path : same.string());
  for (const std::string_view ending : {".gguf", ".safetensors"})
    if (name.ends_with(ending)) name.erase(name.size() - ending.size());
  return name;
}

constexpr std::uint64_t least_context = 2048;  // worth loading a model for, if it has so much
constexpr std::uint64_t most_scratch = 100u << 20;

std::uint64_t kv_tokens_for(const ModelInfo& info, std::uint32_t context_tokens) {
  // Sound is heard window by window, however long a conversation may be.
  if (info.kind == ModelKind::transcriber) return recordings_at_once * info.context_length;
  return kv_tokens_of(context_tokens > 0
                          ? context_tokens
                          : std::min<std::uint64_t>(least_context, info.context_length));
}

ModelNeeds needs_of(const ModelInfo& info, std::uint32_t context_tokens) {
  // Small models work in little room.
  return {.weights = info.weight_bytes,
          .kv = kv_tokens_for(info, context_tokens) * info.kv_bytes_per_token,
          .scratch = std::min(most_scratch, info.weight_bytes / 4)};
}

int thread_count(int wanted, int cores) { return wanted > 0 ? wanted : cores; }

RunnerLimits limits_of(const RunnerOptions& options) {
  return {.step_tokens = options.step_tokens,
          .max_queued = options.max_queued,
          .max_running = options.max_running};
}

// A small machine keeps less free.
std::uint64_t bounded_free_bytes(std::uint64_t wanted) {
  const hardware::Memory memory = hardware::read_memory();
  const std::uint64_t total = memory.limit_bytes > 0 ? memory.limit_bytes : memory.total_bytes;
  return std::min(wanted, total / 16);
}

// Memory of this process that no file stands behind.  Source: proc(5), /proc/pid/status.
std::uint64_t anonymous_bytes() {
  const std::string status = hardware::read_text("/", "proc/self/status");
  for (const std::string_view line : hardware::lines_of(status))
    if (line.starts_with("RssAnon:")) return hardware::number_in(line.substr(8)).value_or(0) << 10;
  return 0;
}

}  // namespace

struct Library::State {
  LibraryOptions options;  // but for what `tuned` holds
  struct Tuned {
    RunnerOptions runner;
    std::optional<Dtype> kv_dtype;
    std::string draft;
  };
  Guarded<Tuned> tuned;  // of models loaded from now on
  // Of all of them; leases may outlive the library.
  const std::shared_ptr<Guarded<SamplingWishes>> wishes =
      std::make_shared<Guarded<SamplingWishes>>();
  const kernels::Kernels* table = nullptr;
  std::shared_ptr<ThreadPool> threads;
  // Packages whose headers were read to know what they need, until they are loaded.
  Guarded<std::map<std::string, Package>> opened;
  Guarded<std::map<std::string, std::uint64_t>> measured;  // weights in memory, by path
  // By path, while a model uses it.
  Guarded<std::map<std::string, std::weak_ptr<const Model>>> draft_models;

  Result<ModelNeeds> needs(const LocalModel& model);
  Result<Lease> load(const LocalModel& model, const LoadOrder& order);
  // A small model that guesses for a large one; those that guess for several are loaded once.
  struct Draft {
    std::shared_ptr<const Model>
        model;                    // nullptr: none is wished for, or it would be the large one
    std::uint64_t new_bytes = 0;  // of memory, where nobody had it
  };
  Result<std::optional<LocalModel>> find_draft(const Tuned& wish, const LocalModel& large) const;
  Status add_draft(const Tuned& wish, const LocalModel& large, std::uint64_t kv_tokens,
                   ModelNeeds& needs) const;
  Result<Draft> load_draft(const Tuned& wish, const LocalModel& large, std::stop_token stop);
  Result<Lease> connect(const LocalModel& model, const LoadOrder& order);
  Result<std::shared_ptr<Adapters>> adapters_for(ops::Context& ctx, const Model& model,
                                                 const std::string& name) const;
  ModelSource source();

  std::unique_ptr<ModelPool> pool;  // last: its models go first
};

namespace {

// Another text for other weights, or the same ones changed.
std::string identity_of(const std::string& path) {
  std::string text = path;
  const auto add = [&text](const std::string& file) {
    if (const auto identity = file_identity(file))
      text += fmt::format(" {} {} {}", file_name(file), identity->bytes, identity->modified_ns);
  };
  if (!is_folder(path)) add(path);
  for (const std::string& name : list_folder(path).value_or({})) add(join_path(path, name));
  return text;
}

}  // namespace

// A model on another server takes no memory here.
Result<Lease> Library::State::connect(const LocalModel& model, const LoadOrder& order) {
  const Reference reference = TRY(parse_reference(model.path));
  const RemoteSettings remote = TRY(find_remote(options.folders, reference.name));
  if (!remote.is_on_this_machine())
    log_warning("event=remote_model name={} what=prompts_leave_this_machine", remote.name);
  auto loaded = std::make_shared<LoadedModel>();
  loaded->reference = loaded->path = model.path;
  loaded->id = order.id;
  loaded->engine = "remote";
  loaded->sampling.temperature = 0.7f;
  loaded->wishes = wishes;
  loaded->runner = make_remote_runner(remote);
  loaded->grammars = std::make_shared<GrammarEngine>(loaded->model().tokenizer());
  return Lease(std::move(loaded));
}

Result<ModelNeeds> Library::State::needs(const LocalModel& model) {
  if (model.tool == "remote") return ModelNeeds{};
  if (auto damage = damage_of(model, read_known_sums(options.folders))) return *std::move(damage);
  Package package = TRY(open_found(model, options.tower));
  const Tuned now = tuned.with([](const Tuned& held) { return held; });
  const auto info = describe_package(package, now.kv_dtype);
  if (!info) return Error(info.error()).within(model.name);
  ModelNeeds needs = needs_of(*info, now.runner.context_tokens);
  measured.with([&](const auto& known) {
    if (const auto found = known.find(model.path); found != known.end())
      needs.weights = found->second;
  });
  if (info->kind == ModelKind::generator)
    TRY(add_draft(now, model, kv_tokens_for(*info, now.runner.context_tokens), needs));
  opened.with([&](auto& packages) { packages.insert_or_assign(model.path, std::move(package)); });
  return needs;
}

Result<std::optional<LocalModel>> Library::State::find_draft(const Tuned& wish,
                                                             const LocalModel& large) const {
  if (wish.draft.empty()) return std::optional<LocalModel>();
  LocalModel small = TRY(find_model(wish.draft, options.folders));
  if (small.path == large.path) return std::optional<LocalModel>();
  return std::optional<LocalModel>(std::move(small));
}

// What the small model takes beside the large one: weights that nobody else has in memory, and keys
// and values of its own of the same tokens.
Status Library::State::add_draft(const Tuned& wish, const LocalModel& large,
                                 std::uint64_t kv_tokens, ModelNeeds& needs) const {
  const auto small = TRY(find_draft(wish, large));
  if (!small) return Done{};
  const Package package = TRY(open_found(*small));
  const auto info = describe_package(package, wish.kv_dtype);
  if (!info) return Error(info.error()).within(small->name);
  needs.kv += kv_tokens * info->kv_bytes_per_token;
  const bool is_there = draft_models.with([&](const auto& models) {
    const auto found = models.find(small->path);
    return found != models.end() && !found->second.expired();
  });
  if (!is_there) needs.weights += info->weight_bytes;
  return Done{};
}

Result<Library::State::Draft> Library::State::load_draft(const Tuned& wish, const LocalModel& large,
                                                         std::stop_token stop) {
  const auto found = TRY(find_draft(wish, large));
  if (!found) return Draft();
  const LocalModel& small = *found;
  auto kept = draft_models.with([&](auto& models) { return models[small.path].lock(); });
  if (kept) return Draft{std::move(kept), 0};
  const Package package = TRY(open_found(small));
  ops::Context ctx{.kernels = table, .pool = threads.get()};
  LoadOptions wanted;
  wanted.kv_dtype = wish.kv_dtype;
  wanted.stop = std::move(stop);
  auto loaded = load_model(ctx, package, wanted);
  if (!loaded) return std::move(loaded).error().within(small.name);
  draft_models.with([&](auto& models) { models[small.path] = *loaded; });
  const std::uint64_t bytes = (*loaded)->info().weight_bytes;
  return Draft{*std::move(loaded), bytes};
}

// nullptr: none fits.
Result<std::shared_ptr<Adapters>> Library::State::adapters_for(ops::Context& ctx,
                                                               const Model& model,
                                                               const std::string& name) const {
  if (options.adapters.empty() || model.info().kind != ModelKind::generator)
    return std::shared_ptr<Adapters>();
  if (options.adapters_must_fit) return Adapters::read(ctx, model, options.adapters);
  auto fitting = TRY(Adapters::read(ctx, model, options.adapters, [&](const Error& error) {
    log_warning("adapter_left_out model={} why={}", name, error.message());
  }));
  if (fitting->entries().empty()) fitting.reset();
  return fitting;
}

Result<Lease> Library::State::load(const LocalModel& model, const LoadOrder& order) {
  if (model.tool == "remote") return connect(model, order);
  auto node = opened.with([&](auto& packages) { return packages.extract(model.path); });
  Package package = node.empty() ? TRY(open_found(model, options.tower)) : std::move(node.mapped());
  ops::Context ctx{.kernels = table, .pool = threads.get()};
  const Tuned now = tuned.with([](const Tuned& held) { return held; });
  LoadOptions wanted;
  wanted.kv_dtype = now.kv_dtype;
  wanted.context_tokens = now.runner.context_tokens;
  wanted.mtp = now.runner.speculate && now.draft.empty();
  wanted.progress = order.progress;
  wanted.stop = order.stop;
  const std::uint64_t before = anonymous_bytes();
  const EngineFacts facts{.free_bytes = hardware::read_memory().free_bytes(),
                          .measured = load_engine_speeds(options.folders, model.path),
                          .wish = options.engine};
  auto loading = load_with_best_engine(ctx, package, wanted, facts);
  if (!loading) return std::move(loading).error().within(model.name);
  std::shared_ptr<const Model> made = std::move(loading->model);
  if (!options.tower.empty() && made->vision() == nullptr)
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: is no vision tower of {}", options.tower, model.name));
  const std::uint64_t after = anonymous_bytes();

  auto loaded = std::make_shared<LoadedModel>();
  loaded->reference = model.reference.empty() ? model.name : model.reference;
  loaded->path = model.path;
  loaded->id = order.id;
  // What other models took meanwhile is not this one's.
  const std::uint64_t estimate = made->info().weight_bytes;
  loaded->engine = loading->engine;
  loaded->weight_bytes = std::clamp(after - std::min(before, after), estimate, 2 * estimate);
  measured.with([&](auto& known) { known[model.path] = loaded->weight_bytes; });
  loaded->sampling = recommended_sampling(package);
  loaded->wishes = wishes;
  RunnerOptions runner = now.runner;
  runner.prefixes = options.runner.prefixes;
  const std::string_view kv_type = now.kv_dtype ? name_of(*now.kv_dtype) : "auto";
  runner.prefixes.model =
      fmt::format("{} {} {} {} {}{}", HEARTH_VERSION, table->name, kv_type, runner.context_tokens,
                  identity_of(model.path), made->guesses() ? " mtp" : "");
  if (runner.kv_budget_bytes == 0) runner.kv_budget_bytes = order.kv_budget_bytes;
  if (made->info().kind == ModelKind::generator) {
    Draft draft = TRY(load_draft(now, model, order.stop));
    const Status fits = draft.model ? check_draft_model(*made, *draft.model) : Done{};
    if (fits.ok()) {
      runner.draft_model = std::move(draft.model);
      loaded->weight_bytes += draft.new_bytes;
    } else {
      log_warning("no_draft_model why={}", fits.error().message());
    }
  }
  loaded->adapters = TRY(adapters_for(ctx, *made, model.name));
  const bool hears = made->info().kind == ModelKind::transcriber;
  loaded->runner =
      TRY((hears ? make_transcriber : make_runner)(std::move(made), *table, threads, runner));
  if (loaded->adapters) {
    loaded->weight_bytes += loaded->adapters->bytes();
    loaded->runner = with_standard_adapters(std::move(loaded->runner), loaded->adapters);
  }
  // Loading takes long: what was asked for meanwhile counts.
  loaded->runner->limit(tuned.with([](const Tuned& held) { return limits_of(held.runner); }));
  loaded->grammars = std::make_shared<GrammarEngine>(loaded->model().tokenizer());
  return Lease(std::move(loaded));
}

ModelSource Library::State::source() {
  ModelSource source;
  source.find = options.find;
  if (!source.find)
    source.find = [this](const std::string& reference) {
      return find_model(reference, options.folders);
    };
  source.id = id_of;
  source.needs = [this](const LocalModel& model) { return needs(model); };
  source.load = [this](const LocalModel& model, const LoadOrder& order) {
    return load(model, order);
  };
  source.repair = options.repair;
  source.free_bytes = [] { return hardware::read_memory().free_bytes(); };
  source.memory_pressure = [] { return hardware::read_condition().memory_pressure; };
  return source;
}

Result<Package> open_reference(const std::string& reference, const LibraryFolders& folders) {
  return open_found(TRY(find_model(reference, folders)));
}

SamplingOptions with_wishes(SamplingOptions recommended, const SamplingWishes& wishes) {
  recommended.temperature = wishes.temperature.value_or(recommended.temperature);
  recommended.top_k = wishes.top_k.value_or(recommended.top_k);
  recommended.top_p = wishes.top_p.value_or(recommended.top_p);
  recommended.min_p = wishes.min_p.value_or(recommended.min_p);
  recommended.repetition_penalty =
      wishes.repetition_penalty.value_or(recommended.repetition_penalty);
  return recommended;
}

SamplingOptions LoadedModel::standard_sampling() const {
  if (!wishes) return sampling;
  return with_wishes(sampling, wishes->with([](const SamplingWishes& held) { return held; }));
}

Library::Library(std::unique_ptr<State> state) : state_(std::move(state)) {}
Library::~Library() = default;

Result<std::unique_ptr<Library>> Library::create(const LibraryOptions& options) {
  auto state = std::make_unique<State>();
  state->options = options;
  state->tuned.with(
      [&](State::Tuned& now) { now = {options.runner, options.kv_dtype, options.draft}; });
  state->wishes->with([&](SamplingWishes& wishes) { wishes = options.sampling; });
  state->table = TRY(kernels::choose(options.kernels));
  // So many that tune() can ask for more than there are at first.
  const int cores = hardware::usable_cores(), threads = thread_count(options.threads, cores);
  state->threads = std::make_shared<ThreadPool>(std::max(threads, cores));
  state->threads->limit(threads);
  PoolOptions pool = options.pool;
  pool.min_free_bytes = bounded_free_bytes(pool.min_free_bytes);
  state->pool = std::make_unique<ModelPool>(state->source(), pool, options.observer);
  return std::unique_ptr<Library>(new Library(std::move(state)));
}

Result<Lease> Library::acquire(const std::string& reference,
                               const std::function<void(double share)>& progress,
                               std::stop_token stop) {
  AcquireOptions options;
  options.progress = progress;
  options.stop = std::move(stop);
  return state_->pool->acquire(reference, options);
}

std::vector<Lease> Library::loaded() const { return state_->pool->loaded(); }
ModelPool& Library::pool() { return *state_->pool; }

void Library::tune(const LibraryTuning& tuning) {
  state_->threads->limit(thread_count(tuning.threads, hardware::usable_cores()));
  state_->tuned.with(
      [&](State::Tuned& now) { now = {tuning.runner, tuning.kv_dtype, tuning.draft}; });
  state_->wishes->with([&](SamplingWishes& wishes) { wishes = tuning.sampling; });
  for (const Lease& model : loaded()) model->runner->limit(limits_of(tuning.runner));
  PoolLimits pool = tuning.pool;
  pool.min_free_bytes = bounded_free_bytes(pool.min_free_bytes);
  state_->pool->set_limits(pool);
}

const std::vector<AdapterWish>& Library::adapters() const { return state_->options.adapters; }

Result<Lease> Library::with_preset(const Lease& model, const Preset& preset) const {
  if (preset.adapters.empty()) return model;
  ops::Context ctx{.kernels = state_->table, .pool = state_->threads.get()};
  auto uses = model->shelf->uses(ctx, model->model(), preset.adapters);
  if (!uses) return std::move(uses).error();
  return with_uses(model, *std::move(uses));
}

int Library::threads() const { return state_->threads->limit(); }
std::string_view Library::kernels() const { return state_->table->name; }

}  // namespace hearth
