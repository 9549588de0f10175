// Every vision tower against Hugging Face transformers, on tiny random models: from both
// containers, by the plain path and by the fast one on every table of kernels.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <cstring>

#include "base/files.h"
#include "kernels/select.h"
#include "models/test_support.h"
#include "models/vision/tower.h"

namespace hearth::models {
namespace {

const std::string folder = "tests/golden/vision/";
constexpr const char* names[] = {
    "qwen2.5-vl", "qwen2-vl",     "qwen3-vl", "qwen3-vl-moe",   "qwen3.5",   "gemma3",
    "gemma4",     "gemma4-large", "internvl", "internvl-large", "llama4",    "smolvlm",
    "llava",      "llava-next",   "pixtral",  "mistral3",       "ministral3"};
constexpr std::uint32_t language_dim = 32;

std::string bytes_of_file(const std::string& path) {
  auto bytes = read_file(path, 8u << 20);
  REQUIRE_MESSAGE(bytes.ok(), bytes.error().message());
  return *std::move(bytes);
}

Json json_of(const std::string& path) {
  auto json = parse_json(bytes_of_file(path));
  REQUIRE(json.ok());
  return *std::move(json);
}

std::vector<float> floats_of(const std::string& path) {
  const std::string bytes = bytes_of_file(path);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

Picture picture_of(const std::string& name) {
  const std::string bytes = bytes_of_file(folder + name);
  auto picture = read_picture(std::as_bytes(std::span(bytes)));
  REQUIRE_MESSAGE(picture.ok(), picture.error().message());
  return *std::move(picture);
}

TEST_CASE("resizing gives the Python Imaging Library's bytes") {
  const Picture whole = picture_of("picture.png");
  Picture picture{40, 27, {}};
  for (std::int64_t y = 0; y < picture.height; ++y)
    picture.rgb.insert(picture.rgb.end(), whole.rgb.begin() + y * whole.width * 3,
                       whole.rgb.begin() + (y * whole.width + picture.width) * 3);
  const std::string wanted = bytes_of_file(folder + "resample.u8");
  const Json rows = json_of(folder + "resample.json");
  for (const Json& row : rows.as_array()) {
    const auto width = row.find("width")->as_integer(), height = row.find("height")->as_integer();
    const std::string name = row.find("filter")->as_string();
    CAPTURE(name);
    CAPTURE(width);
    CAPTURE(height);
    const Filter filter = name == "lanczos"   ? Filter::lanczos
                          : name == "bicubic" ? Filter::bicubic
                                              : Filter::bilinear;
    const Picture made = resample(picture, width, height, filter);
    REQUIRE(made.rgb.size() == static_cast<std::size_t>(width * height * 3));
    const auto at = static_cast<std::size_t>(row.find("at")->as_integer());
    CHECK(std::memcmp(made.rgb.data(), wanted.data() + at, made.rgb.size()) == 0);
  }
}

void check_pixels(const Json& golden, const std::string& name, const Tower& tower,
                  const std::vector<PreparedPicture>& pictures) {
  const std::string wanted = bytes_of_file(folder + name + "/pixels.u8");
  std::size_t at = 0, tiles = 0;
  for (const PreparedPicture& picture : pictures)
    for (const PreparedPicture::Tile& tile : picture.tiles) {
      const Json::Array& size = golden.find("tiles")->as_array()[tiles++].as_array();
      REQUIRE(size[0].as_integer() == tile.height);
      REQUIRE(size[1].as_integer() == tile.width);
      const std::size_t plane = tile.pixels.size() / 3;
      int different = 0;
      for (std::size_t i = 0; i < tile.pixels.size(); ++i) {
        const std::size_t c = i / plane;
        const float raw = (tile.pixels[i] * tower.hyper.deviation[c] + tower.hyper.mean[c]) * 255;
        different += std::lround(raw) != static_cast<unsigned char>(wanted[at + i]);
      }
      CHECK(different == 0);
      at += tile.pixels.size();
    }
  CHECK(at == wanted.size());
  CHECK(tiles == golden.find("tiles")->size());
  for (std::size_t i = 0; i < golden.find("first_pixels")->size(); ++i)
    CHECK(pictures[0].tiles[0].pixels[i] ==
          doctest::Approx(golden.find("first_pixels")->as_array()[i].as_number()).epsilon(1e-6));
}

// Of all that one row holds.
std::size_t row_dim(const Vision& vision) { return (1 + vision.deep_layers()) * language_dim; }

void check_tower(const std::string& name, const std::string& container, ops::Context& ctx,
                 const LoadOptions& options) {
  const Json golden = json_of(folder + name + "/golden.json");
  const auto package = open_package(container);
  REQUIRE_MESSAGE(package.ok(), package.error().message());
  const auto spec = tower_of(*package);
  REQUIRE_MESSAGE(spec.ok(), spec.error().message());
  REQUIRE(*spec != nullptr);
  auto tower = load_tower(ctx, *package, **spec, language_dim, options);
  REQUIRE_MESSAGE(tower.ok(), tower.error().message());
  std::vector<PreparedPicture> pictures;
  for (const char* file : {"picture.png", "wide.png"}) {
    auto prepared = prepare_picture(**spec, (*tower)->hyper, picture_of(file));
    REQUIRE(prepared.ok());
    pictures.push_back(*std::move(prepared));
  }
  check_pixels(golden, name, **tower, pictures);

  std::vector<float> rows;
  const auto vision = make_vision(*std::move(tower), options.reference);
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    CHECK(static_cast<std::int64_t>(pictures[i].rows) ==
          golden.find("rows")->as_array()[i].as_integer());
    std::vector<float> made(pictures[i].rows * row_dim(*vision));
    const View view(made.data(), pictures[i].rows, row_dim(*vision));
    REQUIRE(vision->encode(ctx, pictures[i], view).ok());
    rows.insert(rows.end(), made.begin(), made.end());
  }
  const bool halves = name != "qwen2.5-vl" && name != "qwen3-vl" && name != "gemma3";
  // Of rows of 16 numbers, some of them nearly the same: tiles round both factors to bf16.
  const double rounded = ctx.kernels->tiles != nullptr ? 0.2 : tier_tolerance;
  const double allowed = options.reference || !halves ? 1e-4 : rounded;
  CHECK(difference(rows, floats_of(folder + name + "/rows.f32")) < allowed);
}

TEST_CASE("towers see what transformers' do, from both containers") {
  for (const std::string name : names)
    for (const char* file : {"", "/mmproj.gguf"}) {
      const std::string container = folder + name + file;
      CAPTURE(container);
      each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
        CAPTURE(path);
        check_tower(name, container, ctx, options);
      });
    }
}

// A whole number of a GGUF file's metadata.
MetaValue number(std::uint32_t value) {
  static std::vector<std::unique_ptr<std::uint32_t>> kept;
  kept.push_back(std::make_unique<std::uint32_t>(value));
  return {MetaType::u32, false, 1, std::as_bytes(std::span(kept.back().get(), 1))};
}

TEST_CASE("numbers of a tower that lie are refused, and the message says how") {
  const struct {
    std::string what, key;
    std::uint32_t value;
    const char* says;
  } rows[] = {
      {"no patch", "patch_size", 0, "clip.vision.patch_size = 0: needs 1 to 64"},
      {"a patch beyond reason", "patch_size", 1u << 31, "patch_size = 2147483648"},
      {"a patch larger than the picture", "image_size", 7, "needs a multiple of"},
      {"no picture", "image_size", 0, "image_size = 0"},
      {"a picture beyond reason", "image_size", 1u << 31, "image_size = 2147483648"},
      {"no heads", "attention.head_count", 0, "head_count = 0"},
      {"heads that do not share", "attention.head_count", 3, "16 dimensions and 3 heads"},
      {"no layers", "block_count", 0, "block_count = 0"},
      {"layers beyond reason", "block_count", 1u << 20, "block_count = 1048576"},
      {"another width", "embedding_length", 24, "needs [24, 3, 7, 7]"},
      {"more layers than there are", "block_count", 9, "is missing"},
      {"a block of nothing", "projector.scale_factor", 0, "scale_factor = 0"},
  };
  const kernels::Kernels& table = **kernels::choose("");
  ThreadPool pool(1);
  ops::Context ctx{.kernels = &table, .pool = &pool};
  const auto package = open_package(folder + "gemma3/mmproj.gguf");
  REQUIRE(package.ok());
  for (const auto& row : rows) {
    CAPTURE(row.what);
    Package other = *package;
    other.metadata = {};
    for (const auto& [key, value] : package->metadata.entries())
      if (key != "clip.vision." + row.key) other.metadata.add(key, value);
    other.metadata.add("clip.vision." + row.key, number(row.value));
    const auto tower = load_tower(ctx, other, gemma3_tower, language_dim, {});
    REQUIRE(!tower.ok());
    CHECK(tower.error().kind() == ErrorKind::corrupt);
    CHECK_MESSAGE(tower.error().message().find(row.says) != std::string::npos,
                  tower.error().message());
  }
  const auto wide = load_tower(ctx, *package, gemma3_tower, 48, {});
  REQUIRE(!wide.ok());
  CHECK(wide.error().message() == "the vision tower makes rows of 32: the model takes rows of 48");
}

TEST_CASE("deep layers, places and grids that make no sense are refused") {
  const struct {
    std::string what, golden, key, value, says;  // the value as JSON
  } rows[] = {
      {"a layer past the last", "qwen3-vl", "deepstack_visual_indexes", "[0, 9]",
       "deep layer 9 of a vision tower of 3 layers"},
      {"layers out of order", "qwen3-vl", "deepstack_visual_indexes", "[2, 0]", "in order"},
      {"half a layer", "qwen3-vl", "deepstack_visual_indexes", "[0.5]", "whole number"},
      {"no places", "qwen3-vl", "num_position_embeddings", "0", "needs 1 to"},
      {"more places than there are", "qwen3-vl", "num_position_embeddings", "36",
       "25 places of 36"},
      {"grids as text", "llava-next", "image_grid_pinpoints", R"("many")", "needs a list of pairs"},
      {"a grid of one edge", "llava-next", "image_grid_pinpoints", "[[28]]", "a list of pairs"},
      {"no grids", "llava-next", "image_grid_pinpoints", "[]", "holds 0 numbers"},
      {"parts of a tile", "llava-next", "image_grid_pinpoints", "[[28, 30]]", "multiples of 28"},
      {"grids beyond reason", "llava-next", "image_grid_pinpoints", "[[28000, 28000]]",
       "over 4096 rows"},
      {"several layers", "llava-next", "vision_feature_layer", "[-2, -3]", "by its number"},
      {"rows of the class", "llava-next", "vision_feature_select_strategy", R"("full")", "'full'"},
  };
  const kernels::Kernels& table = **kernels::choose("");
  ThreadPool pool(1);
  ops::Context ctx{.kernels = &table, .pool = &pool};
  for (const auto& row : rows) {
    CAPTURE(row.what);
    auto package = open_package(folder + row.golden);
    REQUIRE(package.ok());
    Json* part =
        row.golden == "qwen3-vl" ? package->config.find("vision_config") : &package->config;
    part->set(row.key, *parse_json(row.value));
    const TowerSpec& spec = **tower_of(*package);
    const auto tower = load_tower(ctx, *package, spec, language_dim, {});
    REQUIRE(!tower.ok());
    CHECK_MESSAGE(tower.error().message().find(row.says) != std::string::npos,
                  tower.error().message());
  }
}

TEST_CASE("a tower of which a tensor is missing is refused by its name") {
  const kernels::Kernels& table = **kernels::choose("");
  ThreadPool pool(1);
  ops::Context ctx{.kernels = &table, .pool = &pool};
  for (const char* name : names) {
    const auto package = open_package(folder + name + "/mmproj.gguf");
    REQUIRE(package.ok());
    const TowerSpec& spec = **tower_of(*package);
    for (const TensorEntry& entry : package->tensors) {
      if (!entry.name.ends_with(".weight") || entry.name == "mm.patch_merger.weight") continue;
      // The layer behind the one whose result is taken.
      if (spec.name == "mlp" && entry.name.starts_with("v.blk.2.")) continue;
      CAPTURE(entry.name);
      Package other = *package;
      other.tensor_index.erase(entry.name);
      CHECK(!load_tower(ctx, other, spec, language_dim, {}).ok());
    }
  }
}

TEST_CASE("pictures of odd shapes are taken or refused, never read past their end") {
  const kernels::Kernels& table = **kernels::choose("");
  ThreadPool pool(1);
  ops::Context ctx{.kernels = &table, .pool = &pool};
  for (const char* name : names) {
    CAPTURE(std::string(name));
    const auto package = open_package(folder + name);
    REQUIRE(package.ok());
    const TowerSpec& spec = **tower_of(*package);
    auto tower = load_tower(ctx, *package, spec, language_dim, {});
    REQUIRE(tower.ok());
    const TowerHyper hyper = (*tower)->hyper;
    const auto vision = make_vision(*std::move(tower), false);
    const std::pair<std::int64_t, std::int64_t> sizes[] = {
        {1, 1}, {1, 2}, {3, 1}, {1, 150}, {150, 1}, {7, 7}, {13, 14}, {400, 2}, {57, 399}};
    for (const auto& [width, height] : sizes) {
      CAPTURE(width);
      CAPTURE(height);
      Picture picture{width, height, {}};
      picture.rgb.assign(static_cast<std::size_t>(width * height * 3), 77);
      const auto prepared = vision->prepare(picture);
      REQUIRE_MESSAGE(prepared.ok(), prepared.error().message());
      CHECK(prepared->rows > 0);
      CHECK(prepared->rows <= max_picture_rows);
      std::size_t named = 0;
      for (std::size_t at = 0; (at = prepared->text.find(spec.row_name, at)) != std::string::npos;
           ++at)
        ++named;
      CHECK(named == prepared->rows);
      std::vector<float> rows(prepared->rows * row_dim(*vision), 1e30f);
      const View view(rows.data(), prepared->rows, row_dim(*vision));
      REQUIRE(vision->encode(ctx, *prepared, view).ok());
      for (const float value : rows) CHECK(std::abs(value) < 1e6f);
    }
    Picture line{201, 1, std::vector<std::uint8_t>(603)};
    REQUIRE(!vision->prepare(line).ok());
    CHECK(vision->prepare(line).error().kind() == ErrorKind::invalid);
  }
}

TEST_CASE("looking stops between layers when it is asked to") {
  const kernels::Kernels& table = **kernels::choose("");
  ThreadPool pool(1);
  ops::Context ctx{.kernels = &table, .pool = &pool};
  const auto package = open_package(folder + "llava");
  auto tower = load_tower(ctx, *package, llava_tower, language_dim, {});
  REQUIRE(tower.ok());
  const auto vision = make_vision(*std::move(tower), false);
  const auto prepared = vision->prepare(picture_of("picture.png"));
  std::vector<float> rows(prepared->rows * language_dim);
  std::stop_source stop;
  stop.request_stop();
  const Status status = vision->encode(
      ctx, *prepared, View(rows.data(), prepared->rows, language_dim), stop.get_token());
  REQUIRE(!status.ok());
  CHECK(status.error().kind() == ErrorKind::cancelled);
}

}  // namespace
}  // namespace hearth::models
