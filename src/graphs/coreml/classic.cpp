// Trees, linear models and support vector machines.
// Source: Core ML Tools, TreeEnsemble.proto, GLMRegressor.proto, GLMClassifier.proto, SVM.proto.
#include <fmt/core.h>

#include <algorithm>

#include "graphs/coreml/assembly.h"

namespace hearth::graphs::coreml {
namespace {

using Ints = std::vector<std::int64_t>;
using Reals = std::vector<double>;

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }
Error unsupported(std::string message) { return Error(ErrorKind::unsupported, std::move(message)); }

// The one input of such a model as f32 [1, n].
Result<ValueId> row_of(Assembly& at, const Model& model) {
  if (model.description.inputs.size() != 1)
    return corrupt(fmt::format("{} inputs; needs one", model.description.inputs.size()));
  const ValueId x = TRY(at.feature(model.description.inputs[0].name, Element::f32));
  return at.b.emit("Reshape", {x, at.b.integers({1, -1})});
}

ValueId emit_sigmoid(Emitter& b, ValueId x) { return b.emit("Sigmoid", {x}); }
// The normal distribution up to x.
ValueId emit_probit(Emitter& b, ValueId x) {
  const ValueId erf = b.emit("Erf", {b.emit("Mul", {x, b.scalar(0.70710678f)})});
  return b.emit("Mul", {b.emit("Add", {erf, b.scalar(1)}), b.scalar(0.5f)});
}
ValueId emit_complement(Emitter& b, ValueId p) {
  const ValueId other = b.emit("Sub", {b.scalar(1), p});
  return b.emit("Concat", {other, p}, {{"axis", std::int64_t{1}}});
}
// Scores of all classes but the first, which is 0, as shares.
ValueId emit_softmax_from_zero(Emitter& b, ValueId scores) {
  const ValueId zero = b.emit("Reshape", {b.scalar(0), b.integers({1, 1})});
  const ValueId all = b.emit("Concat", {zero, scores}, {{"axis", std::int64_t{1}}});
  return b.emit("Softmax", {all}, {{"axis", std::int64_t{1}}});
}

// The prediction of a regressor: a number, or an array of several.
Status give_number(Assembly& at, const Model& model, ValueId row, std::int64_t count) {
  std::string name = model.description.predicted_feature;
  if (name.empty() && !model.description.outputs.empty()) name = model.description.outputs[0].name;
  const Dims dims = count == 1 ? Dims{} : Dims{count};
  at.give(name, at.b.emit("Reshape", {row, at.b.integers(dims)}), Element::f32, &dims);
  return Done{};
}

struct Forest {
  Ints trees, nodes, features, yes, no, missing;
  Reals values;
  std::vector<std::string> modes;
  Ints leaf_trees, leaf_nodes, leaf_targets;
  Reals leaf_values;
};

// TreeNode: 1 tree, 2 node, 3 behaviour, 10 feature, 11 value, 12 true, 13 false, 14 missing goes
// true, 20 what a leaf adds {1 index, 2 value}.
Status read_node(Forest& forest, Bytes bytes) {
  constexpr std::string_view modes[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE", "BRANCH_GT",
                                        "BRANCH_EQ",  "BRANCH_NEQ", "LEAF"};
  const Fields f = TRY(Fields::of(bytes));
  const std::int64_t behaviour = f.integer(3);
  if (behaviour < 0 || behaviour > 6)
    return unsupported(fmt::format("a node of kind {}", behaviour));
  forest.trees.push_back(f.integer(1));
  forest.nodes.push_back(f.integer(2));
  forest.modes.emplace_back(modes[behaviour]);
  forest.features.push_back(f.integer(10));
  forest.values.push_back(f.real64(11));
  forest.yes.push_back(f.integer(12));
  forest.no.push_back(f.integer(13));
  forest.missing.push_back(f.flag(14) ? 1 : 0);
  for (const Bytes each : f.messages(20)) {
    const Fields info = TRY(Fields::of(each));
    forest.leaf_trees.push_back(f.integer(1));
    forest.leaf_nodes.push_back(f.integer(2));
    forest.leaf_targets.push_back(info.integer(1));
    forest.leaf_values.push_back(info.real64(2));
  }
  return Done{};
}

// TreeEnsembleParameters: 1 nodes, 2 dimensions, 3 base values.  Gives [1, dimensions].
Result<ValueId> emit_forest(Assembly& at, const Model& model, const Fields& params,
                            std::int64_t dimensions) {
  constexpr std::size_t most_nodes = 1u << 24;
  Forest forest;
  const auto nodes = params.messages(1);
  if (nodes.size() > most_nodes)
    return Error(ErrorKind::exhausted, fmt::format("{} nodes", nodes.size()));
  for (const Bytes node : nodes) TRY(read_node(forest, node));
  Reals base = TRY(params.doubles(3));
  if (base.empty()) base.assign(static_cast<std::size_t>(dimensions), 0);
  if (static_cast<std::int64_t>(base.size()) != dimensions)
    return corrupt(fmt::format("{} base values for {}", base.size(), dimensions));
  return at.b.emit("ai.onnx.ml.TreeEnsembleRegressor", {TRY(row_of(at, model))},
                   {{"nodes_treeids", std::move(forest.trees)},
                    {"nodes_nodeids", std::move(forest.nodes)},
                    {"nodes_featureids", std::move(forest.features)},
                    {"nodes_modes", std::move(forest.modes)},
                    {"nodes_values", std::move(forest.values)},
                    {"nodes_truenodeids", std::move(forest.yes)},
                    {"nodes_falsenodeids", std::move(forest.no)},
                    {"nodes_missing_value_tracks_true", std::move(forest.missing)},
                    {"target_treeids", std::move(forest.leaf_trees)},
                    {"target_nodeids", std::move(forest.leaf_nodes)},
                    {"target_ids", std::move(forest.leaf_targets)},
                    {"target_weights", std::move(forest.leaf_values)},
                    {"base_values", std::move(base)},
                    {"n_targets", dimensions}});
}

// Weights, one list of numbers per row, as [rows, n].
struct Rows {
  Tensor weights, offset;
  std::int64_t count = 0;
};
Result<Rows> read_rows(const Fields& f) {
  std::vector<Reals> rows;
  for (const Bytes bytes : f.messages(1)) {
    const Fields row = TRY(Fields::of(bytes));
    rows.push_back(TRY(row.doubles(1)));
    if (rows.back().size() != rows[0].size()) return corrupt("weights of different lengths");
  }
  const Reals offset = TRY(f.doubles(2));
  if (rows.empty() || (offset.size() != rows.size() && !offset.empty()))
    return corrupt(fmt::format("{} offsets for {} weights", offset.size(), rows.size()));
  Rows made;
  made.count = static_cast<std::int64_t>(rows.size());
  made.weights =
      TRY(make_tensor(Element::f32, {made.count, static_cast<std::int64_t>(rows[0].size())}));
  made.offset = TRY(make_tensor(Element::f32, {made.count}));
  float* to = made.weights.data<float>();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const double value : rows[i]) *to++ = static_cast<float>(value);
    made.offset.data<float>()[i] = offset.empty() ? 0 : static_cast<float>(offset[i]);
  }
  return made;
}

// Support vectors as [n, width]; sparse ones number their places from 1.
Result<Reals> read_vectors(const Fields& f, std::uint32_t sparse, std::uint32_t dense,
                           std::int64_t width, std::int64_t& count) {
  Reals all;
  count = 0;
  if (f.has(dense)) {
    const Fields list = TRY(f.message(dense));
    for (const Bytes bytes : list.messages(1)) {
      const Fields vector = TRY(Fields::of(bytes));
      const Reals values = TRY(vector.doubles(1));
      if (static_cast<std::int64_t>(values.size()) != width)
        return corrupt(fmt::format("a support vector of {} for {}", values.size(), width));
      all.insert(all.end(), values.begin(), values.end());
      ++count;
    }
    return all;
  }
  const Fields list = TRY(f.message(sparse));
  for (const Bytes bytes : list.messages(1)) {
    const Fields vector = TRY(Fields::of(bytes));
    all.resize(all.size() + static_cast<std::size_t>(width), 0);
    ++count;
    for (const Bytes each : vector.messages(1)) {
      const Fields node = TRY(Fields::of(each));
      if (node.integer(1) < 1 || node.integer(1) > width)
        return corrupt(fmt::format("place {} of {}", node.integer(1), width));
      all[all.size() - static_cast<std::size_t>(width) +
          static_cast<std::size_t>(node.integer(1) - 1)] = node.real64(2);
    }
  }
  return all;
}

// Kernel: 1 linear, 2 radial {gamma}, 3 polynomial {degree, c, gamma}, 4 sigmoid {gamma, c}.
Status add_kernel(Attributes& attributes, const Fields& f) {
  const Fields kernel = TRY(f.message(1));
  Reals params{0, 0, 0};  // gamma, constant, degree
  std::string name = "LINEAR";
  if (kernel.has(2)) {
    name = "RBF";
    params[0] = TRY(kernel.message(2)).real64(1);
  } else if (kernel.has(3)) {
    name = "POLY";
    const Fields p = TRY(kernel.message(3));
    params = {p.real64(3), p.real64(2), static_cast<double>(p.integer(1))};
  } else if (kernel.has(4)) {
    name = "SIGMOID";
    const Fields p = TRY(kernel.message(4));
    params = {p.real64(1), p.real64(2), 0};
  }
  attributes["kernel_type"] = name;
  attributes["kernel_params"] = params;
  return Done{};
}

// How many numbers the input has.
Result<std::int64_t> width_of(const Model& model) {
  constexpr std::int64_t most = 1 << 24;
  std::int64_t width = 1;
  if (model.description.inputs.size() == 1)
    for (const std::int64_t extent : model.description.inputs[0].type.shape) {
      if (extent < 1 || extent > most / width) return unsupported("an input of unknown length");
      width *= extent;
    }
  return width;
}

Reals negated(Reals values) {
  for (double& value : values) value = -value;
  return values;
}

}  // namespace

// 1 the trees, 2 what becomes of their sum.
Status add_trees(Assembly& at, const Model& model) {
  const Fields f = TRY(Fields::of(model.body));
  const Fields params = TRY(f.message(1));
  const std::int64_t n = std::max<std::int64_t>(params.integer(2), 1), transform = f.integer(2);
  if (n > (1 << 20)) return corrupt(fmt::format("{} dimensions", n));
  if (transform < 0 || transform > 3) return unsupported(fmt::format("transform {}", transform));
  ValueId y = TRY(emit_forest(at, model, params, n));
  Emitter& b = at.b;
  if (transform == 2) y = emit_sigmoid(b, y);
  if (model.kind == 302) return give_number(at, model, y, n);
  const Tensor labels = TRY(read_labels(f, 100, 101));
  if (transform == 1) y = b.emit("Softmax", {y}, {{"axis", std::int64_t{1}}});
  if (transform == 3)
    y = emit_softmax_from_zero(b, y);
  else if (n == 1 && labels.count == 2)
    y = emit_complement(b, y);
  return give_classes(at, model, y, labels);
}

// Generalised linear models.  A classifier's scores are of all classes but the first, or one
// against the others for each.
Status add_linear(Assembly& at, const Model& model) {
  const Fields f = TRY(Fields::of(model.body));
  const Rows rows = TRY(read_rows(f));
  Emitter& b = at.b;
  const std::int64_t transform = f.integer(3);
  ValueId y =
      b.emit("Gemm", {TRY(row_of(at, model)), b.constant(rows.weights), b.constant(rows.offset)},
             {{"transB", std::int64_t{1}}});
  if (model.kind == 300) {
    if (transform > 2) return unsupported(fmt::format("transform {}", transform));
    if (transform == 1) y = emit_sigmoid(b, y);
    if (transform == 2) y = emit_probit(b, y);
    return give_number(at, model, y, rows.count);
  }
  const Tensor labels = TRY(read_labels(f, 100, 101));
  const bool one_against_rest = f.integer(4) == 1;
  if (rows.count == 1) {
    y = emit_complement(b, transform == 1 ? emit_probit(b, y) : emit_sigmoid(b, y));
  } else if (one_against_rest) {
    y = emit_sigmoid(b, y);
    y = b.emit("Div", {y, b.emit("ReduceSum", {y, b.integers({1})})});
  } else {
    y = emit_softmax_from_zero(b, y);
  }
  return give_classes(at, model, y, labels);
}

// Source: Chang and Lin 2011 (LIBSVM); there the constant is taken away, in our operator added.
Status add_support_vectors(Assembly& at, const Model& model) {
  const bool classifies = model.kind == 401;
  const Fields f = TRY(Fields::of(model.body));
  const std::int64_t width = TRY(width_of(model));
  std::int64_t count = 0;
  Attributes attributes;
  TRY(add_kernel(attributes, f));
  attributes["support_vectors"] =
      TRY(read_vectors(f, classifies ? 3 : 2, classifies ? 4 : 3, width, count));
  Emitter& b = at.b;
  const ValueId x = TRY(row_of(at, model));
  if (!classifies) {
    const Fields coefficients = TRY(f.message(4));
    attributes["coefficients"] = TRY(coefficients.doubles(1));
    attributes["n_supports"] = count;
    attributes["rho"] = Reals{-f.real64(5)};
    return give_number(at, model, b.emit("ai.onnx.ml.SVMRegressor", {x}, attributes), 1);
  }
  Reals all;
  for (const Bytes bytes : f.messages(5)) {
    const Fields row = TRY(Fields::of(bytes));
    const Reals values = TRY(row.doubles(1));
    if (static_cast<std::int64_t>(values.size()) != count)
      return corrupt(fmt::format("{} coefficients for {} vectors", values.size(), count));
    all.insert(all.end(), values.begin(), values.end());
  }
  const Tensor labels = TRY(read_labels(f, 100, 101));
  Ints places;
  for (std::int64_t i = 0; i < labels.count; ++i) places.push_back(i);
  const Reals a = TRY(f.doubles(7)), c = TRY(f.doubles(8));
  attributes["coefficients"] = std::move(all);
  attributes["vectors_per_class"] = TRY(f.integers(2));
  attributes["rho"] = negated(TRY(f.doubles(6)));
  attributes["classlabels_ints"] = places;
  if (!a.empty()) {
    attributes["prob_a"] = a;
    attributes["prob_b"] = c;
  }
  const auto made = b.emit_many("ai.onnx.ml.SVMClassifier", {x}, 2, attributes);
  if (!a.empty()) return give_classes(at, model, made[1], labels);
  // Without shares of probability there is a label only.
  const Dims none;
  const ValueId label =
      b.emit("Gather", {b.constant(labels), b.emit("Reshape", {made[0], b.integers({})})});
  at.give(model.description.predicted_feature, label, labels.type, &none);
  for (const FeatureDescription& output : model.description.outputs)
    if (!at.features.contains(output.name))
      return unsupported("class scores of a machine without probabilities");
  return Done{};
}

}  // namespace hearth::graphs::coreml
