// Weights: the tensors of a model by role, checked and in rows of outputs.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <stop_token>
#include <vector>

#include "models/tensors.h"
#include "models/transforms.h"
#include "ops/matrix.h"

namespace hearth::models {

// A vector, a matrix, or a matrix per expert.  `stored` points into the package's storage or into
// `rebuilt`.
struct Weight {
  ops::StoredMatrix stored{};
  std::vector<ops::StoredMatrix> stored_experts;
  std::shared_ptr<const Bytes> rebuilt;

  ops::Matrix matrix;  // of the fast path; see prepare()
  std::vector<ops::Matrix> experts;

  std::vector<float> values;  // of a vector
  bool by_head = false;       // its values are [heads][head_dim]: a vector of its own per head
  std::vector<float> bias;    // [rows]; of experts [experts][rows]

  bool present() const {
    return stored.rows > 0 || !stored_experts.empty() || !values.empty() || matrix.rows() > 0 ||
           !experts.empty();
  }
};

struct Layer {
  std::array<Weight, roles> weights;
  const Weight& operator[](Role role) const { return weights[static_cast<std::size_t>(role)]; }
  Weight& operator[](Role role) { return weights[static_cast<std::size_t>(role)]; }
};

struct Weights {
  Layer whole;  // what belongs to no layer
  std::vector<Layer> layers;
};

// Finds, checks, splits and reorders; touches only what must be rebuilt.  Errors: corrupt (a tensor
// is missing or has the wrong shape: name, held, needed), unsupported (its type).
Result<Weights> load_weights(const TensorFinder& finder);

// Which stored row each loaded row of a tensor is, where files hold it so; empty: as it is stored.
std::vector<std::size_t> order_of_form(const Hyper& hyper, Role role, Form form);

// What of one row of the architecture a layer holds, as it is stored; a fused one whole.
Status load_weight(const TensorFinder& finder, const TensorRow& row, std::size_t layer,
                   Weight& out);
// Its bias alone.
Status load_bias(const TensorFinder& finder, const TensorRow& row, std::size_t layer, Weight& out);

// Which stored row each row of a loaded matrix is; empty: as they are stored.
std::vector<std::size_t> row_order(const TensorFinder& finder, const TensorRow& row);

// Makes the matrices of the fast path, those that may wait with `later`.  Errors: unsupported,
// exhausted, cancelled.
Status prepare(ops::Context& ctx, Weights& weights, ops::LatePacking& later,
               const std::function<void(double)>& progress, std::stop_token stop);

// Calls `name` for every matrix of the fast path with the tensor it comes from.
void name_matrices(
    const TensorFinder& finder, const Weights& weights,
    const std::function<void(const ops::Matrix&, const std::string&, std::size_t expert)>& name);

}  // namespace hearth::models
