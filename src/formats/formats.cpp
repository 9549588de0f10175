#include <fmt/core.h>

#include <array>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/format.h"
#include "formats/magic.h"

namespace hearth {

extern const Format gguf_format, pytorch_format, meta_format, llama2c_format, npz_format,
    safetensors_format, huggingface_format, mlc_format, ggml_format, whisper_cpp_format,
    ctranslate2_format, graph_folder_format, litert_format;

// To add a format: write formats/<name>.cpp with one `const Format`, name it here.
std::span<const Format* const> formats() {
  static constexpr std::array list{
      &gguf_format,        &whisper_cpp_format,  &ggml_format,        &pytorch_format, &npz_format,
      &ctranslate2_format, &llama2c_format,      &safetensors_format, &meta_format,    &mlc_format,
      &litert_format,      &graph_folder_format, &huggingface_format};
  return list;
}

namespace {

// Files that are no accident, so that the refusal can say what they are.
constexpr Magic unread[] = {
    {0, "FUGG", "a GGUF file with its bytes reversed"},
    {0, "algg", "a GGML adapter (older than GGUF)"},
    {0, "ggml", "a GGML file with its bytes reversed"},
    {0, "PK\x03\x04", "a ZIP archive without PyTorch's data.pkl"},
    {0, "\x93NUMPY", "a NumPy file"},
    {4, "TFL3", "a TFLite model"},
    {4, "ORTM", "an ONNX Runtime model"},
    {4, "ET12", "an ExecuTorch program"},
    {0, "LITERTLM", "a LiteRT-LM bundle"},
    {0, "version https://git-lfs", "a Git LFS pointer: the model itself is not here"},
    {0, "<!DOCTYPE", "a web page: the download went wrong"},
    {0, "<html", "a web page: the download went wrong"},
};

constexpr std::string_view what_is_read =
    "GGUF, safetensors and PyTorch, and runs graphs of ONNX, TFLite, Core ML and ExecuTorch with "
    "`hearth run FILE --input`";

Error refuse(const Source& source) {
  const std::string_view text = source.text();
  if (!source.is_folder() && text.empty()) return Error(ErrorKind::corrupt, "an empty file");
  if (source.path.ends_with(".pllm"))
    return Error(ErrorKind::unsupported,
                 "a picoLLM model, encrypted for Picovoice's own engine: the models that these are "
                 "made of are published as safetensors too, which Hearth reads");
  if (source.is_folder() && is_file(join_path(source.path, "saved_model.pb")))
    return Error(ErrorKind::unsupported,
                 "a TensorFlow SavedModel, which only TensorFlow runs: its converters write TFLite "
                 "(tf.lite.TFLiteConverter) or ONNX (tf2onnx) of it, which Hearth reads");
  if (const Magic* row = find_magic(unread, text))
    return Error(ErrorKind::unsupported,
                 fmt::format("{}; Hearth reads {}", row->name, what_is_read));
  return Error(ErrorKind::unsupported,
               source.is_folder()
                   ? std::string("no model in this folder: needs *.safetensors, pytorch_model.bin, "
                                 "consolidated.*.pth or one *.gguf")
                   : fmt::format("not a model file that Hearth reads: {}", what_is_read));
}

}  // namespace

namespace {

Result<Package> read(const Source& source) {
  for (const Format* format : formats()) {
    if (!format->recognises(source)) continue;
    auto package = format->read(source);
    if (!package) return std::move(package).error().within(source.path);
    package->path = source.path;
    if (package->format.empty()) package->format = format->name;
    return package;
  }
  return refuse(source).within(source.path);
}

}  // namespace

Result<Package> open_package(const std::string& path) {
  Source source{path, nullptr};
  if (!is_folder(path)) source.file = TRY(MappedFile::open(path));
  return read(source);
}

Result<Package> open_package(std::string name, std::shared_ptr<const MappedFile> file) {
  return read({std::move(name), std::move(file)});
}

std::uint64_t TensorEntry::elements() const {
  std::uint64_t product = 1;
  for (const std::uint64_t extent : shape) product *= extent;
  return product;
}

std::uint64_t TensorEntry::bytes() const {
  return elements() / info(dtype).block_elements * info(dtype).block_bytes;
}

const TensorEntry* Package::find(std::string_view name) const {
  const auto found = tensor_index.find(name);
  return found == tensor_index.end() ? nullptr : &tensors[found->second];
}

Status add_tensors(Package& package, std::vector<TensorEntry> tensors, const MappedFile* file) {
  const auto bytes = file == nullptr ? std::span<const std::byte>() : file->bytes();
  for (TensorEntry& tensor : tensors) {
    if (!tensor.data.empty() && tensor.data.data() >= bytes.data() &&
        tensor.data.data() < bytes.data() + bytes.size())
      tensor.file_mapped = true;
    if (!package.tensor_index.emplace(tensor.name, package.tensors.size()).second)
      return Error(ErrorKind::corrupt, fmt::format("tensor '{}': twice", printable(tensor.name)));
    package.tensors.push_back(std::move(tensor));
  }
  return Done{};
}

}  // namespace hearth
