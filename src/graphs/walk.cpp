#include "graphs/walk.h"

#include "base/check.h"

namespace hearth::graphs {

Walk::Walk(const Dims& dims, std::span<const Dims> strides) : inputs_(strides.size()) {
  HEARTH_CHECK(inputs_ <= most_walkers && dims.size() <= max_rank);
  std::vector<std::int64_t> extents;
  std::vector<std::array<std::int64_t, most_walkers>> steps;
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    count_ *= dims[axis];
    if (dims[axis] == 1) continue;
    std::array<std::int64_t, most_walkers> step{};
    bool joins = !extents.empty();
    for (std::size_t k = 0; k < inputs_; ++k) {
      step[k] = strides[k][axis];
      joins = joins && steps.back()[k] == step[k] * dims[axis];
    }
    if (joins) {
      extents.back() *= dims[axis];
      steps.back() = step;
    } else {
      extents.push_back(dims[axis]);
      steps.push_back(step);
    }
  }
  if (!extents.empty()) {
    inner_ = extents.back();
    steps_ = steps.back();
    extents.pop_back();
    steps.pop_back();
  }
  outer_ = std::move(extents);
  outer_steps_ = std::move(steps);
}

Walk Walk::broadcasting(const Dims& dims, std::span<const Dims* const> shapes) {
  std::vector<Dims> strides;
  for (const Dims* shape : shapes) {
    Dims stride(dims.size(), 0);
    std::int64_t step = 1;
    for (std::size_t i = shape->size(); i-- > 0;) {
      const std::size_t axis = dims.size() - shape->size() + i;
      stride[axis] = (*shape)[i] == 1 ? 0 : step;
      step *= (*shape)[i];
    }
    strides.push_back(std::move(stride));
  }
  return Walk(dims, strides);
}

Walk::Cursor Walk::at(std::int64_t place) const {
  Cursor cursor;
  if (inner_ == 0) return cursor;
  cursor.inner = place % inner_;
  std::int64_t rest = place / inner_;
  for (std::size_t axis = outer_.size(); axis-- > 0;) {
    cursor.index[axis] = rest % outer_[axis];
    rest /= outer_[axis];
    for (std::size_t k = 0; k < inputs_; ++k)
      cursor.places[k] += cursor.index[axis] * outer_steps_[axis][k];
  }
  for (std::size_t k = 0; k < inputs_; ++k) cursor.places[k] += cursor.inner * steps_[k];
  return cursor;
}

void Walk::advance(Cursor& cursor, std::int64_t n) const {
  for (std::size_t k = 0; k < inputs_; ++k) cursor.places[k] += n * steps_[k];
  cursor.inner += n;
  if (cursor.inner < inner_) return;
  cursor.inner = 0;
  for (std::size_t k = 0; k < inputs_; ++k) cursor.places[k] -= inner_ * steps_[k];
  for (std::size_t axis = outer_.size(); axis-- > 0;) {
    for (std::size_t k = 0; k < inputs_; ++k) cursor.places[k] += outer_steps_[axis][k];
    if (++cursor.index[axis] < outer_[axis]) return;
    cursor.index[axis] = 0;
    for (std::size_t k = 0; k < inputs_; ++k)
      cursor.places[k] -= outer_[axis] * outer_steps_[axis][k];
  }
}

}  // namespace hearth::graphs
