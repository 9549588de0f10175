// The numbers of streams side by side and of gates that mostly pass as zero.
#include <fmt/core.h>

#include <algorithm>

#include "models/gates.h"
#include "models/hyper_layers.h"

namespace hearth::models {
namespace {

constexpr Keys stream_count{"altup.num_inputs", "altup_num_inputs"};
constexpr Keys active_stream{"altup.active_idx", "altup_active_idx"};
constexpr std::uint32_t usual_streams = 4, most_streams = 16, usual_side = 64;

// GGUF says it in the shape of a tensor.
Result<std::uint32_t> side_of(const Package& package, const HyperSource& source) {
  if (!source.is_gguf())
    return TRY(source.count({"", "laurel_rank"}, 1, max_dim)).value_or(usual_side);
  const TensorEntry* side = package.find("blk.0.laurel_l.weight");
  if (side == nullptr || side->shape.size() != 2 || side->shape[0] < 1 || side->shape[0] > max_dim)
    return Error(ErrorKind::corrupt, "blk.0.laurel_l.weight is missing or is no matrix");
  return static_cast<std::uint32_t>(side->shape[0]);
}

// GGUF holds deviations, config.json the shares of a normal distribution that they cut off; one for
// all layers, or one for each.
Status read_cuts(const HyperSource& source, Hyper& hyper) {
  const bool gguf = source.is_gguf();
  constexpr double endless = std::numeric_limits<double>::infinity();
  const Keys key{"activation_sparsity_scale", "activation_sparsity_pattern"};
  std::vector<double> held;
  if (const Json* one = source.member(key.hf); !gguf && one != nullptr && one->is_number())
    held.assign(hyper.layers.size(), one->as_number());
  else if (auto list = TRY(source.reals(key, gguf ? Range{-endless, 40} : Range{0, 0.999})))
    held = std::move(*list);
  if (held.empty()) return Done{};
  if (held.size() != hyper.layers.size())
    return Error(ErrorKind::corrupt,
                 fmt::format("{} holds {} numbers: needs {}", source.name_of(key), held.size(),
                             hyper.layers.size()));
  for (std::size_t i = 0; i < held.size(); ++i)
    hyper.layers[i].gate_cut = static_cast<float>(gguf ? held[i] : normal_quantile(held[i]));
  return Done{};
}

}  // namespace

Status read_streams(const Package& package, const HyperSource& source, const ArchSpec& spec,
                    Hyper& hyper) {
  if (!has_role(spec, Role::stream_in)) return Done{};
  StreamsHyper& streams = hyper.streams;
  streams.count = TRY(source.count(stream_count, 2, most_streams)).value_or(usual_streams);
  streams.active = TRY(source.count(active_stream, 0, streams.count - 1)).value_or(0);
  streams.scaled = TRY(source.flag({"", "altup_correct_scale"})).value_or(true);
  streams.side = TRY(side_of(package, source));
  return read_cuts(source, hyper);
}

}  // namespace hearth::models
