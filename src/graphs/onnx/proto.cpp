#include "graphs/onnx/proto.h"

#include <fmt/core.h>

namespace hearth::graphs::onnx {
namespace {

constexpr std::size_t most_nodes = 1u << 20;

Result<Bytes> message(const WireField& field, std::string_view what) {
  if (field.type != 2)
    return Error(ErrorKind::corrupt, fmt::format("{}: wire type {}", what, field.type));
  return field.bytes;
}

Result<std::pair<std::string_view, std::string_view>> read_pair(Bytes bytes) {
  std::pair<std::string_view, std::string_view> pair;
  WireMessage in(bytes);
  for (WireField f; TRY(in.next(f));) {
    if (f.number == 1) pair.first = f.text();
    if (f.number == 2) pair.second = f.text();
  }
  return pair;
}

Result<RawAttribute> read_attribute(Bytes bytes) {
  RawAttribute a;
  WireMessage in(bytes);
  for (WireField f; TRY(in.next(f));) {
    switch (f.number) {
      case 1:
        a.name = f.text();
        break;
      case 2:
        a.f = f.real();
        break;
      case 3:
        a.i = f.integer();
        break;
      case 4:
        a.s = f.text();
        break;
      case 5:
        a.tensor = TRY(message(f, "t"));
        break;
      case 6:
        a.graph = TRY(message(f, "g"));
        break;
      case 7:
        TRY(append_floats(a.floats, f));
        break;
      case 8:
        TRY(append_varints(a.ints, f));
        break;
      case 9:
        a.strings.push_back(f.text());
        break;
      case 10:
        a.tensors.push_back(TRY(message(f, "tensors")));
        break;
      case 11:
        a.graphs.push_back(TRY(message(f, "graphs")));
        break;
      case 20:
        a.type = f.integer();
        break;
      case 21:
        a.ref = f.text();
        break;
      case 22:
        a.sparse = TRY(message(f, "sparse_tensor"));
        break;
      default:
        break;
    }
  }
  if (a.type == 0 && a.ref.empty()) {  // IR before 2019 leaves it out
    a.type = !a.floats.empty()         ? 6
             : !a.ints.empty()         ? 7
             : !a.strings.empty()      ? 8
             : !a.tensor.bytes.empty() ? 4
             : !a.graph.bytes.empty()  ? 5
             : !a.s.empty()            ? 3
             : a.f != 0                ? 1
                                       : 2;
  }
  return a;
}

Result<RawNode> read_node(Bytes bytes) {
  RawNode node;
  WireMessage in(bytes);
  for (WireField f; TRY(in.next(f));) {
    switch (f.number) {
      case 1:
        node.inputs.push_back(f.text());
        break;
      case 2:
        node.outputs.push_back(f.text());
        break;
      case 3:
        node.name = f.text();
        break;
      case 4:
        node.op_type = f.text();
        break;
      case 5:
        node.attributes.push_back(TRY(read_attribute(TRY(message(f, "attribute")))));
        break;
      case 7:
        node.domain = f.text();
        break;
      case 8:
        node.overload = f.text();
        break;
      default:
        break;
    }
  }
  if (node.domain == "ai.onnx") node.domain = "";
  return node;
}

Status read_version(Versions& versions, Bytes bytes) {
  std::string domain;
  std::int64_t version = 0;
  WireMessage in(bytes);
  for (WireField f; TRY(in.next(f));) {
    if (f.number == 1) domain = f.text();
    if (f.number == 2) version = f.integer();
  }
  if (domain == "ai.onnx") domain.clear();
  versions[domain] = version;
  return Done{};
}

Result<RawFunction> read_function(Bytes bytes) {
  RawFunction function;
  WireMessage in(bytes);
  for (WireField f; TRY(in.next(f));) {
    switch (f.number) {
      case 1:
        function.name = f.text();
        break;
      case 4:
        function.inputs.push_back(f.text());
        break;
      case 5:
        function.outputs.push_back(f.text());
        break;
      case 7:
        function.nodes.push_back(TRY(read_node(TRY(message(f, "node")))));
        break;
      case 9:
        TRY(read_version(function.versions, TRY(message(f, "opset_import"))));
        break;
      case 10:
        function.domain = f.text();
        break;
      case 11:
        function.defaults.push_back(TRY(read_attribute(TRY(message(f, "attribute_proto")))));
        break;
      case 13:
        function.overload = f.text();
        break;
      default:
        break;
    }
  }
  if (function.domain == "ai.onnx") function.domain = "";
  return function;
}

Result<Extent> read_extent(Bytes bytes) {
  Extent extent;
  WireMessage in(bytes);
  for (WireField f; TRY(in.next(f));) {
    if (f.number == 1 && f.integer() >= 0) extent.value = f.integer();
    if (f.number == 2) extent.name = f.text();
  }
  return extent;
}

Status read_tensor_type(ValueInfo& info, Bytes bytes) {
  WireMessage in(bytes);
  for (WireField f; TRY(in.next(f));) {
    if (f.number == 1) info.type = element_of(f.integer());
    if (f.number != 2) continue;
    info.has_shape = true;
    WireMessage shape(TRY(message(f, "shape")));
    for (WireField dim; TRY(shape.next(dim));)
      if (dim.number == 1) info.shape.push_back(TRY(read_extent(TRY(message(dim, "dim")))));
    if (info.shape.size() > max_rank)
      return Error(ErrorKind::corrupt, fmt::format("{} axes", info.shape.size()));
  }
  return Done{};
}

Status read_type(ValueInfo& info, Bytes bytes) {
  WireMessage in(bytes);
  for (WireField f; TRY(in.next(f));) {
    switch (f.number) {
      case 1:
        TRY(read_tensor_type(info, TRY(message(f, "tensor_type"))));
        break;
      case 4:
        info.kind = Value::Kind::sequence;
        break;
      case 5:
        info.kind = Value::Kind::map;
        break;
      case 9:
        info.kind = Value::Kind::nothing;
        break;  // an optional: what it holds shows in a run
      default:
        break;
    }
  }
  return Done{};
}

}  // namespace

Element element_of(std::int64_t data_type) {
  constexpr Element types[] = {
      Element::none,       Element::f32,  Element::u8,       Element::i8,         Element::u16,
      Element::i16,        Element::i32,  Element::i64,      Element::text,       Element::boolean,
      Element::f16,        Element::f64,  Element::u32,      Element::u64,        Element::c64,
      Element::c128,       Element::bf16, Element::f8e4m3fn, Element::f8e4m3fnuz, Element::f8e5m2,
      Element::f8e5m2fnuz, Element::u4,   Element::i4,       Element::f4e2m1,     Element::f8e8m0,
      Element::u2,         Element::i2};
  return data_type > 0 && data_type < 27 ? types[data_type] : Element::none;
}

Result<ValueInfo> read_value_info(Bytes bytes) {
  ValueInfo info;
  WireMessage in(bytes);
  for (WireField f; TRY(in.next(f));) {
    if (f.number == 1) info.name = f.text();
    if (f.number == 2) TRY(read_type(info, TRY(message(f, "type"))));
  }
  return info;
}

Result<RawGraph> read_graph(Bytes bytes) {
  RawGraph graph;
  WireMessage in(bytes);
  for (WireField f; TRY(in.next(f));) {
    switch (f.number) {
      case 1:
        graph.nodes.push_back(TRY(read_node(TRY(message(f, "node")))));
        break;
      case 2:
        graph.name = f.text();
        break;
      case 5:
        graph.initializers.push_back(TRY(message(f, "initializer")));
        break;
      case 11:
        graph.inputs.push_back(TRY(read_value_info(TRY(message(f, "input")))));
        break;
      case 12:
        graph.outputs.push_back(TRY(read_value_info(TRY(message(f, "output")))));
        break;
      case 13:
        graph.infos.push_back(TRY(read_value_info(TRY(message(f, "value_info")))));
        break;
      case 15:
        graph.sparse_initializers.push_back(TRY(message(f, "sparse_initializer")));
        break;
      default:
        break;
    }
    if (graph.nodes.size() > most_nodes)
      return Error(ErrorKind::exhausted, fmt::format("over {} nodes", most_nodes));
  }
  return graph;
}

Result<RawModel> read_model(Bytes bytes) {
  RawModel model;
  WireMessage in(bytes);
  for (WireField f; TRY(in.next(f));) {
    switch (f.number) {
      case 1:
        model.ir_version = f.integer();
        break;
      case 2:
        model.producer = f.text();
        break;
      case 3:
        model.producer_version = f.text();
        break;
      case 5:
        model.model_version = f.integer();
        break;
      case 6:
        model.description = f.text();
        break;
      case 7:
        model.graph = TRY(message(f, "graph"));
        model.has_graph = true;
        break;
      case 8:
        TRY(read_version(model.versions, TRY(message(f, "opset_import"))));
        break;
      case 14: {
        const auto pair = TRY(read_pair(TRY(message(f, "metadata_props"))));
        model.metadata.emplace(pair.first, pair.second);
        break;
      }
      case 20:
        model.has_training = true;
        break;
      case 25:
        model.functions.push_back(TRY(read_function(TRY(message(f, "functions")))));
        break;
      default:
        break;
    }
  }
  if (!model.has_graph) return Error(ErrorKind::corrupt, "an ONNX model without a graph");
  return model;
}

}  // namespace hearth::graphs::onnx
