#include "engines/engines.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/log.h"

namespace hearth {

extern const Engine speech_engine, transformer_engine, graph_engine, onnxruntime_engine,
    libllama_engine, picollm_engine, apple_engine;

std::span<const Engine* const> engines() {
  // What is wrong with a model of sound is told before what others do not find in it.
  static constexpr std::array list{&speech_engine,      &transformer_engine, &graph_engine,
                                   &onnxruntime_engine, &libllama_engine,    &picollm_engine,
                                   &apple_engine};
  return list;
}

namespace {

constexpr double without_memory = 0.1;  // of the score of one that does not fit

std::string gigabytes(std::uint64_t bytes) {
  return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9);
}

// The engine's own word, what it needs of memory, and what was measured: two engines that were
// measured are compared by that alone.
void weigh(EngineChoice& choice, const EngineFit& fit, const EngineFacts& facts) {
  choice.score = fit.score;
  choice.why = fit.why;
  double best = 0;
  for (const auto& [name, speed] : facts.measured) best = std::max(best, speed);
  const auto found = facts.measured.find(choice.engine->name);
  if (found != facts.measured.end() && found->second > 0) {
    choice.measured = found->second;
    choice.why += fmt::format("; measured: {:.1f} tokens/s", choice.measured);
    if (facts.measured.size() > 1) choice.score = choice.measured / best;
  }
  if (facts.free_bytes > 0 && fit.bytes > facts.free_bytes) {
    choice.score *= without_memory;
    choice.why += fmt::format("; needs {} of memory, {} are free", gigabytes(fit.bytes),
                              gigabytes(facts.free_bytes));
  }
}

// The reason that counts when nothing runs a package: the first of an engine that reads its format.
class FirstError {
 public:
  void note(const Engine& engine, const Package& package, const Error& error) {
    const bool counts = engine.reads(package);
    if (error_ && (is_own_ || !counts)) return;
    error_ = error;
    is_own_ = counts;
  }
  Error take() { return *std::move(error_); }

 private:
  std::optional<Error> error_;
  bool is_own_ = false;
};

Error no_such_engine(const std::string& name) {
  std::string names;
  for (const Engine* engine : engines())
    names += fmt::format("{}{}", names.empty() ? "" : ", ", engine->name);
  return Error(ErrorKind::invalid, fmt::format("engine '{}': needs one of {}", name, names));
}

}  // namespace

std::vector<EngineChoice> rank_engines(const ops::Context& ctx, const Package& package,
                                       const EngineFacts& facts) {
  std::vector<EngineChoice> list;
  for (const Engine* engine : engines()) {
    EngineChoice choice{.engine = engine, .why = {}};
    const auto fit = engine->fit(ctx, package);
    if (fit) {
      weigh(choice, *fit, facts);
    } else {
      choice.why = fit.error().message();
      choice.is_error_own = engine->reads(package);
    }
    list.push_back(std::move(choice));
  }
  std::ranges::stable_sort(list, std::ranges::greater(), &EngineChoice::score);
  return list;
}

Result<EngineModel> load_with_best_engine(ops::Context& ctx, const Package& package,
                                          const LoadOptions& options, const EngineFacts& facts) {
  if (!facts.wish.empty() &&
      std::ranges::none_of(engines(), [&](const Engine* e) { return e->name == facts.wish; }))
    return no_such_engine(facts.wish);
  FirstError unfit, failed;  // why others do not fit is no news where one was tried
  bool was_tried = false;
  for (const EngineChoice& choice : rank_engines(ctx, package, facts)) {
    const Engine& engine = *choice.engine;
    if (!facts.wish.empty() && engine.name != facts.wish) continue;
    if (choice.score == 0) {
      unfit.note(engine, package, engine.fit(ctx, package).error());
      continue;
    }
    was_tried = true;
    auto model = engine.load(ctx, package, options);
    if (model) {
      log_info("event=loaded engine={} architecture={}", engine.name,
               (*model)->info().architecture);
      return EngineModel{*std::move(model), engine.name};
    }
    if (model.error().kind() == ErrorKind::cancelled) return std::move(model).error();
    failed.note(engine, package, model.error());
  }
  return was_tried ? failed.take() : unfit.take();
}

Result<ModelInfo> describe_package(const Package& package, std::optional<Dtype> kv_dtype) {
  FirstError error;
  for (const Engine* engine : engines()) {
    auto info = engine->describe(package, kv_dtype);
    if (info) return info;
    error.note(*engine, package, info.error());
  }
  return error.take();
}

}  // namespace hearth
