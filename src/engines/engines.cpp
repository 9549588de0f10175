#include "engines/engines.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "base/log.h"

namespace hearth {

extern const Engine transformer_engine;

std::span<const Engine* const> engines() {
  static constexpr std::array list{&transformer_engine};
  return list;
}

namespace {

struct Scored {
  const Engine* engine;
  double fit;
};

}  // namespace

Result<std::shared_ptr<const Model>> load_with_best_engine(ops::Context& ctx,
                                                           const Package& package,
                                                           const LoadOptions& options) {
  std::vector<Scored> fitting;
  std::optional<Error> first_error;
  const auto note = [&](const Error& error) {
    if (!first_error) first_error = error;
  };
  for (const Engine* engine : engines()) {
    const auto fit = engine->fit(ctx, package);
    if (fit)
      fitting.push_back({engine, *fit});
    else
      note(fit.error());
  }
  std::ranges::stable_sort(fitting, std::ranges::greater(), &Scored::fit);
  if (!fitting.empty()) first_error.reset();  // why others do not fit is not the news
  for (const Scored& scored : fitting) {
    auto model = scored.engine->load(ctx, package, options);
    if (model) {
      log_info("event=loaded engine={} architecture={}", scored.engine->name,
               (*model)->info().architecture);
      return model;
    }
    if (model.error().kind() == ErrorKind::cancelled) return model;
    note(model.error());
  }
  return *first_error;
}

}  // namespace hearth
