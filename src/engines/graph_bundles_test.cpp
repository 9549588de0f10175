// Language models in the graphs of phones: LiteRT's bundles, Core ML with states, ExecuTorch.  Each
// goes on as its own runtime, or PyTorch, does.  tests/golden/engines is written by
// scripts/golden_litert.py, golden_coreml_language.py and golden_executorch_language.py.
#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/bytes.h"
#include "base/files.h"
#include "engines/engines.h"
#include "engines/testing.h"
#include "formats/litert.h"
#include "formats/scratch_folder.h"
#include "formats/zip.h"
#include "kernels/select.h"
#include "runtime/runner.h"

using namespace hearth;
using namespace hearth::testing;

namespace {

const std::string golden_folder = "tests/golden/engines/";

void write(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

struct Loaded {
  const kernels::Kernels* table = *kernels::choose("");
  std::shared_ptr<ThreadPool> pool = std::make_shared<ThreadPool>(1);
  std::shared_ptr<const Model> model;
  std::unique_ptr<Runner> runner;
};

Loaded load(const std::string& path) {
  Loaded loaded;
  const auto package = open_package(path);
  REQUIRE_MESSAGE(package.ok(), package.error().message());
  ops::Context ctx{.kernels = loaded.table, .pool = loaded.pool.get()};
  auto model = load_with_best_engine(ctx, *package);
  REQUIRE_MESSAGE(model.ok(), model.error().message());
  CHECK(model->engine == "graph");
  loaded.model = model->model;
  RunnerOptions options;
  options.kv_budget_bytes = 1 << 20;
  auto runner = make_runner(loaded.model, *loaded.table, loaded.pool, options);
  REQUIRE_MESSAGE(runner.ok(), runner.error().message());
  loaded.runner = *std::move(runner);
  return loaded;
}

void check_story(const std::string& path, const std::string& golden) {
  CAPTURE(path);
  const Loaded loaded = load(path);
  CHECK(loaded.model->info().kind == ModelKind::generator);
  CHECK(loaded.model->info().context_length == 256);
  CHECK(loaded.model->info().vocabulary == 512);
  const std::vector<Token> expected = expected_tokens(golden_folder + golden);
  for (const std::ptrdiff_t prompt : {1, 40, 9, 2, 79}) {
    CAPTURE(prompt);
    CHECK(generated(*loaded.runner, greedy_past_end({expected.begin(), expected.begin() + prompt},
                                                    std::ssize(expected) - prompt)) ==
          std::vector<Token>(expected.begin() + prompt, expected.end()));
  }
  GenerateRequest request;
  request.prompt = std::vector<Token>(300, 5);
  CHECK(!generate(*loaded.runner, std::move(request)).ok());
}

// The entries of an archive, stored as they are.
std::string archive(
    const std::vector<std::pair<std::string, std::span<const std::byte>>>& entries) {
  std::string out, directory;
  const auto put = [](std::string& to, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) to += static_cast<char>(value >> (8 * i) & 0xFF);
  };
  for (const auto& [name, bytes] : entries) {
    const std::size_t at = out.size();
    std::string common;
    put(common, 20, 2);
    put(common, 0, 8);  // flags, method, time and day
    put(common, zip_checksum(bytes), 4);
    put(common, bytes.size(), 4);
    put(common, bytes.size(), 4);
    put(common, name.size(), 2);
    put(common, 0, 2);
    out += "PK\x03\x04";
    out += common;
    out += name;
    out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    directory += "PK\x01\x02";
    put(directory, 20, 2);
    directory += common;
    put(directory, 0, 10);  // comment, disk, attributes
    put(directory, at, 4);
    directory += name;
  }
  const std::size_t at = out.size();
  out += directory;
  out += "PK\x05\x06";
  put(out, 0, 4);
  put(out, entries.size(), 2);
  put(out, entries.size(), 2);
  put(out, directory.size(), 4);
  put(out, at, 4);
  put(out, 0, 2);
  return out;
}

}  // namespace

TEST_CASE("a bundle of LiteRT-LM goes on as LiteRT does") {
  const std::string path = golden_folder + "litert/model.litertlm";
  check_story(path, "litert");
  const Loaded loaded = load(path);
  REQUIRE(loaded.model->chat_format() != nullptr);
  CHECK(loaded.model->chat_template_source().contains("Q: "));
  CHECK(loaded.model->tokenizer().special().bos == 1);
}

TEST_CASE("the same as a .task of MediaPipe, and as a .tflite beside its tokenizer") {
  const auto file = MappedFile::open(golden_folder + "litert/model.litertlm");
  REQUIRE(file.ok());
  const auto bundle = read_litert((*file)->bytes());
  REQUIRE_MESSAGE(bundle.ok(), bundle.error().message());
  const ScratchFolder scratch;
  const std::string metadata("\x10\x80\x04\x20\x01\x2a\x04</s>", 11);
  write(scratch.path("model.task"), bytes_of(archive({{"TF_LITE_PREFILL_DECODE", bundle->graph},
                                                      {"TOKENIZER_MODEL", bundle->tokenizer},
                                                      {"METADATA", bytes_of(metadata)}})));
  check_story(scratch.path("model.task"), "litert");
  const std::string folder = scratch.path("folder");
  std::filesystem::create_directory(folder);
  write(folder + "/model.tflite", bundle->graph);
  write(folder + "/tokenizer.model", bundle->tokenizer);
  write(folder + "/config.json", bytes_of(std::string_view(R"({"model_type": "llama"})")));
  check_story(folder, "litert");
  check_story(folder + "/model.tflite", "litert");
}

TEST_CASE("a Core ML program with states goes on as PyTorch does") {
  check_story(golden_folder + "coreml", "coreml");
  check_story(golden_folder + "coreml/model.mlpackage", "coreml");
}

TEST_CASE("an ExecuTorch program that keeps its keys and values goes on as ExecuTorch does") {
  check_story(golden_folder + "executorch", "executorch");
}

TEST_CASE("a bundle that is damaged, or lacks something, is refused with the reason") {
  const std::string good = *read_file(golden_folder + "litert/model.litertlm", 1 << 24);
  std::string later = good.substr(0, 128);
  later[8] = 7;
  const struct {
    std::string what, text, says;
  } rows[] = {
      {"a cut header", good.substr(0, 40), "header that ends at"},
      {"sections that are not there", good.substr(0, 600), "a section from"},
      {"another version", later, "version 7 of LiteRT-LM"},
      {"an embedder apart",
       archive({{"TF_LITE_PREFILL_DECODE", bytes_of(good)}, {"TF_LITE_EMBEDDER", bytes_of(good)}}),
       "a model of several graphs ('TF_LITE_EMBEDDER')"},
      {"a bundle for pictures", archive({{"face_detector.tflite", bytes_of(good)}}),
       "it holds face_detector.tflite"},
  };
  const ScratchFolder scratch;
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const std::string path = scratch.path("bad.task");
    write(path, bytes_of(row.text));
    const auto package = open_package(path);
    REQUIRE(!package.ok());
    INFO(package.error().message());
    CHECK(package.error().message().find(row.says) != std::string::npos);
  }
  for (std::size_t n = 0; n < 700; n += 3) {
    write(scratch.path("cut.litertlm"), bytes_of(good.substr(0, n)));
    CHECK(!open_package(scratch.path("cut.litertlm")).ok());
  }
}
