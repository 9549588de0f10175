// From the common options to a model in use.
#pragma once

#include <memory>
#include <string>

#include "cli/command.h"
#include "library/aliases.h"
#include "library/library.h"

namespace hearth::cli {

struct OpenModel {
  std::unique_ptr<Library> library;
  Lease lease;
  Preset preset;  // of the name that it was asked for by
};

// Where the vision tower of a GGUF model lies, when that is not beside it.
constexpr Option mmproj_flag{"--mmproj", "FILE",
                             "The model's vision tower (GGUF), when it is not beside the model."};

constexpr Option lora_flag{"--lora", "[NAME=]PATH",
                           "A LoRA adapter (a PEFT folder or a GGUF file); may be given several "
                           "times.  With a name it is in use for MODEL:NAME alone.",
                           true};
Result<std::vector<AdapterWish>> adapter_wishes(const Arguments& arguments);

// From the runtime.* settings: file, environment, --threads, --cpu, --context, --deterministic.
Result<LibraryOptions> library_options(const Arguments& arguments);
// Shows progress while it loads.  A model that can be downloaded and is not here is, when the
// person at the terminal, or --yes, agrees.
Result<Lease> acquire(App& app, const Arguments& arguments, Library& library,
                      const std::string& reference);
// What a file made of a model is called, without its ending: beside a model of the user's own,
// otherwise in this folder and never in another program's.
std::string output_stem(const LocalModel& model);
Result<OpenModel> open_model(App& app, const Arguments& arguments, const std::string& reference);

}  // namespace hearth::cli
