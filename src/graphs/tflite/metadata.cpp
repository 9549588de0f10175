// What a TFLite file says beside its graph, and the files that are packed behind it.
// Source: TensorFlow Lite Support, metadata_schema.fbs (M001); the files are a ZIP archive.
#include <fmt/core.h>

#include <algorithm>

#include "base/ascii.h"
#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/inflate.h"
#include "formats/zip.h"
#include "graphs/tflite/model.h"

namespace hearth::graphs::tflite {
namespace {

constexpr std::uint64_t most_labels_bytes = 16u << 20;
constexpr std::size_t most_text = 1024;
constexpr std::uint8_t normalization = 1;                 // ProcessUnitOptions
constexpr std::int8_t axis_labels = 2, value_labels = 3;  // AssociatedFileType

// The text of a packed file.
Result<std::string> packed_text(std::span<const std::byte> file, std::string_view name) {
  for (const ZipEntry& entry : TRY(read_zip(file))) {
    if (entry.name != name) continue;
    if (entry.stored && entry.data.size() <= most_labels_bytes)
      return std::string(text_of(entry.data));
    return std::string(text_of(TRY(inflated(entry.data, Deflated::raw, most_labels_bytes))));
  }
  return Error(ErrorKind::corrupt, fmt::format("no file '{}' is packed in it", printable(name)));
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) lines.push_back(printable(take_line(text), 256));
  return lines;
}

// How an input's pictures are brought to the range of numbers that it knows.
Result<std::optional<Pixels>> read_pixels(const FlatTable& tensor) {
  for (const FlatTable& unit : TRY(tensor.tables(4))) {
    if (unit.number<std::uint8_t>(0, 0) != normalization) continue;
    const FlatTable options = TRY(unit.table(1));
    const auto mean = TRY(options.numbers<float>(0)), deviation = TRY(options.numbers<float>(1));
    if (mean.empty() || deviation.empty() || std::ranges::find(deviation, 0.0f) != deviation.end())
      return Error(ErrorKind::corrupt, "a normalisation without a mean or deviation");
    Pixels pixels;
    for (std::size_t c = 0; c < 3; ++c) {
      pixels.mean[c] = mean[std::min(c, mean.size() - 1)];
      pixels.deviation[c] = deviation[std::min(c, deviation.size() - 1)];
    }
    return std::optional(pixels);
  }
  return std::optional<Pixels>();
}

}  // namespace

Status read_metadata(const FlatTable& root, const Model& model, Program& program) {
  for (const FlatTable& entry : TRY(root.tables(6))) {
    if (TRY(entry.text(0)) != "TFLITE_METADATA") continue;
    const FlatTable all =
        TRY(FlatTable::root(TRY(model.buffers.at(entry.number<std::uint32_t>(1, 0)))));
    program.producer = printable(TRY(all.text(4)), most_text);  // its author
    if (const auto text = TRY(all.text(1)); !text.empty())
      program.description = printable(text, most_text);
    if (const auto name = TRY(all.text(0)); !name.empty())
      program.metadata["name"] = printable(name, most_text);
    const auto graphs = TRY(all.tables(3));
    if (graphs.empty()) continue;
    for (const FlatTable& tensor : TRY(graphs[0].tables(2)))
      if (!program.pixels) program.pixels = TRY(read_pixels(tensor));
    for (const FlatTable& tensor : TRY(graphs[0].tables(3)))
      for (const FlatTable& file : TRY(tensor.tables(6))) {
        const auto kind = file.number<std::int8_t>(2, 0);
        if (program.labels.empty() && (kind == axis_labels || kind == value_labels))
          program.labels = lines_of(TRY(packed_text(model.bytes, TRY(file.text(0)))));
      }
  }
  return Done{};
}

}  // namespace hearth::graphs::tflite
