#include "library/installed.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"
#include "library/catalog.h"
#include "library/latest_tag.h"
#include "library/resolve.h"

namespace hearth {
namespace {

constexpr std::chrono::seconds fresh_for(2);

std::vector<LocalModel> builtin_models() {
  std::vector<LocalModel> list;
  for (const std::string_view name : {builtin_chat, builtin_embedder}) {
    LocalModel model;
    model.name = model.path = name;
    model.tool = "program";
    model.facts = read_facts(model);
    model.bytes = model.facts.weight_bytes;
    list.push_back(std::move(model));
  }
  return list;
}

const LocalModel* find_reference(const std::vector<LocalModel>& models, std::string_view text,
                                 const std::vector<CatalogEntry>& catalog) {
  const auto reference = parse_reference(text);
  if (!reference) return nullptr;
  if (reference->kind == Reference::Kind::builtin || reference->kind == Reference::Kind::path) {
    for (const LocalModel& model : models)
      if (model.path == reference->name) return &model;
    return nullptr;
  }
  if (const LocalModel* found = match(models, *reference)) return found;
  if (reference->kind != Reference::Kind::name) return nullptr;
  const CatalogEntry* entry = find_in_catalog(catalog, reference->text());
  if (!entry) return nullptr;
  if (const auto remote = parse_reference(entry->reference)) return match(models, *remote);
  return nullptr;
}

// All ways to understand what a client wrote, the plainest first.
std::vector<std::string> readings_of(std::string_view name) {
  const std::string plain(without_latest(name));
  std::vector<std::string> list{std::string(name)};
  if (plain != name) list.push_back(plain);
  list.push_back(fmt::format("ollama:{}", name));
  if (plain.contains('/')) list.push_back("hf:" + plain);
  return list;
}

}  // namespace

const LocalModel* find_by_name(const std::vector<LocalModel>& models, std::string_view name,
                               const LibraryFolders& folders) {
  for (const LocalModel& model : models)
    if (model.name == name) return &model;
  const auto loaded = load_catalog(folders);
  const std::vector<CatalogEntry> catalog = loaded ? *loaded : std::vector<CatalogEntry>();
  for (const std::string& text : readings_of(name))
    if (const LocalModel* found = find_reference(models, text, catalog)) return found;
  const Aliases aliases = read_aliases(folders);
  const Alias* alias = find_alias(aliases, name);
  if (!alias) return nullptr;
  for (const std::string& text : readings_of(alias->model))
    if (const LocalModel* found = find_reference(models, text, catalog)) return found;
  return nullptr;
}

InstalledModels::InstalledModels(LibraryFolders folders)
    : folders_(std::move(folders)), builtin_(builtin_models()) {}

// With the lock held.
InstalledModels::List InstalledModels::look() {
  std::vector<LocalModel> found = find_local_models(folders_);
  describe_local_models(folders_, found);
  auto all = std::make_shared<std::vector<LocalModel>>(builtin_);
  for (const LocalModel& model : allowed_) all->push_back(model);
  for (LocalModel& model : found) {
    const bool is_known = std::ranges::any_of(
        allowed_, [&](const LocalModel& own) { return own.path == model.path; });
    if (!is_known) all->push_back(std::move(model));
  }
  list_ = std::move(all);
  looked_ = std::chrono::steady_clock::now();
  return list_;
}

InstalledModels::List InstalledModels::list() {
  const std::lock_guard lock(mutex_);
  if (list_ && (is_told_ || std::chrono::steady_clock::now() - looked_ < fresh_for)) return list_;
  return look();
}

Result<LocalModel> InstalledModels::find(const std::string& name) {
  if (const List models = list(); const LocalModel* found = find_by_name(*models, name, folders_))
    return *found;
  note_change();
  const List models = list();
  if (const LocalModel* found = find_by_name(*models, name, folders_)) return *found;
  // Whether a file is there is nobody's business.
  if (TRY(parse_reference(name)).kind != Reference::Kind::path) {
    Resolved resolved = TRY(resolve(name, folders_));
    if (resolved.missing) return std::move(resolved.missing->error);
  }
  return Error(ErrorKind::not_found,
               fmt::format("'{}': no model of that name is installed here", printable(name)));
}

// Read again when the file is another one.
std::shared_ptr<const Aliases> InstalledModels::aliases() const {
  const auto file = file_identity(folders_.aliases);
  KnownAliases known = known_aliases_.with([](const KnownAliases& held) { return held; });
  if (file == known.file) return known.aliases;
  known = {.file = file, .aliases = std::make_shared<Aliases>(read_aliases(folders_))};
  known_aliases_.with([&](KnownAliases& held) { held = known; });
  return known.aliases;
}

Preset InstalledModels::preset(std::string_view name) const {
  const auto known = aliases();
  const Alias* alias = find_alias(*known, name);
  return alias ? alias->preset : Preset();
}

void InstalledModels::allow(LocalModel model) {
  if (model.tool == "program") return;  // in the list already
  if (const auto identity = file_identity(model.path); identity && model.identity.inode == 0)
    model.identity = *identity;
  if (model.tool == "path") model.name = model_stem(model.path);
  model.facts = read_facts(model);
  if (model.bytes == 0) model.bytes = model.identity.bytes;
  const std::lock_guard lock(mutex_);
  allowed_.push_back(std::move(model));
  list_ = nullptr;
}

void InstalledModels::note_change() {
  const std::lock_guard lock(mutex_);
  list_ = nullptr;
}

}  // namespace hearth
