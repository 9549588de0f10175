// Trained models on real inputs: digits, speech, notes and photos.  Skipped where the shared data
// is absent.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

#include "base/bytes.h"
#include "base/files.h"
#include "base/thread_pool.h"
#include "graphs/executor.h"
#include "graphs/feed.h"
#include "graphs/npy.h"
#include "graphs/open.h"
#include "graphs/unzipped.h"
#include "kernels/select.h"

namespace hearth::graphs {
namespace {

using Inputs = std::map<std::string, Value, std::less<>>;

std::string model_path(const std::string& name) {
  const char* set = std::getenv("HEARTH_DATA");
  return join_path(set != nullptr ? set : "../shared/data", "models/" + name);
}

bool is_here(const std::string& path) {
  if (is_file(path)) return true;
  fmt::print("skipped: {} is not here\n", path);
  return false;
}

struct Bench {
  ThreadPool pool{2};
  ops::Context ctx;
  Bench() {
    ctx.kernels = kernels::choose("").value();
    ctx.pool = &pool;
  }
};

const ValueInfo& input_of(const Runner& runner, std::size_t i) {
  const Graph& graph = *runner.program().graph;
  return graph.values[static_cast<std::size_t>(graph.inputs[i])];
}

std::size_t best(const Tensor& scores) {
  const Numbers<double> numbers(scores);
  return static_cast<std::size_t>(std::max_element(numbers.begin(), numbers.end()) -
                                  numbers.begin());
}

// How many of the 10,000 test digits a network reads; its input holds bytes times `scale`.
int digits_read(const std::string& path, const Dims& dims, float scale) {
  Bench bench;
  const Runner runner(open_graph(path).value());
  const std::string images = unzipped(model_path("vision/mnist/t10k-images-idx3-ubyte.gz"));
  const std::string labels = unzipped(model_path("vision/mnist/t10k-labels-idx1-ubyte.gz"));
  REQUIRE(images.size() == 16 + 10000 * 784);
  int right = 0;
  for (std::size_t i = 0; i < 10000; ++i) {
    Tensor image = make_tensor(Element::f32, dims).value();
    for (std::size_t k = 0; k < 784; ++k)
      image.data<float>()[k] =
          scale * static_cast<float>(static_cast<std::uint8_t>(images[16 + i * 784 + k]));
    const auto outputs = runner.run(bench.ctx, {{input_of(runner, 0).name, image}});
    REQUIRE(outputs.ok());
    right += best((*outputs)[0].tensor) == static_cast<std::size_t>(labels[8 + i]) ? 1 : 0;
  }
  return right;
}

TEST_CASE("mnist.onnx reads 9,891 of 10,000 digits") {
  const std::string path = model_path("vision/mnist/mnist.onnx");
  if (is_here(path)) CHECK(digits_read(path, {1, 1, 28, 28}, 1) == 9891);
}

TEST_CASE("mnist.ort reads 9,757 of 10,000 digits, as in ONNX Runtime") {
  const std::string path = model_path("vision/mnist/mnist.ort");
  if (is_here(path)) CHECK(digits_read(path, {1, 28, 28}, 1.0f / 255) == 9757);
}

TEST_CASE("UltraFace says the same from ONNX and TFLite") {
  const std::string stem = model_path("vision/ultraface/version-RFB-320_without_postprocessing");
  if (!is_here(stem + ".onnx") || !is_here(stem + ".tflite")) return;
  Bench bench;
  const Runner one(open_graph(stem + ".onnx").value()), other(open_graph(stem + ".tflite").value());
  constexpr std::int64_t h = 240, w = 320;
  Tensor channels_first = make_tensor(Element::f32, {1, 3, h, w}).value(),
         channels_last = make_tensor(Element::f32, {1, h, w, 3}).value();
  for (std::int64_t i = 0; i < 3 * h * w; ++i) {
    const float value =
        std::sin(static_cast<float>(i % (h * w)) / 97 + static_cast<float>(i / (h * w)));
    channels_first.data<float>()[i] = value;
    channels_last.data<float>()[i % (h * w) * 3 + i / (h * w)] = value;
  }
  const auto want = one.run(bench.ctx, {{input_of(one, 0).name, channels_first}}),
             got = other.run(bench.ctx, {{input_of(other, 0).name, channels_last}});
  REQUIRE_MESSAGE(want.ok(), want.error().message());
  REQUIRE_MESSAGE(got.ok(), got.error().message());
  for (const Value& each : *want)
    for (const Value& same : *got) {
      if (each.tensor.dims != same.tensor.dims) continue;
      for (std::int64_t i = 0; i < each.tensor.count; ++i)
        REQUIRE(std::fabs(each.tensor.data<float>()[i] - same.tensor.data<float>()[i]) < 1e-3f);
    }
}

TEST_CASE("MNIST.mlmodel reads digits, and names the one it reads") {
  const std::string path = model_path("vision/mnist/MNIST.mlmodel");
  if (!is_here(path)) return;
  Bench bench;
  const Runner runner(open_graph(path).value());
  const std::string images = unzipped(model_path("vision/mnist/t10k-images-idx3-ubyte.gz"));
  const std::string labels = unzipped(model_path("vision/mnist/t10k-labels-idx1-ubyte.gz"));
  REQUIRE(images.size() == 16 + 10000 * 784);
  constexpr std::size_t digits = 500;
  std::size_t right = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    Tensor image = make_tensor(Element::f32, {1, 1, 28, 28}).value();
    for (std::size_t k = 0; k < 784; ++k)
      image.data<float>()[k] =
          static_cast<float>(static_cast<std::uint8_t>(images[16 + i * 784 + k]));
    const auto outputs = runner.run(bench.ctx, {{"image", image}});
    REQUIRE(outputs.ok());
    REQUIRE((*outputs)[0].kind == Value::Kind::map);
    const std::int64_t label = *(*outputs)[1].tensor.data<std::int64_t>();
    CHECK(best((*(*outputs)[0].items)[1].tensor) == static_cast<std::size_t>(label));
    right += label == labels[8 + i] ? 1 : 0;
  }
  CHECK(right > digits * 9 / 10);
}

TEST_CASE("the Coral LSTM, in whole numbers, reads digits") {
  const std::string path = model_path("vision/coral/keras_lstm_mnist_ptq.tflite");
  if (!is_here(path)) return;
  Bench bench;
  const Runner runner(open_graph(path).value());
  const Graph& graph = *runner.program().graph;
  const std::string& name = graph.values[static_cast<std::size_t>(graph.inputs[0])].name;
  const std::string images = unzipped(model_path("vision/mnist/t10k-images-idx3-ubyte.gz"));
  const std::string labels = unzipped(model_path("vision/mnist/t10k-labels-idx1-ubyte.gz"));
  REQUIRE(images.size() == 16 + 10000 * 784);
  int right = 0;
  for (std::size_t i = 0; i < 500; ++i) {
    Tensor image = make_tensor(Element::u8, {1, 28, 28}).value();
    std::memcpy(image.bytes, images.data() + 16 + i * 784, 784);
    const auto outputs = runner.run(bench.ctx, {{name, image}});  // every digit anew
    REQUIRE(outputs.ok());
    right += best((*outputs)[0].tensor) == static_cast<std::size_t>(labels[8 + i]) ? 1 : 0;
  }
  CHECK(right >= 485);  // LiteRT reads 490
}

TEST_CASE("silero-vad hears speech where there is sound") {
  for (const std::string name : {"silero_vad.onnx", "silero_vad_16k_op15.onnx"}) {
    const std::string path = model_path("audio/silero-vad/" + name);
    if (!is_here(path)) return;
    CAPTURE(name);
    Bench bench;
    const Runner runner(open_graph(path).value());
    ValueInfo sound;
    sound.name = "sound";
    const Tensor wav = feed(sound, model_path("audio/silero-vad/test.wav"), {}).value().tensor;
    Tensor state = make_tensor(Element::f32, {2, 1, 128}).value(),
           rate = make_tensor(Element::i64, {}).value();
    std::fill_n(state.data<float>(), state.count, 0.0f);
    rate.data<std::int64_t>()[0] = 16000;
    constexpr std::int64_t step = 512, context = 64;
    double loud_sum = 0, quiet_sum = 0;
    int loud = 0, quiet = 0;
    for (std::int64_t at = context; at + step <= wav.count / 8; at += step) {
      Tensor piece = make_tensor(Element::f32, {1, context + step}).value();
      std::copy_n(wav.data<float>() + at - context, context + step, piece.data<float>());
      double energy = 0;
      for (std::int64_t i = 0; i < step; ++i) energy += std::pow(wav.data<float>()[at + i], 2);
      const auto outputs =
          runner.run(bench.ctx, {{"input", piece}, {"state", state}, {"sr", rate}});
      REQUIRE(outputs.ok());
      state = (*outputs)[1].tensor;
      const double chance = (*outputs)[0].tensor.data<float>()[0], level = std::sqrt(energy / step);
      CHECK((chance >= 0 && chance <= 1));
      if (level > 0.02) loud_sum += chance, ++loud;
      if (level < 0.002) quiet_sum += chance, ++quiet;
    }
    REQUIRE(loud > 0);
    CHECK(loud_sum / loud > 0.7);
    if (quiet > 0) CHECK(quiet_sum / quiet < 0.4);
  }
}

// The least of the largest differences between what is wanted, frames [frames, keys], and an output
// [1, more frames, keys] from its frame `first` on: the formats name and order outputs differently.
double least_difference(const Tensor& want, const std::vector<Value>& list, std::int64_t first) {
  double least = 1e9;
  for (const Value& got : list) {
    if (got.tensor.rank() != 3 || got.tensor.dims[2] != want.dims[1]) continue;
    double worst = 0;
    for (std::int64_t i = 0; i < want.count; ++i)
      worst = std::max(worst, std::fabs(static_cast<double>(want.data<float>()[i]) -
                                        got.tensor.data<float>()[first * want.dims[1] + i]));
    least = std::min(least, worst);
  }
  return least;
}

// A window of its own recording, and what was published of it: scripts/golden_pitch.py.
TEST_CASE("basic-pitch finds its golden notes as ONNX, as TFLite and as Core ML") {
  if (!is_here(model_path("audio/basic-pitch/nmp.onnx"))) return;
  const std::string text = read_file("tests/golden/graphs/basic_pitch.npz", 1 << 20).value();
  const auto golden = read_npz(bytes_of(text));
  REQUIRE_MESSAGE(golden.ok(), golden.error().message());
  Bench bench;
  for (const std::string name : {"nmp.onnx", "nmp.tflite", "nmp.mlpackage"}) {
    CAPTURE(name);
    const Runner runner(open_graph(model_path("audio/basic-pitch/" + name)).value());
    const auto got = runner.run(bench.ctx, {{input_of(runner, 0).name, golden->at("window")}});
    REQUIRE(got.ok());
    for (const char* part : {"note", "onset", "contour"})
      CHECK(least_difference(golden->at(part), *got, 15) < 1e-3);
  }
}

TEST_CASE("the Coral classifiers name the photos") {
  const std::string folder = model_path("vision/coral/");
  if (!is_here(folder + "imagenet_labels.txt")) return;
  Bench bench;
  const std::string text = read_file(folder + "imagenet_labels.txt", 1 << 20).value();
  std::vector<std::string> labels;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    labels.push_back(text.substr(at, text.find('\n', at) - at));
    if (text.find('\n', at) == text.npos) break;
  }
  const struct {
    const char *model, *photo, *says;
  } rows[] = {
      {"mobilenet_v2_1.0_224_quant.tflite", "parrot.jpg", "macaw"},
      {"mobilenet_v2_1.0_224_quant.tflite", "cat.bmp", "cat"},
      {"mobilenet_v1_0.5_160_quant.tflite", "cat.bmp", "cat"},
      {"mobilenet_v2_1.0_224_quant.tflite", "grace_hopper.bmp", "uniform"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.model);
    CAPTURE(row.photo);
    const Runner runner(open_graph(folder + row.model).value());
    const auto image = feed(input_of(runner, 0), folder + row.photo, {});
    REQUIRE(image.ok());
    const auto outputs = runner.run(bench.ctx, {{input_of(runner, 0).name, *image}});
    REQUIRE(outputs.ok());
    CHECK(runner.program().labels == labels);  // the file holds them too
    const std::string& label = labels[best((*outputs)[0].tensor)];
    INFO(label);
    CHECK(label.find(row.says) != std::string::npos);
  }
}

TEST_CASE("every TFLite file of the shared data is read or refused with a reason") {
  for (const std::string folder : {"vision/coral", "audio/tflm-micro-speech", "vision/ultraface",
                                   "../conformance/tflite/litert-testdata"}) {
    const auto names = list_folder(model_path(folder));
    if (!names) continue;
    for (const std::string& name : *names) {
      if (!name.ends_with(".tflite")) continue;
      const auto program = open_graph(join_path(model_path(folder), name));
      if (!program) CHECK(!program.error().message().empty());
    }
  }
}

// Its features are in tests/golden: scripts/golden_keywords.py.
TEST_CASE("the ExecuTorch keyword spotter hears its word") {
  const std::string path = model_path("executorch/KeywordSpotting/model.pte");
  if (!is_here(path)) return;
  const std::string text =
      read_file("tests/golden/graphs/executorch/keywords.npz", 1 << 20).value();
  const auto arrays = read_npz(bytes_of(text));
  REQUIRE(arrays.ok());
  Bench bench;
  const Runner runner(open_graph(path).value());
  const auto outputs = runner.run(bench.ctx, {{"input_0", arrays->at("heard")}});
  REQUIRE(outputs.ok());
  constexpr std::string_view words[] = {"silence", "unknown", "yes", "no",  "up",   "down",
                                        "left",    "right",   "on",  "off", "stop", "go"};
  CHECK(words[best((*outputs)[0].tensor)] == "no");
  // In 8 bits it says what the network says in single precision, within the steps of its scales.
  const Numbers<double> got((*outputs)[0].tensor), want(arrays->at("said"));
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(std::fabs(got[i] - want[i]) < 1);
}

TEST_CASE("ExecuTorch programs of others are read, or refused with what they lack") {
  const struct {
    const char *name, *says;  // nullptr: it is read
  } rows[] = {{"examples__arduino__examples__AddModel__model.pte", nullptr},
              {"extension__apple__ExecuTorch____tests____resources__add.pte", nullptr},
              {"test__models__deprecated__ModuleLinear-no-constant-segment.pte", nullptr},
              {"simple-torch-model/model.pte", nullptr},
              {"xor.pte", "net.linear.weight"}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const std::string path = model_path(std::string("executorch/") + row.name);
    if (!is_here(path)) return;
    const auto program = open_graph(path);
    CHECK(program.ok() == (row.says == nullptr));
    if (!program && row.says != nullptr)
      CHECK(program.error().message().find(row.says) != std::string::npos);
  }
}

}  // namespace
}  // namespace hearth::graphs
