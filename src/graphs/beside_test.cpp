// Names of classes and what pictures become: from the file, from what lies beside it.
#include <doctest/doctest.h>

#include "base/bytes.h"
#include "base/files.h"
#include "base/thread_pool.h"
#include "formats/scratch_folder.h"
#include "graphs/classes.h"
#include "graphs/executor.h"
#include "graphs/feed.h"
#include "graphs/open.h"
#include "kernels/select.h"

namespace hearth::graphs {
namespace {

const std::string labelled = "tests/golden/graphs/labelled.tflite";

TEST_CASE("a TFLite file names its classes and says what its pictures become") {
  const hearth::testing::ScratchFolder folder;
  const std::string red = folder.path("red.ppm");
  REQUIRE(replace_file(red, bytes_of("P6\n1 1\n255\n" + std::string("\xff\0\0", 3))).ok());
  const Runner runner(open_graph(labelled).value());
  const Program& program = runner.program();
  CHECK(program.labels == std::vector<std::string>{"red", "green", "blue"});
  CHECK(program.description == "Names the colour.");
  REQUIRE(program.pixels.has_value());
  const ValueInfo& image =
      program.graph->values[static_cast<std::size_t>(program.graph->inputs[0])];
  const Value picture = feed(image, red, {.pixels = *program.pixels}).value();
  ops::Context ctx;
  ctx.kernels = kernels::choose("").value();
  const auto outputs = runner.run(ctx, {{image.name, picture}});
  REQUIRE(outputs.ok());
  CHECK(write_json(classes_json((*outputs)[0], program.labels)) ==
        R"([{"index":0,"label":"red","score":1.0},{"index":1,"label":"green","score":-1.0},)"
        R"({"index":2,"label":"blue","score":-1.0}])");
  CHECK(classes_json((*outputs)[0], {"one"}).is_null());
}

TEST_CASE("damaged labels are a warning, for the graph runs without them") {
  const hearth::testing::ScratchFolder folder;
  const std::string good = read_file(labelled, 1 << 20).value();
  std::string bad = good.substr(0, good.size() - 30);
  const std::string path = folder.path("bad.tflite");
  REQUIRE(replace_file(path, bytes_of(bad)).ok());
  const auto program = open_graph(path);
  REQUIRE(program.ok());
  CHECK(program->labels.empty());
  REQUIRE(program->warnings.size() == 1);
  CHECK(program->warnings[0].find("metadata: ") == 0);
}

TEST_CASE("settings beside a graph say what its file does not") {
  const hearth::testing::ScratchFolder folder;
  const std::string path = folder.path("model.onnx");
  REQUIRE(replace_file(path, bytes_of(read_file("tests/golden/graphs/small.onnx", 1 << 20).value()))
              .ok());
  const auto write = [&](const char* name, std::string_view text) {
    REQUIRE(replace_file(folder.path(name), bytes_of(text)).ok());
  };
  CHECK(open_graph(path)->labels.empty());
  CHECK_FALSE(open_graph(path)->pixels.has_value());
  write("config.json", R"({"id2label": {"1": "b", "0": "a", "x": "c", "99999999": "d"}})");
  write("preprocessor_config.json", R"({"image_mean": [0.5, 0.25, 0.5], "image_std": 0.5})");
  const Program program = open_graph(path).value();
  CHECK(program.labels == std::vector<std::string>{"a", "b"});
  REQUIRE(program.pixels.has_value());
  CHECK(program.pixels->mean[1] == doctest::Approx(63.75));
  CHECK(program.pixels->deviation[2] == doctest::Approx(127.5));
  write("preprocessor_config.json", R"({"do_rescale": false, "do_normalize": false})");
  CHECK(open_graph(path)->pixels->deviation[0] == 1);
  write("preprocessor_config.json", R"({"image_std": 0})");
  CHECK_FALSE(open_graph(path)->pixels.has_value());
  write("config.json", "{");
  CHECK(open_graph(path)->labels.empty());
}

}  // namespace
}  // namespace hearth::graphs
