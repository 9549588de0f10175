#include "adapt/onnx_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "adapt/onnx_drawing.h"
#include "base/bytes.h"
#include "base/files.h"
#include "models/hyper_source.h"

namespace hearth::adapt {
namespace {

using models::Hyper;

constexpr std::string_view data_name = "model.onnx.data";
constexpr std::uint64_t alignment = 64;

Error unsupported(std::string what) { return Error(ErrorKind::unsupported, std::move(what)); }

Result<OnnxType> type_of(const StreamedTensor& tensor) {
  switch (tensor.dtype) {
    case Dtype::f32:
      return OnnxType::f32;
    case Dtype::f16:
      return OnnxType::f16;
    case Dtype::bf16:
      return OnnxType::bf16;
    default:
      return unsupported(fmt::format("tensor '{}' of type {}", tensor.name, name_of(tensor.dtype)));
  }
}

// [rows, columns] to [columns, rows].
std::vector<std::byte> turned(std::span<const std::byte> from, std::size_t rows,
                              std::size_t columns, std::size_t size) {
  std::vector<std::byte> to(from.size());
  constexpr std::size_t tile = 32;
  for (std::size_t r0 = 0; r0 < rows; r0 += tile)
    for (std::size_t c = 0; c < columns; ++c)
      for (std::size_t r = r0; r < std::min(rows, r0 + tile); ++r)
        std::memcpy(to.data() + (c * rows + r) * size, from.data() + (r * columns + c) * size,
                    size);
  return to;
}

struct Drawn {
  Hyper hyper;
  std::unique_ptr<OnnxDrawing> drawing;  // points into hyper
};

Result<std::unique_ptr<Drawn>> drawing_of(const Package& package) {
  const models::ArchSpec& spec = *TRY(models::architecture_of(package));
  auto drawn = std::make_unique<Drawn>();
  drawn->hyper = TRY(models::read_hyper(package, spec));
  TRY(check_drawable(spec, drawn->hyper));
  drawn->drawing =
      std::make_unique<OnnxDrawing>(package, spec, drawn->hyper, std::string(data_name));
  return drawn;
}

}  // namespace

Result<std::vector<std::string>> check_onnx(const Package& package) {
  const auto drawn = TRY(drawing_of(package));
  TRY(drawn->drawing->draw());
  std::size_t left = 0;
  for (const TensorEntry& entry : package.tensors)
    left += drawn->drawing->name_in_graph(entry.name).empty();
  if (left == 0) return std::vector<std::string>();
  return std::vector{
      fmt::format("the graph reads text: {} tensors of what the model sees and hears "
                  "with stay behind",
                  left)};
}

Json onnx_config(const Package& package) {
  Json config = models::language_config(package);
  for (const char* key : {"architectures", "tie_word_embeddings"})
    if (const Json* held = package.config.find(key); held != nullptr && !config.find(key))
      config.set(key, *held);
  return config;
}

Status write_onnx(const std::string& folder, const Package& package,
                  std::span<const StreamedTensor> tensors) {
  const auto drawn = TRY(drawing_of(package));
  OnnxDrawing& drawing = *drawn->drawing;
  for (const StreamedTensor& tensor : tensors) drawing.hold(tensor.name, tensor.dtype);
  TRY(drawing.draw());
  DraftFile data = TRY(DraftFile::create(join_path(folder, data_name)));
  std::uint64_t offset = 0;
  for (const StreamedTensor& tensor : tensors) {
    const std::string name = drawing.name_in_graph(tensor.name);
    if (name.empty()) continue;
    const OnnxType type = TRY(type_of(tensor));
    const auto bytes = TRY(take_streamed(tensor));
    std::vector<std::uint64_t> shape = tensor.shape;
    if (shape.size() == 2 && !drawing.is_table(tensor.name)) {
      std::swap(shape[0], shape[1]);
      TRY(data.write(
          turned(bytes, tensor.shape[0], tensor.shape[1], info(tensor.dtype).block_bytes)));
    } else {
      TRY(data.write(bytes));
    }
    drawing.writer().external(name, type, shape, offset, bytes.size());
    const std::uint64_t padding = (alignment - bytes.size() % alignment) % alignment;
    static constexpr std::array<std::byte, alignment> zeros{};
    TRY(data.write(std::span(zeros).first(padding)));
    offset += bytes.size() + padding;
  }
  TRY(data.commit());
  return replace_file(join_path(folder, "model.onnx"), bytes_of(drawing.model()));
}

}  // namespace hearth::adapt
