// Ensembles of decision trees.
// Source: ONNX operator specification, ai.onnx.ml (versions 1 to 5).
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "graphs/operators/families.h"
#include "graphs/operators/scores.h"

namespace hearth::graphs {
namespace {

enum Mode { leq, lt, gte, gt, eq, neq, member, leaf };

struct TreeNode {
  Mode mode = leaf;
  std::int64_t feature = 0;
  double split = 0;
  std::int64_t yes = 0, no = 0;  // places in `nodes`
  bool missing_yes = false;
  std::set<double> members;
  std::vector<std::pair<std::int64_t, float>> votes;  // of a leaf: target and weight
};

struct Forest {
  std::vector<TreeNode> nodes;
  std::vector<std::int64_t> roots;
  std::int64_t targets = 1, features = 0;
  int aggregate = 1;  // average, sum, min, max
  std::vector<float> base;
};

bool follows(const TreeNode& node, double x) {
  if (x != x) return node.missing_yes;
  switch (node.mode) {
    case leq:
      return x <= node.split;
    case lt:
      return x < node.split;
    case gte:
      return x >= node.split;
    case gt:
      return x > node.split;
    case eq:
      return x == node.split;
    case neq:
      return x != node.split;
    default:
      return node.members.contains(x);
  }
}

// Every node leads to later or other nodes, never round in a circle.
Status check(const Forest& forest) {
  const auto n = static_cast<std::int64_t>(forest.nodes.size());
  for (const TreeNode& node : forest.nodes) {
    if (node.mode == leaf) continue;
    if (node.yes < 0 || node.yes >= n || node.no < 0 || node.no >= n || node.feature < 0)
      return invalid("a tree node that leads outside the tree");
  }
  return Done{};
}

Status score_row(const Forest& forest, const double* x, std::vector<float>& scores) {
  std::vector<bool> seen(static_cast<std::size_t>(forest.targets), false);
  std::fill(scores.begin(), scores.end(), 0.0f);
  for (const std::int64_t root : forest.roots) {
    std::int64_t at = root;
    for (std::size_t steps = 0;; ++steps) {
      const TreeNode& node = forest.nodes[static_cast<std::size_t>(at)];
      if (node.mode == leaf) break;
      if (steps > forest.nodes.size()) return invalid("a tree that goes round in a circle");
      at = follows(node, x[node.feature]) ? node.yes : node.no;
    }
    for (const auto& [target, weight] : forest.nodes[static_cast<std::size_t>(at)].votes) {
      const auto t = static_cast<std::size_t>(target);
      float& score = scores[t];
      if (forest.aggregate == 2)
        score = seen[t] ? std::min(score, weight) : weight;
      else if (forest.aggregate == 3)
        score = seen[t] ? std::max(score, weight) : weight;
      else
        score += weight;
      seen[t] = true;
    }
  }
  for (std::size_t t = 0; t < scores.size(); ++t) {
    if (forest.aggregate == 0) scores[t] /= static_cast<float>(forest.roots.size());
    if (t < forest.base.size()) scores[t] += forest.base[t];
  }
  return Done{};
}

// An attribute as floats or, of doubles, as a tensor.
std::vector<double> reals_or_tensor(Call& call, std::string_view name) {
  if (const Tensor* t = call.tensor_of(fmt::format("{}_as_tensor", name))) {
    const Numbers<double> numbers(*t);
    return {numbers.begin(), numbers.end()};
  }
  return call.reals_of(name);
}

Mode mode_named(std::string_view name) {
  constexpr std::string_view names[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE",   "BRANCH_GT",
                                        "BRANCH_EQ",  "BRANCH_NEQ", "BRANCH_MEMBER"};
  for (int i = 0; i < 7; ++i)
    if (names[i] == name) return static_cast<Mode>(i);
  return leaf;
}

// The form of versions 1 to 3.  votes: "class" or "target".
Result<Forest> listed_forest(Call& call, const std::string& votes) {
  Forest forest;
  const auto &trees = call.list("nodes_treeids"), &ids = call.list("nodes_nodeids"),
             &features = call.list("nodes_featureids"), &yes = call.list("nodes_truenodeids"),
             &no = call.list("nodes_falsenodeids"),
             &missing = call.list("nodes_missing_value_tracks_true");
  const auto& modes = call.texts_of("nodes_modes");
  const auto values = reals_or_tensor(call, "nodes_values");
  const std::size_t n = ids.size();
  if (trees.size() != n || features.size() != n || yes.size() != n || no.size() != n ||
      modes.size() != n || values.size() != n)
    return invalid("nodes_* of different lengths");
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> places;
  for (std::size_t i = 0; i < n; ++i)
    places.emplace(std::pair(trees[i], ids[i]), static_cast<std::int64_t>(i));
  std::set<std::int64_t> started;
  for (std::size_t i = 0; i < n; ++i) {
    if (started.insert(trees[i]).second) forest.roots.push_back(static_cast<std::int64_t>(i));
    TreeNode node;
    node.mode = mode_named(modes[i]);
    node.feature = features[i];
    node.split = values[i];
    node.missing_yes = i < missing.size() && missing[i] != 0;
    if (node.mode != leaf) {
      const auto a = places.find({trees[i], yes[i]}), b = places.find({trees[i], no[i]});
      if (a == places.end() || b == places.end())
        return invalid(fmt::format("node {} leads to none", ids[i]));
      node.yes = a->second;
      node.no = b->second;
      forest.features = std::max(forest.features, node.feature + 1);
    }
    forest.nodes.push_back(std::move(node));
  }
  const auto &vote_trees = call.list(votes + "_treeids"),
             &vote_nodes = call.list(votes + "_nodeids"), &vote_ids = call.list(votes + "_ids");
  const auto weights = reals_or_tensor(call, votes + "_weights");
  if (vote_nodes.size() != vote_trees.size() || vote_ids.size() != vote_trees.size() ||
      weights.size() != vote_trees.size())
    return invalid(fmt::format("{}_* of different lengths", votes));
  for (std::size_t i = 0; i < vote_trees.size(); ++i) {
    const auto found = places.find({vote_trees[i], vote_nodes[i]});
    if (found == places.end() || vote_ids[i] < 0 || vote_ids[i] > (1 << 24))
      return invalid("a vote of no node");
    forest.nodes[static_cast<std::size_t>(found->second)].votes.emplace_back(
        vote_ids[i], static_cast<float>(weights[i]));
    forest.targets = std::max(forest.targets, vote_ids[i] + 1);
  }
  for (const double value : reals_or_tensor(call, "base_values"))
    forest.base.push_back(static_cast<float>(value));
  const std::string_view aggregate = call.text("aggregate_function", "SUM");
  forest.aggregate = aggregate == "AVERAGE" ? 0
                     : aggregate == "MIN"   ? 2
                     : aggregate == "MAX"   ? 3
                                            : 1;
  TRY(check(forest));
  return forest;
}

// The form of version 5: inner nodes and leaves apart.
Result<Forest> split_forest(Call& call) {
  Forest forest;
  const auto &features = call.list("nodes_featureids"), &yes = call.list("nodes_truenodeids"),
             &no = call.list("nodes_falsenodeids"), &yes_leaf = call.list("nodes_trueleafs"),
             &no_leaf = call.list("nodes_falseleafs"),
             &missing = call.list("nodes_missing_value_tracks_true"),
             &targets = call.list("leaf_targetids");
  const Tensor *modes = call.tensor_of("nodes_modes"), *splits = call.tensor_of("nodes_splits"),
               *weights = call.tensor_of("leaf_weights"),
               *members = call.tensor_of("membership_values");
  const std::size_t n = features.size();
  const auto holds = [](const Tensor* t, std::size_t size) {
    return t != nullptr && static_cast<std::size_t>(t->count) == size;
  };
  if (yes.size() != n || no.size() != n || yes_leaf.size() != n || no_leaf.size() != n ||
      !holds(modes, n) || !holds(splits, n) || !holds(weights, targets.size()))
    return invalid("nodes_* or leaf_* of different lengths");
  const Numbers<double> mode(*modes), split(*splits), weight(*weights),
      member_values(members == nullptr ? Tensor() : *members);
  const auto leaves_at = static_cast<std::int64_t>(n);
  std::size_t next_member = 0;
  for (std::size_t i = 0; i < n; ++i) {
    TreeNode node;
    if (!(mode[i] >= 0 && mode[i] <= 6)) return invalid(fmt::format("mode {}", mode[i]));
    node.mode = static_cast<Mode>(static_cast<int>(mode[i]));
    node.feature = features[i];
    node.split = split[i];
    const auto place = [&](std::int64_t id, std::int64_t is_leaf) -> std::int64_t {
      const auto limit = static_cast<std::int64_t>(is_leaf != 0 ? targets.size() : n);
      return id < 0 || id >= limit ? -1 : is_leaf != 0 ? leaves_at + id : id;
    };
    node.yes = place(yes[i], yes_leaf[i]);
    node.no = place(no[i], no_leaf[i]);
    node.missing_yes = i < missing.size() && missing[i] != 0;
    if (node.mode == member) {
      for (; next_member < member_values.size() &&
             member_values[next_member] == member_values[next_member];
           ++next_member)
        node.members.insert(member_values[next_member]);
      ++next_member;  // the NaN after a set
    }
    forest.features = std::max(forest.features, node.feature + 1);
    forest.nodes.push_back(std::move(node));
  }
  forest.targets = call.integer("n_targets", 1);
  if (forest.targets < 1 || forest.targets > (1 << 24)) return invalid("n_targets");
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (targets[i] < 0 || targets[i] >= forest.targets)
      return invalid(fmt::format("target {}", targets[i]));
    TreeNode node;
    node.votes.emplace_back(targets[i], static_cast<float>(weight[i]));
    forest.nodes.push_back(std::move(node));
  }
  forest.roots = call.list("tree_roots");
  for (const std::int64_t root : forest.roots)
    if (root < 0 || root >= leaves_at) return invalid(fmt::format("root {}", root));
  forest.aggregate = static_cast<int>(call.integer("aggregate_function", 1));
  TRY(check(forest));
  return forest;
}

Result<std::vector<float>> score_all(Call& call, const Forest& forest) {
  const Tensor* x = TRY(call.tensor(0));
  const Table table = TRY(table_of(*x));
  if (forest.features > table.columns)
    return invalid(fmt::format("{} features; needs {}", table.columns, forest.features));
  const Numbers<double> numbers(*x);
  std::vector<float> all, row(static_cast<std::size_t>(forest.targets));
  for (std::int64_t i = 0; i < table.rows; ++i) {
    TRY(score_row(forest, numbers.data() + i * table.columns, row));
    all.insert(all.end(), row.begin(), row.end());
  }
  return all;
}

Status give_regression(Call& call, const Forest& forest, int transform, Element type) {
  std::vector<float> scores = TRY(score_all(call, forest));
  const std::int64_t rows = static_cast<std::int64_t>(scores.size()) / forest.targets;
  for (std::int64_t i = 0; i < rows; ++i)
    transform_scores(transform,
                     std::span(scores).subspan(static_cast<std::size_t>(i * forest.targets),
                                               static_cast<std::size_t>(forest.targets)));
  put(*TRY(call.make(0, type, {rows, forest.targets})), std::span<const float>(scores));
  return Done{};
}

Status tree_ensemble(Call& call) {
  const Forest forest = TRY(split_forest(call));
  const auto transform = static_cast<int>(call.integer("post_transform", 0));
  if (transform < 0 || transform > 4) return invalid("post_transform");
  return give_regression(call, forest, transform, TRY(call.tensor(0))->type);
}

Status tree_regressor(Call& call) {
  Forest forest = TRY(listed_forest(call, "target"));
  forest.targets =
      std::max(forest.targets, std::clamp<std::int64_t>(call.integer("n_targets", 1), 1, 1 << 24));
  return give_regression(call, forest, TRY(transform_named(call.text("post_transform", "NONE"))),
                         Element::f32);
}

Status tree_classifier(Call& call) {
  Forest forest = TRY(listed_forest(call, "class"));
  const auto& ids = call.list("class_ids");
  const bool binary =
      !ids.empty() && std::ranges::all_of(ids, [&](auto id) { return id == ids[0]; });
  const auto labels =
      static_cast<std::int64_t>(labels_named(call, "classlabels_strings", "classlabels_int64s"));
  forest.targets = std::max(forest.targets, labels);
  const int transform = TRY(transform_named(call.text("post_transform", "NONE")));
  std::vector<float> scores = TRY(score_all(call, forest));
  const std::int64_t rows = static_cast<std::int64_t>(scores.size()) / forest.targets;
  const std::int64_t width = binary ? 2 : forest.targets;
  std::vector<float> result;
  std::vector<std::int64_t> best;
  for (std::int64_t i = 0; i < rows; ++i) {
    std::vector<float> row(scores.begin() + i * forest.targets,
                           scores.begin() + (i + 1) * forest.targets);
    if (binary && width == 2) {
      const float score = row[static_cast<std::size_t>(ids[0])];
      row = {transform == 0 || transform == 4 ? 1 - score : -score, score};
    }
    transform_scores(transform, row);
    best.push_back(std::ranges::max_element(row) - row.begin());
    result.insert(result.end(), row.begin(), row.end());
  }
  TRY(give_labels(call, 0, best, "classlabels_strings", "classlabels_int64s"));
  put(*TRY(call.make(1, Element::f32, {rows, width})), std::span<const float>(result));
  return Done{};
}

constexpr Operator rows[] = {
    {"ai.onnx.ml.TreeEnsemble", tree_ensemble, nullptr, 1, 1},
    {"ai.onnx.ml.TreeEnsembleRegressor", tree_regressor, nullptr, 1, 1},
    {"ai.onnx.ml.TreeEnsembleClassifier", tree_classifier, nullptr, 1, 1},
};

}  // namespace

std::span<const Operator> tree_operators() { return rows; }

}  // namespace hearth::graphs
