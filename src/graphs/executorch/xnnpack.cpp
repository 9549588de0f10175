#include "graphs/executorch/xnnpack.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>

#include "base/utf8.h"
#include "graphs/borrowed.h"
#include "graphs/call.h"

namespace hearth::graphs::executorch {
namespace {

template <typename T>
T number_at(Bytes bytes, std::size_t at) {
  T value{};
  if (at <= bytes.size() && bytes.size() - at >= sizeof value)
    std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

bool has_mark(Bytes bytes, std::string_view mark) {
  return bytes.size() >= 4 + mark.size() &&
         std::memcmp(bytes.data() + 4, mark.data(), mark.size()) == 0;
}

Result<Bytes> within(Bytes bytes, std::uint64_t offset, std::uint64_t size, std::string_view what) {
  if (offset > bytes.size() || size > bytes.size() - offset)
    return corrupt(
        fmt::format("{}: {} bytes at {}, outside the {} bytes", what, size, offset, bytes.size()));
  return bytes.subspan(offset, size);
}

// Constants lie in the flatbuffer itself, in a part behind it, or under a name in the program.
Result<std::vector<Bytes>> read_constants(const File& file, const FlatTable& graph, Bytes behind) {
  std::vector<Bytes> data;
  for (const FlatTable& each : TRY(graph.tables(6))) data.push_back(TRY(each.bytes(0)));
  const auto offsets = TRY(graph.tables(8));
  if (!offsets.empty()) data.clear();
  for (const FlatTable& each : offsets) {
    const std::string_view key = TRY(each.text(2));
    const auto offset = each.number<std::uint64_t>(0, 0), size = each.number<std::uint64_t>(1, 0);
    if (!key.empty())
      data.push_back(TRY(within(TRY(file.named(key)), 0, size, "named data")));
    else
      data.push_back(TRY(within(behind, offset, size, "constant data")));
  }
  return data;
}

}  // namespace

Status XnnGraph::read_scales(const FlatTable& params, const std::vector<Bytes>& data, bool half,
                             XnnTensor& tensor) {
  tensor.scales = TRY(params.numbers<float>(0));
  if (half && tensor.scales.empty())
    for (const std::uint16_t each : TRY(params.numbers<std::uint16_t>(3)))
      tensor.scales.push_back(std::bit_cast<float>(std::uint32_t{each} << 16));
  if (!tensor.scales.empty()) return Done{};
  const auto index = params.number<std::uint32_t>(half ? 4 : 2, 0),
             count = params.number<std::uint32_t>(half ? 5 : 3, 0);
  if (index >= data.size()) return corrupt(fmt::format("scales {} of {}", index, data.size()));
  const Bytes bytes = TRY(within(data[index], 0, std::uint64_t{count} * (half ? 2 : 4), "scales"));
  for (std::size_t i = 0; i < count; ++i)
    tensor.scales.push_back(
        half ? std::bit_cast<float>(std::uint32_t{number_at<std::uint16_t>(bytes, 2 * i)} << 16)
             : number_at<float>(bytes, 4 * i));
  return Done{};
}

Status XnnGraph::read_tensor(const FlatTable& table, const std::vector<Bytes>& data) {
  const FlatTable value = TRY(table.table(1));
  const bool is_quantised = table.number<std::uint8_t>(0, 0) == 2;
  const FlatTable t = is_quantised ? TRY(value.table(0)) : value;
  XnnTensor made;
  for (const std::uint32_t extent : TRY(t.numbers<std::uint32_t>(2))) made.dims.push_back(extent);
  if (made.dims.size() > max_rank) return corrupt(fmt::format("{} axes", made.dims.size()));
  TRY(count_of(made.dims));
  const auto index = t.number<std::uint32_t>(3, 0);
  if (index >= data.size() && index != 0)
    return corrupt(fmt::format("constant {} of {}", index, data.size()));
  if (index != 0) made.constant = data[index];
  made.external = t.number<std::uint32_t>(4, 0);
  const auto id = t.number<std::uint32_t>(6, 0);
  if (id != tensors.size())
    return corrupt(fmt::format("tensor {} in place {}", id, tensors.size()));
  const auto type = t.number<std::int16_t>(0, 0);
  const FlatTable params = is_quantised ? TRY(value.table(2)) : FlatTable();
  if (is_quantised && value.number<std::uint8_t>(1, 0) == 2) {
    made.scale = params.number<float>(0, 0);
    made.zero = params.number<std::int32_t>(1, 0);
  }
  const bool is_whole = type == 5 || type == 7;
  switch (type) {
    case 1:
    case 13:
      break;
    case 2:
      made.type = Element::f16;
      break;
    case 14:
      made.type = Element::bf16;
      break;
    case 12:
      made.type = Element::i32;
      break;
    case 3:
    case 4:
    case 5:
      made.type = type == 3 ? Element::i8 : type == 4 ? Element::u8 : Element::i32;
      made.store = XnnTensor::Store::bytes;
      break;
    case 6:
    case 7:
      made.type = is_whole ? Element::i32 : Element::i8;
      made.store = XnnTensor::Store::channels;
      break;
    case 8:
      made.store = XnnTensor::Store::four_bits;
      break;
    case 9:
    case 11:
      made.store = XnnTensor::Store::rows;
      made.row_axes = std::max(1, params.number<std::int32_t>(0, 1));
      break;
    case 10:
      made.store = XnnTensor::Store::four_bit_groups;
      made.group = params.number<std::int32_t>(2, 0);
      break;
    default:
      return Error(ErrorKind::unsupported, fmt::format("a tensor of data type {}", type));
  }
  using Store = XnnTensor::Store;
  if (made.store == Store::channels || made.store == Store::four_bits ||
      made.store == Store::four_bit_groups) {
    made.axis = params.number<std::int32_t>(1, 0);
    TRY(read_scales(params, data, made.store == Store::four_bit_groups, made));
    if (made.axis < 0 || static_cast<std::size_t>(made.axis) >= made.dims.size())
      return corrupt(fmt::format("channels along axis {}", made.axis));
  }
  tensors.push_back(std::move(made));
  return Done{};
}

Result<XnnGraph> XnnGraph::read(const File& file, Bytes payload) {
  Bytes tables = payload, behind;
  if (has_mark(payload, "XH00")) {
    tables = TRY(within(payload, number_at<std::uint32_t>(payload, 10),
                        number_at<std::uint32_t>(payload, 14), "the graph"));
    behind = TRY(within(payload, number_at<std::uint32_t>(payload, 18),
                        number_at<std::uint64_t>(payload, 22), "the constants"));
  }
  if (!has_mark(tables, "XN00") && !has_mark(tables, "XN01"))
    return Error(ErrorKind::unsupported, "a payload of another version than XN00 and XN01");
  const FlatTable root = TRY(FlatTable::root(tables));
  const auto data = TRY(read_constants(file, root, behind));
  XnnGraph graph;
  for (const FlatTable& each : TRY(root.tables(2))) {
    auto read = graph.read_tensor(each, data);
    if (!read)
      return std::move(read).error().within(fmt::format("tensor {}", graph.tensors.size()));
  }
  graph.nodes = TRY(root.tables(1));
  graph.inputs = TRY(root.numbers<std::uint32_t>(4));
  graph.outputs = TRY(root.numbers<std::uint32_t>(5));
  return graph;
}

Result<XnnTensor*> XnnGraph::tensor(std::uint32_t id) {
  if (id >= tensors.size()) return corrupt(fmt::format("tensor {} of {}", id, tensors.size()));
  return &tensors[id];
}

// What a constant's bytes are; of four bits whole numbers from -8 on.
Result<Tensor> XnnGraph::as_tensor(const XnnTensor& t) const {
  using Store = XnnTensor::Store;
  const std::int64_t count = TRY(count_of(t.dims));
  if (t.store != Store::four_bits && t.store != Store::four_bit_groups) {
    const std::uint64_t needed = static_cast<std::uint64_t>(count) * size_of(t.type);
    const Bytes bytes = TRY(within(t.constant, 0, needed, "a constant"));
    if (is_aligned(bytes, size_of(t.type)))
      return borrowed(t.type, t.dims, count, bytes, flow->file().files().front());
    Tensor tensor = TRY(make_tensor(t.type, t.dims));
    if (needed > 0) std::memcpy(tensor.bytes, bytes.data(), needed);
    return tensor;
  }
  const std::int64_t width = t.dims.empty() ? 1 : t.dims.back(), row = (width + 1) / 2;
  const std::int64_t rows = width == 0 ? 0 : count / width;
  const Bytes bytes = TRY(within(t.constant, 0, static_cast<std::uint64_t>(rows * row), "weights"));
  Tensor tensor = TRY(make_tensor(Element::i8, t.dims));
  for (std::int64_t i = 0; i < count; ++i) {
    const auto both =
        std::to_integer<unsigned>(bytes[static_cast<std::size_t>(i / width * row + i % width / 2)]);
    tensor.data<std::int8_t>()[i] =
        static_cast<std::int8_t>(static_cast<int>(both >> (i % width % 2 * 4) & 15) - 8);
  }
  return tensor;
}

Result<ValueId> XnnGraph::stored(std::uint32_t id) {
  XnnTensor* t = TRY(tensor(id));
  if (t->stored == absent && !t->constant.empty()) t->stored = b->constant(TRY(as_tensor(*t)));
  if (t->stored == absent) return corrupt(fmt::format("tensor {}: read before it is written", id));
  return t->stored;
}

Result<ValueId> XnnGraph::real(std::uint32_t id) {
  XnnTensor* t = TRY(tensor(id));
  if (t->real != absent) return t->real;
  using Store = XnnTensor::Store;
  switch (t->store) {
    case Store::real:
      t->real = TRY(stored(id));
      if (t->type != Element::f32) t->real = b->cast(t->real, Element::f32);
      return t->real;
    case Store::bytes:
      t->real = TRY(dequantise(*b, TRY(stored(id)), t->scale, t->zero, t->type));
      return t->real;
    case Store::rows:
      return corrupt(fmt::format("tensor {}: read before it is written", id));
    default: {
      Ints order(t->dims.size());
      for (std::size_t k = 0; k < order.size(); ++k) order[k] = static_cast<std::int64_t>(k);
      t->real = TRY(weights(id, order));
      return t->real;
    }
  }
}

Result<ValueId> XnnGraph::weights(std::uint32_t id, const Ints& order) {
  XnnTensor* t = TRY(tensor(id));
  using Store = XnnTensor::Store;
  if (t->constant.empty() || t->store == Store::real) return b->transposed(TRY(real(id)), order);
  const ValueId whole = TRY(stored(id));
  const std::size_t rank = t->dims.size();
  if (order.size() != rank) return corrupt(fmt::format("tensor {}: {} axes", id, rank));
  if (t->store == Store::four_bit_groups) {
    if (rank != 2 || t->group < 1 || t->dims[1] % t->group != 0 ||
        static_cast<std::int64_t>(t->scales.size()) != t->dims[0] * (t->dims[1] / t->group))
      return corrupt(fmt::format("tensor {}: groups of {}", id, t->group));
    Tensor scale = TRY(make_tensor(Element::f32, {t->dims[0], t->dims[1] / t->group, 1}));
    std::ranges::copy(t->scales, scale.data<float>());
    const ValueId apart = b->emit(
        "Reshape",
        {b->cast(whole, Element::f32), b->integers({t->dims[0], t->dims[1] / t->group, t->group})});
    const ValueId y = b->emit("Mul", {apart, b->constant(std::move(scale))});
    return b->transposed(b->emit("Reshape", {y, b->integers(t->dims)}), order);
  }
  if (t->store == Store::bytes)
    return dequantise(*b, b->transposed(whole, order), t->scale, t->zero, t->type);
  const auto channels = static_cast<std::int64_t>(t->scales.size());
  if (t->dims[static_cast<std::size_t>(t->axis)] != channels)
    return corrupt(fmt::format("tensor {}: {} scales", id, channels));
  Tensor scale = TRY(make_tensor(Element::f32, {channels}));
  std::ranges::copy(t->scales, scale.data<float>());
  Tensor zero = TRY(make_tensor(t->type == Element::i32 ? Element::i32 : Element::i8, {channels}));
  std::memset(zero.bytes, 0, zero.byte_count());
  const auto axis = std::ranges::find(order, t->axis) - order.begin();
  return b->emit(
      "DequantizeLinear",
      {b->transposed(whole, order), b->constant(std::move(scale)), b->constant(std::move(zero))},
      {{"axis", static_cast<std::int64_t>(axis)}});
}

Status XnnGraph::give_stored(std::uint32_t id, ValueId value) {
  XnnTensor* t = TRY(tensor(id));
  if (t->stored != absent || t->real != absent || !t->constant.empty())
    return corrupt(fmt::format("tensor {}: written twice", id));
  t->stored = value;
  return Done{};
}

Status XnnGraph::give_real(std::uint32_t id, ValueId value) {
  XnnTensor* t = TRY(tensor(id));
  using Store = XnnTensor::Store;
  if (t->store == Store::bytes)
    return give_stored(id,
                       TRY(quantise(*b, value, t->scale, t->zero, levels_of(t->type), t->type)));
  if (t->store == Store::real)
    return give_stored(id, t->type == Element::f32 ? value : b->cast(value, t->type));
  if (t->store != Store::rows)
    return Error(ErrorKind::unsupported, fmt::format("tensor {}: computed weights", id));
  if (t->stored != absent || t->real != absent)
    return corrupt(fmt::format("tensor {}: written twice", id));
  t->real = b->emit("hearth.RoundRows", {value}, {{"axes", t->row_axes}});
  return Done{};
}

namespace {

// The argument that an external tensor is.
Result<std::int32_t> argument_of(const XnnTensor& t, const std::vector<std::int32_t>& args) {
  if (t.external >= args.size())
    return corrupt(fmt::format("external tensor {} of {}", t.external, args.size()));
  return args[t.external];
}

}  // namespace

// Tensors come and go as they lie in memory: with their axes in that order.
Status add_xnnpack(Flow& flow, Bytes payload, const std::vector<std::int32_t>& args) {
  XnnGraph graph = TRY(XnnGraph::read(flow.file(), payload));
  graph.b = &flow.b();
  graph.flow = &flow;
  for (const std::uint32_t id : graph.inputs) {
    const std::int32_t index = TRY(argument_of(*TRY(graph.tensor(id)), args));
    const TensorSpec* spec = TRY(flow.spec(index));
    ValueId value = TRY(flow.read(index));
    if (!spec->order.empty())
      value = flow.b().transposed(value, Ints(spec->order.begin(), spec->order.end()));
    // What has no axes has one here.
    if (spec->dims.empty()) value = flow.b().emit("Reshape", {value, flow.b().integers({1})});
    TRY(graph.give_stored(id, value));
  }
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    auto added = add_node(graph, graph.nodes[i]);
    if (!added) return std::move(added).error().within(fmt::format("node {}", i));
  }
  for (const std::uint32_t id : graph.outputs) {
    const std::int32_t index = TRY(argument_of(*TRY(graph.tensor(id)), args));
    const TensorSpec* spec = TRY(flow.spec(index));
    ValueId value = TRY(graph.stored(id));
    if (!spec->order.empty()) value = flow.b().transposed(value, inverse_of(spec->order));
    if (spec->dims.empty()) value = flow.b().emit("Reshape", {value, flow.b().integers({})});
    if (TRY(graph.tensor(id))->type != spec->type) value = flow.b().cast(value, spec->type);
    TRY(flow.write(index, value));
  }
  return Done{};
}

}  // namespace hearth::graphs::executorch
