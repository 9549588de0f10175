// What configurations and headers say of a model, and what of them is refused.  Rows are named
// after the catalogue of bad inputs (ST24 of safetensors, G46 of GGUF).
#include <doctest/doctest.h>

#include "base/bytes.h"
#include "models/test_support.h"

namespace hearth::models {
namespace {

constexpr auto corrupt = ErrorKind::corrupt;

TEST_CASE("config.json that does not fit its tensors is refused") {
  const struct {
    const char *what, *key;
    Json value;
    ErrorKind kind;
    const char *says, *golden = "mistral";
  } rows[] = {
      {"ST24 hidden size", "hidden_size", 64, corrupt, "needs [64, 64]"},
      {"ST24 hidden size of no heads", "hidden_size", 30, corrupt, "not a multiple", "qwen2"},
      {"ST24 vocabulary", "vocab_size", 65, corrupt, "embed_tokens.weight is [64, 32]"},
      {"ST24 intermediate size", "intermediate_size", 49, corrupt, "needs [49, 32]"},
      {"ST24 layers", "num_hidden_layers", 3, corrupt,
       "model.layers.2.input_layernorm.weight is missing"},
      {"ST24 layers as text", "num_hidden_layers", "two", corrupt, "needs a whole number"},
      {"ST24 layers and a half", "num_hidden_layers", 1.5, corrupt, "needs a whole number"},
      {"experts of no width", "intermediate_size", 0, corrupt, "4 experts have no width",
       "granite-hybrid"},
      {"no model type", "model_type", nullptr, ErrorKind::unsupported, "model_type is missing"},
      {"unknown model type", "model_type", "hal", ErrorKind::unsupported, "'hal'"},
      {"a model type that hides something", "model_type", "ha\tl", ErrorKind::unsupported,
       "'ha\\x09l'"},
      {"G46 unknown layer type", "layer_types", Json(Json::Array{"dreaming", "full_attention"}),
       ErrorKind::unsupported, "layer_types[0] = 'dreaming'"},
      {"layer types of other length", "layer_types", Json(Json::Array{"full_attention"}), corrupt,
       "holds 1 names: needs 2"},
      {"unknown scaling", "rope_scaling", Json::object({{"rope_type", "elastic"}, {"factor", 2}}),
       ErrorKind::unsupported, "'elastic'"},
      {"quantised by a scheme we do not read", "quantization_config",
       Json::object({{"quant_method", "gptq"}}), ErrorKind::unsupported, "'gptq'"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    auto package = open_package(golden_folder + "/" + row.golden);
    REQUIRE(package.ok());
    if (std::string_view(row.key) == "rope_scaling")
      package->config.set("rope_parameters", nullptr);
    package->config.set(row.key, row.value);
    ThreadPool pool(1);
    ops::Context ctx{.kernels = &kernels::reference(), .pool = &pool};
    const auto model = load_model(ctx, *package, {});
    REQUIRE(!model.ok());
    CHECK(model.error().kind() == row.kind);
    CHECK_MESSAGE(model.error().message().find(row.says) != std::string::npos,
                  model.error().message());
  }
}

TEST_CASE("what a model is, from its headers alone") {
  const auto gguf = open_package(golden_folder + "/qwen3/model.gguf");
  const auto folder = open_package(golden_folder + "/qwen3");
  REQUIRE(gguf.ok());
  REQUIRE(folder.ok());
  for (const Package* package : {&*gguf, &*folder}) {
    CAPTURE(package->path);
    const auto info = describe(*package);
    REQUIRE_MESSAGE(info.ok(), info.error().message());
    CHECK(info->name == "qwen3");
    CHECK(info->architecture == "qwen3");
    CHECK(info->kind == ModelKind::generator);
    CHECK(info->quantisation == "f32");
    CHECK(info->context_length == 256);
    CHECK(info->vocabulary == 64);
    CHECK(info->dim == 32);
    CHECK(info->layers == 2);
    CHECK(info->heads == 4);
    CHECK(info->kv_heads == 2);
    CHECK(info->weight_bytes == 4 * info->parameters);
    CHECK(info->file_bytes > info->weight_bytes);
    CHECK(info->kv_bytes_per_token == 2u * 2 * 2 * 16 * 4);
  }
  CHECK(describe(*open_package(golden_folder + "/bert-rerank"))->kind == ModelKind::reranker);
  CHECK(describe(*open_package(golden_folder + "/qwen3-embedding"))->kind == ModelKind::embedder);
  CHECK(describe(*open_package(golden_folder + "/gpt-oss-mxfp4"))->quantisation == "mxfp4");
}

TEST_CASE("a configuration may leave sizes to its class") {
  Package package;
  package.naming = Naming::huggingface;
  package.path = "gemma-3-4b";
  package.config = *parse_json(R"({"model_type": "gemma3", "text_config": {
      "hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
      "num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
      "sliding_window": 1024}})");
  const auto info = describe(package);
  REQUIRE_MESSAGE(info.ok(), info.error().message());
  CHECK(info->architecture == "gemma3");
  CHECK(info->heads == 8);
  CHECK(info->kv_heads == 4);
  CHECK(info->vocabulary == 262208);
  CHECK(info->context_length == 131072);
}

TEST_CASE("a text longer than the model takes is named") {
  const auto package = open_package(golden_folder + "/bert");
  REQUIRE(package.ok());
  ThreadPool pool(1);
  ops::Context ctx{.kernels = &kernels::reference(), .pool = &pool};
  const auto model = load_model(ctx, *package, {});
  REQUIRE(model.ok());
  const std::vector<std::vector<Token>> texts{std::vector<Token>(64, 5), std::vector<Token>(65, 5)};
  const auto vectors = (*model)->embed(ctx, texts);
  REQUIRE(!vectors);
  CHECK(vectors.error().kind() == ErrorKind::too_long);
  CHECK(vectors.error().message() == "text 1 has 65 tokens: the model takes 64");
  CHECK((*model)->embed(ctx, std::span(texts).first(1)).ok());
  std::vector<float> none;
  CHECK((*model)->forward(ctx, {}, none).error().kind() == ErrorKind::unsupported);
}

TEST_CASE("chat templates are found where each container keeps them") {
  const auto bytes = [](std::string_view text) { return bytes_of(text); };
  Package package;
  package.naming = Naming::huggingface;
  CHECK(chat_template_source(package).error().kind() == ErrorKind::not_found);
  package.files["tokenizer_config.json"] = bytes(
      R"({"chat_template": [{"name": "tool_use", "template": "B"},
                            {"name": "default", "template": "A"}]})");
  CHECK(*chat_template_source(package) == "A");
  package.files["tokenizer_config.json"] = bytes(R"({"chat_template": "C"})");
  CHECK(*chat_template_source(package) == "C");
  package.files["chat_template.json"] = bytes(R"({"chat_template": "D"})");
  CHECK(*chat_template_source(package) == "D");
  package.files["chat_template.jinja"] = bytes("E");
  CHECK(*chat_template_source(package) == "E");
}

}  // namespace
}  // namespace hearth::models
