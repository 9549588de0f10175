// Walk: several arrays of different shapes gone through together, in the order of the result.
#pragma once

#include <array>
#include <span>

#include "graphs/tensor.h"

namespace hearth::graphs {

constexpr std::size_t most_walkers = 4;

// Up to four inputs broadcast (or strided) over one result.  Neighbouring axes that all of them
// step through alike are taken as one.
class Walk {
 public:
  // strides[k]: elements of input k between neighbours along each axis of dims; 0: repeated.
  Walk(const Dims& dims, std::span<const Dims> strides);
  static Walk broadcasting(const Dims& dims, std::span<const Dims* const> shapes);

  std::int64_t count() const { return count_; }
  // Steps along the innermost axis.
  std::int64_t step(std::size_t input) const { return steps_[input]; }

  // For every run of the innermost axis within [begin, end) of the result:
  // run(place in the result, places in the inputs, length).
  template <typename F>
  void each(std::int64_t begin, std::int64_t end, F&& run) const {
    Cursor cursor = at(begin);
    while (begin < end) {
      const std::int64_t n = std::min(inner_ - cursor.inner, end - begin);
      run(begin, static_cast<const std::array<std::int64_t, most_walkers>&>(cursor.places), n);
      begin += n;
      if (begin < end) advance(cursor, n);
    }
  }

 private:
  struct Cursor {
    std::array<std::int64_t, most_walkers> places{};
    std::array<std::int64_t, max_rank> index{};
    std::int64_t inner = 0;
  };
  Cursor at(std::int64_t place) const;
  void advance(Cursor& cursor, std::int64_t n) const;

  std::size_t inputs_;
  std::vector<std::int64_t> outer_;  // extents of all axes but the innermost
  std::vector<std::array<std::int64_t, most_walkers>> outer_steps_;
  std::array<std::int64_t, most_walkers> steps_{};
  std::int64_t inner_ = 1, count_ = 1;
};

}  // namespace hearth::graphs
