// Call: one node at work, as its kernel sees it.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <functional>
#include <optional>
#include <random>
#include <span>
#include <stop_token>

#include "graphs/graph.h"
#include "graphs/operators.h"
#include "ops/context.h"

namespace hearth::graphs {

struct NodeTime;

// What a run gives to its nodes.  One thread at a time; `parallel` spreads loops over the pool.
struct Machine {
  ops::Context* ctx = nullptr;
  std::shared_ptr<BufferPool> buffers;
  std::shared_ptr<StringPool> strings;
  std::mt19937 random;
  std::stop_token stop;
  int depth = 0;                            // of bodies within bodies
  std::atomic<bool> out_of_memory = false;  // within a parallel loop
  std::vector<NodeTime>* times = nullptr;   // of the outermost graph's nodes; null: not asked for
};

// Covers [0, n) with calls work(begin, end); in parallel when there are more than `grain`.
void parallel(Machine& machine, std::int64_t n, std::int64_t grain,
              const std::function<void(std::int64_t, std::int64_t)>& work);

struct Call {
  const Node& node;
  std::span<const Value* const> inputs;  // nullptr: absent
  std::span<Value> outputs;
  std::span<const Value* const> captured;  // the node's
  Machine& machine;

  bool has(std::size_t i) const { return i < inputs.size() && inputs[i] != nullptr; }
  bool wants(std::size_t i) const;  // somebody reads output i
  // Errors: invalid (absent, or no tensor).
  Result<const Tensor*> tensor(std::size_t i) const;
  const Tensor* tensor_or_null(std::size_t i) const;  // null too when it is no tensor
  // Tensor i is of one of these types.
  Result<const Tensor*> typed(std::size_t i, Element type) const;
  // Integers of tensor i, of any integer type; `fallback` where it is absent.
  Result<std::vector<std::int64_t>> integers(std::size_t i) const;
  Result<std::vector<double>> reals(std::size_t i) const;
  Result<std::int64_t> integer_input(std::size_t i, std::int64_t fallback) const;

  bool has_attribute(std::string_view name) const { return node.attributes.contains(name); }
  std::int64_t integer(std::string_view name, std::int64_t fallback) const;
  double real(std::string_view name, double fallback) const;
  std::string_view text(std::string_view name, std::string_view fallback) const;
  const std::vector<std::int64_t>& list(std::string_view name) const;  // empty where absent
  const std::vector<double>& reals_of(std::string_view name) const;
  const std::vector<std::string>& texts_of(std::string_view name) const;
  const Tensor* tensor_of(std::string_view name) const;

  // A new tensor, as output `i` and for the kernel to write to.  Valid until another output is
  // made.
  Result<Tensor*> make(std::size_t i, Element type, Dims dims);
  Result<Tensor> scratch(Element type, Dims dims);
  void give(std::size_t i, Value value);
  const std::string* keep(std::string text) { return machine.strings->add(std::move(text)); }
};

Error invalid(std::string message);
Error unsupported(std::string message);

// -rank <= axis < rank, made non-negative.
Result<std::size_t> checked_axis(std::int64_t axis, std::size_t rank);
// The axes made non-negative, each at most once.
Result<std::vector<std::size_t>> checked_axes(std::span<const std::int64_t> axes, std::size_t rank);
std::int64_t product(std::span<const std::int64_t> extents);
// Elements between neighbours along each axis.
Dims strides_of(const Dims& dims);
// The shape two broadcast to.  Source: ONNX, "Multidirectional broadcasting".
Result<Dims> broadcast(const Dims& a, const Dims& b);

// The elements of a tensor as numbers of one working type: a view where they are that already.
template <typename T>
class Numbers {
 public:
  explicit Numbers(const Tensor& tensor);
  const T& operator[](std::size_t i) const { return at_[i]; }
  const T* begin() const { return at_; }
  const T* end() const { return at_ + size_; }
  const T* data() const { return at_; }
  std::size_t size() const { return size_; }

 private:
  std::vector<T> own_;
  const T* at_ = nullptr;
  std::size_t size_ = 0;
};
extern template class Numbers<float>;
extern template class Numbers<double>;
extern template class Numbers<std::int64_t>;

// Numbers as the elements of an output.
template <typename T>
void put(Tensor& tensor, std::span<const T> numbers);
extern template void put(Tensor&, std::span<const float>);
extern template void put(Tensor&, std::span<const double>);
extern template void put(Tensor&, std::span<const std::int64_t>);

}  // namespace hearth::graphs
