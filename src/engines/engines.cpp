#include "engines/engines.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "base/log.h"

namespace hearth {

extern const Engine transformer_engine, graph_engine;

std::span<const Engine* const> engines() {
  static constexpr std::array list{&transformer_engine, &graph_engine};
  return list;
}

namespace {

struct Scored {
  const Engine* engine;
  double fit;
};

// The reason that counts when nothing runs a package: the first of an engine that reads its format.
class FirstError {
 public:
  void note(const Engine& engine, const Package& package, const Error& error) {
    const bool counts = engine.reads(package);
    if (error_ && (is_own_ || !counts)) return;
    error_ = error;
    is_own_ = counts;
  }
  void forget() { error_.reset(); }
  Error take() { return *std::move(error_); }

 private:
  std::optional<Error> error_;
  bool is_own_ = false;
};

}  // namespace

Result<std::shared_ptr<const Model>> load_with_best_engine(ops::Context& ctx,
                                                           const Package& package,
                                                           const LoadOptions& options) {
  std::vector<Scored> fitting;
  FirstError error;
  for (const Engine* engine : engines()) {
    const auto fit = engine->fit(ctx, package);
    if (fit)
      fitting.push_back({engine, *fit});
    else
      error.note(*engine, package, fit.error());
  }
  std::ranges::stable_sort(fitting, std::ranges::greater(), &Scored::fit);
  if (!fitting.empty()) error.forget();  // why others do not fit is not the news
  for (const Scored& scored : fitting) {
    auto model = scored.engine->load(ctx, package, options);
    if (model) {
      log_info("event=loaded engine={} architecture={}", scored.engine->name,
               (*model)->info().architecture);
      return model;
    }
    if (model.error().kind() == ErrorKind::cancelled) return model;
    error.note(*scored.engine, package, model.error());
  }
  return error.take();
}

Result<ModelInfo> describe_package(const Package& package) {
  FirstError error;
  for (const Engine* engine : engines()) {
    auto info = engine->describe(package);
    if (info) return info;
    error.note(*engine, package, info.error());
  }
  return error.take();
}

}  // namespace hearth
