// Any bytes as the files that say what a model is: config.json, preprocessor_config.json, the names
// and shapes of tensors, and the description of an architecture of one's own, with a NUL between
// them; or a GGUF file.  What is accepted is loaded, and its tower prepares a picture.
#include <charconv>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/fuzz_parts.h"
#include "kernels/kernels.h"
#include "models/model.h"
#include "models/user_spec.h"
#include "models/vision/tower.h"

using namespace hearth;
using hearth::fuzz::split;

namespace {

// One tensor of zeros for every line: its name and extents.
void add_zeros(Package& package, std::string_view lines) {
  static const std::vector<std::byte> zeros(1 << 16);
  std::vector<TensorEntry> tensors;
  for (const std::string_view line : split(lines, '\n')) {
    const auto words = split(line, ' ');
    TensorEntry entry{.name = std::string(words[0]), .dtype = Dtype::f32, .shape = {}, .data = {}};
    std::uint64_t bytes = sizeof(float);
    for (const std::string_view word : std::span(words).subspan(1)) {
      std::uint64_t extent = 0;
      std::from_chars(word.data(), word.data() + word.size(), extent);
      entry.shape.push_back(extent);
      if (extent > zeros.size() || (bytes *= extent) > zeros.size()) return;
    }
    entry.data = std::span(zeros).first(bytes);
    if (package.find(entry.name) == nullptr) static_cast<void>(add_tensors(package, {entry}).ok());
  }
}

Result<Package> package_of(std::string_view input) {
  if (input.starts_with("GGUF"))
    return open_package("m.gguf", MappedFile::of_program(bytes_of(input)));
  auto parts = split(input, '\0');
  parts.resize(4);
  Package package;
  package.naming = Naming::huggingface;
  package.format = "safetensors";
  package.path = "m";
  package.config = TRY(parse_json(parts[0]));
  if (!parts[1].empty()) package.files["preprocessor_config.json"] = bytes_of(parts[1]);
  add_zeros(package, parts[2]);
  forget_added_architectures();
  const auto values = parse_json(parts[3]);
  if (values && values->is_object()) static_cast<void>(add_architecture(values->as_object()).ok());
  return package;
}

void check_message(const Error& error) {
  for (const char c : error.message()) HEARTH_CHECK(static_cast<unsigned char>(c) >= 0x20);
}

// Where that takes no time: pictures of millions of points are nothing new.
bool is_quick(const models::TowerHyper& hyper) {
  constexpr std::uint32_t most = 128;
  for (const auto& grid : hyper.grids)
    if (grid.rows * grid.columns > 4) return false;
  if (std::uint64_t{hyper.max_rows} * hyper.block() * hyper.block() > most * most) return false;
  return hyper.image_size <= most && hyper.max_tiles <= 16 && hyper.longest_edge <= most &&
         hyper.min_pixels <= most * most;
}

void prepare_pictures(const Package& package) {
  const auto spec = models::tower_of(package);
  if (!spec || *spec == nullptr) return;
  const auto hyper = models::read_tower_hyper(package, **spec);
  if (!hyper) return check_message(hyper.error());
  if (!is_quick(*hyper)) return;
  for (const auto& [width, height] : {std::pair{9, 5}, {1, 20}, {60, 61}}) {
    Picture picture{width, height, {}};
    picture.rgb.resize(static_cast<std::size_t>(width * height * 3));
    const auto prepared = models::prepare_picture(**spec, *hyper, picture);
    if (!prepared) continue;
    HEARTH_CHECK(prepared->rows <= max_picture_rows);
    for (const PreparedPicture::Tile& tile : prepared->tiles)
      HEARTH_CHECK(models::order_patches(*hyper, tile.width, tile.height).block_of.size() ==
                   models::rows_of(*hyper, tile));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static ThreadPool pool(1);
  ops::Context ctx{.kernels = &kernels::reference(), .pool = &pool};
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto package = package_of(input);
  if (!package) {
    check_message(package.error());
    return 0;
  }
  if (const auto info = describe(*package); !info) check_message(info.error());
  LoadOptions options;
  options.reference = true;
  if (const auto model = load_model(ctx, *package, options); !model) check_message(model.error());
  prepare_pictures(*package);
  return 0;
}
