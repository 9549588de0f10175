// Features of sound as TFLite Micro computes them, and the word that a network hears in them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "base/bytes.h"
#include "base/files.h"
#include "formats/sound/sound.h"
#include "graphs/executor.h"
#include "graphs/npy.h"
#include "graphs/open.h"
#include "graphs/tflite/import.h"
#include "kernels/select.h"

namespace hearth::graphs {
namespace {

using Inputs = std::map<std::string, Value, std::less<>>;

// Gives each window to a graph, with what the one before has left in it.
class Extractor {
 public:
  explicit Extractor(Program program) : runner_(std::move(program)) {
    ctx_.kernels = kernels::choose("").value();
  }
  Tensor features_of(const std::int16_t* samples) {
    const Graph& graph = *runner_.program().graph;
    Tensor window = make_tensor(Element::i16, {1, 480}).value();
    std::copy_n(samples, 480, window.data<std::int16_t>());
    inputs_.insert_or_assign(name_of(graph, wanted_inputs(graph)[0]), window);
    auto outputs = runner_.run(ctx_, inputs_);
    REQUIRE_MESSAGE(outputs.ok(), outputs.error().message());
    REQUIRE(outputs->size() == 2);
    inputs_.insert_or_assign(name_of(graph, graph.outputs[1]), (*outputs)[1]);
    return (*outputs)[0].tensor;
  }

 private:
  static std::string name_of(const Graph& graph, ValueId id) {
    return graph.values[static_cast<std::size_t>(id)].name;
  }
  Runner runner_;
  ops::Context ctx_;
  Inputs inputs_;
};

TEST_CASE("features are TFLite Micro's to the last bit, window after window") {
  const std::string text = read_file("tests/golden/graphs/microfrontend.npz", 1 << 20).value();
  const auto golden = read_npz(bytes_of(text)).value();
  const Tensor &model = golden.at("model"), &frames = golden.at("frames"),
               &features = golden.at("features");
  Extractor extractor(import_tflite(MappedFile::of_program(model.span())).value());
  for (std::int64_t i = 0; i < frames.dims[0]; ++i) {
    CAPTURE(i);
    const Tensor got = extractor.features_of(frames.data<std::int16_t>() + i * 480);
    REQUIRE(got.count == 40);
    for (std::int64_t k = 0; k < 40; ++k)
      CHECK(int{got.data<std::int8_t>()[k]} == int{features.data<std::int8_t>()[i * 40 + k]});
  }
}

TEST_CASE("the keyword spotter hears its words") {
  const char* data = std::getenv("HEARTH_DATA");
  const std::string folder =
      join_path(data != nullptr ? data : "../shared/data", "models/audio/tflm-micro-speech/");
  if (!is_file(folder + "audio_preprocessor_int8.tflite")) return;
  const Runner network(open_graph(folder + "micro_speech_quantized.tflite").value());
  const Graph& graph = *network.program().graph;
  ops::Context ctx;
  ctx.kernels = kernels::choose("").value();
  constexpr std::string_view labels[] = {"silence", "unknown", "yes", "no"};
  for (const std::string word : {"yes", "no", "silence"}) {
    CAPTURE(word);
    Extractor extractor(open_graph(folder + "audio_preprocessor_int8.tflite").value());
    const std::string file =
        read_file(folder + "testdata/" + word + "_1000ms.wav", 1 << 20).value();
    const std::vector<float> sound = read_sound(bytes_of(file), {}).value();
    std::vector<std::int16_t> samples;
    for (const float value : sound) samples.push_back(static_cast<std::int16_t>(value * 32768));
    Tensor heard = make_tensor(Element::i8, {1, 1960}).value();
    constexpr std::size_t window = 480, step = 320, windows = 49;
    for (std::size_t i = 0; i < windows; ++i) {
      REQUIRE(i * step + window <= samples.size());
      const Tensor features = extractor.features_of(samples.data() + i * step);
      std::copy_n(features.bytes, 40, heard.bytes + i * 40);
    }
    const ValueInfo& input = graph.values[static_cast<std::size_t>(graph.inputs[0])];
    const auto said = network.run(ctx, {{input.name, heard}});
    REQUIRE_MESSAGE(said.ok(), said.error().message());
    const auto* scores = (*said)[0].tensor.data<std::int8_t>();
    CHECK(labels[std::max_element(scores, scores + 4) - scores] == word);
  }
}

}  // namespace
}  // namespace hearth::graphs
