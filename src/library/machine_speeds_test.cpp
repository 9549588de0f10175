// What is predicted from measured speeds.  The figures are made up: nothing is measured here.
#include <doctest/doctest.h>

#include <string>

#include "formats/scratch_folder.h"
#include "hardware/cpu.h"
#include "library/measure_speeds.h"
#include "library/sample_model.h"

namespace hearth {
namespace {

MachineSpeeds some_speeds() {
  MachineSpeeds speeds;
  speeds.processor = hardware::read_cpu().brand;
  speeds.kernels = "avx2";
  speeds.threads = hardware::usable_cores();
  speeds.memory = {{1, 8e9}};
  speeds.weights = {{"q4_k", 10e9}, {"q6_k", 8e9}, {"q4_0", 12e9}, {"iq2_xs", 1e9}};
  speeds.layer_seconds = 2e-5;
  speeds.logit_seconds = 1e-9;
  speeds.disk_random_reads_per_second = 9000;
  return speeds;
}

TensorEntry tensor(std::string name, Dtype dtype, std::vector<std::uint64_t> shape) {
  TensorEntry entry;
  entry.name = std::move(name);
  entry.dtype = dtype;
  entry.shape = std::move(shape);
  return entry;
}

}  // namespace

TEST_CASE("a token takes what its weights take, type by type, and what its layers start") {
  const struct {
    std::string what;
    TokenWork work;
    double seconds;
  } rows[] = {
      {"one type", {{{"q4_k", 1e9}}, 0, 0}, 0.1},
      {"two types", {{{"q4_k", 1e9}, {"q6_k", 8e8}}, 0, 0}, 0.2},
      {"read like another", {{{"iq4_nl", 12e8}}, 0, 0}, 0.1},
      {"not measured: the slowest", {{{"iq1_s", 1e8}}, 0, 0}, 0.1},
      {"layers", {{{"q4_k", 1e9}}, 1000, 0}, 0.1 + 1000 * 2e-5},
      {"many tokens to choose from", {{{"q4_k", 1e9}}, 0, 10'000'000}, 0.1 + 0.01},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const double speed = expected_tokens_per_second(some_speeds(), row.work);
    CHECK(speed * row.seconds == doctest::Approx(1));
  }
  CHECK(expected_tokens_per_second(MachineSpeeds(), rows[0].work) == 0);
  CHECK(expected_tokens_per_second(some_speeds(), {}) == 0);
  CHECK(four_bit_bytes_per_second(some_speeds()) > 8e9);
  CHECK(four_bit_bytes_per_second(some_speeds()) < 10e9);
}

TEST_CASE("a token reads matrices, of experts those that are asked, and no table it looks up in") {
  const std::vector<TensorEntry> tied{
      tensor("model.embed_tokens.weight", Dtype::f16, {1000, 64}),
      tensor("model.layers.0.input_layernorm.weight", Dtype::f32, {64}),
      tensor("model.layers.0.mlp.experts.0.up_proj.weight", Dtype::f16, {64, 64}),
      tensor("model.layers.0.mlp.experts.1.up_proj.weight", Dtype::f16, {64, 64})};
  std::vector<TensorEntry> untied = tied;
  untied.push_back(tensor("lm_head.weight", Dtype::f32, {1000, 64}));
  Package package, with_head;
  REQUIRE(add_tensors(package, tied).ok());
  REQUIRE(add_tensors(with_head, untied).ok());
  with_head.config = package.config =
      Json::object({{"num_local_experts", 2}, {"num_experts_per_tok", 1}});
  ModelInfo info;
  info.layers = 3;
  TokenWork work = work_per_token(with_head, info);
  CHECK(work.layers == 3);
  CHECK(work.weight_bytes.size() == 2);
  CHECK(work.weight_bytes["f16"] == 64 * 64 * 2);
  CHECK(work.weight_bytes["f32"] == 1000 * 64 * 4);
  // Without a head the table makes the answer.
  CHECK(work_per_token(package, info).weight_bytes["f16"] == 64 * 64 * 2 + 1000 * 64 * 2);
}

TEST_CASE("a type without kernels of its own is read as the one it becomes") {
  const struct {
    Dtype stored;
    std::string read;
    double bytes, minima_bytes;  // of 256 numbers
  } rows[] = {{Dtype::q3_k, "q6_k", 210, 0},
              {Dtype::q2_k, "q6_k", 210, 64},
              {Dtype::q4_1, "q4_0", 144, 32},
              {Dtype::q4_k, "q4_k", 144, 0}};
  for (const auto& row : rows) {
    CAPTURE(row.read);
    Package package;
    REQUIRE(add_tensors(package, {{tensor("blk.0.ffn_up.weight", row.stored, {1, 256})}}).ok());
    const TokenWork work = work_per_token(package, ModelInfo());
    REQUIRE(work.weight_bytes.contains(row.read));
    CHECK(work.weight_bytes.at(row.read) == row.bytes);
    CHECK(work.weight_bytes.contains("f32") == (row.minima_bytes > 0));
    if (row.minima_bytes > 0) CHECK(work.weight_bytes.at("f32") == row.minima_bytes);
  }
}

TEST_CASE("the sample model is one that runs, larger than caches") {
  const auto package = make_sample_model();
  REQUIRE(package);
  const auto info = describe(*package);
  REQUIRE(info);
  CHECK(info->kind == ModelKind::generator);
  const TokenWork work = work_per_token(*package, *info);
  CHECK(work.layers == 8);
  REQUIRE(work.weight_bytes.size() == 1);
  CHECK(work.weight_bytes.at("q8_0") > 90e6);
}

TEST_CASE("rates of an idle machine: most of the best, but not the luckiest") {
  CHECK(idle_rate({}) == 0);
  CHECK(idle_rate({5}) == 5);
  CHECK(idle_rate({1, 9, 8, 7}) == 8);
  CHECK(idle_rate({1, 2, 3, 4, 5, 6, 7, 100}) == 6);
}

TEST_CASE("speeds are kept, and are nothing on another processor") {
  const testing::ScratchFolder folder;
  LibraryFolders folders;
  folders.cache = folder.path("");
  CHECK(!load_speeds(folders));
  MachineSpeeds speeds = some_speeds();
  REQUIRE(save_speeds(folders, speeds).ok());
  const auto kept = load_speeds(folders);
  REQUIRE(kept);
  CHECK(to_json(*kept) == to_json(speeds));
  speeds.processor = "another";
  REQUIRE(save_speeds(folders, speeds).ok());
  CHECK(!load_speeds(folders));
}

}  // namespace hearth
