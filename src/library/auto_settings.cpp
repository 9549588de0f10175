#include "library/auto_settings.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "library/recommend.h"

namespace hearth {
namespace {

constexpr double reading_tokens_per_second = 8;
// Where nothing was measured: what a core, and all of a socket, read from memory at least.
constexpr double core_bytes_per_second = 4e9, socket_bytes_per_second = 40e9;
constexpr double usable_share = 0.8;  // of it, for weights
constexpr double model_share = 0.6;   // of what models may take, for the weights of one
constexpr std::uint64_t little_memory = 6ull << 30;
constexpr std::uint64_t long_context = 131'072;  // from here on there is no limit
constexpr std::uint64_t mebibyte = 1 << 20;

// What a workload wants.  To add one: a row, and a word in config/settings.cpp.
struct Preset {
  std::string_view name;
  Workload workload;
  double speed;    // times faster than people read
  bool is_frugal;  // with threads
  int step_tokens;
  int parallel;
  double cache;  // times the usual share of memory
  std::string_view keep_alive;
};
constexpr Preset presets[] = {
    {"balanced", Workload::balanced, 1, false, 256, 256, 1, "5m"},
    {"throughput", Workload::throughput, 1, false, 512, 256, 2, "30m"},
    {"latency", Workload::latency, 3, false, 128, 8, 1, "1h"},
    {"efficient", Workload::efficient, 2, true, 128, 16, 0.5, "2m"},
};

struct Quantisation {
  std::string_view label;
  double bits;  // of a weight, about
};
// Best first.
constexpr Quantisation quantisations[] = {
    {"Q8_0", 8.5}, {"Q6_K", 6.6}, {"Q5_K_M", 5.7}, {"Q4_K_M", 4.85}};

std::string gigabytes(double bytes) { return fmt::format("{:.1f} GB", bytes / 1e9); }

// Of weights, as tokens pass through them.
struct Rate {
  double bytes_per_second = 0;
  bool is_measured = false;
};

Rate rate_of(const Machine& machine) {
  double rate = 0;
  if (machine.speeds) rate = four_bit_bytes_per_second(*machine.speeds);
  if (machine.speeds && rate <= 0 && !machine.speeds->memory.empty())
    rate = usable_share * machine.speeds->memory.back().bytes_per_second;
  if (rate > 0) return {rate, true};
  return {usable_share * std::min(core_bytes_per_second * std::max(1, machine.cpu.usable_cores),
                                  socket_bytes_per_second * std::max(1, machine.cpu.sockets)),
          false};
}

class Chooser {
 public:
  Chooser(const Machine& machine, const std::vector<CatalogEntry>& catalog, const Preset& preset)
      : machine_(machine),
        preset_(preset),
        cores_(std::max(1, machine.cpu.usable_cores)),
        total_bytes_(machine.memory.limit_bytes > 0 ? machine.memory.limit_bytes
                                                    : machine.memory.total_bytes),
        budget_bytes_(memory_for_models(machine.memory)),
        rate_(rate_of(machine).bytes_per_second),
        is_measured_(rate_of(machine).is_measured) {
    // As if the machine were slower, so that what is chosen answers so much faster.
    const MachineFigures figures{.memory_bytes = budget_bytes_,
                                 .read_bytes_per_second = rate_,
                                 .weights_bytes_per_second = rate_ / preset.speed};
    if (const auto chosen = choose_model(catalog, figures, "chat", ModelWish::balanced))
      model_ = chosen->entry;
  }

  std::vector<AutoChoice> run() {
    choose_threads();
    choose_context();
    choose_batch();
    choose_kv_type();
    add("models.keep_alive", Json(preset_.keep_alive),
        fmt::format("what suits a workload that is {}", preset_.name));
    choose_memory();
    choose_model_and_quantisation();
    choose_caches();
    return std::move(choices_);
  }

 private:
  void add(std::string_view key, Json value, std::string reason) {
    choices_.push_back({std::string(key), std::move(value), std::move(reason)});
  }

  std::string rate_text() const {
    return fmt::format("weights are read at {} per second, {}", gigabytes(rate_),
                       is_measured_ ? "as measured"
                                    : "as assumed: `hearth info --benchmark` "
                                      "measures it");
  }

  void choose_threads() {
    const hardware::Cpu& cpu = machine_.cpu;
    int threads = cores_;
    std::string reason = fmt::format("one per physical core that Hearth may use, of {}",
                                     std::max(1, cpu.physical_cores));
    const bool has_two_kinds = cpu.efficiency_cores > 0 && cpu.performance_cores > 0;
    if (has_two_kinds && preset_.workload != Workload::throughput &&
        cpu.performance_cores < cores_) {
      threads = cpu.performance_cores;
      reason = fmt::format(
          "one per performance core: a step waits for its slowest thread, and the "
          "{} efficiency cores are slower",
          cpu.efficiency_cores);
    }
    if (preset_.is_frugal) std::tie(threads, reason) = frugal_threads(threads);
    add("runtime.threads", threads, std::move(reason));
  }

  // Answers wait for memory: more threads than it takes to read it only take power.
  std::pair<int, std::string> frugal_threads(int most) const {
    double best = 0;
    if (machine_.speeds)
      for (const MachineSpeeds::Memory& one : machine_.speeds->memory)
        best = std::max(best, one.bytes_per_second);
    if (best > 0)
      for (const MachineSpeeds::Memory& one : machine_.speeds->memory)
        if (one.threads <= most && one.bytes_per_second >= 0.9 * best)
          return {one.threads,
                  fmt::format("so many read memory at {} per second, as measured, of {} at most",
                              gigabytes(one.bytes_per_second), gigabytes(best))};
    return {std::max(1, most / 2),
            fmt::format("half of {} cores: answers wait for memory more than "
                        "for them",
                        most)};
  }

  std::uint64_t left_beside_model() const {
    const std::uint64_t taken = model_ ? model_->bytes : 0;
    return budget_bytes_ - std::min(budget_bytes_, taken);
  }

  void choose_context() {
    const double parameters = model_ ? model_->parameters : 1;
    const double per_token = 20e3 + 12e3 * std::min(parameters, 12.0);  // as the catalog counts it
    const auto tokens =
        static_cast<std::uint64_t>(static_cast<double>(left_beside_model()) / per_token);
    const std::uint64_t context = std::max<std::uint64_t>(2048, std::bit_floor(tokens));
    const std::string room = fmt::format(
        "{} beside {} hold some {} tokens", gigabytes(static_cast<double>(left_beside_model())),
        model_ ? model_->name : std::string("a small model"), tokens);
    if (context >= long_context)
      add("runtime.max_context", 0, room + ": as many as the model was trained with");
    else
      add("runtime.max_context", context, room);
  }

  void choose_batch() {
    const bool is_small = budget_bytes_ < little_memory;
    add("runtime.step_tokens", is_small ? preset_.step_tokens / 2 : preset_.step_tokens,
        is_small ? fmt::format("half of what suits a workload that is {}: there is little memory",
                               preset_.name)
                 : fmt::format("what suits a workload that is {}", preset_.name));
    const int parallel = is_small ? std::min(preset_.parallel, 16) : preset_.parallel;
    add("runtime.parallel", parallel,
        parallel < preset_.parallel
            ? std::string("few conversations fit into little memory")
            : fmt::format("what suits a workload that is {}", preset_.name));
  }

  void choose_kv_type() {
    add("runtime.kv_type", "auto",
        "f16, half the memory of f32; f32 beside weights in f32, which lose nothing so");
  }

  void choose_memory() {
    const bool is_limited = machine_.memory.limit_bytes > 0;
    add("models.memory_mb", budget_bytes_ / mebibyte,
        fmt::format("{} {}, less {} for everything else",
                    gigabytes(static_cast<double>(total_bytes_)),
                    is_limited ? "is the limit of this container" : "of memory",
                    gigabytes(static_cast<double>(total_bytes_ - budget_bytes_))));
    const std::uint64_t least = std::min<std::uint64_t>(500, total_bytes_ / 16 / mebibyte);
    add("models.min_free_mb", least,
        least < 500 ? std::string("a sixteenth of the memory") : std::string("the usual reserve"));
  }

  void choose_model_and_quantisation() {
    if (!model_) {
      add("models.preferred", "", "no model of the catalog fits this machine's memory");
      add("models.quantisation", "Q4_K_M", "the smallest that answers well");
      return;
    }
    const auto speed_of = [&](double bytes) { return bytes > 0 ? rate_ / bytes : 0; };
    const double speed = speed_of(static_cast<double>(model_->bytes_per_token()));
    add("models.preferred", model_->name,
        fmt::format("the largest that fits {} and answers in about {:.0f} tokens per second; {}",
                    gigabytes(static_cast<double>(budget_bytes_)), speed, rate_text()));
    const double active =
        model_->active_parameters > 0 ? model_->active_parameters : model_->parameters;
    const Quantisation* best = std::end(quantisations) - 1;
    for (const Quantisation& one : quantisations) {
      const double bytes = model_->parameters * 1e9 * one.bits / 8;
      const bool fits = bytes < model_share * static_cast<double>(budget_bytes_);
      if (!fits ||
          speed_of(active * 1e9 * one.bits / 8) < preset_.speed * reading_tokens_per_second)
        continue;
      best = &one;
      break;
    }
    add("models.quantisation", Json(best->label),
        fmt::format("{} takes about {} so, and writes about {:.0f} tokens per second", model_->name,
                    gigabytes(model_->parameters * 1e9 * best->bits / 8),
                    speed_of(active * 1e9 * best->bits / 8)));
  }

  void choose_caches() {
    constexpr double share = 1.0 / 32;
    const double wanted = share * preset_.cache * static_cast<double>(total_bytes_ / mebibyte);
    const auto hot = std::bit_floor(static_cast<std::uint64_t>(std::clamp(wanted, 64.0, 8192.0)));
    const std::string reason = fmt::format("about 1/{:.0f} of {}", 1 / (share * preset_.cache),
                                           gigabytes(static_cast<double>(total_bytes_)));
    add("collections.hot_mb", hot, reason);
    add("collections.warm_mb", 10 * hot,
        "ten times what is hot: mapped files cost address space "
        "first");
  }

  const Machine& machine_;
  const Preset& preset_;
  const int cores_;
  const std::uint64_t total_bytes_, budget_bytes_;
  const double rate_;  // bytes of weights per second
  const bool is_measured_;
  std::optional<CatalogEntry> model_;
  std::vector<AutoChoice> choices_;
};

}  // namespace

Machine read_machine(const LibraryFolders& folders, const std::string& root) {
  Machine machine{.cpu = hardware::read_cpu(root),
                  .memory = hardware::read_memory(root),
                  .speeds = std::nullopt};
  if (root == "/") machine.speeds = load_speeds(folders);
  return machine;
}

std::uint64_t comfortable_bytes(const Machine& machine) {
  const double fits = model_share * static_cast<double>(memory_for_models(machine.memory));
  return static_cast<std::uint64_t>(
      std::min(fits, rate_of(machine).bytes_per_second / reading_tokens_per_second));
}

std::optional<Workload> workload_named(std::string_view name) {
  for (const Preset& preset : presets)
    if (preset.name == name) return preset.workload;
  return std::nullopt;
}

std::vector<AutoChoice> choose_settings(const Machine& machine,
                                        const std::vector<CatalogEntry>& catalog,
                                        Workload workload) {
  return Chooser(machine, catalog, presets[static_cast<std::size_t>(workload)]).run();
}

}  // namespace hearth
