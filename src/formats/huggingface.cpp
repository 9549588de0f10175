// Hugging Face folders: safetensors or PyTorch files (one, or shards named by an index) with
// config.json and the tokenizer's files beside it.  A lone weights file is the smallest such
// folder.
#include "formats/huggingface.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/format.h"
#include "formats/limits.h"
#include "formats/npz.h"
#include "formats/requantise.h"
#include "formats/safetensors.h"
#include "formats/static_table.h"
#include "formats/torch_file.h"

namespace hearth {
namespace {

constexpr std::string_view weights_suffix = ".safetensors",
                           index_suffix = ".safetensors.index.json",
                           torch_weights = "pytorch_model.bin",
                           torch_index = "pytorch_model.bin.index.json",
                           npz_weights = "weights.npz";

// What the text floor reads; see Package::files.
constexpr std::array text_files = std::to_array<std::string_view>({
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "tekken.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
    "1_Pooling/config.json",
    "modules.json",
    "sentence_bert_config.json",
});

}  // namespace

Status add_text_file(Package& package, const std::string& folder, std::string_view name) {
  const std::string path = join_path(folder, name);
  if (!is_file(path)) return Done{};
  const auto file = TRY(MappedFile::open(path));
  package.files.emplace(name, file->bytes());
  package.storage.push_back(file);
  return Done{};
}

Result<Json> read_config(const std::string& folder, std::string_view name) {
  const std::string path = join_path(folder, name);
  if (!is_file(path)) return Json();
  const auto file = TRY(MappedFile::open(path));
  auto json = parse_json(text_of(file->bytes()), {.max_bytes = limits::config_bytes,
                                                  .max_members = limits::config_members});
  if (!json) return Error(ErrorKind::corrupt, json.error().message()).within(name);
  if (!json->is_object())
    return Error(ErrorKind::corrupt,
                 fmt::format("{}: holds {}, needs an object", name, json->type_name()));
  return json;
}

Status add_surroundings(Package& package, const std::string& folder) {
  package.config = TRY(read_config(folder, "config.json"));
  package.generation_config = TRY(read_config(folder, "generation_config.json"));
  for (const std::string_view name : text_files) TRY(add_text_file(package, folder, name));
  for (const std::string& name : TRY(list_folder(folder)))
    if (name.ends_with(".tiktoken")) TRY(add_text_file(package, folder, name));
  return Done{};
}

namespace {

Result<std::vector<TensorEntry>> read_tensors(std::span<const std::byte> file) {
  if (is_npz_file(file)) return read_npz(file);
  if (!is_torch_file(text_of(file))) return read_safetensors(file);
  return std::move(TRY(read_torch(file)).tensors);
}

// Appends the tensors of one file; returns their number.
Result<std::size_t> add_weights(Package& package, const std::shared_ptr<const MappedFile>& file) {
  if (package.format == "pytorch" && !is_torch_file(text_of(file->bytes())))
    return Error(ErrorKind::corrupt, "not a file that PyTorch saves");
  auto tensors = TRY(read_tensors(file->bytes()));
  const std::size_t count = tensors.size();
  TRY(add_tensors(package, std::move(tensors), file.get()));
  package.storage.push_back(file);
  package.file_bytes += file->bytes().size();
  return count;
}

Status add_shard(Package& package, const std::string& folder, const ShardIndex::Shard& shard) {
  const auto file = TRY(MappedFile::open(join_path(folder, shard.file)));
  const std::size_t first = package.tensors.size();
  auto count = add_weights(package, file);
  if (!count) return std::move(count).error().within(shard.file);
  for (const std::string& name : shard.tensors) {
    const auto found = package.tensor_index.find(name);
    if (found == package.tensor_index.end() || found->second < first)
      return Error(ErrorKind::corrupt,
                   fmt::format("weight_map: '{}' is not in {}", printable(name), shard.file));
  }
  if (*count > shard.tensors.size())
    package.warnings.push_back(fmt::format("{}: {} tensors are not in the index", shard.file,
                                           *count - shard.tensors.size()));
  return Done{};
}

Status add_indexed(Package& package, const std::string& folder, const std::string& index_name) {
  const auto file = TRY(MappedFile::open(join_path(folder, index_name)));
  auto index = read_shard_index(text_of(file->bytes()));
  if (!index) return std::move(index).error().within(index_name);
  for (const ShardIndex::Shard& shard : index->shards) TRY(add_shard(package, folder, shard));
  std::uint64_t total = 0;
  for (const TensorEntry& tensor : package.tensors) total += tensor.bytes();
  if (index->total_bytes >= 0 && static_cast<std::uint64_t>(index->total_bytes) != total)
    package.warnings.push_back(fmt::format("{}: total_size is {}, the tensors have {}", index_name,
                                           index->total_bytes, total));
  return Done{};
}

// The index, else model.safetensors, else the only .safetensors file, else the same of PyTorch.
Result<std::string> find_weights(const std::string& folder) {
  const auto names = TRY(list_folder(folder));
  const auto holds = [&](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const char* name : {"model.safetensors.index.json", "model.safetensors"})
    if (holds(name)) return std::string(name);
  for (const std::string_view suffix : {index_suffix, weights_suffix}) {
    std::vector<std::string> found;
    for (const std::string& name : names)
      if (name.ends_with(suffix) && !name.starts_with(".")) found.push_back(name);
    if (found.size() == 1) return found[0];
    if (found.size() > 1)
      return Error(ErrorKind::invalid, fmt::format("{} files end in {}: name one, for example '{}'",
                                                   found.size(), suffix, printable(found[0])));
  }
  for (const std::string_view name : {npz_weights, torch_index, torch_weights})
    if (holds(name)) return std::string(name);
  return Error(ErrorKind::unsupported, "no .safetensors and no pytorch_model.bin in this folder");
}

// The weights of a module of sentence-transformers, under names of its own.
Status add_dense_module(Package& package, const std::string& folder, const std::string& path) {
  TRY(add_text_file(package, folder, path + "/config.json"));
  for (const char* name : {"model.safetensors", "pytorch_model.bin"}) {
    const std::string whole = join_path(join_path(folder, path), name);
    if (!is_file(whole)) continue;
    const auto file = TRY(MappedFile::open(whole));
    auto tensors = read_tensors(file->bytes());
    if (!tensors) return std::move(tensors).error().within(fmt::format("{}/{}", path, name));
    for (TensorEntry& tensor : *tensors) tensor.name = fmt::format("{}.{}", path, tensor.name);
    TRY(add_tensors(package, *std::move(tensors), file.get()));
    package.storage.push_back(file);
    package.file_bytes += file->bytes().size();
    return Done{};
  }
  return Done{};
}

}  // namespace

Result<std::vector<std::string>> dense_modules(const Package& package) {
  std::vector<std::string> paths;
  const auto found = package.files.find("modules.json");
  if (found == package.files.end()) return paths;
  const auto modules = parse_json(text_of(found->second), {.max_bytes = limits::config_bytes,
                                                           .max_members = limits::config_members});
  if (!modules) return Error(ErrorKind::corrupt, modules.error().message()).within("modules.json");
  if (!modules->is_array()) return paths;
  for (const Json& module : modules->as_array()) {
    const Json *type = module.find("type"), *path = module.find("path");
    if (type == nullptr || !type->is_string() || !type->as_string().ends_with(".Dense")) continue;
    const auto is_plain = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
    };
    if (path == nullptr || !path->is_string() || path->as_string().empty() ||
        !std::ranges::all_of(path->as_string(), is_plain))
      return Error(ErrorKind::corrupt, "modules.json: a Dense module without a plain path");
    paths.push_back(path->as_string());
  }
  return paths;
}

Result<Package> read_huggingface(const std::string& folder, const std::string& weights,
                                 std::shared_ptr<const MappedFile> file) {
  Package package;
  package.naming = Naming::huggingface;
  package.format = weights.starts_with(torch_weights) ? "pytorch"
                   : weights.ends_with(".npz")        ? "npz"
                                                      : "safetensors";
  TRY(add_surroundings(package, folder));
  if (weights.ends_with(index_suffix) || weights == torch_index) {
    TRY(add_indexed(package, folder, weights));
  } else {
    if (!file) file = TRY(MappedFile::open(join_path(folder, weights)));
    TRY(add_weights(package, file));
  }
  for (const std::string& path : TRY(dense_modules(package)))
    TRY(add_dense_module(package, folder, path));
  TRY(join_mlx(package));
  TRY(join_huggingface_scheme(package));
  TRY(join_static_table(package, folder));
  return package;
}

namespace {

bool is_model_folder(const Source& source) {
  if (!source.is_folder())
    return source.path.ends_with(index_suffix) || file_name(source.path) == torch_index;
  const auto names = list_folder(source.path);
  return names && std::any_of(names->begin(), names->end(), [](const std::string& name) {
           return name == "config.json" || name == "modules.json" || name.ends_with(weights_suffix);
         });
}

Result<Package> read_folder(const Source& source) {
  if (!source.is_folder())
    return read_huggingface(parent_folder(source.path), file_name(source.path), nullptr);
  const std::string table = TRY(static_table_folder(source.path));
  if (table.empty()) return read_huggingface(source.path, TRY(find_weights(source.path)), nullptr);
  const std::string weights = TRY(find_weights(join_path(source.path, table)));
  return read_huggingface(source.path, join_path(table, weights), nullptr);
}

// A header length that can be, then a JSON object; or a name that leaves no doubt.
bool is_weights_file(const Source& source) {
  const std::string_view text = source.text();
  if (source.is_folder()) return false;
  ByteReader in(bytes_of(text));
  const auto header_bytes = in.value<std::uint64_t>();
  return source.path.ends_with(weights_suffix) ||
         (header_bytes && *header_bytes <= limits::safetensors_header_bytes && text.size() > 8 &&
          text[8] == '{');
}

Result<Package> read_weights_file(const Source& source) {
  return read_huggingface(parent_folder(source.path), file_name(source.path), source.file);
}

bool is_npz(const Source& source) {
  return !source.is_folder() && is_npz_file(source.file->bytes());
}

}  // namespace

extern const Format safetensors_format, huggingface_format, npz_format;
const Format npz_format{.name = "npz", .recognises = is_npz, .read = read_weights_file};
const Format safetensors_format{
    .name = "safetensors", .recognises = is_weights_file, .read = read_weights_file};
const Format huggingface_format{
    .name = "safetensors", .recognises = is_model_folder, .read = read_folder};

}  // namespace hearth
