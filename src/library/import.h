// Importing: a file of the user's own becomes a model of our store; and the way back.
#pragma once

#include <functional>
#include <stop_token>
#include <string>

#include "library/folders.h"
#include "library/local_models.h"
#include "library/store.h"

namespace hearth {

struct ImportOptions {
  std::string name;           // "my-model" or "my-model:7b"; empty: after the file
  bool is_replacing = false;  // a model of that name that is here
  std::stop_token stop;
  std::function<void(double share)> progress;
};

// `path`: a GGUF or safetensors file, a graph, a Hugging Face folder, or an archive of one.  It is
// copied, with its checksums, and has its name only when all of it is there and can be read as a
// model. Errors: invalid (the name), not_found, those of open_package and unpack, exhausted (disk),
// io, cancelled.
Result<Manifest> import_model(const std::string& path, const LibraryFolders& folders,
                              const ImportOptions& options);

// The name's form is right.  Errors: invalid.
Status check_model_name(const std::string& name);

// Copies the model's files to `target`: a file, where it is one, or a folder.  Errors: invalid (it
// is there), io, cancelled.
Status export_model(const LocalModel& model, const std::string& target, bool is_replacing,
                    std::stop_token stop, const std::function<void(double share)>& progress);

// Whether a file of this name is taken for a graph.
bool has_graph_name(std::string_view file);

}  // namespace hearth
