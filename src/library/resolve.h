// From a reference to what it means on this machine.
#pragma once

#include <optional>
#include <string>

#include "library/catalog.h"
#include "library/folders.h"
#include "library/local_models.h"
#include "library/reference.h"

namespace hearth {

// A reference that names nothing here, and what could be done about it.
struct Missing {
  Error error;                                // says so, with the command that helps
  std::optional<Reference> remote;            // it can be pulled from there
  std::optional<CatalogEntry> catalog_entry;  // when the catalog knows it
};

struct Resolved {
  std::optional<LocalModel> local;
  std::optional<Missing> missing;  // exactly one of the two
};

// Errors: those of parse_reference and of the catalog's file.
Result<Resolved> resolve(const std::string& reference, const LibraryFolders& folders);

// What open_package takes, or "builtin...".  Errors: also not_found.
Result<LocalModel> find_model(const std::string& reference, const LibraryFolders& folders);

}  // namespace hearth
