#include "graphs/call.h"

#include <algorithm>

namespace hearth::graphs {

Error invalid(std::string message) { return Error(ErrorKind::invalid, std::move(message)); }
Error unsupported(std::string message) { return Error(ErrorKind::unsupported, std::move(message)); }

void parallel(Machine& machine, std::int64_t n, std::int64_t grain,
              const std::function<void(std::int64_t, std::int64_t)>& work) {
  if (n <= 0) return;
  ThreadPool* pool = machine.ctx == nullptr ? nullptr : machine.ctx->pool;
  if (pool == nullptr || pool->threads() < 2 || n <= grain) return work(0, n);
  // Smaller and smaller pieces, so that nobody waits long for the last one.
  const std::int64_t threads = pool->threads(),
                     least = std::max({std::int64_t{1}, grain, n / (threads * 16)}),
                     most = std::max(grain, (n + threads * 4 - 1) / (threads * 4));
  std::vector<std::int64_t> ends;
  for (std::int64_t done = 0; done < n; ends.push_back(done))
    done += std::min(n - done, std::clamp((n - done) / (threads * 2), least, most));
  pool->parallel_for(ends.size(), 1, [&](std::size_t i, std::size_t, int) {
    try {
      work(i == 0 ? 0 : ends[i - 1], ends[i]);
    } catch (const std::exception&) {  // it must not leave a thread of the pool
      machine.out_of_memory = true;
    }
  });
}

bool Call::wants(std::size_t i) const {
  return i < node.outputs.size() && node.outputs[i] != absent;
}

const Tensor* Call::tensor_or_null(std::size_t i) const {
  return has(i) && inputs[i]->kind == Value::Kind::tensor ? &inputs[i]->tensor : nullptr;
}

Result<const Tensor*> Call::tensor(std::size_t i) const {
  if (!has(i)) return invalid(fmt::format("input {}: absent", i));
  const Tensor* found = tensor_or_null(i);
  if (found == nullptr) return invalid(fmt::format("input {}: needs a tensor", i));
  return found;
}

Result<const Tensor*> Call::typed(std::size_t i, Element type) const {
  const Tensor* found = TRY(tensor(i));
  if (found->type != type)
    return invalid(fmt::format("input {}: {}; needs {}", i, name_of(found->type), name_of(type)));
  return found;
}

Result<std::vector<std::int64_t>> Call::integers(std::size_t i) const {
  const Tensor* found = TRY(tensor(i));
  if (!is_integer(found->type) && found->type != Element::boolean)
    return invalid(fmt::format("input {}: {}; needs integers", i, name_of(found->type)));
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(found->count));
  load(Work::i64, numbers.data(), found->type, found->bytes, numbers.size());
  return numbers;
}

Result<std::vector<double>> Call::reals(std::size_t i) const {
  const Tensor* found = TRY(tensor(i));
  std::vector<double> numbers(static_cast<std::size_t>(found->count));
  load(Work::f64, numbers.data(), found->type, found->bytes, numbers.size());
  return numbers;
}

Result<std::int64_t> Call::integer_input(std::size_t i, std::int64_t fallback) const {
  if (!has(i)) return fallback;
  const auto numbers = TRY(integers(i));
  if (numbers.size() != 1)
    return invalid(fmt::format("input {}: {} numbers; needs one", i, numbers.size()));
  return numbers[0];
}

namespace {

template <typename T>
const T* attribute(const Node& node, std::string_view name) {
  const auto found = node.attributes.find(name);
  return found == node.attributes.end() ? nullptr : std::get_if<T>(&found->second);
}

template <typename T>
const T& attribute_or_empty(const Node& node, std::string_view name) {
  static const T empty{};
  const T* found = attribute<T>(node, name);
  return found == nullptr ? empty : *found;
}

}  // namespace

std::int64_t Call::integer(std::string_view name, std::int64_t fallback) const {
  const auto* found = attribute<std::int64_t>(node, name);
  return found == nullptr ? fallback : *found;
}
double Call::real(std::string_view name, double fallback) const {
  const auto* found = attribute<double>(node, name);
  return found == nullptr ? fallback : *found;
}
std::string_view Call::text(std::string_view name, std::string_view fallback) const {
  const auto* found = attribute<std::string>(node, name);
  return found == nullptr ? fallback : std::string_view(*found);
}
const std::vector<std::int64_t>& Call::list(std::string_view name) const {
  return attribute_or_empty<std::vector<std::int64_t>>(node, name);
}
const std::vector<double>& Call::reals_of(std::string_view name) const {
  return attribute_or_empty<std::vector<double>>(node, name);
}
const std::vector<std::string>& Call::texts_of(std::string_view name) const {
  return attribute_or_empty<std::vector<std::string>>(node, name);
}
const Tensor* Call::tensor_of(std::string_view name) const { return attribute<Tensor>(node, name); }

Result<Tensor> Call::scratch(Element type, Dims dims) {
  Tensor made = TRY(make_tensor(*machine.buffers, type, std::move(dims)));
  if (type == Element::text) made.strings = machine.strings;
  return made;
}

Result<Tensor*> Call::make(std::size_t i, Element type, Dims dims) {
  Tensor made = TRY(scratch(type, std::move(dims)));
  if (i >= outputs.size()) return invalid(fmt::format("output {}: the node has none", i));
  outputs[i] = Value(std::move(made));
  return &outputs[i].tensor;
}

void Call::give(std::size_t i, Value value) {
  if (i < outputs.size()) outputs[i] = std::move(value);
}

Result<std::size_t> checked_axis(std::int64_t axis, std::size_t rank) {
  const auto axes = static_cast<std::int64_t>(rank);
  if (axis < -axes || axis >= axes)
    return invalid(fmt::format("axis {}: outside a rank of {}", axis, rank));
  return static_cast<std::size_t>(axis < 0 ? axis + axes : axis);
}

Result<std::vector<std::size_t>> checked_axes(std::span<const std::int64_t> axes,
                                              std::size_t rank) {
  std::vector<std::size_t> result;
  for (const std::int64_t axis : axes) {
    const std::size_t place = TRY(checked_axis(axis, rank));
    if (std::ranges::find(result, place) != result.end())
      return invalid(fmt::format("axis {}: twice", axis));
    result.push_back(place);
  }
  return result;
}

std::int64_t product(std::span<const std::int64_t> extents) {
  std::int64_t result = 1;
  for (const std::int64_t extent : extents) result *= extent;
  return result;
}

Dims strides_of(const Dims& dims) {
  Dims strides(dims.size());
  std::int64_t step = 1;
  for (std::size_t i = dims.size(); i-- > 0;) {
    strides[i] = step;
    step *= dims[i];
  }
  return strides;
}

Result<Dims> broadcast(const Dims& a, const Dims& b) {
  Dims result(std::max(a.size(), b.size()));
  for (std::size_t i = 0; i < result.size(); ++i) {
    const std::int64_t from_a = i < a.size() ? a[a.size() - 1 - i] : 1;
    const std::int64_t from_b = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (from_a != from_b && from_a != 1 && from_b != 1)
      return invalid(fmt::format("shapes {} and {} do not broadcast", to_text(a), to_text(b)));
    result[result.size() - 1 - i] = from_a == 1 ? from_b : from_a;
  }
  return result;
}

namespace {

template <typename T>
constexpr Work work_for = std::is_same_v<T, float>    ? Work::f32
                          : std::is_same_v<T, double> ? Work::f64
                                                      : Work::i64;
template <typename T>
constexpr Element element_for = std::is_same_v<T, float>    ? Element::f32
                                : std::is_same_v<T, double> ? Element::f64
                                                            : Element::i64;

}  // namespace

template <typename T>
Numbers<T>::Numbers(const Tensor& tensor) : size_(static_cast<std::size_t>(tensor.count)) {
  if (tensor.type == element_for<T>) {
    at_ = tensor.data<T>();
    return;
  }
  own_.resize(size_);
  load(work_for<T>, own_.data(), tensor.type, tensor.bytes, size_);
  at_ = own_.data();
}
template class Numbers<float>;
template class Numbers<double>;
template class Numbers<std::int64_t>;

template <typename T>
void put(Tensor& tensor, std::span<const T> numbers) {
  const auto n = std::min(numbers.size(), static_cast<std::size_t>(tensor.count));
  store(tensor.type, tensor.bytes, work_for<T>, numbers.data(), n);
}
template void put(Tensor&, std::span<const float>);
template void put(Tensor&, std::span<const double>);
template void put(Tensor&, std::span<const std::int64_t>);

}  // namespace hearth::graphs
