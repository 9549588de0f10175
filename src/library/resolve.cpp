#include "library/resolve.h"

#include <fmt/core.h>

#include "base/ascii.h"
#include "base/files.h"
#include "base/nearest.h"
#include "base/utf8.h"
#include "library/installed.h"
#include "library/remote.h"

namespace hearth {
namespace {

Missing missing_remote(const Reference& reference) {
  return {
      Error(ErrorKind::not_found, fmt::format("{}: not on this machine; `hearth pull {}` gets it",
                                              reference.text(), reference.text())),
      reference, std::nullopt};
}

Result<Missing> missing_entry(const std::string& text, const CatalogEntry& entry) {
  Missing missing = missing_remote(TRY(parse_reference(entry.reference)));
  missing.error = Error(ErrorKind::not_found,
                        fmt::format("{}: not on this machine; `hearth pull {}` gets it ({:.1f} GB)",
                                    text, entry.name, static_cast<double>(entry.bytes) / 1e9));
  missing.catalog_entry = entry;
  return missing;
}

// Nothing has this name: the nearest one that something has.
Missing missing_name(const std::string& text, const std::vector<LocalModel>& models,
                     const std::vector<CatalogEntry>& catalog) {
  std::vector<std::string_view> names{builtin_chat, builtin_embedder};
  for (const LocalModel& model : models) names.push_back(model.name);
  for (const CatalogEntry& entry : catalog) names.push_back(entry.name);
  const std::string_view near = nearest(text, names);
  std::string hint = ":";
  if (text.contains('/'))
    hint = fmt::format("; for Hugging Face, write hf:{}:", text);
  else if (equal_ignoring_case(near.substr(0, 2), std::string_view(text).substr(0, 2)))
    hint = fmt::format("; did you mean '{}'?", near);  // others are no help
  return {
      Error(ErrorKind::not_found,
            fmt::format("'{}': no such file, and no model of that name on this machine or in the "
                        "catalog{} `hearth list` and `hearth list --available` show them",
                        printable(text), hint)),
      std::nullopt, std::nullopt};
}

}  // namespace

namespace {

Result<Resolved> resolve(const std::string& text, const LibraryFolders& folders,
                         const Aliases& aliases) {
  const Reference reference = TRY(parse_reference(text));
  if (reference.kind == Reference::Kind::builtin || reference.kind == Reference::Kind::path) {
    LocalModel model;
    model.name = model.path = reference.name;
    model.tool = reference.kind == Reference::Kind::path ? "path" : "program";
    if (reference.kind == Reference::Kind::path && !file_identity(model.path))
      return Resolved{std::nullopt,
                      Missing{Error(ErrorKind::not_found,
                                    fmt::format("{}: no such file or folder", printable(text))),
                              std::nullopt, std::nullopt}};
    return Resolved{std::move(model), std::nullopt};
  }
  if (reference.kind == Reference::Kind::service) {
    const auto remote = find_remote(folders, reference.name);
    if (!remote) return Resolved{std::nullopt, Missing{remote.error(), std::nullopt, std::nullopt}};
    LocalModel model;
    model.name = model.path = reference.text();
    model.tool = "remote";
    return Resolved{std::move(model), std::nullopt};
  }
  const std::vector<LocalModel> models = find_local_models(folders);
  if (const LocalModel* found = match(models, reference)) return Resolved{*found, std::nullopt};
  if (reference.is_remote()) return Resolved{std::nullopt, missing_remote(reference)};
  if (const Alias* alias = find_alias(aliases, text))
    return resolve(alias->model, folders, {});  // an alias of an alias is none
  const std::vector<CatalogEntry> catalog = TRY(load_catalog(folders));
  const CatalogEntry* entry = find_in_catalog(catalog, reference.text());
  if (!entry) return Resolved{std::nullopt, missing_name(text, models, catalog)};
  const Reference remote = TRY(parse_reference(entry->reference));
  if (const LocalModel* found = match(models, remote)) {
    LocalModel model = *found;
    model.name = entry->name;
    return Resolved{std::move(model), std::nullopt};
  }
  return Resolved{std::nullopt, TRY(missing_entry(text, *entry))};
}

}  // namespace

Result<Resolved> resolve(const std::string& text, const LibraryFolders& folders) {
  return resolve(text, folders, read_aliases(folders));
}

Result<LocalModel> find_model(const std::string& reference, const LibraryFolders& folders) {
  Resolved resolved = TRY(resolve(reference, folders));
  if (!resolved.local) return std::move(resolved.missing->error);
  return *std::move(resolved.local);
}

}  // namespace hearth
