// Classifiers that ask the nearest of their samples.
// Source: Core ML Tools, NearestNeighbors.proto.
#include <fmt/core.h>

#include <algorithm>

#include "graphs/coreml/assembly.h"

namespace hearth::graphs::coreml {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

// NearestNeighborsIndex: 1 dimensions, 2 samples, 100 and 110 how they were searched.  [n, width]
Result<Tensor> read_samples(const Fields& index) {
  constexpr std::int64_t most_numbers = 1 << 28;
  const std::int64_t width = index.integer(1);
  const auto samples = index.messages(2);
  const auto n = static_cast<std::int64_t>(samples.size());
  if (width < 1 || width > most_numbers / std::max<std::int64_t>(n, 1))
    return corrupt(fmt::format("{} samples of {} numbers", n, width));
  for (const Bytes bytes : samples)
    if (bytes.size() / sizeof(float) < static_cast<std::size_t>(width))
      return corrupt(fmt::format("a sample of {} bytes for {} numbers", bytes.size(), width));
  Tensor all = TRY(make_tensor(Element::f32, {n, width}));
  float* to = all.data<float>();
  for (const Bytes bytes : samples) {
    const Fields sample = TRY(Fields::of(bytes));
    const auto numbers = TRY(sample.floats(1));
    if (static_cast<std::int64_t>(numbers.size()) != width)
      return corrupt(fmt::format("a sample of {} numbers for {}", numbers.size(), width));
    to = std::ranges::copy(numbers, to).out;
  }
  return all;
}

// The classes in their order, and which one each sample is of.
struct Sorted {
  Tensor labels;
  std::vector<std::int64_t> of_sample;
};

template <typename T>
std::vector<T> sorted_once(std::vector<T> values) {
  std::ranges::sort(values);
  const auto rest = std::ranges::unique(values);
  values.erase(rest.begin(), rest.end());
  return values;
}

template <typename T>
void place(const std::vector<T>& each, const std::vector<T>& classes, Sorted& made) {
  for (const T& label : each)
    made.of_sample.push_back(std::ranges::lower_bound(classes, label) - classes.begin());
}

Result<Sorted> classes_of(const Tensor& labels) {
  Sorted made;
  if (labels.type == Element::text) {
    std::vector<std::string> each;
    for (std::int64_t i = 0; i < labels.count; ++i) each.emplace_back(labels.text(i));
    const auto classes = sorted_once(each);
    made.labels = TRY(make_tensor(Element::text, {static_cast<std::int64_t>(classes.size())}));
    for (std::size_t i = 0; i < classes.size(); ++i)
      made.labels.data<const std::string*>()[i] = made.labels.strings->add(classes[i]);
    place(each, classes, made);
    return made;
  }
  const std::int64_t* from = labels.data<std::int64_t>();
  const std::vector<std::int64_t> each(from, from + labels.count);
  const auto classes = sorted_once(each);
  made.labels = TRY(make_tensor(Element::i64, {static_cast<std::int64_t>(classes.size())}));
  std::ranges::copy(classes, made.labels.data<std::int64_t>());
  place(each, classes, made);
  return made;
}

// A classifier without samples: the label it falls back on.
Result<Tensor> default_label(const Fields& f) {
  Tensor label = TRY(make_tensor(f.has(110) ? Element::text : Element::i64, {1}));
  if (f.has(110))
    label.data<const std::string*>()[0] = label.strings->add(std::string(f.text(110)));
  else
    label.data<std::int64_t>()[0] = f.integer(111);
  return label;
}

}  // namespace

// KNearestNeighborsClassifier: 1 the samples, 3 how many are asked, 100 and 101 a label of each,
// 110 and 111 the label of none, 200 all count the same, 210 by 1 / squared distance.
Status add_neighbours(Assembly& at, const Model& model) {
  if (model.description.inputs.size() != 1)
    return corrupt(fmt::format("{} inputs; needs one", model.description.inputs.size()));
  const Fields f = TRY(Fields::of(model.body));
  const Fields index = TRY(f.message(1)), wanted = TRY(f.message(3));
  const Tensor samples = TRY(read_samples(index)), labels = TRY(read_labels(f, 100, 101));
  const std::int64_t n = samples.dims[0];
  if (labels.count != n) return corrupt(fmt::format("{} labels for {} samples", labels.count, n));
  Emitter& b = at.b;
  if (n == 0) {
    const ValueId sure = b.emit("Reshape", {b.scalar(1), b.integers({1, 1})});
    return give_classes(at, model, sure, TRY(default_label(f)));
  }
  const Sorted classes = TRY(classes_of(labels));
  const ValueId x = TRY(at.feature(model.description.inputs[0].name, Element::f32));
  const ValueId row = b.emit("Reshape", {x, b.integers({1, samples.dims[1]})});
  const ValueId apart = b.emit("hearth.Square", {b.emit("Sub", {b.constant(samples), row})});
  const ValueId distances =
      b.emit("ReduceSum", {apart, b.integers({1})}, {{"keepdims", std::int64_t{0}}});
  const std::int64_t k = std::clamp<std::int64_t>(wanted.integer(1), 1, n);
  const auto nearest =
      b.emit_many("TopK", {distances, b.integers({k})}, 2, {{"largest", std::int64_t{0}}});
  const ValueId chosen = b.emit("Gather", {b.integers(classes.of_sample), nearest[1]});
  const ValueId no_or_yes = b.emit("Concat",
                                   {b.emit("Reshape", {b.scalar(0), b.integers({1})}),
                                    b.emit("Reshape", {b.scalar(1), b.integers({1})})},
                                   {{"axis", std::int64_t{0}}});
  ValueId votes = b.emit("OneHot", {chosen, b.integer(classes.labels.count), no_or_yes});
  if (f.has(210)) {  // a sample at no distance outweighs the rest
    const ValueId far = b.emit("Max", {nearest[0], b.scalar(1e-30f)});
    votes = b.emit("Div", {votes, b.emit("Reshape", {far, b.integers({-1, 1})})});
  }
  const ValueId sums = b.emit("ReduceSum", {votes, b.integers({0})});
  const ValueId all = b.emit("ReduceSum", {sums});
  return give_classes(at, model, b.emit("Div", {sums, all}), classes.labels);
}

}  // namespace hearth::graphs::coreml
