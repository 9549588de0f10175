// module.cmake says where the data is and makes this source depend on it.
#include "library/catalog.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/ascii.h"
#include "base/files.h"
#include "base/json.h"
#include "library/latest_tag.h"
#include "library/local_models.h"
#include "library/reference.h"

extern "C" {
asm(".pushsection .rodata\nhearth_catalog_begin:\n.incbin \"" HEARTH_CATALOG_FILE
    "\"\nhearth_catalog_end:\n.byte 0\n.popsection\n");
extern const char hearth_catalog_begin[] __attribute__((visibility("hidden")));
extern const char hearth_catalog_end[] __attribute__((visibility("hidden")));
}

namespace hearth {
namespace {

constexpr std::uint64_t max_catalog_bytes = 16u << 20;
constexpr std::uint64_t context_tokens = 8192, scratch_bytes = 300u << 20;

Result<CatalogEntry> read_entry(const Json& json) {
  CatalogEntry entry;
  entry.name = TRY(required<std::string>(json, "name"));
  entry.task = TRY(required<std::string>(json, "task"));
  entry.reference = TRY(required<std::string>(json, "reference"));
  entry.summary = TRY(optional<std::string>(json, "summary", ""));
  entry.licence = TRY(optional<std::string>(json, "licence", ""));
  entry.parameters = TRY(optional<double>(json, "parameters", 0.0));
  entry.active_parameters = TRY(optional<double>(json, "active", 0.0));
  entry.bytes = static_cast<std::uint64_t>(TRY(optional<double>(json, "gb", 0.0)) * 1e9);
  entry.context = static_cast<std::uint64_t>(TRY(optional<std::int64_t>(json, "context", 0)));
  entry.is_recommended = TRY(optional<bool>(json, "recommended", false));
  entry.is_default = TRY(optional<bool>(json, "default", false));
  if (std::ranges::find(catalog_tasks, entry.task) == std::end(catalog_tasks))
    return Error(ErrorKind::corrupt, fmt::format("'{}': task '{}': needs chat, code, embed, "
                                                 "rerank, vision or transcription",
                                                 entry.name, entry.task));
  const Reference name = TRY(parse_reference(entry.name));
  const Reference remote = TRY(parse_reference(entry.reference));
  if (name.kind != Reference::Kind::name || !remote.is_remote())
    return Error(ErrorKind::corrupt,
                 fmt::format("'{}': needs a plain name and an hf:, ollama: or https: reference",
                             entry.name));
  return entry;
}

std::string_view family_of(std::string_view name) { return name.substr(0, name.find(':')); }

}  // namespace

std::uint64_t CatalogEntry::memory_bytes() const {
  // Keys and values of grouped-query models lie near 12 MB per thousand million parameters and
  // thousand tokens; small models have relatively more.
  const double tokens = static_cast<double>(std::min(context, context_tokens));
  const double kv = task == "embed" || task == "rerank" || task == "transcription"
                        ? 0
                        : tokens * (20e3 + 12e3 * std::min(parameters, 12.0));
  return bytes + static_cast<std::uint64_t>(kv) + scratch_bytes;
}

std::uint64_t CatalogEntry::bytes_per_token() const {
  if (active_parameters <= 0 || parameters <= 0) return bytes;
  return static_cast<std::uint64_t>(static_cast<double>(bytes) * active_parameters / parameters);
}

Result<std::vector<CatalogEntry>> parse_catalog(std::string_view text) {
  const auto json = TRY(parse_json(text));
  const Json* models = json.find("models");
  if (!models || !models->is_array())
    return Error(ErrorKind::corrupt, "needs an object with a list 'models'");
  std::vector<CatalogEntry> entries;
  for (const Json& row : models->as_array()) {
    if (!row.is_object())
      return Error(ErrorKind::corrupt, "'models' holds something else than objects");
    entries.push_back(TRY(read_entry(row)));
  }
  return entries;
}

Result<std::vector<CatalogEntry>> load_catalog(const LibraryFolders& folders) {
  auto entries = TRY(parse_catalog({hearth_catalog_begin, hearth_catalog_end}));
  if (folders.catalog.empty() || !is_file(folders.catalog)) return entries;
  const std::string text = TRY(read_file(folders.catalog, max_catalog_bytes));
  auto own = parse_catalog(text);
  if (!own) return Error(ErrorKind::corrupt, own.error().message()).within(folders.catalog);
  for (CatalogEntry& entry : *own) {
    const auto same = std::ranges::find(entries, entry.name, &CatalogEntry::name);
    if (same == entries.end())
      entries.push_back(std::move(entry));
    else
      *same = std::move(entry);
  }
  return entries;
}

const CatalogEntry* find_in_catalog(const std::vector<CatalogEntry>& catalog,
                                    std::string_view name) {
  for (const CatalogEntry& entry : catalog)
    if (equal_ignoring_case(entry.name, name)) return &entry;
  name = without_latest(name);
  const CatalogEntry* found = nullptr;
  for (const CatalogEntry& entry : catalog)
    if (equal_ignoring_case(family_of(entry.name), name) && (!found || entry.is_default))
      found = &entry;
  return found;
}

std::uint64_t memory_for_models(const hardware::Memory& memory) {
  constexpr std::uint64_t most_reserved = 4ull << 30;
  const std::uint64_t total = memory.limit_bytes > 0
                                  ? std::min(memory.limit_bytes, memory.total_bytes)
                                  : memory.total_bytes;
  return total - std::min(most_reserved, total / 4);
}

}  // namespace hearth
