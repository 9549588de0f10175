#include "adapt/recode.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <map>
#include <mutex>

#include "base/pages.h"
#include "ops/dequantise.h"
#include "ops/quantise.h"

namespace hearth::adapt {
namespace {

using Bytes = std::vector<std::byte>;

bool is_float(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::f16 || dtype == Dtype::bf16 || dtype == Dtype::f64;
}
bool is_small_float(Dtype dtype) { return dtype == Dtype::f8_e4m3 || dtype == Dtype::f8_e5m2; }

// What one change of type does to numbers.
struct Change {
  std::size_t tensors = 0;
  double worst = 0;  // the largest error
};

}  // namespace

struct Recoder::State {
  const Package& package;
  const ConvertOptions& options;
  ThreadPool& pool;
  std::map<std::pair<Dtype, Dtype>, Change> changes = {};
  std::vector<TensorEntry> stacks = {};  // experts that MLX keeps together
  std::uint64_t done = 0, total = 0;
  Bytes made = {}, changed = {};
  MlxParts parts = {};
  Json modules = Json::object();
  const MlxForm* usual = nullptr;  // the form of most modules

  bool holds(Dtype dtype) const {
    switch (options.to) {
      case Container::gguf:
        return info(dtype).gguf_id >= 0;
      case Container::npz:
        return npz_holds(dtype);
      default:
        return safetensors_holds(dtype);
    }
  }

  // The pages of the tensor before this one are the file's again.
  void leave(const TensorEntry& next) {
    if (!last.empty()) drop_file_pages(last);
    last = next.file_mapped ? next.data : std::span<const std::byte>();
  }
  std::span<const std::byte> last = {};

  Result<Dtype> target(const TensorEntry& entry) const;
  Result<std::span<const std::byte>> stored(const TensorEntry& entry);
  Result<std::span<const std::byte>> recoded(const TensorEntry& entry, Dtype to);
  Result<std::span<const std::byte>> take(const TensorEntry& entry, Dtype to);
  void add_mlx(const TensorEntry& entry, std::vector<StreamedTensor>& out);
  void stack_experts();
};

// The nearest type that the container has and that holds every number, unless another is wished.
Result<Dtype> Recoder::State::target(const TensorEntry& entry) const {
  const bool matrix = entry.shape.size() > 1;
  const bool weights = is_float(entry.dtype) || is_quantised(entry.dtype) ||
                       (is_small_float(entry.dtype) && package.naming == Naming::huggingface);
  Dtype to = entry.dtype;
  if (!holds(to) && is_quantised(to)) to = Dtype::f32;
  if (!holds(to) && is_small_float(to)) to = Dtype::f16;
  if (!holds(to) && to == Dtype::bf16) to = Dtype::f32;
  const bool kept = options.to == Container::gguf && is_quantised(entry.dtype);
  if (options.floats && weights && matrix && !kept) to = *options.floats;
  // Readers of GGUF want vectors and routers as they are.
  if (options.to == Container::gguf && options.floats && entry.dtype == Dtype::f32 &&
      (!matrix || entry.name.find("_norm") != entry.name.npos ||
       entry.name.find("ffn_gate_inp") != entry.name.npos ||
       entry.name.starts_with("position_embd") || entry.name.starts_with("token_types")))
    to = Dtype::f32;
  if (!holds(to))
    return Error(ErrorKind::unsupported,
                 fmt::format("{} is stored as {}, which the new container does not have",
                             entry.name, name_of(entry.dtype)));
  return to;
}

Result<std::span<const std::byte>> Recoder::State::stored(const TensorEntry& entry) {
  if (!entry.make) return entry.data;
  made = TRY(entry.make());
  return std::span<const std::byte>(made);
}

// Rows are shared out; each worker has rows of floats of its own.
Result<std::span<const std::byte>> Recoder::State::recoded(const TensorEntry& entry, Dtype to) {
  const auto from = TRY(stored(entry));
  const std::size_t columns = entry.shape.empty() ? 1 : entry.shape.back();
  const std::size_t rows = columns == 0 ? 0 : entry.elements() / columns;
  const std::size_t from_bytes = TRY(byte_size(entry.dtype, columns)),
                    to_bytes = TRY(byte_size(to, columns));
  const ops::DequantiseRow read = ops::dequantiser(entry.dtype), again = ops::dequantiser(to);
  const ops::QuantiseRow write = ops::quantiser(to);
  if (read == nullptr || again == nullptr || write == nullptr)
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: {} to {}", entry.name, name_of(entry.dtype), name_of(to)));
  changed.resize(rows * to_bytes);
  std::vector<float> worst(static_cast<std::size_t>(pool.threads()), 0.0f);
  constexpr std::size_t chunk_elements = 1 << 15;
  const std::size_t chunk =
      std::max<std::size_t>(1, chunk_elements / std::max<std::size_t>(1, columns));
  pool.parallel_for(rows, chunk, [&](std::size_t begin, std::size_t end, int worker) {
    std::vector<float> values(columns), after(columns);
    float& most = worst[static_cast<std::size_t>(worker)];
    for (std::size_t row = begin; row < end; ++row) {
      std::byte* out = changed.data() + row * to_bytes;
      read(from.data() + row * from_bytes, values.data(), columns);
      write(values.data(), nullptr, out, columns);
      if (to == Dtype::f32) continue;
      again(out, after.data(), columns);
      for (std::size_t i = 0; i < columns; ++i)
        most = std::max(most, std::abs(values[i] - after[i]));
    }
  });
  Change& change = changes[{entry.dtype, to}];
  ++change.tensors;
  change.worst = std::max<double>(change.worst, *std::ranges::max_element(worst));
  return std::span<const std::byte>(changed);
}

Result<std::span<const std::byte>> Recoder::State::take(const TensorEntry& entry, Dtype to) {
  if (options.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
  if (options.progress) options.progress({done, total});
  leave(entry);
  const auto bytes = TRY(entry.dtype == to ? stored(entry) : recoded(entry, to));
  done += bytes.size();
  return bytes;
}

// Experts are one stack in MLX: "mlp.experts.3.gate_proj" is row 3 of "mlp.switch_mlp.gate_proj".
void Recoder::State::stack_experts() {
  constexpr std::string_view mark = ".experts.";
  static constexpr std::pair<std::string_view, std::string_view> mixtral[] = {
      {"w1.weight", "gate_proj.weight"},
      {"w2.weight", "down_proj.weight"},
      {"w3.weight", "up_proj.weight"}};
  std::map<std::string, std::vector<const TensorEntry*>> groups;
  std::vector<const TensorEntry*> order;
  std::vector<std::string> names;
  for (const TensorEntry& entry : package.tensors) {
    const auto at = entry.name.find(mark);
    const auto dot = at == entry.name.npos ? at : entry.name.find('.', at + mark.size());
    const bool numbered = dot != entry.name.npos && entry.shape.size() == 2 &&
                          entry.name[at + mark.size()] >= '0' &&
                          entry.name[at + mark.size()] <= '9';
    std::string name = entry.name;
    if (numbered) {
      std::string_view rest = std::string_view(entry.name).substr(dot + 1);
      for (const auto& [theirs, ours] : mixtral)
        if (rest == theirs) rest = ours;
      name = fmt::format("{}.switch_mlp.{}", entry.name.substr(0, at), rest);
    }
    auto& group = groups[name];
    if (group.empty()) names.push_back(name);
    group.push_back(&entry);
  }
  for (const std::string& name : names) {
    const auto& group = groups[name];
    TensorEntry entry = *group.front();
    if (name != entry.name) {
      entry.name = name;
      entry.shape.insert(entry.shape.begin(), group.size());
      entry.data = {};
      entry.make = [group]() -> Result<Bytes> {
        Bytes all;
        for (const TensorEntry* one : group) {
          const Bytes own =
              one->make ? TRY(one->make()) : Bytes(one->data.begin(), one->data.end());
          all.insert(all.end(), own.begin(), own.end());
        }
        return all;
      };
    }
    stacks.push_back(std::move(entry));
  }
}

void Recoder::State::add_mlx(const TensorEntry& entry, std::vector<StreamedTensor>& out) {
  const MlxForm& form = *mlx_form(entry.dtype);
  const std::string module =
      entry.name.substr(0, entry.name.size() - std::string_view(".weight").size());
  if (usual == nullptr) usual = &form;
  modules.set(module,
              Json::object({{"group_size", form.group}, {"bits", form.bits}, {"mode", form.mode}}));
  auto codes = entry.shape, groups = entry.shape;
  codes.back() = codes.back() * static_cast<std::uint64_t>(form.bits) / 32;
  groups.back() /= static_cast<std::uint64_t>(form.group);
  const auto count = [this](std::span<const std::byte> bytes) {
    done += bytes.size();
    return bytes;
  };
  out.push_back({module + ".weight", Dtype::u32, std::move(codes),
                 [this, &entry, count]() -> Result<std::span<const std::byte>> {
                   if (options.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
                   if (options.progress) options.progress({done, total});
                   const auto blocks = TRY(stored(entry));
                   to_mlx(entry.dtype, blocks, parts);
                   return count(std::as_bytes(std::span(parts.codes)));
                 }});
  out.push_back({module + ".scales", form.scales, groups, [this, count] {
                   return Result<std::span<const std::byte>>(count(parts.scales));
                 }});
  if (form.scales == Dtype::u8) return;
  out.push_back({module + ".biases", form.scales, groups, [this, count] {
                   return Result<std::span<const std::byte>>(count(parts.biases));
                 }});
}

Recoder::Recoder(const Package& package, const ConvertOptions& options, ThreadPool& pool)
    : state_(new State{.package = package, .options = options, .pool = pool}) {}
Recoder::~Recoder() = default;

Result<std::vector<StreamedTensor>> Recoder::plan() {
  std::vector<StreamedTensor> out;
  State& state = *state_;
  const bool mlx = state.options.to == Container::mlx;
  if (mlx) state.stack_experts();
  for (const TensorEntry& entry : mlx ? state.stacks : state.package.tensors) {
    const MlxForm* form = mlx ? mlx_form(entry.dtype) : nullptr;
    if (form != nullptr && !state.options.floats && entry.name.ends_with(".weight") &&
        entry.shape.size() > 1 && entry.shape.back() % 64 == 0) {
      state.add_mlx(entry, out);
      continue;
    }
    const Dtype to = TRY(state.target(entry));
    out.push_back(
        {entry.name, to, entry.shape, [&state, &entry, to] { return state.take(entry, to); }});
  }
  for (const StreamedTensor& tensor : out) state.total += TRY(bytes_of_streamed(tensor));
  return out;
}

Recoding Recoder::recoding() const {
  Recoding out;
  for (const auto& [types, change] : state_->changes) {
    const std::string what = fmt::format("{} tensors of {} become {}", change.tensors,
                                         name_of(types.first), name_of(types.second));
    if (change.worst > 0)
      out.losses.push_back(fmt::format("{}: weights move by up to {:.2g}", what, change.worst));
    else if (types.first == Dtype::f64)
      out.losses.push_back(what);
    else if (is_quantised(types.first))
      out.remarks.push_back(fmt::format("{}: no number changes, the file is larger", what));
  }
  return out;
}

Json Recoder::quantization() const {
  const MlxForm* usual = state_->usual;
  if (usual == nullptr) return Json();
  Json out =
      Json::object({{"group_size", usual->group}, {"bits", usual->bits}, {"mode", usual->mode}});
  for (const auto& [module, own] : state_->modules.as_object()) {
    const bool same = own.find("bits")->as_integer() == usual->bits &&
                      own.find("group_size")->as_integer() == usual->group &&
                      own.find("mode")->as_string() == usual->mode;
    if (!same) out.set(module, own);
  }
  // Modules with numbers that have no such form stay floats.
  return out;
}

}  // namespace hearth::adapt
