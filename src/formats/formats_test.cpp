#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "base/files.h"
#include "formats/package.h"

using namespace hearth;

namespace {

std::string data_folder() {
  const char* named = std::getenv("HEARTH_DATA");
  const std::string folder = named ? named : "../shared/data";
  return is_folder(folder) ? folder : std::string();
}

}  // namespace

TEST_CASE("real models open") {
  const std::string data = data_folder();
  if (data.empty()) {
    MESSAGE("no test data: skipped");
    return;
  }
  const struct {
    std::string path;
    std::size_t tensors, pairs, files;
  } rows[] = {
      {"models/stories260K/stories260K-f32.gguf", 48, 23, 0},
      {"models/stories260K/hf", 47, 0, 1},
      {"models/stories260K/hf/model.safetensors", 47, 0, 1},
      {"models/random-weights/llama-2-tiny-random.gguf", 12, 18, 0},
      {"models/random-weights/minicpm3-4b.safetensors", 15, 0, 0},
      {"models/embedding/model2vec-test/test-model-float16", 1, 0, 2},
      {"models/embedding/model2vec-test/test-model-float32", 1, 0, 2},
      {"models/embedding/model2vec-test/test-model-int8", 1, 0, 2},
      {"models/embedding/model2vec-test/test-model-sentence-transformers", 1, 0, 1},
      {"models/embedding/model2vec-test/test-model-vocab-quantized", 1, 0, 2},
      {"conformance/tokenizer/gguf/ggml-vocab-bert-bge.gguf", 0, 20, 0},
      {"conformance/tokenizer/gguf/ggml-vocab-deepseek-coder.gguf", 0, 25, 0},
      {"conformance/tokenizer/gguf/ggml-vocab-falcon.gguf", 0, 18, 0},
      {"conformance/tokenizer/gguf/ggml-vocab-gpt-2.gguf", 0, 16, 0},
      {"conformance/tokenizer/gguf/ggml-vocab-llama-spm.gguf", 0, 22, 0},
      {"conformance/tokenizer/gguf/ggml-vocab-phi-3.gguf", 0, 26, 0},
      {"conformance/tokenizer/gguf/ggml-vocab-starcoder.gguf", 0, 19, 0},
  };
  for (const auto& row : rows) {
    CAPTURE(row.path);
    const auto package = open_package(data + "/" + row.path);
    REQUIRE_MESSAGE(package, (package ? "" : package.error().message()));
    CHECK(package->tensors.size() == row.tensors);
    CHECK(package->metadata.entries().size() == row.pairs);
    CHECK(package->files.size() == row.files);
    CHECK(package->warnings.empty());
  }
}
