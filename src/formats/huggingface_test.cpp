// Hugging Face folders: what is found, and what is refused by name.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include "base/bytes.h"
#include "formats/mutations.h"
#include "formats/package.h"
#include "formats/safetensors.h"
#include "formats/scratch_folder.h"

using namespace hearth;
using namespace hearth::testing;

namespace {

void put(const ScratchFolder& folder, std::string_view name, std::string_view bytes) {
  REQUIRE(replace_file(folder.path(name), bytes_of(bytes)));
}

std::string weights(std::initializer_list<std::string> names) {
  static const std::string data(4, '\1');
  std::vector<SafetensorsTensor> tensors;
  for (const std::string& name : names) tensors.push_back({name, Dtype::f32, {1}, bytes_of(data)});
  return *safetensors_bytes(tensors);
}

constexpr std::string_view two_shards =
    R"({"metadata":{"total_size":8},"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})";

void put_shards(const ScratchFolder& folder, std::string_view index) {
  put(folder, "config.json", "{}");
  put(folder, "model.safetensors.index.json", index);
  put(folder, "s1.safetensors", weights({"a"}));
  put(folder, "s2.safetensors", weights({"b"}));
}

}  // namespace

TEST_CASE("a folder becomes a package, its text files with it") {
  const ScratchFolder folder;
  put(folder, "config.json", R"({"model_type":"llama"})");
  put(folder, "generation_config.json", R"({"eos_token_id":[1,2]})");
  put(folder, "model.safetensors", weights({"x", "y"}));
  for (const char* name :
       {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "tokenizer.model", "vocab.txt", "vocab.json", "merges.txt", "chat_template.jinja",
        "chat_template.json", "qwen.tiktoken", "1_Pooling/config.json", "modules.json",
        "sentence_bert_config.json"})
    put(folder, name, fmt::format("\"{}\"", name));  // some are read as JSON
  put(folder, "README.md", "not read");

  for (const char* name : {"", "model.safetensors"}) {
    CAPTURE(std::string(name));
    const auto package = open_package(folder.path(name));
    REQUIRE_MESSAGE(package, (package ? "" : package.error().message()));
    CHECK(package->format == "safetensors");
    CHECK(package->naming == Naming::huggingface);
    CHECK(package->tensors.size() == 2);
    CHECK(package->find("y")->dtype == Dtype::f32);
    CHECK(package->config.find("model_type")->as_string() == "llama");
    CHECK(package->generation_config.find("eos_token_id")->size() == 2);
    CHECK(package->files.size() == 14);
    for (const auto& [file, bytes] : package->files)
      CHECK(text_of(bytes) == fmt::format("\"{}\"", file));
    CHECK(package->metadata.entries().empty());
  }
}

TEST_CASE("dense modules of sentence-transformers come with the folder, or are refused") {
  const ScratchFolder folder;
  put(folder, "config.json", R"({"model_type":"t5"})");
  put(folder, "model.safetensors", weights({"x"}));
  put(folder, "2_Dense/config.json", "{}");
  put(folder, "2_Dense/model.safetensors", weights({"linear.weight"}));
  const struct {
    std::string modules;
    const char* says;  // empty: accepted
  } rows[] = {
      {R"([{"type":"sentence_transformers.models.Dense","path":"2_Dense"}])", ""},
      {R"([{"type":"sentence_transformers.models.Dense","path":"../2_Dense"}])", "plain path"},
      {R"([{"type":"sentence_transformers.models.Dense"}])", "plain path"},
      {"[", "modules.json"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.modules);
    put(folder, "modules.json", row.modules);
    const auto package = open_package(folder.path(""));
    CHECK(package.ok() == std::string_view(row.says).empty());
    if (package.ok())
      CHECK(package->find("2_Dense.linear.weight") != nullptr);
    else
      CHECK_MESSAGE(package.error().message().find(row.says) != std::string::npos,
                    package.error().message());
  }
}

TEST_CASE("shards open through their index, or one by one") {
  const ScratchFolder folder;
  put_shards(folder, two_shards);
  for (const char* name : {"", "model.safetensors.index.json"}) {
    const auto package = open_package(folder.path(name));
    REQUIRE_MESSAGE(package, (package ? "" : package.error().message()));
    CHECK(package->tensors.size() == 2);
    CHECK(package->warnings.empty());
  }
  const auto one = open_package(folder.path("s2.safetensors"));
  REQUIRE(one);
  CHECK(one->tensors.size() == 1);
  CHECK(one->find("b"));
}

TEST_CASE("ST23: shards that do not keep to their index") {
  const auto index = [](std::string_view members) {
    return fmt::format(R"({{"weight_map":{{{}}}}})", members);
  };
  const struct {
    std::string what, index;
    ErrorKind kind;
    std::string says;
  } rows[] = {
      {"missing shard", index(R"("a":"s1.safetensors","b":"s3.safetensors")"), ErrorKind::not_found,
       "s3.safetensors"},
      {"tensor of another shard", index(R"("a":"s2.safetensors")"), ErrorKind::corrupt,
       "'a' is not in s2.safetensors"},
      {"tensor that is nowhere", index(R"("a":"s1.safetensors","c":"s2.safetensors")"),
       ErrorKind::corrupt, "'c' is not in"},
      {"tensor in two shards", index(R"("a":"s1.safetensors","b":"twice.safetensors")"),
       ErrorKind::corrupt, "tensor 'a': twice"},
      {"path that climbs", index(R"("a":"../s1.safetensors")"), ErrorKind::corrupt, "plain name"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const ScratchFolder folder;
    put_shards(folder, row.index);
    put(folder, "twice.safetensors", weights({"a", "b"}));
    const auto package = open_package(folder.path(""));
    REQUIRE(!package);
    CAPTURE(package.error().message());
    CHECK(package.error().kind() == row.kind);
    CHECK(package.error().message().find(row.says) != std::string::npos);
  }
}

TEST_CASE("an index that is merely untidy is read, with a warning") {
  const ScratchFolder folder;
  put_shards(folder, R"({"metadata":{"total_size":9},"weight_map":{"a":"s1.safetensors"}})");
  put(folder, "s1.safetensors", weights({"a", "extra"}));
  const auto package = open_package(folder.path(""));
  REQUIRE(package);
  CHECK(package->tensors.size() == 2);
  CHECK(package->warnings.size() == 2);
}

TEST_CASE("quantisation schemes and configurations that are not read are refused by name") {
  const struct {
    std::string config;
    ErrorKind kind;
    std::string says;
  } rows[] = {
      {R"({"quantization_config":{"quant_method":"gptq","bits":3}})", ErrorKind::unsupported,
       "GPTQ of 3 bits"},
      {R"({"quantization_config":{"quant_method":"awq","version":"marlin"}})",
       ErrorKind::unsupported, "AWQ 'marlin'"},
      {R"({"quantization_config":{"quant_method":"awq"}})", ErrorKind::corrupt,
       "no tensor is quantised by 'awq'"},
      {R"({"quantization_config":{"quant_method":"hqq"}})", ErrorKind::unsupported, "'hqq'"},
      {R"({"quantization_config":{}})", ErrorKind::unsupported, "''"},
      {R"({"text_config":{"quantization_config":{"quant_method":"aqlm"}}})", ErrorKind::unsupported,
       "'aqlm'"},
      {R"({"compression_config":{"quant_method":"\u001b"}})", ErrorKind::unsupported, R"('\x1b')"},
      {R"({"quantization":{"group_size":64,"bits":4}})", ErrorKind::corrupt,
       "no tensor is quantised"},
      {R"({"a":1,"a":2})", ErrorKind::corrupt, "config.json: JSON"},
      {"[]", ErrorKind::corrupt, "needs an object"},
      {"", ErrorKind::corrupt, "config.json"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.config);
    const ScratchFolder folder;
    put(folder, "config.json", row.config);
    put(folder, "model.safetensors", weights({"x"}));
    const auto package = open_package(folder.path(""));
    REQUIRE(!package);
    CAPTURE(package.error().message());
    CHECK(package.error().kind() == row.kind);
    CHECK(package.error().message().find(row.says) != std::string::npos);
    CHECK(!has_control_characters(package.error().message()));
  }
  for (const char* config :
       {R"({"quantization_config":null})", R"({"quantization_config":{"quant_method":"mxfp4"}})"}) {
    CAPTURE(config);
    const ScratchFolder folder;
    put(folder, "config.json", config);
    put(folder, "model.safetensors", weights({"x"}));
    CHECK(open_package(folder.path("")));
  }
}

TEST_CASE("which weights of a folder are meant") {
  const auto refused = [](const ScratchFolder& folder) {
    const auto package = open_package(folder.path(""));
    return package ? std::string("opened") : package.error().message();
  };
  const ScratchFolder folder;
  put(folder, "config.json", "{}");
  CHECK(refused(folder).find("no .safetensors and no pytorch_model.bin") != std::string::npos);
  put(folder, "pytorch_model.bin", "x");
  CHECK(refused(folder).find("not a file that PyTorch saves") != std::string::npos);
  put(folder, "other.safetensors", weights({"x"}));
  CHECK(refused(folder) == "opened");
  put(folder, "third.safetensors", weights({"x"}));
  CHECK(refused(folder).find("2 files end in .safetensors") != std::string::npos);
  put(folder, "model.safetensors", weights({"x"}));
  CHECK(refused(folder) == "opened");
}
