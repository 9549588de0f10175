// CTranslate2 folders: model.bin with config.json and the vocabulary's file.
#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"
#include "formats/ctranslate2_file.h"
#include "formats/format.h"
#include "formats/huggingface.h"

namespace hearth {
namespace {

constexpr std::string_view file_of_model = "model.bin";

// To add a kind: a function that fills a package, and a row here.
struct Kind {
  std::string_view name;
  Result<std::vector<TensorEntry>> (*fill)(const Package& variables, Package& package);
};
constexpr Kind kinds[] = {{"TransformerDecoderSpec", ctranslate2_llama},
                          {"TransformerDecoderModelSpec", ctranslate2_llama},
                          {"WhisperSpec", ctranslate2_whisper}};

Result<Package> read_ctranslate2(const Source& source) {
  const std::string folder = source.is_folder() ? source.path : parent_folder(source.path);
  const auto file =
      source.is_folder() ? TRY(MappedFile::open(join_path(folder, file_of_model))) : source.file;
  const Ctranslate2File model = TRY(read_ctranslate2_file(file));
  Package package;
  package.naming = Naming::huggingface;
  package.format = "ctranslate2";
  package.file_bytes = file->bytes().size();
  package.storage.push_back(file);
  TRY(add_surroundings(package, folder));
  for (const Kind& kind : kinds) {
    if (kind.name != model.kind) continue;
    auto tensors = TRY(kind.fill(model.variables, package));
    TRY(add_tensors(package, std::move(tensors), file.get()));
    return package;
  }
  return Error(ErrorKind::unsupported,
               fmt::format("a CTranslate2 model of kind {}: we read decoders and Whisper",
                           printable(model.kind)));
}

bool is_ctranslate2(const Source& source) {
  if (!source.is_folder()) {
    const std::string_view text = source.text();
    return file_name(source.path) == file_of_model && text.size() > 32 &&
           (text.substr(6, 11) == "Transformer" || text.substr(6, 11) == "WhisperSpec");
  }
  const auto names = list_folder(source.path);
  return names && std::ranges::find(*names, file_of_model) != names->end() &&
         std::ranges::any_of(*names, [](const std::string& name) {
           return name.starts_with("vocabulary.") || name.starts_with("source_vocabulary.");
         });
}

}  // namespace

extern const Format ctranslate2_format;
const Format ctranslate2_format{
    .name = "ctranslate2", .recognises = is_ctranslate2, .read = read_ctranslate2};

}  // namespace hearth
