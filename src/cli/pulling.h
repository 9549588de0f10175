// Downloading as a person sees it: consent, progress, what to do when it fails.
#pragma once

#include <cstdint>
#include <string>

#include "cli/command.h"
#include "library/local_models.h"
#include "library/pull.h"

namespace hearth::cli {

// Where models lie and how the network is used, by environment and settings.
struct LibraryContext {
  LibraryFolders folders;
  Network network;
  std::uint64_t most_bytes = ~0ull;  // of a model that is fetched
};
Result<LibraryContext> library_context(const Arguments& arguments);
// The same, for those who fetch: with the token of library.token, the quantisation that suits this
// machine, and nothing larger than it can hold, but for --force.  Errors: those of read_secret too.
Result<LibraryContext> download_context(const Arguments& arguments);

// Shows progress: a bar on a terminal, a line now and then elsewhere.
Result<Pulled> pull_with_progress(App& app, const LibraryContext& context,
                                  const Reference& reference, const std::string& name);

// When the model is not here and can be downloaded: asks at a terminal, does it with --yes, and is
// an error that names the command elsewhere.
Status offer_to_pull(App& app, const Arguments& arguments, const std::string& reference);

// The model that the reference means, offered for download when it is not here.
Result<LocalModel> find_named(App& app, const Arguments& arguments, const std::string& reference);

}  // namespace hearth::cli
