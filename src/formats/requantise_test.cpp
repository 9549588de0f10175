// Quantised checkpoints whose parts do not fit together are refused before anything is computed.
#include "formats/requantise.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include "base/bytes.h"
#include "formats/mutations.h"
#include "formats/safetensors.h"
#include "formats/scratch_folder.h"

using namespace hearth;
using namespace hearth::testing;

namespace {

struct Part {
  std::string name;
  Dtype dtype;
  std::vector<std::uint64_t> shape;
};

// Opens a folder with these tensors, all of ones, and makes what is made.
Status opened(const std::string& config, const std::vector<Part>& parts) {
  const ScratchFolder folder;
  std::vector<std::string> data;
  std::vector<SafetensorsTensor> tensors;
  for (const Part& part : parts) {
    std::uint64_t elements = 1;
    for (const std::uint64_t extent : part.shape) elements *= extent;
    data.emplace_back(*byte_size(part.dtype, elements), '\1');
  }
  for (std::size_t i = 0; i < parts.size(); ++i)
    tensors.push_back({parts[i].name, parts[i].dtype, parts[i].shape, bytes_of(data[i])});
  const auto file = safetensors_bytes(tensors);
  HEARTH_CHECK(file.ok());
  TRY(replace_file(folder.path("config.json"), bytes_of(config)));
  TRY(replace_file(folder.path("model.safetensors"), bytes_of(*file)));
  const Package package = TRY(open_package(folder.path("")));
  for (const TensorEntry& entry : package.tensors)
    if (entry.make) CHECK(TRY(entry.make()).size() == entry.bytes());
  return Done{};
}

const std::string mlx = R"({"quantization":{"group_size":32,"bits":4}})";
const std::string gptq = R"({"quantization_config":{"quant_method":"gptq","bits":4}})";
const std::string awq = R"({"quantization_config":{"quant_method":"awq","bits":4}})";
const std::string fp8 = R"({"quantization_config":{"quant_method":"fp8"}})";
const std::string packed =
    R"({"quantization_config":{"quant_method":"compressed-tensors","format":"pack-quantized",)"
    R"("config_groups":{"g":{"weights":{"num_bits":4}}}}})";

TEST_CASE("parts that fit are joined") {
  using enum Dtype;
  const struct {
    std::string config;
    std::vector<Part> parts;
  } rows[] = {
      {mlx, {{"a.weight", u32, {3, 8}}, {"a.scales", f16, {3, 2}}, {"a.biases", f16, {3, 2}}}},
      {gptq, {{"a.qweight", i32, {8, 16}}, {"a.qzeros", i32, {2, 2}}, {"a.scales", f16, {2, 16}}}},
      {awq, {{"a.qweight", i32, {64, 2}}, {"a.qzeros", i32, {2, 2}}, {"a.scales", f16, {2, 16}}}},
      {fp8, {{"a.weight", f8_e4m3, {200, 130}}, {"a.weight_scale_inv", f32, {2, 2}}}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.config);
    const Status status = opened(row.config, row.parts);
    CHECK_MESSAGE(status.ok(), (status.ok() ? std::string() : status.error().message()));
  }
}

TEST_CASE("parts that lie are refused, and the message names them") {
  using enum Dtype;
  const struct {
    std::string what, config;
    std::vector<Part> parts;
    std::string says;
  } rows[] = {
      {"no biases", mlx, {{"a.weight", u32, {3, 8}}, {"a.scales", f16, {3, 2}}}, "a.weight"},
      {"no weight", mlx, {{"a.scales", f16, {3, 2}}}, "a.weight is missing"},
      {"weight of floats", mlx, {{"a.weight", f32, {3, 8}}, {"a.scales", f16, {3, 2}}}, "u32"},
      {"scales of another shape",
       mlx,
       {{"a.weight", u32, {3, 8}}, {"a.scales", f16, {3, 3}}, {"a.biases", f16, {3, 3}}},
       "a.scales"},
      {"no bits",
       R"({"quantization":{"group_size":32,"bits":0}})",
       {{"a.scales", f16, {1}}},
       "bits"},
      {"seven bits",
       R"({"quantization":{"group_size":32,"bits":7}})",
       {{"a.weight", u32, {1, 7}}, {"a.scales", f16, {1, 1}}, {"a.biases", f16, {1, 1}}},
       "7 bits"},
      {"unknown mode",
       R"({"quantization":{"group_size":32,"bits":4,"mode":"x"}})",
       {{"a.weight", u32, {3, 8}}, {"a.scales", u8, {3, 2}}},
       "mode 'x'"},
      {"zeros of another shape",
       gptq,
       {{"a.qweight", i32, {8, 16}}, {"a.qzeros", i32, {2, 3}}, {"a.scales", f16, {2, 16}}},
       "a.qzeros"},
      {"no groups",
       gptq,
       {{"a.qweight", i32, {8, 16}}, {"a.qzeros", i32, {0, 2}}, {"a.scales", f16, {0, 16}}},
       "groups"},
      {"a group that is not there",
       gptq,
       {{"a.qweight", i32, {8, 16}},
        {"a.qzeros", i32, {2, 2}},
        {"a.scales", f16, {2, 16}},
        {"a.g_idx", i32, {64}}},
       "a.g_idx"},
      {"codes of another shape",
       awq,
       {{"a.qweight", i32, {64, 3}}, {"a.qzeros", i32, {2, 2}}, {"a.scales", f16, {2, 16}}},
       "a.qweight"},
      {"more scales than rows",
       fp8,
       {{"a.weight", f8_e4m3, {2, 2}}, {"a.weight_scale_inv", f32, {3, 1}}},
       "does not fit"},
      {"codes of integers",
       fp8,
       {{"a.weight", i8, {2, 2}}, {"a.weight_scale_inv", f32, {1, 1}}},
       "f8_e4m3"},
      {"a shape that lies",
       packed,
       {{"a.weight_packed", i32, {4, 8}},
        {"a.weight_scale", f16, {4, 2}},
        {"a.weight_shape", i64, {2}}},
       "a.weight_packed"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const Status status = opened(row.config, row.parts);
    REQUIRE(!status.ok());
    CAPTURE(status.error().message());
    CHECK(status.error().message().find(row.says) != std::string::npos);
    CHECK(!has_control_characters(status.error().message()));
  }
}

}  // namespace
