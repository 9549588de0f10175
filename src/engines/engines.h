// Engines: the ways to make a Package into a Model.  The best fit is taken; when loading fails the
// next one is tried.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/package.h"
#include "models/model.h"
#include "ops/context.h"

namespace hearth {

// How well an engine would run a package here.
struct EngineFit {
  double score = 0;         // above 0; 1: as fast as this machine allows
  std::string why;          // for people: "kernels avx512"
  std::uint64_t bytes = 0;  // of memory that it takes; 0: not known
};

struct Engine {
  std::string_view name;
  std::string_view summary;  // what it runs, for people
  // Packages of this format are its business: why it does not run one is worth telling.
  bool (*reads)(const Package& package);
  // Errors: unsupported or corrupt: why it does not run it.
  Result<EngineFit> (*fit)(const ops::Context& ctx, const Package& package);
  // What the model is, from headers; kv_dtype as in LoadOptions.  Errors as fit.
  Result<ModelInfo> (*describe)(const Package& package, std::optional<Dtype> kv_dtype);
  Result<std::shared_ptr<const Model>> (*load)(ops::Context& ctx, const Package& package,
                                               const LoadOptions& options);
};

// To add an engine: write engines/<name>.cpp with one `const Engine`, name it in engines.cpp.
std::span<const Engine* const> engines();

// What counts beside an engine's own word.
struct EngineFacts {
  std::uint64_t free_bytes = 0;  // of memory; 0: not known
  // Tokens per second of one answer, by engine, as they were measured with this package.
  std::map<std::string, double, std::less<>> measured = {};
  std::string wish = {};  // the only engine that may be taken; empty: any
};

struct EngineChoice {
  const Engine* engine = nullptr;
  double score = 0;          // 0: it does not run it
  std::string why;           // or why not
  double measured = 0;       // tokens per second; 0: not measured
  bool is_error_own = true;  // why not is worth telling
};
// All of them, the best first, in the order in which they are tried.
std::vector<EngineChoice> rank_engines(const ops::Context& ctx, const Package& package,
                                       const EngineFacts& facts = {});

struct EngineModel {
  std::shared_ptr<const Model> model;
  std::string_view engine;
};
// Loads with the best engine.  Errors: those of the engine that fitted best, or why none fits;
// invalid (facts.wish names none).
Result<EngineModel> load_with_best_engine(ops::Context& ctx, const Package& package,
                                          const LoadOptions& options = {},
                                          const EngineFacts& facts = {});

// What a package is, whichever engine knows it.  Errors: those of the first engine.
Result<ModelInfo> describe_package(const Package& package, std::optional<Dtype> kv_dtype = {});

}  // namespace hearth
