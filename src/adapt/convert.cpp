#include "adapt/convert.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>

#include "adapt/onnx_model.h"
#include "adapt/recode.h"
#include "adapt/translate.h"
#include "adapt/translate/origin.h"
#include "base/bytes.h"
#include "base/store_files.h"
#include "formats/gguf_writer.h"

namespace hearth::adapt {
namespace {

Error invalid(std::string what) { return Error(ErrorKind::invalid, std::move(what)); }

Status write_text(const std::string& folder, std::string_view name, std::string_view text) {
  return replace_file(join_path(folder, name), bytes_of(text));
}

// Shards as Hugging Face names them, and the index that says what is where.
Status write_shards(const std::string& folder, std::span<const StreamedTensor> tensors,
                    const ConvertOptions& options) {
  const std::string_view note = options.to == Container::mlx ? "mlx" : "pt";
  std::vector<std::size_t> begins{0};
  std::uint64_t bytes = 0, total = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t own = TRY(bytes_of_streamed(tensors[i]));
    if (bytes > 0 && bytes + own > options.shard_bytes) {
      begins.push_back(i);
      bytes = 0;
    }
    bytes += own;
    total += own;
  }
  if (begins.size() == 1)
    return write_safetensors(join_path(folder, "model.safetensors"), tensors, note);
  Json map = Json::object();
  for (std::size_t s = 0; s < begins.size(); ++s) {
    const std::size_t end = s + 1 < begins.size() ? begins[s + 1] : tensors.size();
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", s + 1, begins.size());
    const auto shard = tensors.subspan(begins[s], end - begins[s]);
    TRY(write_safetensors(join_path(folder, name), shard, note));
    for (const StreamedTensor& tensor : shard) map.as_object().emplace_back(tensor.name, name);
  }
  const Json index = Json::object(
      {{"metadata", Json::object({{"total_size", total}})}, {"weight_map", std::move(map)}});
  return write_text(folder, "model.safetensors.index.json", write_json(index, pretty));
}

// The weights first and config.json last: without it the folder is no model.
Status write_folder(const std::string& folder, const Package& package,
                    std::span<const StreamedTensor> tensors, const Recoder& recoder,
                    const ConvertOptions& options) {
  if (options.to == Container::npz)
    TRY(write_npz(join_path(folder, "weights.npz"), tensors));
  else if (options.to == Container::onnx)
    TRY(write_onnx(folder, package, tensors));
  else
    TRY(write_shards(folder, tensors, options));
  for (const auto& [name, bytes] : package.files) {
    TRY(make_folders(parent_folder(join_path(folder, name))));
    TRY(write_text(folder, name, text_of(bytes)));
  }
  if (!package.generation_config.is_null())
    TRY(write_text(folder, "generation_config.json",
                   write_json(package.generation_config, pretty)));
  Json config = package.config;
  if (!config.is_object()) return Done{};
  // What the reader joined is plain now.
  for (const char* key : {"quantization", "quantization_config"})
    if (const Json* held = config.find(key); held != nullptr && held->is_null())
      std::erase_if(config.as_object(), [&](const Json::Member& m) { return m.first == key; });
  if (options.to == Container::mlx)
    if (Json quantization = recoder.quantization(); !quantization.is_null()) {
      config.set("quantization", quantization);
      config.set("quantization_config", std::move(quantization));
    }
  return write_text(folder, "config.json", write_json(config, pretty));
}

class DraftFolder {
 public:
  static Result<DraftFolder> create(const std::string& path) {
    DraftFolder draft(path, fmt::format("{}.partial-{}", path, ::getpid()));
    TRY(remove_all(draft.draft_));
    TRY(make_folders(draft.draft_));
    return draft;
  }
  DraftFolder(DraftFolder&& other) noexcept
      : path_(std::move(other.path_)), draft_(std::exchange(other.draft_, {})) {}
  DraftFolder& operator=(DraftFolder&&) = delete;
  ~DraftFolder() {
    if (!draft_.empty()) (void)remove_all(draft_);
  }

  const std::string& path() const { return draft_; }
  // What was at the path is what the draft's name leads to afterwards, and goes with it.
  Status commit() { return move_path(draft_, path_); }

 private:
  DraftFolder(std::string path, std::string draft)
      : path_(std::move(path)), draft_(std::move(draft)) {}
  std::string path_, draft_;
};

Status check_space(const std::string& path, std::uint64_t bytes) {
  constexpr std::uint64_t reserve = 64 << 20;
  const std::uint64_t free = free_disk_bytes(path);
  if (free >= bytes + reserve) return Done{};
  return Error(ErrorKind::exhausted, fmt::format("{}: needs {} MB, {} MB are free on its disk",
                                                 path, (bytes + reserve) >> 20, free >> 20));
}

std::vector<GgufContents::Pair> pairs_of(const Package& package) {
  std::vector<GgufContents::Pair> pairs;
  for (const auto& [key, value] : package.metadata.entries())
    if (!key.starts_with("split.") && key != "general.alignment")
      pairs.push_back({key, GgufValue::copy(value)});
  return pairs;
}

// Of a folder written as GGUF; nothing is left of it when the model itself cannot be written.
class TowerDraft {
 public:
  static Result<TowerDraft> create(const Package& from, const Package& model,
                                   const std::string& path, const ConvertOptions& options,
                                   ThreadPool& pool) {
    if (options.to != Container::gguf || from.naming == Naming::gguf) return TowerDraft("");
    return TowerDraft(TRY(write_tower(model, path, options.replace, pool)));
  }
  TowerDraft(TowerDraft&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TowerDraft& operator=(TowerDraft&&) = delete;
  ~TowerDraft() {
    if (!path_.empty()) (void)remove_all(path_);
  }
  // It stays.
  std::string commit() { return std::exchange(path_, {}); }

 private:
  explicit TowerDraft(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

Status write(const Package& package, const std::string& path, std::vector<StreamedTensor> tensors,
             const Recoder& recoder, const ConvertOptions& options) {
  if (options.to == Container::gguf)
    return write_gguf(path, {.metadata = pairs_of(package), .tensors = std::move(tensors)});
  if (options.single_file)
    return options.to == Container::npz
               ? write_npz(path, tensors)
               : write_safetensors(path, tensors, options.to == Container::mlx ? "mlx" : "pt");
  DraftFolder draft = TRY(DraftFolder::create(path));
  TRY(write_folder(draft.path(), package, tensors, recoder, options));
  return draft.commit();
}

}  // namespace

std::span<const ContainerName> containers() {
  static constexpr ContainerName list[] = {{Container::gguf, "gguf", ".gguf"},
                                           {Container::safetensors, "safetensors", ".safetensors"},
                                           {Container::mlx, "mlx", ""},
                                           {Container::npz, "npz", ".npz"},
                                           {Container::onnx, "onnx", ""}};
  return list;
}

Result<std::string> write_tower(const Package& model, const std::string& path, bool replace,
                                ThreadPool& pool) {
  if (model.tower == nullptr) return std::string();
  const std::string beside =
      join_path(parent_folder(path), fmt::format("mmproj-{}", file_name(path)));
  if (!replace && file_identity(beside))
    return invalid(fmt::format("{} is there already; --yes replaces it", beside));
  ConvertOptions options;  // its types stay: readers convolve with few
  Recoder recoder(*model.tower, options, pool);
  auto tensors = TRY(recoder.plan());
  TRY(write_gguf(beside, {.metadata = pairs_of(*model.tower), .tensors = std::move(tensors)}));
  return beside;
}

Result<Converted> convert(const Package& package, const std::string& path,
                          const ConvertOptions& options, ThreadPool& pool) {
  if (!options.replace && file_identity(path))
    return invalid(fmt::format("{} is there already; --force replaces it", path));
  Translated translated =
      TRY(translate(package, options.to == Container::gguf ? Naming::gguf : Naming::huggingface));
  const Package& model = translated.package;
  // Runtimes of graphs compute in f32; a folder of tensors is what the types must fit into.
  ConvertOptions recoding_options = options;
  if (options.to == Container::onnx) {
    for (std::string& loss : TRY(check_onnx(model))) translated.losses.push_back(std::move(loss));
    translated.package.config = onnx_config(model);
    translated.package.files.erase("preprocessor_config.json");
    recoding_options.to = Container::safetensors;
    recoding_options.floats = options.floats.value_or(Dtype::f32);
  }
  Recoder recoder(model, recoding_options, pool);
  auto tensors = TRY(recoder.plan());
  Converted done;
  done.losses = std::move(translated.losses);
  for (const TensorEntry& entry : package.tensors) done.bytes_before += entry.bytes();
  for (const StreamedTensor& tensor : tensors) done.bytes_after += TRY(bytes_of_streamed(tensor));
  done.tensors = tensors.size();
  TRY(check_space(path, done.bytes_after));
  TowerDraft tower = TRY(TowerDraft::create(package, model, path, options, pool));
  TRY(write(model, path, std::move(tensors), recoder, options));
  const std::string tower_path = tower.commit();
  if (options.progress) options.progress({done.bytes_after, done.bytes_after});
  Recoding recoding = recoder.recoding();
  done.losses.insert(done.losses.end(), recoding.losses.begin(), recoding.losses.end());
  done.remarks = std::move(recoding.remarks);
  if (!tower_path.empty()) done.remarks.push_back(fmt::format("its vision tower: {}", tower_path));
  for (const std::string& warning : package.warnings) done.remarks.push_back(warning);
  return done;
}

}  // namespace hearth::adapt
