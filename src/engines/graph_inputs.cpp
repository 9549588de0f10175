#include "engines/graph_inputs.h"

#include <fmt/core.h>

#include <algorithm>

namespace hearth::adapters {

using graphs::Element;
using graphs::Tensor;

Result<Tensor> integer_tensor(Element type, graphs::Dims dims,
                              const std::function<std::int64_t(std::int64_t)>& value) {
  if (type == Element::none) type = Element::i64;
  if (type == Element::text)
    return Error(ErrorKind::unsupported, "an input of texts where tokens belong");
  Tensor tensor = TRY(graphs::make_tensor(type, std::move(dims)));
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(tensor.count));
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = value(static_cast<std::int64_t>(i));
  const graphs::Work work = graphs::work_of(type);
  if (work == graphs::Work::f32 || work == graphs::Work::f64) {
    const std::vector<double> reals(numbers.begin(), numbers.end());
    graphs::store(type, tensor.bytes, graphs::Work::f64, reals.data(), reals.size());
  } else {
    graphs::store(type, tensor.bytes, graphs::Work::i64, numbers.data(), numbers.size());
  }
  return tensor;
}

Result<GraphInputs> token_inputs(const graphs::Graph& graph, const GraphBinding& binding,
                                 const TokenInputs& wanted) {
  GraphInputs inputs;
  const auto given = static_cast<std::int64_t>(wanted.tokens.size());
  const auto known = static_cast<std::int64_t>(wanted.known);
  const std::int64_t steps = binding.fixed_tokens > 0 ? binding.fixed_tokens : given;
  const auto add = [&](const std::string& name, graphs::Dims dims,
                       const std::function<std::int64_t(std::int64_t)>& value) -> Status {
    if (name.empty()) return Done{};
    inputs.emplace(name,
                   TRY(integer_tensor(find_input(graph, name)->type, std::move(dims), value)));
    return Done{};
  };
  const auto place = [&](std::int64_t i) { return known + i % steps; };
  TRY(add(binding.ids, {1, steps}, [&](std::int64_t i) {
    return i < given ? std::int64_t{wanted.tokens[static_cast<std::size_t>(i)]} : 0;
  }));
  TRY(add(binding.mask, {1, known + steps}, [&](std::int64_t i) { return i < known + given; }));
  TRY(add(binding.types, {1, steps}, [&](std::int64_t i) {
    return std::cmp_less(i, wanted.types.size()) ? wanted.types[static_cast<std::size_t>(i)] : 0;
  }));
  if (!binding.positions.empty()) {
    // Models that also see give a text's tokens the same place along three axes.
    const graphs::ValueInfo* info = find_input(graph, binding.positions);
    const bool has_axes = info->has_shape && info->shape.size() == 3;
    TRY(add(binding.positions,
            has_axes ? graphs::Dims{std::max<std::int64_t>(info->shape[0].value, 1), 1, steps}
                     : graphs::Dims{1, steps},
            place));
  }
  TRY(add(binding.places, {steps}, place));
  TRY(add(binding.first, {1}, [&](std::int64_t) { return known; }));
  if (!binding.visible.empty()) {
    const graphs::ValueInfo* info = find_input(graph, binding.visible);
    const bool is_flag = info->type == Element::boolean;
    const std::size_t rank = info->has_shape ? info->shape.size() : 4;
    const std::int64_t fixed = info->has_shape && rank > 0 ? info->shape.back().value : -1;
    const std::int64_t keys = fixed > 0 ? fixed : known + steps;
    if (rank < 2 || rank > 8)
      return Error(ErrorKind::unsupported, fmt::format("'{}' of {} axes", binding.visible, rank));
    graphs::Dims dims(rank, 1);
    dims[rank - 2] = steps;
    dims[rank - 1] = keys;
    constexpr std::int64_t hidden = -65504;  // the least that half precision holds
    TRY(add(binding.visible, std::move(dims), [&](std::int64_t i) {
      const bool sees = i % keys <= known + i / keys;
      return is_flag ? std::int64_t{sees} : sees ? 0 : hidden;
    }));
  }
  TRY(add(binding.branch, {1}, [&](std::int64_t) { return known > 0; }));
  if (!binding.kept_logits.empty()) {
    const graphs::ValueInfo* info = find_input(graph, binding.kept_logits);
    const bool is_scalar = info->has_shape && info->shape.empty();
    TRY(add(binding.kept_logits, is_scalar ? graphs::Dims{} : graphs::Dims{1},
            [&](std::int64_t) { return wanted.kept_logits; }));
  }
  return inputs;
}

Status copy_rows(const Tensor& tensor, std::size_t first, std::size_t count, float* out) {
  if (!graphs::is_float(tensor.type) || tensor.rank() == 0)
    return Error(ErrorKind::unsupported,
                 fmt::format("results {} {}: needs floats", graphs::name_of(tensor.type),
                             graphs::to_text(tensor.dims)));
  const auto width = static_cast<std::size_t>(tensor.dims.back());
  if (width == 0 || (first + count) * width > static_cast<std::size_t>(tensor.count))
    return Error(ErrorKind::corrupt, fmt::format("results {}: needs {} rows",
                                                 graphs::to_text(tensor.dims), first + count));
  graphs::load(graphs::Work::f32, out, tensor.type,
               tensor.bytes + first * width * graphs::size_of(tensor.type), count * width);
  return Done{};
}

}  // namespace hearth::adapters
