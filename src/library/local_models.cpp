#include "library/local_models.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "base/ascii.h"
#include "base/files.h"
#include "base/json.h"
#include "library/split_files.h"
#include "library/store.h"
#include "library/towers.h"

namespace hearth {
namespace {

namespace fs = std::filesystem;

constexpr int max_depth = 4;                 // of folders below a shelf
constexpr std::size_t max_models = 100'000;  // a shelf that is the root of a disk ends here
constexpr std::uint64_t max_ollama_manifest = 1u << 20;

using Models = std::vector<LocalModel>;

// A weight file: not a vision tower, not the second part of a split one.
bool is_main_gguf(std::string_view name) {
  return name.ends_with(".gguf") && !is_tower_file(name) && !name.starts_with('.') &&
         !name.starts_with("incomplete-") && split_place(name).part == 1;
}

std::uint64_t bytes_with_parts(const std::string& path, std::uint64_t bytes) {
  const SplitPlace split = split_place(path);
  for (int part = 2; part <= split.parts; ++part)
    if (const auto identity = file_identity(part_path(path, part))) bytes += identity->bytes;
  return bytes;
}

std::optional<LocalModel> model_at(std::string_view tool, std::string path) {
  const auto identity = file_identity(path);
  if (!identity) return std::nullopt;  // a link to nowhere: not downloaded to the end
  LocalModel model;
  model.tool = tool;
  model.bytes = bytes_with_parts(path, identity->bytes);
  model.name = model_stem(path);
  model.path = std::move(path);
  model.identity = *identity;
  return model;
}

std::uint64_t bytes_of_files(const std::string& folder) {
  std::uint64_t bytes = 0;
  for (const std::string& name : list_folder(folder).value_or({}))
    if (const auto identity = file_identity(join_path(folder, name))) bytes += identity->bytes;
  return bytes;
}

// What a folder holds, without going into it.
struct Contents {
  std::vector<std::string> folders, gguf;
  std::uint64_t safetensors_bytes = 0, shard_bytes = 0;
  std::string safetensors;  // the first one
  std::string shards;       // MLC's list of its weights
  bool has_config = false, has_mlc_config = false;
  bool has_text = false;  // a tokenizer lies there
  std::string graph;      // the first .onnx
};

Contents contents_of(const std::string& folder) {
  Contents contents;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    std::string name = entry.path().filename().string();
    if (name.starts_with('.')) continue;
    if (entry.is_directory(error)) {
      contents.folders.push_back(std::move(name));
    } else if (is_main_gguf(name)) {
      contents.gguf.push_back(std::move(name));
    } else if (name.ends_with(".safetensors")) {
      const auto identity = file_identity(entry.path().string());
      contents.safetensors_bytes += identity ? identity->bytes : 0;
      if (contents.safetensors.empty() || name < contents.safetensors) contents.safetensors = name;
    } else if (name == "config.json" || name == "genai_config.json") {
      contents.has_config = true;
    } else if (name.ends_with(".onnx")) {
      if (contents.graph.empty() || name < contents.graph) contents.graph = name;
    } else if (name.starts_with("tokenizer.") || name.starts_with("vocab.")) {
      contents.has_text = true;
    } else if (name == "mlc-chat-config.json") {
      contents.has_mlc_config = true;
    } else if (name == "tensor-cache.json" || name == "ndarray-cache.json") {
      contents.shards = std::max(contents.shards, name);
    } else if (name.starts_with("params_shard_")) {
      const auto identity = file_identity(entry.path().string());
      contents.shard_bytes += identity ? identity->bytes : 0;
    }
  }
  std::ranges::sort(contents.gguf);
  std::ranges::sort(contents.folders);
  return contents;
}

// The weights of a folder that is one model; empty: it is none.
std::string weights_of(const std::string& folder, const Contents& contents) {
  if (!contents.has_config) return "";
  if (!contents.safetensors.empty()) return contents.safetensors;
  if (!contents.has_text) return "";
  if (!contents.graph.empty()) return contents.graph;
  for (const std::string& name : list_folder(join_path(folder, "onnx")).value_or({}))
    if (name.ends_with(".onnx")) return join_path("onnx", name);
  return "";
}

// A folder that is a model as a whole, and the file of it that changes with it.
void add_whole(std::string_view tool, const std::string& folder, const std::string& main,
               std::uint64_t bytes, Models& models) {
  const auto identity = file_identity(join_path(folder, main));
  if (!identity) return;
  LocalModel model;
  model.tool = tool;
  model.name = file_name(folder);
  model.path = folder;
  model.bytes = bytes;
  model.identity = *identity;
  models.push_back(std::move(model));
}

// Every GGUF file and every folder of Hugging Face or MLC below `folder`.
void walk(std::string_view tool, const std::string& folder, int depth, Models& models) {
  if (depth > max_depth || models.size() >= max_models) return;
  const Contents contents = contents_of(folder);
  for (const std::string& name : contents.gguf)
    if (auto model = model_at(tool, join_path(folder, name))) models.push_back(std::move(*model));
  if (const std::string weights = weights_of(folder, contents); !weights.empty())
    add_whole(tool, folder, weights,
              contents.safetensors.empty()
                  ? bytes_of_files(parent_folder(join_path(folder, weights)))
                  : contents.safetensors_bytes,
              models);
  else if (contents.has_mlc_config && !contents.shards.empty())
    add_whole(tool, folder, contents.shards, contents.shard_bytes, models);
  for (const std::string& name : contents.folders)
    walk(tool, join_path(folder, name), depth + 1, models);
}

void scan_folder(const Shelf& shelf, Models& models) { walk(shelf.tool, shelf.folder, 1, models); }

// Source: huggingface_hub, "Manage the cache": models--org--repo/{refs,snapshots/<commit>,blobs}.
void scan_repository(const Shelf& shelf, const std::string& entry, Models& models) {
  std::string repo = entry.substr(std::string_view("models--").size());
  if (const std::size_t at = repo.find("--"); at != repo.npos) repo.replace(at, 2, "/");
  const std::string folder = join_path(shelf.folder, entry);
  const auto main = read_file(join_path(folder, "refs/main"), 256);
  auto commits = list_folder(join_path(folder, "snapshots"));
  if (!commits) return;
  std::ranges::stable_partition(*commits,
                                [&](const std::string& c) { return main && main->starts_with(c); });
  std::set<std::string> seen;  // an older revision's file of the same name is of no interest
  for (const std::string& commit : *commits) {
    Models found;
    const std::string root = join_path(join_path(folder, "snapshots"), commit);
    walk(shelf.tool, root, 1, found);
    std::map<std::string, int> labels;
    for (const LocalModel& model : found) ++labels[quantisation_label(model.path)];
    for (LocalModel& model : found) {
      const std::string label = quantisation_label(model.path);
      if (model.path == root)
        model.reference = "hf:" + repo;
      else if (!label.empty() && labels[label] == 1)
        model.reference = fmt::format("hf:{}:{}", repo, label);
      else
        model.reference = fmt::format("hf:{}:{}", repo, model.path.substr(root.size() + 1));
      model.name = model.reference;
      if (seen.insert(model.name).second) models.push_back(std::move(model));
    }
  }
}

void scan_huggingface(const Shelf& shelf, Models& models) {
  const auto entries = list_folder(shelf.folder);
  if (!entries) return;
  for (const std::string& entry : *entries)
    if (entry.starts_with("models--")) scan_repository(shelf, entry, models);
}

// The weights among an Ollama manifest's layers.  Source: Ollama, server/internal/manifest.
std::optional<LocalModel> ollama_model(const Shelf& shelf, const std::string& manifest) {
  const auto text = read_file(manifest, max_ollama_manifest);
  if (!text) return std::nullopt;
  const auto json = parse_json(*text);
  const Json* layers = json ? json->find("layers") : nullptr;
  if (!layers || !layers->is_array()) return std::nullopt;
  std::string model, tower;
  for (const Json& layer : layers->as_array()) {
    const Json* type = layer.find("mediaType");
    const Json* digest = layer.find("digest");
    if (!type || !digest || !digest->is_string()) continue;
    const bool is_model = *type == Json("application/vnd.ollama.image.model");
    if (!is_model && *type != Json("application/vnd.ollama.image.projector")) continue;
    std::string blob = digest->as_string();  // "sha256:<64 hex digits>"
    if (blob.size() != 71 || !blob.starts_with("sha256:") || blob.contains('/')) continue;
    blob[6] = '-';
    std::string& path = is_model ? model : tower;
    if (path.empty()) path = join_path(join_path(shelf.folder, "blobs"), blob);
  }
  if (model.empty()) return std::nullopt;
  auto found = model_at(shelf.tool, std::move(model));
  if (found) found->tower = std::move(tower);
  return found;
}

void scan_ollama(const Shelf& shelf, Models& models) {
  for (const std::string_view kind : {"manifests", "manifests-v2"}) {
    const fs::path root = fs::path(shelf.folder) / kind;
    std::error_code error;
    fs::recursive_directory_iterator at(root, error);
    for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
      if (at.depth() > 6 || models.size() >= max_models) break;
      if (!at->is_regular_file(error)) continue;
      auto model = ollama_model(shelf, at->path().string());
      if (!model) continue;
      std::string name = at->path().parent_path().lexically_relative(root).string();
      for (const std::string_view standard : {"registry.ollama.ai/", "ollama.com/", "library/"})
        if (name.starts_with(standard)) name.erase(0, standard.size());
      model->reference = fmt::format("ollama:{}:{}", name, at->path().filename().string());
      model->name = model->reference;
      models.push_back(std::move(*model));
    }
  }
}

// To add a program that keeps models: a row here, and its folder in folders.cpp.
struct Tool {
  std::string_view name;
  void (*scan)(const Shelf& shelf, Models& models);
};
constexpr Tool tools[] = {
    {"folder", scan_folder},   {"huggingface", scan_huggingface}, {"ollama", scan_ollama},
    {"lmstudio", scan_folder}, {"llama.cpp", scan_folder},        {"gpt4all", scan_folder},
    {"mlc", scan_folder},
};

void scan_store(const LibraryFolders& folders, Models& models) {
  const auto entries = list_folder(folders.models);
  if (!entries) return;
  for (const std::string& entry : *entries) {
    if (entry.starts_with('.')) continue;
    const std::string folder = join_path(folders.models, entry);
    const auto manifest = read_manifest(folder);
    if (!manifest) continue;
    const std::string path = manifest->main == "." ? folder : join_path(folder, manifest->main);
    std::string main = path;
    if (is_folder(path))
      for (const StoredFile& file : manifest->files)
        if (main == path && (file.name.ends_with(".safetensors") || file.name.ends_with(".onnx") ||
                             file.name.ends_with(".mlmodel")))
          main = join_path(folder, file.name);
    const auto identity = file_identity(main);
    LocalModel model;
    model.name = manifest->name.empty() ? manifest->reference : manifest->name;
    model.reference = manifest->reference;
    model.tool = "hearth";
    model.folder = folder;
    model.path = path;
    if (manifest->files.size() == 1) model.sha256 = manifest->files.front().sha256;
    model.bytes = manifest->bytes();
    if (identity) model.identity = *identity;
    models.push_back(std::move(model));
  }
}

// The same file on two shelves is one model, and the same name for two files is no name.  What our
// store shares with a shelf has a name there, too.
void keep_distinct(Models& models) {
  std::set<std::pair<std::uint64_t, std::uint64_t>> files;
  std::erase_if(models, [&](const LocalModel& model) {
    return model.tool != "hearth" && model.identity.inode != 0 &&
           !files.insert({model.identity.device, model.identity.inode}).second;
  });
  std::set<std::string_view> names;
  for (LocalModel& model : models)
    if (!names.insert(model.name).second) model.name = model.path;
}

std::string last_part(std::string_view name) {
  return std::string(name.substr(name.find_last_of('/') + 1));
}

bool is_hub_match(const LocalModel& model, const Reference& wanted) {
  if (!model.reference.starts_with("hf:")) return false;
  const auto own = parse_reference(model.reference);
  if (!own || !equal_ignoring_case(own->name, wanted.name)) return false;
  if (own->revision != wanted.revision) return false;
  if (wanted.file.empty()) return true;
  return equal_ignoring_case(own->file, wanted.file) ||
         equal_ignoring_case(last_part(model.path), last_part(wanted.file)) ||
         equal_ignoring_case(quantisation_label(model.path), wanted.file);
}

}  // namespace

std::vector<LocalModel> find_local_models(const LibraryFolders& folders) {
  Models models;
  scan_store(folders, models);
  for (const Shelf& shelf : folders.shelves)
    for (const Tool& tool : tools)
      if (tool.name == shelf.tool) tool.scan(shelf, models);
  keep_distinct(models);
  std::ranges::sort(models, {}, &LocalModel::name);
  return models;
}

const LocalModel* match(const std::vector<LocalModel>& models, const Reference& reference) {
  const std::string text = reference.text();
  if (reference.kind != Reference::Kind::hub) {
    for (const auto field : {&LocalModel::name, &LocalModel::reference, &LocalModel::path})
      for (const LocalModel& model : models)
        if (equal_ignoring_case(model.*field, text)) return &model;
    if (reference.kind != Reference::Kind::name) return nullptr;
    for (const LocalModel& model : models)
      if (equal_ignoring_case(model_stem(model.path), text)) return &model;
    return nullptr;
  }
  const LocalModel* best = nullptr;
  for (const LocalModel& model : models) {
    if (!is_hub_match(model, reference)) continue;
    if (!best || quantisation_rank(quantisation_label(model.path)) <
                     quantisation_rank(quantisation_label(best->path)))
      best = &model;
  }
  return best;
}

}  // namespace hearth
