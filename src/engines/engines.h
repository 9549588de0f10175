// Engines: the ways to make a Package into a Model.  The best fit is taken; when loading fails the
// next one is tried.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/package.h"
#include "models/model.h"
#include "ops/context.h"

namespace hearth {

struct Engine {
  std::string_view name;
  // Packages of this format are its business: why it does not run one is worth telling.
  bool (*reads)(const Package& package);
  // How well it would run the package here, above 0.  Errors: unsupported or corrupt: why not.
  Result<double> (*fit)(const ops::Context& ctx, const Package& package);
  // What the model is, from headers.  Errors as fit.
  Result<ModelInfo> (*describe)(const Package& package);
  Result<std::shared_ptr<const Model>> (*load)(ops::Context& ctx, const Package& package,
                                               const LoadOptions& options);
};

// To add an engine: write engines/<name>.cpp with one `const Engine`, name it in engines.cpp.
std::span<const Engine* const> engines();

// Loads with the best engine.  Errors: those of the engine that fitted best, or why none fits.
Result<std::shared_ptr<const Model>> load_with_best_engine(ops::Context& ctx,
                                                           const Package& package,
                                                           const LoadOptions& options = {});

// What a package is, whichever engine knows it.  Errors: those of the first engine.
Result<ModelInfo> describe_package(const Package& package);

}  // namespace hearth
