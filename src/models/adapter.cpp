#include "models/adapter.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "models/architectures.h"
#include "models/hyper.h"
#include "models/tensors.h"
#include "models/values.h"
#include "models/weights_parts.h"
#include "ops/dequantise.h"

namespace hearth::models {
namespace {

// What adapters change.
constexpr Role changed_roles[] = {
    Role::qkv,           Role::query_gate, Role::q,    Role::mix_gate, Role::k,   Role::v,
    Role::attention_out, Role::gate_up,    Role::gate, Role::up,       Role::down};

Result<std::vector<float>> floats_of(const TensorEntry& entry) {
  if (is_float(entry.dtype)) return read_floats(entry);
  return ops::dequantise(entry.dtype, entry.data, entry.elements());
}

Bytes bytes_of(std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  return {bytes.begin(), bytes.end()};
}

ops::StoredMatrix stored_floats(std::span<const std::byte> data, std::uint64_t rows,
                                std::uint64_t columns) {
  return {Dtype::f32, rows, columns, data};
}

class Reader {
 public:
  // ctx: nullptr: the parts are looked at, and none is made.
  Reader(ops::Context* ctx, const Trunk& trunk, Naming naming, const LoraFile& file)
      : ctx_(ctx), trunk_(trunk), file_(file), is_foreign_(naming != file.naming) {
    to_gguf_ = naming == Naming::gguf;
    // The finder looks for the base's tensors: those of this package stand for them.
    modules_.naming = file.naming;
    for (const LoraPair& pair : file.pairs) {
      const std::string name = pair.module + ".weight";
      modules_.tensor_index.emplace(name, modules_.tensors.size());
      modules_.tensors.push_back({.name = name, .dtype = Dtype::f32, .shape = {}, .data = {}});
    }
    adapter_->key = file.key;
    adapter_->layers.resize(trunk.hyper.layers.size());
  }

  Result<std::shared_ptr<const Adapter>> read() {
    // Adapters of Hugging Face's names carry the prefix of the class they were trained in.
    for (const std::string_view prefix : known_prefixes()) {
      const TensorFinder finder(modules_, *trunk_.spec, trunk_.hyper, std::string(prefix));
      TRY(read_all(finder));
      if (!taken_.empty()) break;
    }
    for (const LoraPair& pair : file_.pairs)
      if (!taken_.contains(&pair))
        return Error(ErrorKind::unsupported,
                     fmt::format("it changes {}, which adapters do not change in a model of the "
                                 "architecture {}",
                                 pair.module, trunk_.spec->name));
    return std::shared_ptr<const Adapter>(std::move(adapter_));
  }

 private:
  Status read_all(const TensorFinder& finder) {
    for (const auto rows : finder.spec().tensors)
      for (const TensorRow& row : rows) {
        if (std::ranges::find(changed_roles, row.role) == std::end(changed_roles)) continue;
        if (finder.pattern(row).empty()) continue;
        for (std::size_t i = 0; i < trunk_.hyper.layers.size(); ++i)
          if (finder.needed(row, i)) TRY(read_row(finder, row, i));
      }
    return Done{};
  }

  Status read_row(const TensorFinder& finder, const TensorRow& row, std::size_t layer) {
    const TensorEntry* entry = finder.find(row, {.layer = layer}, TensorFinder::Part::weight);
    if (entry == nullptr) return Done{};
    const LoraPair& pair = file_.pairs[static_cast<std::size_t>(entry - modules_.tensors.data())];
    const auto shape = finder.shape(row, layer, false);
    const std::uint64_t rank = pair.down.shape[0];
    TRY(check_shape(pair.down, std::array<std::uint64_t, 2>{rank, shape[1]}));
    TRY(check_shape(pair.up, std::array<std::uint64_t, 2>{shape[0], rank}));
    taken_.insert(&pair);
    if (ctx_ == nullptr) return Done{};
    const std::vector<float> down = TRY(floats_of(pair.down));
    std::vector<float> up = TRY(floats_of(pair.up));
    for (float& value : up) value *= static_cast<float>(pair.factor);

    Layer parts;
    Weight& whole = parts[row.role];
    Bytes rows = bytes_of(up);
    if (const auto order = row_order(finder, row); !order.empty())
      rows = pick_rows(rows, rank * sizeof(float), order);
    whole.rebuilt = std::make_shared<const Bytes>(std::move(rows));
    whole.stored = stored_floats(*whole.rebuilt, shape[0], rank);
    TRY(split_fused(trunk_.hyper, layer, parts));
    const auto down_stored =
        stored_floats(std::as_bytes(std::span(down)), rank, pair.down.shape[1]);
    for (std::size_t role = 0; role < roles; ++role)
      if (parts.weights[role].stored.rows > 0)
        TRY(add(layer, static_cast<Role>(role), parts.weights[role].stored, down_stored));
    return Done{};
  }

  Status add(std::size_t layer, Role role, ops::StoredMatrix up, const ops::StoredMatrix& down) {
    Bytes turned;
    const ArchSpec& spec = *trunk_.spec;
    const bool rotates = role == Role::q || role == Role::k;
    // Rows of heads lie in another order in files of the other naming.
    if (is_foreign_ && rotates && spec.rope_interleaved_gguf != spec.rope_interleaved_hf) {
      const std::size_t dim = trunk_.hyper.layers[layer].head_dim;
      auto order = order_of_pairs(up.rows / dim, dim, trunk_.hyper.rotary_dims);
      if (to_gguf_ != spec.rope_interleaved_gguf) order = inverse_order(order);
      turned = pick_rows(up.data, up.columns * sizeof(float), order);
      up.data = turned;
    }
    auto first = TRY(ops::Matrix::prepare(*ctx_, down));
    auto second = TRY(ops::Matrix::prepare(*ctx_, up));
    Adapter::Part part{.down = std::move(first), .up = std::move(second)};
    if (part.down.borrows() || part.up.borrows())
      return Error(ErrorKind::unsupported, "these kernels do not multiply floats");
    adapter_->bytes += part.down.resident_bytes() + part.up.resident_bytes();
    adapter_->layers[layer].insert_or_assign(role, std::move(part));
    return Done{};
  }

  ops::Context* const ctx_;
  const Trunk& trunk_;
  const LoraFile& file_;
  const bool is_foreign_;
  bool to_gguf_ = false;
  Package modules_;
  std::set<const LoraPair*> taken_;
  std::shared_ptr<Adapter> adapter_ = std::make_shared<Adapter>();
};

// The same adapters in the same strengths.
bool are_equal(std::span<const AdapterUse> a, std::span<const AdapterUse> b) {
  return std::ranges::equal(a, b, [](const AdapterUse& x, const AdapterUse& y) {
    return x.adapter == y.adapter && x.scale == y.scale;
  });
}

bool is_stretch(std::span<const std::uint32_t> rows) {
  return rows.back() - rows.front() + 1 == rows.size();
}

// The rows themselves where they lie together, a copy of them elsewhere.
View rows_of(View x, std::span<const std::uint32_t> rows, Arena& arena) {
  if (is_stretch(rows)) return x.slice_rows(rows.front(), rows.size());
  const View picked = arena.view(rows.size(), x.dim);
  for (std::size_t i = 0; i < rows.size(); ++i) std::copy_n(x.row(rows[i]), x.dim, picked.row(i));
  return picked;
}

}  // namespace

namespace {

Result<std::shared_ptr<const Adapter>> read_with(ops::Context* ctx, const Trunk& trunk,
                                                 Naming naming, const LoraFile& file) {
  if (trunk.spec->kind != Kind::generator)
    return Error(ErrorKind::unsupported, "adapters change models that generate text");
  auto adapter = Reader(ctx, trunk, naming, file).read();
  if (!adapter) return std::move(adapter).error().within(file.path);
  return adapter;
}

}  // namespace

Result<std::shared_ptr<const Adapter>> read_adapter(ops::Context& ctx, const Trunk& trunk,
                                                    Naming naming, const LoraFile& file) {
  return read_with(&ctx, trunk, naming, file);
}

std::span<const AdaptedRows> adapted_rows(std::span<const std::span<const AdapterUse>> adapters,
                                          std::span<const ops::RowPlace> places, Arena& arena) {
  std::vector<std::uint32_t> first;  // of each group: a sequence
  std::vector<std::vector<std::uint32_t>> rows;
  for (std::size_t row = 0; row < places.size() && !adapters.empty(); ++row) {
    const auto uses = adapters[places[row].sequence];
    if (uses.empty()) continue;
    const auto found = std::ranges::find_if(
        first, [&](std::uint32_t sequence) { return are_equal(adapters[sequence], uses); });
    const auto group = static_cast<std::size_t>(found - first.begin());
    if (found == first.end()) {
      first.push_back(places[row].sequence);
      rows.emplace_back();
    }
    rows[group].push_back(static_cast<std::uint32_t>(row));
  }
  const auto groups = arena.take<AdaptedRows>(first.size());
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const auto kept = arena.take<std::uint32_t>(rows[i].size());
    std::ranges::copy(rows[i], kept.begin());
    groups[i] = {adapters[first[i]], kept};
  }
  return groups;
}

void add_adapted(ops::Context& ctx, std::span<const AdaptedRows> groups, std::size_t layer,
                 Role role, View y, View x, Arena& arena) {
  const auto mark = arena.mark();
  for (const auto& [uses, rows] : groups)
    for (const AdapterUse& use : uses) {
      const auto& parts = use.adapter->layers[layer];
      const auto part = parts.find(role);
      if (part == parts.end()) continue;
      const View low = arena.view(rows.size(), part->second.down.rows());
      ops::matmul(ctx, low, rows_of(x, rows, arena), part->second.down);
      const View added = arena.view(rows.size(), y.dim);
      ops::matmul(ctx, added, low, part->second.up);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        float* to = y.row(rows[i]);
        const float* from = added.row(i);
        for (std::size_t n = 0; n < y.dim; ++n) to[n] += use.scale * from[n];
      }
      arena.release(mark);
    }
}

}  // namespace hearth::models

namespace hearth {

Status check_adapter(const Package& base, const LoraFile& file) {
  models::Trunk trunk;
  trunk.spec = TRY(models::architecture_of(base));
  trunk.hyper = TRY(models::read_hyper(base, *trunk.spec));
  TRY(models::read_with(nullptr, trunk, base.naming, file));
  return Done{};
}

}  // namespace hearth
