// Element-by-element loops over operands that broadcast.
#pragma once

#include <array>

#include "graphs/call.h"

namespace hearth::graphs {

// y[i] = f(a[i], b[i]) for each working type; a null one is not there.  y may be a or b.
struct BinaryLoops {
  void (*f32)(float* y, const float* a, const float* b, std::size_t n);
  void (*f64)(double* y, const double* a, const double* b, std::size_t n);
  void (*i64)(std::int64_t* y, const std::int64_t* a, const std::int64_t* b, std::size_t n);
  void (*u64)(std::uint64_t* y, const std::uint64_t* a, const std::uint64_t* b, std::size_t n);
};

// What both operands are of, or an error that names both types.
Result<Element> common_type(const Tensor& a, const Tensor& b);

// y, of its own type, from a and b, both computed in `work`.
Status binary_into(Call& call, Tensor& y, const Tensor& a, const Tensor& b, Work work,
                   const BinaryLoops& loops);
// Two inputs of one type and a result of type `result`, or of theirs when that is `none`.
Status binary(Call& call, const BinaryLoops& loops, Element result = Element::none);

struct UnaryLoops {
  void (*f32)(float* y, const float* x, std::size_t n, const double* p);
  void (*f64)(double* y, const double* x, std::size_t n, const double* p);
  void (*i64)(std::int64_t* y, const std::int64_t* x, std::size_t n, const double* p);
};
// Input 0 to output 0 of the same shape; p: parameters of the operator.
Status unary(Call& call, const UnaryLoops& loops, const double* p = nullptr,
             Element result = Element::none);

}  // namespace hearth::graphs
