// Engines that are sealed: what they run cannot be read by others, so all that is done is to say
// so, and what would be needed.
#include <dlfcn.h>
#include <fmt/core.h>

#include "engines/engines.h"

namespace hearth {
namespace {

Error unsupported(std::string what) { return Error(ErrorKind::unsupported, std::move(what)); }

bool never(const Package&) { return false; }
Result<ModelInfo> describe_nothing(const Package&, std::optional<Dtype>) {
  return unsupported("a sealed format");
}
Result<std::shared_ptr<const Model>> load_nothing(ops::Context&, const Package&,
                                                  const LoadOptions&) {
  return unsupported("a sealed engine");
}

bool is_installed(const char* library) {
  void* handle = dlopen(library, RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr) return false;
  dlclose(handle);
  return true;
}

// Source: Picovoice, "picoLLM Inference Engine C API".
Result<EngineFit> fit_picollm(const ops::Context&, const Package&) {
  return unsupported(fmt::format(
      "runs .pllm files alone, which are encrypted: they need Picovoice's library ({}) and an "
      "AccessKey that is checked over the network; the models that they are made of are published "
      "as safetensors too, which Hearth runs",
      is_installed("libpv_picollm.so") ? "libpv_picollm.so is installed here"
                                       : "libpv_picollm.so is not installed here"));
}

// Source: Apple, "Foundation Models" framework documentation.
Result<EngineFit> fit_apple(const ops::Context&, const Package&) {
#ifdef __APPLE__
  return unsupported(
      "runs the one model that the system carries, by a framework for Swift: no file is given to "
      "it");
#else
  return unsupported(
      "runs the one model that macOS 26 and iOS 26 carry, by a framework of those systems: this is "
      "none of them");
#endif
}

}  // namespace

extern const Engine picollm_engine, apple_engine;
const Engine picollm_engine{.name = "picollm",
                            .summary = "Picovoice's compressed models (.pllm)",
                            .reads = never,
                            .fit = fit_picollm,
                            .describe = describe_nothing,
                            .load = load_nothing};
const Engine apple_engine{.name = "apple",
                          .summary = "Apple's Foundation Models, part of the system",
                          .reads = never,
                          .fit = fit_apple,
                          .describe = describe_nothing,
                          .load = load_nothing};

}  // namespace hearth
