#include "adapt/quantise.h"

#include <fmt/core.h>

#include <algorithm>

#include "formats/gguf_writer.h"
#include "ops/dequantise.h"
#include "ops/quantise.h"

namespace hearth::adapt {
namespace {

constexpr std::uint32_t quantisation_version = 2;  // of the block layouts

Error invalid(std::string what) { return Error(ErrorKind::invalid, std::move(what)); }

std::uint32_t number(const Package& package, std::string_view key) {
  const auto architecture = package.metadata.string("general.architecture");
  if (!architecture) return 0;
  const auto values = package.metadata.integers(fmt::format("{}.{}", *architecture, key));
  if (!values || values->empty()) return 0;
  // Where layers differ, the largest speaks for all.
  const std::int64_t most = *std::ranges::max_element(*values);
  return most < 0 || most > 1 << 24 ? 0 : static_cast<std::uint32_t>(most);
}

RecipeModel model_of(const Package& package, bool has_importance) {
  const auto architecture = package.metadata.string("general.architecture");
  return {.architecture = architecture ? std::string(*architecture) : "",
          .layers = number(package, "block_count"),
          .heads = number(package, "attention.head_count"),
          .kv_heads = number(package, "attention.head_count_kv"),
          .experts = number(package, "expert_count"),
          .has_importance = has_importance};
}

// '*' stands for any run of characters.
bool matches(std::string_view pattern, std::string_view name) {
  const auto star = pattern.find('*');
  if (star == pattern.npos) return pattern == name;
  if (!name.starts_with(pattern.substr(0, star))) return false;
  for (std::size_t skip = star; skip <= name.size(); ++skip)
    if (matches(pattern.substr(star + 1), name.substr(skip))) return true;
  return false;
}

// One tensor on its way.
struct Task {
  const TensorEntry* entry;
  Dtype to;
  const Importance* importance = nullptr;
};

class Writer {
 public:
  Writer(const QuantiseOptions& options, ThreadPool& pool) : options_(options), pool_(pool) {}

  std::uint64_t done = 0, total = 0;

  Result<std::span<const std::byte>> convert(const Task& task) {
    if (options_.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    if (options_.progress) options_.progress({done, total, task.entry->name});
    std::span<const std::byte> stored = task.entry->data;
    if (task.entry->make) {
      made_ = TRY(task.entry->make());
      stored = made_;
    }
    std::span<const std::byte> result = stored;
    if (task.to != task.entry->dtype) {
      result = TRY(quantised(task, stored));
      if (options_.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    }
    done += result.size();
    return result;
  }

 private:
  // Rows are shared out; each worker has a row of floats of its own.
  Result<std::span<const std::byte>> quantised(const Task& task,
                                               std::span<const std::byte> stored) {
    const TensorEntry& entry = *task.entry;
    const std::size_t columns = entry.shape.back(), rows = entry.elements() / columns;
    const std::uint64_t from_bytes = TRY(byte_size(entry.dtype, columns));
    const std::uint64_t to_bytes = TRY(byte_size(task.to, columns));
    const ops::DequantiseRow read = ops::dequantiser(entry.dtype);
    const ops::QuantiseRow write = ops::quantiser(task.to);
    const std::size_t experts = task.importance ? task.importance->values.size() / columns : 1;
    const std::size_t expert_rows = rows / experts;
    out_.resize(rows * to_bytes);
    constexpr std::size_t chunk_elements = 1 << 15;
    const std::size_t chunk = std::max<std::size_t>(1, chunk_elements / columns);
    pool_.parallel_for(rows, chunk, [&](std::size_t begin, std::size_t end, int) {
      if (options_.stop.stop_requested()) return;
      std::vector<float> values(columns);
      for (std::size_t row = begin; row < end; ++row) {
        read(stored.data() + row * from_bytes, values.data(), columns);
        const float* importance = task.importance
                                      ? task.importance->values.data() + row / expert_rows * columns
                                      : nullptr;
        write(values.data(), importance, out_.data() + row * to_bytes, columns);
      }
    });
    return std::span<const std::byte>(out_);
  }

  const QuantiseOptions& options_;
  ThreadPool& pool_;
  std::vector<std::byte> out_, made_;
};

// Tables whose rows are taken by number, which nothing is multiplied with.
bool is_looked_up(std::string_view name) {
  return name.ends_with("token_embd.weight") || name == "position_embd.weight" ||
         name == "token_types.weight";
}

Result<std::vector<Task>> plan(const Package& package, const QuantiseOptions& options,
                               Quantised& result) {
  std::vector<RecipeTensor> tensors;
  for (const TensorEntry& entry : package.tensors)
    tensors.push_back({entry.name, entry.shape, entry.dtype});
  const auto types =
      choose_types(*options.recipe, model_of(package, options.importance != nullptr), tensors);
  std::vector<Task> tasks;
  std::vector<std::string_view> unmeasured;
  std::size_t fallen_back = 0;
  for (std::size_t i = 0; i < package.tensors.size(); ++i) {
    Task task{&package.tensors[i], types[i]};
    const TensorEntry& entry = *task.entry;
    for (const auto& [pattern, type] : options.types)
      if (matches(pattern, entry.name)) {
        task.to = type;
        break;
      }
    const std::uint64_t columns = entry.shape.empty() ? 1 : entry.shape.back();
    if (columns % info(task.to).block_elements != 0)
      return invalid(fmt::format("{}: rows of {} are not whole blocks of {}", entry.name, columns,
                                 name_of(task.to)));
    if (task.to != entry.dtype &&
        (ops::quantiser(task.to) == nullptr || ops::dequantiser(entry.dtype) == nullptr))
      return invalid(fmt::format("{}: cannot be made {} from {}", entry.name, name_of(task.to),
                                 name_of(entry.dtype)));
    if (options.importance && is_quantised(task.to) && task.to != entry.dtype) {
      const auto found = options.importance->weights.find(entry.name);
      if (found == options.importance->weights.end()) {
        if (!is_looked_up(entry.name)) unmeasured.push_back(entry.name);
      } else {
        const std::size_t held = found->second.values.size();
        const std::uint64_t experts = entry.shape.size() > 2 ? entry.shape[0] : 1;
        if (held != columns && held != columns * experts)
          return invalid(fmt::format("{}: an importance of {} values for {} columns", entry.name,
                                     held, columns));
        task.importance = &found->second;
      }
    }
    const bool wished = is_quantised(options.recipe->base) && is_quantised(task.to);
    fallen_back += wished &&
                   info(options.recipe->base).block_elements > info(task.to).block_elements &&
                   columns % info(options.recipe->base).block_elements != 0;
    tasks.push_back(task);
  }
  if (!unmeasured.empty())
    result.remarks.push_back(fmt::format(
        "the importance matrix lacks {}{}", unmeasured.front(),
        unmeasured.size() > 1 ? fmt::format(" and {} more", unmeasured.size() - 1) : ""));
  if (fallen_back > 0)
    result.remarks.push_back(
        fmt::format("{} rows that are not whole blocks of {}: a type of smaller blocks instead",
                    fallen_back > 1 ? fmt::format("{} tensors have", fallen_back) : "1 tensor has",
                    name_of(options.recipe->base)));
  return tasks;
}

std::vector<GgufContents::Pair> metadata_of(const Package& package, const Recipe& recipe) {
  std::vector<GgufContents::Pair> pairs;
  for (const auto& [key, value] : package.metadata.entries()) {
    if (key == "general.file_type" || key == "general.quantization_version" ||
        key.starts_with("split.") || key == "general.alignment")
      continue;
    pairs.push_back({key, GgufValue::copy(value)});
  }
  pairs.push_back({"general.file_type", GgufValue::of(recipe.file_type)});
  if (is_quantised(recipe.base))
    pairs.push_back({"general.quantization_version", GgufValue::of(quantisation_version)});
  return pairs;
}

}  // namespace

Result<Quantised> quantise(const Package& package, const std::string& path,
                           const QuantiseOptions& options, ThreadPool& pool) {
  if (package.naming != Naming::gguf)
    return invalid(
        "quantising starts from a GGUF file, or from a checkpoint of Meta's or llama2.c's");
  Quantised result;
  const auto tasks = TRY(plan(package, options, result));
  const bool twice = std::ranges::any_of(tasks, [](const Task& task) {
    return is_quantised(task.entry->dtype) && task.to != task.entry->dtype;
  });
  if (twice)
    result.remarks.push_back(
        "the model is quantised already: what it lost stays lost; the original "
        "would give a better one");
  if (options.recipe->wants_importance && !options.importance)
    result.remarks.push_back(fmt::format(
        "{} without an importance matrix (--imatrix) answers badly", options.recipe->name));
  if (!package.metadata.has("tokenizer.ggml.model") && !package.files.empty())
    result.remarks.push_back(
        "the new file has no tokenizer: that of the model is a file of its own");
  Writer writer(options, pool);
  GgufContents contents;
  contents.metadata = metadata_of(package, *options.recipe);
  for (const Task& task : tasks) {
    const TensorEntry& entry = *task.entry;
    const std::uint64_t bytes = TRY(byte_size(task.to, entry.elements()));
    writer.total += bytes;
    result.bytes_before += entry.bytes();
    result.bytes_after += bytes;
    result.tensors.emplace_back(entry.name, task.to);
    contents.tensors.push_back(
        {entry.name, task.to, entry.shape, [&writer, &task] { return writer.convert(task); }});
  }
  TRY(write_gguf(path, contents));
  if (options.progress) options.progress({writer.total, writer.total, ""});
  return result;
}

}  // namespace hearth::adapt
