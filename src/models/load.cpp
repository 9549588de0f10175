// From a package to a model that runs: weights, text side, tables.
#include <fmt/core.h>

#include <algorithm>
#include <stop_token>
#include <thread>

#include "base/log.h"
#include "models/architectures.h"
#include "models/describe.h"
#include "models/mtp.h"
#include "models/t5.h"
#include "models/text_side.h"
#include "models/transformer.h"
#include "models/vision/tower.h"

namespace hearth::models {
namespace {

Status load_text(const Package& package, Parts& parts) {
  TextSide side = TRY(load_text_side(package, parts.info.name, parts.trunk.hyper.vocab));
  parts.tokenizer = std::move(side.tokenizer);
  parts.chat_format = std::move(side.chat_format);
  parts.chat_template_source = std::move(side.chat_template_source);
  return Done{};
}

// The text side beside the matrices of the fast path: both take long, neither needs the other.
Status load_text_and_matrices(ops::Context& ctx, const LoadOptions& options, Parts& parts) {
  if (parts.plain) return load_text(parts.package, parts);
  std::stop_source enough;
  const std::stop_callback pass_on(options.stop, [&] { enough.request_stop(); });
  Status text = Done{};
  std::jthread reader([&] {
    text = load_text(parts.package, parts);
    if (!text.ok()) enough.request_stop();
  });
  Status matrices =
      prepare(ctx, parts.trunk.weights, *parts.late, options.progress, enough.get_token());
  reader.join();
  return text.ok() ? std::move(matrices) : std::move(text);
}

// What lets the model see, where its package has it.
Status load_vision(ops::Context& ctx, const LoadOptions& options, Parts& parts) {
  const Package* package = tower_package(parts.package);
  if (package == nullptr || parts.trunk.spec->kind != Kind::generator) return Done{};
  const auto load = [&]() -> Status {
    const TowerSpec* spec = TRY(tower_of(*package));
    if (spec == nullptr) return Done{};
    TRY(check_language(*spec, *parts.trunk.spec));
    if (spec->grid_positions && parts.trunk.rope_axes.empty())
      return Error(ErrorKind::corrupt, "the model has no sections for places in a picture");
    auto tower = TRY(load_tower(ctx, *package, *spec, parts.trunk.hyper.dim, options));
    if (tower->hyper.deep.size() > parts.trunk.hyper.layers.size())
      return Error(ErrorKind::corrupt,
                   fmt::format("the vision tower has rows for {} layers: the model has {}",
                               tower->hyper.deep.size(), parts.trunk.hyper.layers.size()));
    parts.vision = make_vision(std::move(tower), parts.plain);
    return Done{};
  };
  Status status = load();
  // A tower may be left out, be laid out otherwise (MLX) or be another model's: this one still
  // reads.
  if (status.ok() || status.error().kind() == ErrorKind::cancelled) return status;
  log_warning("vision_tower_unusable file={} why={}", package->path, status.error().message());
  parts.info.vision.clear();
  return Done{};
}

// [rotary_dims / 2]: which of time, height and width a pair turns by.
std::vector<std::uint8_t> axes_of(const ArchSpec& spec, const Hyper& hyper) {
  std::vector<std::uint8_t> axes;
  const auto& sections = hyper.rope_sections;
  if (spec.grid_interleaved && !sections.empty()) {  // time has what height and width leave
    axes.resize(hyper.rotary_dims / 2);
    for (std::uint8_t axis = 1; axis < sections.size(); ++axis)
      for (std::size_t i = 0, pair = axis; i < sections[axis] && pair < axes.size(); ++i, pair += 3)
        axes[pair] = axis;
    return axes;
  }
  for (std::uint8_t axis = 0; axis < sections.size(); ++axis)
    axes.insert(axes.end(), sections[axis], axis);
  return axes;
}

// The table of positions ends what the model can take; a classifier has one score.
Status check_tables(Parts& parts, Trunk& trunk) {
  const Weight& positions = trunk.weights.whole[Role::position_embedding];
  if (positions.present()) {
    if (positions.stored.rows <= trunk.hyper.position_offset)
      return Error(ErrorKind::corrupt, "the table of positions has no rows");
    const std::uint64_t rows = positions.stored.rows - trunk.hyper.position_offset;
    trunk.hyper.context =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(trunk.hyper.context, rows));
    parts.info.context_length = trunk.hyper.context;
  }
  const Weight& classifier = trunk.weights.whole[Role::classifier];
  if (classifier.present() && classifier.stored.rows != 1)
    return Error(ErrorKind::unsupported,
                 fmt::format("a classifier of {} labels: we run those of one, as rerankers",
                             classifier.stored.rows));
  if (parts.info.kind == ModelKind::generator && !trunk.weights.whole[Role::output].present())
    return Error(ErrorKind::corrupt, fmt::format("lm_head.weight is missing: needs [{}, {}]",
                                                 trunk.hyper.vocab, trunk.hyper.dim));
  return Done{};
}

// How long sequences may get: longrope without a wish keeps to its original context, whose factors
// differ from those for longer ones.
std::uint32_t context_of(const Hyper& hyper, const LoadOptions& options) {
  const RopeScaling& scaling = hyper.rope.scaling;
  const std::uint32_t wished = options.context_tokens;
  if (scaling.kind != RopeScalingKind::longrope) return wished > 0 ? wished : hyper.context;
  if (wished > 0) return std::min(wished, hyper.context);
  return std::min(hyper.context, static_cast<std::uint32_t>(scaling.original_context));
}

}  // namespace

Result<std::shared_ptr<const Model>> load(ops::Context& ctx, const Package& package,
                                          const LoadOptions& options) {
  const ArchSpec* spec = TRY(architecture_of(package));
  if (spec == &t5) return load_t5(ctx, package, options);
  auto owned = std::make_unique<Parts>();
  Parts& parts = *owned;
  parts.package = package;
  parts.plain = options.reference;
  Trunk& trunk = parts.trunk;
  trunk.spec = spec;
  TRY(check_scheme(package));
  trunk.hyper = TRY(read_hyper(package, *trunk.spec));
  parts.info = TRY(info_of(package, *trunk.spec, trunk.hyper, options.kv_dtype));
  if (options.mtp && parts.info.has_mtp) add_mtp(trunk.hyper);
  const TensorFinder finder(parts.package, *trunk.spec, trunk.hyper);
  trunk.weights = TRY(load_weights(finder));
  TRY(check_tables(parts, trunk));
  if (parts.info.kind == ModelKind::embedder)
    parts.dense = TRY(read_dense_heads(package, trunk.hyper.dim));

  const Dtype kv = options.kv_dtype.value_or(default_kv_dtype(package));
  trunk.kv = TRY(kv_layout_of(*trunk.spec, trunk.hyper, parts.plain ? Dtype::f32 : kv));
  parts.info.kv_bytes_per_token = trunk.kv.page_bytes / ops::kv_page_tokens;
  const std::uint32_t context = context_of(trunk.hyper, options);
  if (trunk.hyper.rope.scaling.kind == RopeScalingKind::longrope)
    parts.info.context_length = context;
  trunk.ropes = make_rope_tables(*trunk.spec, trunk.hyper, trunk.weights, package.naming, context);
  trunk.rope_axes = axes_of(*trunk.spec, trunk.hyper);
  TRY(load_vision(ctx, options, parts));
  TRY(load_text_and_matrices(ctx, options, parts));
  if (options.name_matrix) name_matrices(finder, trunk.weights, options.name_matrix);
  return make_transformer(std::move(owned));
}

}  // namespace hearth::models

namespace hearth {

Result<std::shared_ptr<const Model>> load_model(ops::Context& ctx, const Package& package,
                                                const LoadOptions& options) {
  auto model = models::load(ctx, package, options);
  if (!model) return std::move(model).error().within(package.path);
  return model;
}

}  // namespace hearth
