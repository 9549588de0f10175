// Collections for the commands: found by the settings, with the model that makes their vectors.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/open_model.h"
#include "vectors/store/local.h"
#include "vectors/text/files.h"

namespace hearth::cli {

// What is meant where no collection is named.
constexpr std::string_view default_collection = "default";

struct CollectionPlace {
  std::string root;  // the folder of all
  vectors::StoreOptions options;

  std::string folder(std::string_view name) const { return join_path(root, name); }
};
Result<CollectionPlace> collection_place(const Arguments& arguments);

// Errors: not_found names the collections that there are.
Result<std::unique_ptr<vectors::Collection>> open_collection(const CollectionPlace& place,
                                                             const std::string& name,
                                                             vectors::Access access);

// Turns texts into vectors with a model that is loaded when it is first needed.
class Embedder {
 public:
  Embedder(App& app, const Arguments& arguments, std::string reference)
      : app_(app), arguments_(arguments), reference_(std::move(reference)) {}

  // Errors: invalid: the collection has no model, so that its vectors come from its user.
  Result<std::vector<std::vector<float>>> embed(const std::vector<std::string>& texts,
                                                std::stop_token stop);
  // Length of its vectors.
  Result<std::size_t> dim();

 private:
  Status load();

  App& app_;
  const Arguments& arguments_;
  std::string reference_;
  std::optional<OpenModel> open_;
};

// The collection options that every command of this family takes.
std::vector<Option> with_collection_options(std::vector<Option> own);

}  // namespace hearth::cli
