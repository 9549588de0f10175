// vision_bench [--cpu TABLE] [--threads N] [--times N] [--only TEXT]: how long towers of real
// shapes look at a picture.  Weights are random, of bf16, as published checkpoints have them.
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/select.h"
#include "models/vision/tower.h"
#include "ops/bench_support.h"

using namespace hearth;
using namespace hearth::models;

namespace {

struct Shape {
  const char *what, *config, *processor;
  std::int64_t width, height;  // of the picture
  std::uint32_t language_dim;
};

constexpr Shape shapes[] = {
    {"CLIP ViT-L/14 at 336 (LLaVA 1.5)",
     R"({"model_type":"llava","vision_feature_layer":-2,"vision_config":{
       "model_type":"clip_vision_model","hidden_size":1024,"intermediate_size":4096,
       "num_hidden_layers":24,"num_attention_heads":16,"image_size":336,"patch_size":14}})",
     "{}", 1024, 768, 4096},
    {"SigLIP so400m/14 at 896 (Gemma 3)",
     R"({"model_type":"gemma3","vision_config":{"hidden_size":1152,"intermediate_size":4304,
       "num_hidden_layers":27,"num_attention_heads":16,"image_size":896,"patch_size":14}})",
     "{}", 1024, 768, 2560},
    {"SigLIP B/16 at 512, 17 tiles (SmolVLM 256M)",
     R"({"model_type":"idefics3","scale_factor":4,"vision_config":{"hidden_size":768,
       "intermediate_size":3072,"num_hidden_layers":12,"num_attention_heads":12,"image_size":512,
       "patch_size":16}})",
     R"({"size":{"longest_edge":2048},"max_image_size":{"longest_edge":512}})", 2048, 2048, 576},
    {"Qwen2.5-VL, 32 layers, 644 x 476",
     R"({"model_type":"qwen2_5_vl","vision_config":{"hidden_size":1280,"out_hidden_size":2048,
       "intermediate_size":3420,"depth":32,"num_heads":16,"patch_size":14,"spatial_merge_size":2,
       "window_size":112,"fullatt_block_indexes":[7,15,23,31]}})",
     "{}", 640, 480, 2048},
    {"Qwen3-VL 4B, 24 layers, 640 x 480",
     R"({"model_type":"qwen3_vl","vision_config":{"hidden_size":1024,"out_hidden_size":2560,
       "intermediate_size":4096,"depth":24,"num_heads":16,"patch_size":16,"spatial_merge_size":2,
       "num_position_embeddings":2304,"deepstack_visual_indexes":[5,11,17]}})",
     "{}", 640, 480, 2560},
};

// Every tensor that the tower asks for, of random numbers about as large as trained ones.
class RandomTensors {
 public:
  void add(const std::string& name, std::vector<std::uint64_t> shape) {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : shape) count *= extent;
    auto data = std::make_shared<std::vector<std::uint16_t>>(count);
    for (std::uint16_t& value : *data) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      const float number = (static_cast<float>(state_ >> 40) / (1 << 24) - 0.5f) * 0.06f;
      std::uint32_t bits = 0;
      std::memcpy(&bits, &number, sizeof bits);
      value = static_cast<std::uint16_t>(bits >> 16);
    }
    tensors.push_back({name, Dtype::bf16, std::move(shape), std::as_bytes(std::span(*data))});
    storage.push_back(std::move(data));
  }
  std::vector<TensorEntry> tensors;
  std::vector<std::shared_ptr<const void>> storage;

 private:
  std::uint64_t state_ = 1;
};

std::vector<std::uint64_t> shape_of(const TowerHyper& hyper, const TowerSpec& spec, TowerPart part,
                                    std::uint64_t language_dim) {
  using enum TowerPart;
  const std::uint64_t dim = hyper.dim, block = std::uint64_t{hyper.merge} * hyper.merge;
  const std::uint64_t joined = spec.joining == Joining::side_by_side ? dim * block : dim;
  const std::uint64_t side = hyper.image_size / hyper.patch;
  switch (part) {
    case patch:
      if (spec.sizing == Sizing::smart) return {dim, 3, 2, hyper.patch, hyper.patch};
      return {dim, 3, hyper.patch, hyper.patch};
    case positions:
      return {side * side + 1, dim};
    case qkv:
      return {3 * dim, dim};
    case q:
    case k:
    case v:
    case attention_out:
      return {dim, dim};
    case gate:
    case up:
      return {hyper.hidden, dim};
    case down:
      return {dim, hyper.hidden};
    case first:
      if (spec.first_is_turned) return {dim, language_dim};
      return {spec.sizing == Sizing::smart ? joined : language_dim, joined};
    case second:
      return {language_dim, spec.sizing == Sizing::smart ? joined : language_dim};
    case newline:
      return {language_dim};
    case deep_norm:
      return {joined};
    case deep_first:
      return {joined, joined};
    case deep_second:
      return {language_dim, joined};
    default:
      return {dim};
  }
}

void add_rows(RandomTensors& random, const TowerFinder& finder, std::span<const TowerRow> rows,
              std::string_view prefix, const Shape& shape) {
  const auto& [package, spec, hyper] = finder;
  for (const TowerRow& row : rows)
    for (std::size_t layer = 0;
         !row.hf.empty() && layer < (of_tower_layer(row.part) ? hyper.sees_all.size() : 1);
         ++layer) {
      if (of_deep_layer(row.part) && !hyper.is_deep(layer)) continue;
      std::string name = std::string(prefix) + finder.name(row, row.hf, layer);
      const auto extents = shape_of(hyper, spec, row.part, shape.language_dim);
      if (name.ends_with('!'))
        name.pop_back();
      else if (extents.size() == 2 && row.part != TowerPart::positions)
        random.add(name + ".bias", {extents[0]});
      random.add(name.substr(0, name.size()) + (row.hf.ends_with('!') ? "" : ".weight"), extents);
    }
}

Status look(ops::Context& ctx, const Shape& shape, int times) {
  const int threads = ctx.pool->threads();
  Package package;
  package.naming = Naming::huggingface;
  package.config = TRY(parse_json(shape.config));
  const std::string_view processor = shape.processor;
  package.files.emplace("preprocessor_config.json", std::as_bytes(std::span(processor)));
  const TowerSpec& spec = *TRY(tower_of(package));
  const TowerHyper hyper = TRY(read_tower_hyper(package, spec));
  RandomTensors random;
  const TowerFinder finder{package, spec, hyper};
  add_rows(random, finder, spec.tower, spec.tower_prefixes[0], shape);
  add_rows(random, finder, spec.projector, spec.projector_prefixes[0], shape);
  package.storage = random.storage;
  TRY(add_tensors(package, std::move(random.tensors)));
  auto tower = TRY(load_tower(ctx, package, spec, shape.language_dim, {}));
  const auto vision = make_vision(std::move(tower), false);

  Picture picture{shape.width, shape.height, {}};
  picture.rgb.resize(static_cast<std::size_t>(shape.width * shape.height * 3));
  for (std::size_t i = 0; i < picture.rgb.size(); ++i)
    picture.rgb[i] = static_cast<std::uint8_t>(i * 2654435761u >> 24);
  double preparing = 1e9, encoding = 1e9;
  std::size_t rows = 0;
  for (int i = 0; i < times; ++i) {
    double start = bench::seconds(threads);
    const PreparedPicture prepared = TRY(vision->prepare(picture));
    preparing = std::min(preparing, bench::seconds(threads) - start);
    rows = prepared.rows;
    const std::size_t dim = (1 + vision->deep_layers()) * shape.language_dim;
    std::vector<float> out(rows * dim);
    start = bench::seconds(threads);
    TRY(vision->encode(ctx, prepared, View(out.data(), rows, dim)));
    encoding = std::min(encoding, bench::seconds(threads) - start);
  }
  fmt::print("{:<44} {:>4} x {:<4} -> {:>4} rows  prepare {:>6.1f} ms  encode {:>7.0f} ms\n",
             shape.what, shape.width, shape.height, rows, 1e3 * preparing, 1e3 * encoding);
  return Done{};
}

}  // namespace

int main(int argc, char** argv) {
  std::string table, only;
  int threads = 2, times = 3;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--cpu") table = argv[i + 1];
    if (name == "--only") only = argv[i + 1];
    if (name == "--threads") threads = std::max(1, std::atoi(argv[i + 1]));
    if (name == "--times") times = std::max(1, std::atoi(argv[i + 1]));
  }
  const auto kernels = kernels::choose(table);
  if (!kernels) return fmt::print("{}\n", kernels.error().message()), 1;
  ThreadPool pool(threads);
  ops::Context ctx{.kernels = *kernels, .pool = &pool};
  for (const Shape& shape : shapes) {
    if (!std::string_view(shape.what).starts_with(only)) continue;
    if (const Status status = look(ctx, shape, times); !status.ok())
      return fmt::print("{}: {}\n", shape.what, status.error().message()), 1;
  }
  return 0;
}
