#include <fmt/core.h>

#include "base/ascii.h"
#include "library/catalog.h"
#include "library/pull.h"
#include "library/resolve.h"

namespace hearth {

Result<PullTarget> pull_target(const std::string& text, const LibraryFolders& folders) {
  const Reference reference = TRY(parse_reference(text));
  const std::vector<CatalogEntry> catalog = TRY(load_catalog(folders));
  if (reference.is_remote()) {
    // Fetched by its address, it has the catalog's name all the same.
    for (const CatalogEntry& entry : catalog)
      if (equal_ignoring_case(entry.reference, reference.text()))
        return PullTarget{reference, entry.name};
    return PullTarget{reference, ""};
  }
  if (reference.kind == Reference::Kind::name) {
    if (const CatalogEntry* entry = find_in_catalog(catalog, reference.text()))
      return PullTarget{TRY(parse_reference(entry->reference)), entry->name};
    const Resolved resolved = TRY(resolve(text, folders));
    if (!resolved.local) return resolved.missing->error;
    if (!resolved.local->reference.empty())
      return PullTarget{TRY(parse_reference(resolved.local->reference)), ""};
  }
  return Error(ErrorKind::invalid,
               fmt::format("'{}' is on this machine: nothing to download", text));
}

}  // namespace hearth
