#include "formats/graph_folder.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "formats/format.h"
#include "formats/huggingface.h"
#include "formats/limits.h"
#include "formats/litert.h"

namespace hearth {
namespace {

constexpr std::string_view genai_name = "genai_config.json", subfolder = "onnx";

// What graphs' files are called, and the format that their package has.
struct Kind {
  std::string_view suffix, format;
};
constexpr Kind kinds[] = {{".onnx", "onnx"},
                          {".tflite", "tflite"},
                          {".pte", "executorch"},
                          {".mlpackage", "coreml"},
                          {".mlmodel", "coreml"}};

const Kind* kind_of(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const auto found =
      std::ranges::find_if(kinds, [&](const Kind& kind) { return path.ends_with(kind.suffix); });
  return found == std::end(kinds) ? nullptr : found;
}

// The whole model before its smaller forms.
// Source: Hugging Face optimum, "Export a model to ONNX"; the names on the hub's ONNX repositories.
constexpr std::array names_of_graphs = std::to_array<std::string_view>({
    "decoder_model_merged.onnx",
    "model.onnx",
    "decoder_with_past_model.onnx",
    "decoder_model.onnx",
    "model_fp16.onnx",
    "model_quantized.onnx",
    "model_q4.onnx",
    "model_q4f16.onnx",
    "model_int8.onnx",
    "model_uint8.onnx",
    "model_bnb4.onnx",
});

bool holds(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

std::vector<std::string> graphs_in(const std::string& folder) {
  std::vector<std::string> found;
  for (const std::string& name : list_folder(folder).value_or({}))
    if (kind_of(name) != nullptr && !name.starts_with('.')) found.push_back(name);
  return found;
}

// Weights that other readers take.
bool has_weights(const std::vector<std::string>& names) {
  return std::ranges::any_of(names, [](const std::string& name) {
    return name.ends_with(".safetensors") || name.ends_with(".gguf") ||
           name.starts_with("pytorch_model");
  });
}

Result<std::string> named_by_genai(const std::string& folder, const Json& genai) {
  const Json* model = genai.find("model");
  const Json* decoder = model == nullptr ? nullptr : model->find("decoder");
  const Json* file = decoder == nullptr ? nullptr : decoder->find("filename");
  if (file == nullptr || !file->is_string())
    return Error(ErrorKind::unsupported, fmt::format("{}: names no file of a decoder", genai_name));
  const std::string& name = file->as_string();
  if (name.contains('/') || name.contains('\\') || name.starts_with('.'))
    return Error(ErrorKind::corrupt, fmt::format("{}: a file outside the folder", genai_name));
  for (const char* other : {"vision", "speech", "embedding", "encoder"})
    if (model->find(other) != nullptr)
      return Error(ErrorKind::unsupported,
                   fmt::format("{}: a model of several graphs (\"{}\"): Hearth runs those of one",
                               genai_name, other));
  return join_path(folder, name);
}

Result<std::string> find_graph(const std::string& folder) {
  const Json genai = TRY(read_config(folder, genai_name));
  if (genai.is_object()) return named_by_genai(folder, genai);
  for (const std::string& place : {folder, join_path(folder, subfolder)}) {
    const auto graphs = graphs_in(place);
    if (holds(graphs, "encoder_model.onnx"))
      return Error(ErrorKind::unsupported,
                   "an encoder and a decoder in graphs of their own: Hearth runs language models "
                   "of one graph");
    for (const std::string_view name : names_of_graphs)
      if (holds(graphs, name)) return join_path(place, name);
    if (graphs.size() == 1) return join_path(place, graphs[0]);
    if (graphs.size() > 1)
      return Error(ErrorKind::invalid, fmt::format("{} graphs in {}: name one, for example '{}'",
                                                   graphs.size(), place, graphs[0]));
  }
  return Error(ErrorKind::not_found, "no graph in this folder");
}

bool has_tokenizer(const std::string& folder) {
  return std::ranges::any_of(
      std::to_array<std::string_view>(
          {"tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"}),
      [&](std::string_view name) { return is_file(join_path(folder, name)); });
}

// The folder with the text side of a graph's file.
std::string text_folder(const std::string& file) {
  std::string folder = parent_folder(file);
  if (!has_tokenizer(folder) && file_name(folder) == subfolder) folder = parent_folder(folder);
  return folder;
}

bool is_config_there(const std::string& folder) {
  return is_file(join_path(folder, "config.json")) || is_file(join_path(folder, genai_name));
}

bool is_graph_folder(const Source& source) {
  if (kind_of(source.path) != nullptr) return has_text_side(source.path);
  if (!source.is_folder()) return false;
  const auto names = list_folder(source.path);
  if (!names || has_weights(*names) || !is_config_there(source.path)) return false;
  return !graphs_in(source.path).empty() || !graphs_in(join_path(source.path, subfolder)).empty();
}

const Json* member(const Json& object, std::string_view key) {
  const Json* found = object.is_object() ? object.find(key) : nullptr;
  return found == nullptr || found->is_null() ? nullptr : found;
}

// config.json in the words of transformers, where only onnxruntime-genai's is there.
// Source: onnxruntime-genai, "Config reference".
Json config_from(const Json& genai) {
  Json config = Json::object({});
  const Json* model = member(genai, "model");
  const Json* decoder = model == nullptr ? nullptr : member(*model, "decoder");
  if (decoder == nullptr) return config;
  static constexpr std::pair<const char*, const char*> of_model[] = {
      {"type", "model_type"},
      {"vocab_size", "vocab_size"},
      {"context_length", "max_position_embeddings"},
      {"bos_token_id", "bos_token_id"},
      {"eos_token_id", "eos_token_id"}};
  static constexpr std::pair<const char*, const char*> of_decoder[] = {
      {"hidden_size", "hidden_size"},
      {"head_size", "head_dim"},
      {"num_attention_heads", "num_attention_heads"},
      {"num_key_value_heads", "num_key_value_heads"},
      {"num_hidden_layers", "num_hidden_layers"}};
  for (const auto& [theirs, ours] : of_model)
    if (const Json* value = member(*model, theirs)) config.set(ours, *value);
  for (const auto& [theirs, ours] : of_decoder)
    if (const Json* value = member(*decoder, theirs)) config.set(ours, *value);
  return config;
}

Json generation_from(const Json& genai) {
  Json generation = Json::object({});
  if (const Json* search = member(genai, "search"))
    for (const char* key : {"do_sample", "temperature", "top_k", "top_p", "repetition_penalty"})
      if (const Json* value = member(*search, key)) generation.set(key, *value);
  if (const Json* model = member(genai, "model"))
    for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
      if (const Json* value = member(*model, key)) generation.set(key, *value);
  return generation;
}

// A bundle brings its own.
bool is_litert(const std::string& path) {
  if (!is_file(path)) return false;
  const auto file = MappedFile::open(path);
  return file && looks_like_litert(path, (*file)->bytes()) && read_litert((*file)->bytes()).ok();
}

// A graph's file, and those beside it that hold its constants.
std::uint64_t bytes_of_graph(const std::string& file) {
  const std::string folder = parent_folder(file), stem = file_name(file);
  std::uint64_t bytes = 0;
  for (const std::string& name : list_folder(folder).value_or({})) {
    const bool is_data = name.starts_with(stem) || name.ends_with(".data") ||
                         name.ends_with("_data") || name.ends_with(".weight");
    if (!is_data && name != stem) continue;
    if (const auto mapped = MappedFile::open(join_path(folder, name)))
      bytes += (*mapped)->bytes().size();
  }
  return bytes;
}

Result<Package> read_graph_folder(const Source& source) {
  const bool is_graph = kind_of(source.path) != nullptr;  // an .mlpackage is a folder
  const std::string folder = is_graph ? text_folder(source.path) : source.path;
  const std::string graph = is_graph ? source.path : TRY(find_graph(folder));
  Package package;
  package.format = kind_of(graph)->format;
  package.naming = Naming::huggingface;
  TRY(add_surroundings(package, folder));
  TRY(add_text_file(package, folder, genai_name));
  package.path = source.path;
  const Json genai = TRY(genai_config(package));
  if (package.config.is_null()) package.config = config_from(genai);
  if (package.generation_config.is_null() && genai.is_object())
    package.generation_config = generation_from(genai);
  package.file_bytes = bytes_of_graph(graph);
  return package;
}

}  // namespace

bool is_graph_package(const Package& package) {
  return package.format == "litert" ||
         std::ranges::find(kinds, package.format, &Kind::format) != std::end(kinds);
}

Result<std::string> graph_file(const Package& package) {
  if (!is_folder(package.path) || kind_of(package.path) != nullptr) return package.path;
  auto file = find_graph(package.path);
  if (!file) return std::move(file).error().within(package.path);
  return file;
}

Result<Json> genai_config(const Package& package) {
  const auto found = package.files.find(genai_name);
  if (found == package.files.end()) return Json();
  auto json = parse_json(text_of(found->second), {.max_bytes = limits::config_bytes,
                                                  .max_members = limits::config_members});
  if (!json) return Error(ErrorKind::corrupt, json.error().message()).within(genai_name);
  return json;
}

bool has_text_side(const std::string& file) {
  if (is_litert(file)) return true;
  const std::string folder = text_folder(file);
  return has_tokenizer(folder) && is_config_there(folder);
}

extern const Format graph_folder_format;
const Format graph_folder_format{
    .name = "onnx", .recognises = is_graph_folder, .read = read_graph_folder};

}  // namespace hearth
