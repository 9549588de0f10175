#include "formats/lora.h"

#include <doctest/doctest.h>

#include <cmath>

#include "formats/gguf_writer.h"
#include "formats/safetensors.h"
#include "formats/scratch_folder.h"

namespace hearth {
namespace {

const std::vector<float> down(2 * 4, 1.0f), up(6 * 2, 2.0f);

std::span<const std::byte> bytes(const std::vector<float>& values) {
  return std::as_bytes(std::span(values));
}

constexpr const char* name_down = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
constexpr const char* name_up = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight";

Result<LoraFile> opened(const std::string& config, std::vector<SafetensorsTensor> tensors) {
  const testing::ScratchFolder folder;
  const auto file = safetensors_bytes(tensors);
  REQUIRE(file.ok());
  REQUIRE(replace_file(folder.path("adapter_config.json"), std::as_bytes(std::span(config))).ok());
  REQUIRE(
      replace_file(folder.path("adapter_model.safetensors"), std::as_bytes(std::span(*file))).ok());
  return open_lora(folder.path(""));
}

std::vector<SafetensorsTensor> plain() {
  return {{name_down, Dtype::f32, {2, 4}, bytes(down)}, {name_up, Dtype::f32, {6, 2}, bytes(up)}};
}

TEST_CASE("PEFT's folders: the factor follows from rank and alpha") {
  const struct {
    std::string config;
    double factor;
  } cases[] = {{R"({"peft_type": "LORA", "lora_alpha": 16})", 8},
               {R"({"lora_alpha": 16, "use_rslora": true})", 16 / std::sqrt(2.0)},
               {R"({"lora_alpha": 16, "alpha_pattern": {"q_proj": 4}})", 2},
               {R"({"lora_alpha": 16, "alpha_pattern": {"proj": 4}})", 8},
               {R"({})", 1}};
  for (const auto& each : cases) {
    CAPTURE(each.config);
    const auto lora = opened(each.config, plain());
    REQUIRE_MESSAGE(lora.ok(), lora.error().message());
    REQUIRE(lora->pairs.size() == 1);
    CHECK(lora->pairs[0].module == "model.layers.0.self_attn.q_proj");
    CHECK(lora->pairs[0].factor == doctest::Approx(each.factor));
  }
}

TEST_CASE("PEFT's folders of before 0.7, whose weights PyTorch saved") {
  const char* named = std::getenv("HEARTH_DATA");
  const std::string data =
      std::string(named != nullptr ? named : "../shared/data") + "/models/lora/peft-regression/";
  if (!is_folder(data)) return;
  const auto lora = open_lora(data + "lora_mlp/0.6.1");
  REQUIRE_MESSAGE(lora.ok(), lora.error().message());
  REQUIRE(lora->pairs.size() == 1);
  CHECK(lora->pairs[0].module == "lin0");
  CHECK(lora->pairs[0].down.shape == std::vector<std::uint64_t>{8, 10});
  CHECK(lora->pairs[0].up.shape == std::vector<std::uint64_t>{20, 8});
  CHECK(lora->pairs[0].factor == 1);
  const auto other = open_lora(data + "ia3_mlp/0.6.1");
  REQUIRE(!other.ok());
  CHECK(other.error().message().contains("an adapter of the type IA3"));
}

TEST_CASE("mlx-lm's folders: matrices the other way round, and one scale for all") {
  const auto opened_mlx = [](const std::string& config, std::string_view ending) {
    const testing::ScratchFolder folder;
    const std::string module = "model.layers.0.self_attn.q_proj.";
    const std::vector<SafetensorsTensor> tensors = {
        {module + "lora_a", Dtype::f32, {4, 2}, bytes(down)},
        {module + std::string(ending), Dtype::f32, {2, 6}, bytes(up)}};
    const auto file = safetensors_bytes(tensors);
    REQUIRE(file.ok());
    REQUIRE(
        replace_file(folder.path("adapter_config.json"), std::as_bytes(std::span(config))).ok());
    REQUIRE(
        replace_file(folder.path("adapters.safetensors"), std::as_bytes(std::span(*file))).ok());
    return open_lora(folder.path(""));
  };
  const auto lora = opened_mlx(R"({"fine_tune_type": "lora", "model": "org/base",
                                   "lora_parameters": {"rank": 2, "scale": 20.0}})",
                               "lora_b");
  REQUIRE_MESSAGE(lora.ok(), lora.error().message());
  CHECK(lora->base == "org/base");
  REQUIRE(lora->pairs.size() == 1);
  const LoraPair& pair = lora->pairs[0];
  CHECK(pair.module == "model.layers.0.self_attn.q_proj");
  CHECK(pair.factor == 20);
  CHECK(pair.down.shape == std::vector<std::uint64_t>{2, 4});
  CHECK(pair.up.shape == std::vector<std::uint64_t>{6, 2});
  const auto made = pair.down.make();
  REQUIRE(made.ok());
  std::vector<float> values(8);
  std::memcpy(values.data(), made->data(), made->size());
  for (std::size_t r = 0; r < 2; ++r)
    for (std::size_t c = 0; c < 4; ++c) CHECK(values[r * 4 + c] == down[c * 2 + r]);

  const auto message = [&](const std::string& config, std::string_view ending) {
    const auto refused = opened_mlx(config, ending);
    REQUIRE(!refused.ok());
    return refused.error().message();
  };
  CHECK(message(R"({"fine_tune_type": "dora"})", "lora_b").contains("an adapter of the type dora"));
  CHECK(message(R"({"fine_tune_type": "lora"})", "lora_b").contains("scale is missing"));
  CHECK(message(R"({"lora_parameters": {"scale": 1}})", "m").contains("is no matrix of LoRA"));
}

TEST_CASE("what is no plain LoRA is refused by name") {
  std::vector<SafetensorsTensor> half = plain(), dora = plain(), ranks = plain();
  half.pop_back();
  dora.push_back(
      {"base_model.model.x.lora_magnitude_vector", Dtype::f32, {4}, bytes(down).first(16)});
  ranks[1].shape = {4, 3};
  const struct {
    std::string config;
    std::vector<SafetensorsTensor> tensors;
    std::string what;
  } cases[] = {{R"({"peft_type": "IA3"})", plain(), "IA3"},
               {R"({"use_dora": true})", plain(), "DoRA"},
               {"{}", half, "one of its two"},
               {"{}", dora, "lora_magnitude_vector"},
               {"{}", ranks, "rank"},
               {"{}", {}, "no matrices"},
               {"[", plain(), ""}};
  for (const auto& each : cases) {
    CAPTURE(each.config);
    CAPTURE(each.what);
    const auto lora = opened(each.config, each.tensors);
    REQUIRE_FALSE(lora.ok());
    CHECK(lora.error().message().find(each.what) != std::string::npos);
  }
  CHECK_FALSE(open_lora("tests/golden/models/llama").ok());
  CHECK_FALSE(open_lora("tests/golden/models/llama/model.gguf").ok());
}

TEST_CASE("GGUF adapters") {
  const auto tensor = [](std::string name, std::vector<std::uint64_t> shape,
                         const std::vector<float>& values) {
    return GgufTensor{std::move(name), Dtype::f32, std::move(shape),
                      [&values] { return Result<std::span<const std::byte>>(bytes(values)); }};
  };
  GgufContents contents;
  contents.metadata = {{"general.architecture", GgufValue::text("llama")},
                       {"general.type", GgufValue::text("adapter")},
                       {"adapter.type", GgufValue::text("lora")},
                       {"adapter.lora.alpha", GgufValue::of(8.0f)}};
  contents.tensors.push_back(tensor("blk.0.attn_q.weight.lora_a", {2, 4}, down));
  contents.tensors.push_back(tensor("blk.0.attn_q.weight.lora_b", {6, 2}, up));
  const testing::ScratchFolder folder;
  REQUIRE(write_gguf(folder.path("a.gguf"), contents).ok());
  const auto lora = open_lora(folder.path("a.gguf"));
  REQUIRE_MESSAGE(lora.ok(), lora.error().message());
  CHECK(lora->naming == Naming::gguf);
  CHECK(lora->architecture == "llama");
  REQUIRE(lora->pairs.size() == 1);
  CHECK(lora->pairs[0].module == "blk.0.attn_q");
  CHECK(lora->pairs[0].factor == 4);
}

}  // namespace
}  // namespace hearth
