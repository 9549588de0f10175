#include "adapt/importance.h"

#include <fmt/core.h>

#include <cmath>

#include "base/bytes.h"
#include "base/files.h"
#include "base/utf8.h"
#include "formats/gguf_writer.h"
#include "formats/package.h"

namespace hearth::adapt {
namespace {

constexpr std::string_view sums_suffix = ".in_sum2", counts_suffix = ".counts";
constexpr std::uint32_t most_entries = 65536, most_name_bytes = 4096, most_values = 1u << 26;

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, std::move(what)); }

Result<std::vector<float>> floats_of(const TensorEntry& entry) {
  if (entry.dtype != Dtype::f32) return corrupt(fmt::format("{}: needs f32", entry.name));
  std::vector<float> values(entry.elements());
  std::memcpy(values.data(), entry.data.data(), entry.data.size());
  for (const float value : values)
    if (!std::isfinite(value) || value < 0)
      return corrupt(fmt::format("{} holds {}", entry.name, value));
  return values;
}

Result<ImportanceMatrix> read_new(const std::string& path) {
  const Package package = TRY(open_package(path));
  ImportanceMatrix matrix;
  for (const TensorEntry& sums : package.tensors) {
    if (!sums.name.ends_with(sums_suffix)) continue;
    const std::string name = sums.name.substr(0, sums.name.size() - sums_suffix.size());
    const TensorEntry* counts = package.find(name + std::string(counts_suffix));
    if (counts == nullptr) return corrupt(fmt::format("{}{} is missing", name, counts_suffix));
    Importance found;
    found.values = TRY(floats_of(sums));
    found.counts = TRY(floats_of(*counts));
    if (found.counts.empty() || found.values.size() % found.counts.size() != 0)
      return corrupt(
          fmt::format("{}: {} sums of {} counts", name, found.values.size(), found.counts.size()));
    const std::size_t columns = found.values.size() / found.counts.size();
    for (std::size_t i = 0; i < found.values.size(); ++i) {
      const float count = found.counts[i / columns];
      found.values[i] = count > 0 ? found.values[i] / count : 1;  // an expert nobody asked
    }
    matrix.weights.emplace(name, std::move(found));
  }
  if (matrix.weights.empty()) return corrupt("no importance matrix: needs tensors *.in_sum2");
  return matrix;
}

// Entries of: name, calls (i32), values (i32) and that many sums of mean squares per call (f32).
Result<ImportanceMatrix> read_old(std::span<const std::byte> file) {
  ByteReader in(file);
  const auto entries = TRY(in.value<std::int32_t>());
  if (entries < 1 || static_cast<std::uint32_t>(entries) > most_entries)
    return corrupt("offset 0: neither a GGUF nor an older importance matrix");
  ImportanceMatrix matrix;
  for (std::int32_t i = 0; i < entries; ++i) {
    const auto name_bytes = TRY(in.value<std::uint32_t>());
    if (name_bytes == 0 || name_bytes > most_name_bytes)
      return corrupt(fmt::format("offset {}: a name of {} bytes", in.position(), name_bytes));
    std::string name(text_of(TRY(in.take(name_bytes))));
    const auto calls = TRY(in.value<std::int32_t>());
    const auto count = TRY(in.value<std::uint32_t>());
    if (calls < 1 || count < 1 || count > most_values)
      return corrupt(fmt::format("{}: {} calls, {} values", printable(name), calls, count));
    const auto bytes = TRY(in.take(std::uint64_t{count} * sizeof(float)));
    Importance found{std::vector<float>(count), {static_cast<float>(calls)}};
    std::memcpy(found.values.data(), bytes.data(), bytes.size());
    for (float& value : found.values) {
      value /= static_cast<float>(calls);
      if (!std::isfinite(value) || value < 0)
        return corrupt(fmt::format("{} holds {}", printable(name), value));
    }
    matrix.weights.insert_or_assign(std::move(name), std::move(found));
  }
  return matrix;
}

}  // namespace

Result<ImportanceMatrix> read_importance(const std::string& path) {
  const auto file = TRY(MappedFile::open(path));
  auto matrix =
      text_of(file->bytes()).starts_with("GGUF") ? read_new(path) : read_old(file->bytes());
  if (!matrix) return std::move(matrix).error().within(path);
  return matrix;
}

Status write_importance(const std::string& path, const ImportanceMatrix& matrix) {
  GgufContents contents;
  const std::string_view datasets[] = {matrix.text};
  contents.metadata = {{"general.type", GgufValue::text("imatrix")},
                       {"imatrix.datasets", GgufValue::texts(datasets)},
                       {"imatrix.chunk_count", GgufValue::of(matrix.chunks)},
                       {"imatrix.chunk_size", GgufValue::of(matrix.chunk_tokens)}};
  for (const auto& [name, importance] : matrix.weights) {
    const std::uint64_t experts = importance.counts.size();
    const std::size_t columns = importance.values.size() / experts;
    auto sums = std::make_shared<std::vector<float>>(importance.values);
    for (std::size_t i = 0; i < sums->size(); ++i) (*sums)[i] *= importance.counts[i / columns];
    contents.tensors.push_back(
        {name + std::string(sums_suffix), Dtype::f32, {experts, columns}, [sums] {
           return Result(std::as_bytes(std::span<const float>(*sums)));
         }});
    contents.tensors.push_back({name + std::string(counts_suffix),
                                Dtype::f32,
                                {experts, 1},
                                [counts = &importance.counts] {
                                  return Result(std::as_bytes(std::span<const float>(*counts)));
                                }});
  }
  return write_gguf(path, contents);
}

}  // namespace hearth::adapt
