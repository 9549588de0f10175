// Layers on arrays of any rank: picking, putting, sorting, products, filling.
// Source: Core ML Tools, NeuralNetwork.proto.
#include <fmt/core.h>

#include <algorithm>
#include <climits>

#include "graphs/coreml/network.h"

namespace hearth::graphs::coreml {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }
Error unsupported(std::string message) { return Error(ErrorKind::unsupported, std::move(message)); }

Status gather(Layer& layer) {
  const std::int64_t axis = TRY(layer.axis(layer.p.integer(1)));
  return layer.give(
      layer.b.emit("Gather", {TRY(layer.in()), TRY(layer.places(1))}, {{"axis", axis}}));
}

Status gather_nd(Layer& layer) {
  const Dims x = TRY(layer.dims(0)), places = TRY(layer.dims(1));
  const ValueId y = layer.b.emit("GatherND", {TRY(layer.in()), TRY(layer.places(1))});
  if (places.empty() || places.back() < 0 || places.back() > static_cast<std::int64_t>(x.size()))
    return unsupported("places of an unknown length");
  Dims dims(places.begin(), places.end() - 1);
  dims.insert(dims.end(), x.begin() + static_cast<std::ptrdiff_t>(places.back()), x.end());
  return layer.give(y, dims);
}

Status gather_along_axis(Layer& layer) {
  const std::int64_t axis = TRY(layer.axis(layer.p.integer(1)));
  return layer.give(
      layer.b.emit("GatherElements", {TRY(layer.in()), TRY(layer.places(1))}, {{"axis", axis}}),
      TRY(layer.dims(1)));
}

struct Update {
  ValueId updates;
  std::string reduction;
};
Result<Update> update_of(Layer& layer, std::int64_t mode) {
  Update update{TRY(layer.in(2)), ""};
  constexpr std::string_view names[] = {"none", "add", "add", "mul", "mul", "max", "min"};
  if (mode < 0 || mode > 6) return unsupported(fmt::format("mode {}", mode));
  update.reduction = names[mode];
  if (mode == 2) update.updates = layer.b.emit("Neg", {update.updates});
  if (mode == 4) update.updates = layer.b.emit("Reciprocal", {update.updates});
  return update;
}

// Whole rows along an axis: the axis comes first, and goes back.
Status scatter(Layer& layer) {
  const auto axis = static_cast<std::size_t>(TRY(layer.axis(layer.p.integer(1))));
  const Update update = TRY(update_of(layer, layer.p.integer(2)));
  const std::size_t rank = TRY(layer.dims()).size();
  if (TRY(layer.dims(1)).size() != 1) return unsupported("places of several axes");
  Ints order{static_cast<std::int64_t>(axis)}, back(rank);
  for (std::size_t i = 0; i < rank; ++i)
    if (i != axis) order.push_back(static_cast<std::int64_t>(i));
  for (std::size_t i = 0; i < rank; ++i)
    back[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
  const ValueId places = layer.reshaped(TRY(layer.places(1)), {-1, 1});
  const ValueId y = layer.b.emit("ScatterND",
                                 {layer.b.transposed(TRY(layer.in()), order), places,
                                  layer.b.transposed(update.updates, order)},
                                 {{"reduction", update.reduction}});
  return layer.give(layer.b.transposed(y, back));
}
Status scatter_nd(Layer& layer) {
  const Update update = TRY(update_of(layer, layer.p.integer(1)));
  return layer.give(layer.b.emit("ScatterND",
                                 {TRY(layer.in()), TRY(layer.places(1)), update.updates},
                                 {{"reduction", update.reduction}}));
}
Status scatter_along_axis(Layer& layer) {
  const std::int64_t axis = TRY(layer.axis(layer.p.integer(1)));
  const Update update = TRY(update_of(layer, layer.p.integer(2)));
  return layer.give(layer.b.emit("ScatterElements",
                                 {TRY(layer.in()), TRY(layer.places(1)), update.updates},
                                 {{"axis", axis}, {"reduction", update.reduction}}));
}

Status top_k(Layer& layer) {
  const std::int64_t axis = TRY(layer.axis(layer.p.integer(1)));
  const bool given = layer.inputs.size() > 1;
  const ValueId k = given ? TRY(layer.flat_places(1)) : layer.b.integers({layer.p.integer(2)});
  Dims dims = TRY(layer.dims());
  dims[static_cast<std::size_t>(axis)] = given ? -1 : layer.p.integer(2);
  const auto made =
      layer.b.emit_many("TopK", {TRY(layer.in()), k}, 2,
                        {{"axis", axis}, {"largest", std::int64_t{layer.p.flag(3) ? 0 : 1}}});
  TRY(layer.give(made[0], dims, 0));
  return layer.give_number(made[1], dims, 1);
}

Status arg_sort(Layer& layer) {
  const std::int64_t axis = TRY(layer.axis(layer.p.integer(1)));
  const ValueId x = TRY(layer.in());
  const ValueId k = layer.b.emit("Gather", {layer.b.emit("Shape", {x}), layer.b.integers({axis})});
  const auto made = layer.b.emit_many(
      "TopK", {x, k}, 2, {{"axis", axis}, {"largest", std::int64_t{layer.p.flag(2) ? 1 : 0}}});
  return layer.give_number(made[1], TRY(layer.dims()));
}

Status arg_best(Layer& layer) {
  const std::int64_t axis = TRY(layer.axis(layer.p.integer(1)));
  Dims dims = TRY(layer.dims());
  const bool goes = layer.p.flag(2) && dims.size() > 1;
  if (goes)
    dims.erase(dims.begin() + axis);
  else
    dims[static_cast<std::size_t>(axis)] = 1;
  const ValueId y = layer.b.emit(layer.ours, {TRY(layer.in())},
                                 {{"axis", axis}, {"keepdims", std::int64_t{goes ? 0 : 1}}});
  return layer.give_number(y, dims);
}

Status where_non_zero(Layer& layer) {
  const auto rank = static_cast<std::int64_t>(TRY(layer.dims()).size());
  const ValueId places = layer.b.emit("NonZero", {TRY(layer.in())});
  return layer.give_number(layer.b.transposed(places, {1, 0}), {-1, rank});
}

Status one_hot(Layer& layer) {
  const std::int64_t axis = TRY(layer.axis(layer.p.integer(2), 1));
  Dims dims = TRY(layer.dims());
  const bool given = layer.inputs.size() > 1;
  const ValueId depth = given ? TRY(layer.flat_places(1)) : layer.b.integers({layer.p.integer(1)});
  Tensor values = TRY(make_tensor(Element::f32, {2}));
  values.data<float>()[0] = layer.p.real(4);
  values.data<float>()[1] = layer.p.has(3) ? layer.p.real(3) : 1;
  dims.insert(dims.begin() + axis, given ? -1 : layer.p.integer(1));
  return layer.give(
      layer.b.emit("OneHot", {TRY(layer.places(0)), depth, layer.b.constant(std::move(values))},
                   {{"axis", axis}}),
      dims);
}

Status cum_sum(Layer& layer) {
  const ValueId axis = layer.inputs.size() > 1
                           ? layer.reshaped(TRY(layer.places(1)), {})
                           : layer.b.integer(TRY(layer.axis(layer.p.integer(1))));
  return layer.give(layer.b.emit("CumSum", {TRY(layer.in()), axis},
                                 {{"exclusive", std::int64_t{layer.p.flag(2) ? 1 : 0}},
                                  {"reverse", std::int64_t{layer.p.flag(3) ? 1 : 0}}}));
}

Ints last_two_swapped(std::size_t rank) {
  Ints order;
  for (std::size_t i = 0; i < rank; ++i) order.push_back(static_cast<std::int64_t>(i));
  if (rank >= 2) std::swap(order[rank - 1], order[rank - 2]);
  return order;
}

// By another input, or by weights [k, n] stored column after column.
Status batched_matmul(Layer& layer) {
  ValueId x = TRY(layer.in());
  if (layer.inputs.size() > 1) {
    ValueId y = TRY(layer.in(1));
    if (layer.p.flag(1)) x = layer.b.transposed(x, last_two_swapped(TRY(layer.dims(0)).size()));
    if (layer.p.flag(2)) y = layer.b.transposed(y, last_two_swapped(TRY(layer.dims(1)).size()));
    return layer.give(layer.b.emit("MatMul", {x, y}));
  }
  const std::int64_t k = layer.p.integer(5), n = layer.p.integer(6);
  if (k < 1 || n < 1) return corrupt(fmt::format("weights of {} by {}", k, n));
  const ValueId w = layer.b.transposed(TRY(layer.weight(8, {n, k})), {1, 0});
  ValueId y = layer.b.emit("MatMul", {x, w});
  if (layer.p.flag(7)) y = layer.b.emit("Add", {y, TRY(layer.weight(9, {n}))});
  return layer.give(y);
}

Status band_part(Layer& layer) {
  std::int64_t lower = layer.p.integer(1), upper = layer.p.integer(2);
  if (layer.kind == 1320) upper = -1;
  ValueId y = TRY(layer.in());
  if (layer.kind == 1315) {
    if (lower >= 0)
      y = layer.b.emit("Trilu", {y, layer.b.integer(-lower)}, {{"upper", std::int64_t{1}}});
    if (upper >= 0)
      y = layer.b.emit("Trilu", {y, layer.b.integer(upper)}, {{"upper", std::int64_t{0}}});
    return layer.give(layer.b.emit("Identity", {y}));
  }
  return layer.give(layer.b.emit("Trilu", {y, layer.b.integer(layer.p.integer(1))},
                                 {{"upper", std::int64_t{layer.kind == 1325 ? 1 : 0}}}));
}

Status load_constant(Layer& layer) {
  Dims shape = TRY(layer.ints(1, {1}));
  const Tensor data = TRY(layer.weights(2, shape));
  if (layer.kind == 290)
    while (shape.size() < 5) shape.insert(shape.begin(), 1);
  return layer.give(layer.b.constant(graphs::reshaped(data, shape)), shape);
}

// The shape that a layer of three forms fills: as its input, as given, as computed.
struct Wanted {
  ValueId shape;
  Dims dims;
};
Result<Wanted> wanted_shape(Layer& layer, std::uint32_t like, std::uint32_t fixed,
                            std::uint32_t field) {
  if (layer.kind == like)
    return Wanted{layer.b.emit("Shape", {TRY(layer.in())}), TRY(layer.dims())};
  if (layer.kind == fixed) {
    const Dims dims = TRY(layer.ints(field, {}));
    return Wanted{layer.b.integers(dims), dims};
  }
  const Dims given = TRY(layer.dims());
  if (given.size() != 1 || given[0] < 0) return unsupported("a shape of unknown rank");
  return Wanted{TRY(layer.flat_places(0)), Dims(static_cast<std::size_t>(given[0]), -1)};
}

Status fill(Layer& layer) {
  const Wanted wanted = TRY(wanted_shape(layer, 1080, 1085, 2));
  return layer.give(layer.b.emit("hearth.Fill", {wanted.shape, layer.scalar(layer.p.real(1))}),
                    wanted.dims);
}

// 1 seed; then the numbers of the distribution; then the shape.
Status random(Layer& layer) {
  const std::uint32_t family = layer.kind / 10 * 10;  // 1170, 1190, 1210 and what follows each
  const std::uint32_t like = family % 20 == 10 ? family : family - 10;
  const std::uint32_t shape_field = like == 1210 ? 3 : 4;
  const Wanted wanted = TRY(wanted_shape(layer, like, like + 5, shape_field));
  const float a = layer.p.real(2), c = layer.p.real(3);
  const ValueId base =
      layer.b.emit("hearth.Fill", {wanted.shape, layer.scalar(like == 1210 ? a : 0)});
  if (like == 1210) return layer.give(layer.b.emit("Bernoulli", {base}), wanted.dims);
  const bool normal = like == 1170;
  return layer.give(
      layer.b.emit(normal ? "RandomNormalLike" : "RandomUniformLike", {base},
                   {{normal ? "mean" : "low", double{a}}, {normal ? "scale" : "high", double{c}}}),
      wanted.dims);
}

Status categorical(Layer& layer) {
  const Dims x = TRY(layer.dims());
  if (x.empty() || x.back() < 1) return unsupported("of unknown classes");
  ValueId logits = TRY(layer.in());
  if (!layer.p.flag(3))
    logits =
        layer.b.emit("Log", {layer.b.emit("Add", {logits, layer.scalar(layer.real(4, 1e-10))})});
  const double heat = layer.real(5, 1);
  if (heat != 1) logits = layer.b.emit("Div", {logits, layer.scalar(heat)});
  const ValueId y = layer.b.emit(
      "Multinomial", {layer.reshaped(logits, {-1, x.back()})},
      {{"sample_size", layer.p.integer(2)}, {"dtype", static_cast<std::int64_t>(Element::i32)}});
  Dims dims = x;
  dims.back() = layer.p.integer(2);
  if (std::ranges::count(dims, -1) > 1) return unsupported("of unknown shape");
  return layer.give_number(layer.reshaped(y, dims), dims);
}

// 1 end, 2 start, 3 step, as parameters or as inputs in that order.
Status range(Layer& layer) {
  const auto number = [&](std::size_t i, double fallback) -> Result<ValueId> {
    if (i < layer.inputs.size()) return layer.reshaped(TRY(layer.in(i)), {});
    return layer.scalar(fallback);
  };
  const ValueId end = TRY(number(0, layer.p.real(1))), start = TRY(number(1, layer.p.real(2))),
                step = TRY(number(2, layer.real(3, 1)));
  return layer.give(layer.b.emit("Range", {start, end, step}), Dims{-1});
}

constexpr LayerRow rows[] = {
    {290, "loadConstant", load_constant},
    {635, "rangeStatic", range},
    {640, "rangeDynamic", range},
    {930, "gather", gather},
    {935, "scatter", scatter},
    {940, "gatherND", gather_nd},
    {945, "scatterND", scatter_nd},
    {952, "gatherAlongAxis", gather_along_axis},
    {954, "scatterAlongAxis", scatter_along_axis},
    {1015, "topK", top_k},
    {1020, "argMin", arg_best, "ArgMin"},
    {1025, "argMax", arg_best, "ArgMax"},
    {1045, "batchedMatmul", batched_matmul},
    {1070, "loadConstantND", load_constant},
    {1080, "fillLike", fill},
    {1085, "fillStatic", fill},
    {1090, "fillDynamic", fill},
    {1170, "randomNormalLike", random},
    {1175, "randomNormalStatic", random},
    {1180, "randomNormalDynamic", random},
    {1190, "randomUniformLike", random},
    {1195, "randomUniformStatic", random},
    {1200, "randomUniformDynamic", random},
    {1210, "randomBernoulliLike", random},
    {1215, "randomBernoulliStatic", random},
    {1220, "randomBernoulliDynamic", random},
    {1230, "categoricalDistribution", categorical},
    {1313, "whereNonZero", where_non_zero},
    {1315, "matrixBandPart", band_part},
    {1320, "lowerTriangular", band_part},
    {1325, "upperTriangular", band_part},
    {1450, "oneHot", one_hot},
    {1455, "cumSum", cum_sum},
    {1461, "argSort", arg_sort},
};

}  // namespace

std::span<const LayerRow> array_layers() { return rows; }

}  // namespace hearth::graphs::coreml
