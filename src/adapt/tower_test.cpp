// Models that see, from their folders to a GGUF file and the file of their tower: the rows that the
// tower makes of a picture stay, to the last bit.
#include <doctest/doctest.h>

#include "adapt/convert.h"
#include "adapt/translate.h"
#include "base/bytes.h"
#include "formats/scratch_folder.h"
#include "kernels/select.h"
#include "models/architectures.h"
#include "models/test_support.h"
#include "models/vision/tower.h"

namespace hearth::adapt {
namespace {

const std::string golden = "tests/golden/vision/";
constexpr std::uint32_t language_dim = 32;

struct Seen {
  std::string text;
  std::vector<float> pixels, rows;
};

// What the plain path makes of a picture.
Seen seen(const Package& package, const Picture& picture) {
  ThreadPool pool(1);
  ops::Context ctx{.kernels = &kernels::reference(), .pool = &pool};
  LoadOptions options;
  options.reference = true;
  const auto spec = models::tower_of(package);
  REQUIRE_MESSAGE(spec.ok(), spec.error().message());
  auto tower = models::load_tower(ctx, package, **spec, language_dim, options);
  REQUIRE_MESSAGE(tower.ok(), tower.error().message());
  const auto vision = models::make_vision(*std::move(tower), true);
  const auto prepared = vision->prepare(picture);
  REQUIRE(prepared.ok());
  Seen made{prepared->text, {}, {}};
  for (const PreparedPicture::Tile& tile : prepared->tiles)
    made.pixels.insert(made.pixels.end(), tile.pixels.begin(), tile.pixels.end());
  const std::size_t dim = (1 + vision->deep_layers()) * language_dim;
  made.rows.resize(prepared->rows * dim);
  REQUIRE(vision->encode(ctx, *prepared, View(made.rows.data(), prepared->rows, dim)).ok());
  return made;
}

TEST_CASE("a folder that sees becomes a GGUF file and one of its tower, which sees the same") {
  const auto bytes = read_file(golden + "wide.png", 1 << 20);
  const Picture picture = *read_picture(bytes_of(*bytes));
  for (const std::string name :
       {"qwen2.5-vl", "qwen2-vl", "qwen3-vl", "qwen3-vl-moe", "qwen3.5", "gemma3", "gemma4",
        "gemma4-large", "internvl", "internvl-large", "llama4", "smolvlm", "llava", "llava-next",
        "pixtral", "mistral3", "ministral3"}) {
    CAPTURE(name);
    const testing::ScratchFolder scratch;
    const auto folder = open_package(golden + name);
    REQUIRE(folder.ok());
    ThreadPool pool(1);
    ConvertOptions options;
    options.to = Container::gguf;
    const auto done = convert(*folder, scratch.path("model.gguf"), options, pool);
    REQUIRE_MESSAGE(done.ok(), done.error().message());
    // A layer that is not looked at, and the epsilon of a norm that the file has no words for.
    const bool loses = name.starts_with("llava") || name == "mistral3";
    CHECK(done->losses.size() == (loses ? 1 : 0));
    const auto tower = open_package(scratch.path("mmproj-model.gguf"));
    REQUIRE_MESSAGE(tower.ok(), tower.error().message());
    const Seen before = seen(*folder, picture), after = seen(*tower, picture);
    CHECK(after.text == before.text);
    CHECK(after.pixels == before.pixels);
    if (name == "mistral3")
      CHECK(models::difference(after.rows, before.rows) < 1e-4);
    else
      CHECK(after.rows == before.rows);

    auto model = open_package(scratch.path("model.gguf"));
    REQUIRE_MESSAGE(model.ok(), model.error().message());
    CHECK(models::architecture_of(*model).value() == models::architecture_of(*folder).value());
    model->tower = std::make_shared<const Package>(*tower);
    ops::Context ctx{.kernels = &kernels::reference(), .pool = &pool};
    const auto loaded = load_model(ctx, *model);
    REQUIRE_MESSAGE(loaded.ok(), loaded.error().message());
    CHECK((*loaded)->vision() != nullptr);
    CHECK(!convert(*folder, scratch.path("model.gguf"), options, pool).ok());

    const auto back = translate(*model, Naming::huggingface);
    REQUIRE_MESSAGE(back.ok(), back.error().message());
    const Seen again = seen(back->package, picture);
    CHECK(again.text == before.text);
    CHECK(again.pixels == before.pixels);
    CHECK(models::difference(again.rows, before.rows) < (name == "mistral3" ? 1e-4 : 1e-9));
    const auto sees = load_model(ctx, back->package);
    REQUIRE_MESSAGE(sees.ok(), sees.error().message());
    CHECK((*sees)->vision() != nullptr);
  }
}

}  // namespace
}  // namespace hearth::adapt
