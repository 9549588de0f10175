// Source: TFLite, schema.fbs (version 3).
#include "graphs/tflite/import.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/utf8.h"
#include "graphs/borrowed.h"
#include "graphs/tflite/builder.h"

namespace hearth::graphs {
namespace tflite {
namespace {

constexpr std::size_t most_operators = 1u << 20;

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

Element element_of(int type) {
  constexpr Element types[] = {Element::f32, Element::f16,      Element::i32,     Element::u8,
                               Element::i64, Element::text,     Element::boolean, Element::i16,
                               Element::c64, Element::i8,       Element::f64,     Element::c128,
                               Element::u64, Element::none,     Element::none,    Element::u32,
                               Element::u16, Element::i4,       Element::bf16,    Element::i2,
                               Element::u4,  Element::f8e4m3fn, Element::f8e5m2};
  return type >= 0 && type < 23 ? types[type] : Element::none;
}

Result<Tensor> read_constant(const TensorInfo& info, std::span<const std::byte> data,
                             const std::shared_ptr<const void>& owner) {
  const std::int64_t count = TRY(count_of(info.dims));
  const unsigned bits = packed_bits_of(info.type);
  if (info.type == Element::text || info.type == Element::none)
    return Error(ErrorKind::unsupported,
                 fmt::format("constant '{}' of {}", info.name, name_of(info.type)));
  const auto n = static_cast<std::uint64_t>(count);
  const std::uint64_t needed = bits == 0 ? n * size_of(info.type) : (n * bits + 7) / 8;
  if (data.size() != needed)
    return corrupt(fmt::format("tensor '{}': {} bytes for {} {}", info.name, data.size(),
                               name_of(info.type), to_text(info.dims)));
  const std::size_t alignment = std::min<std::size_t>(size_of(info.type), 8);
  if (bits == 0 && is_aligned(data, alignment))
    return borrowed(info.type, info.dims, count, data, owner);
  Tensor tensor = TRY(make_tensor(info.type, info.dims));
  if (bits == 0) {
    std::memcpy(tensor.bytes, data.data(), data.size());
    return tensor;
  }
  const unsigned per_byte = 8 / bits, mask = (1u << bits) - 1;
  for (std::size_t i = 0; i < n; ++i) {
    unsigned code = static_cast<unsigned>(data[i / per_byte]) >> (i % per_byte * bits) & mask;
    if ((info.type == Element::i4 || info.type == Element::i2) && (code >> (bits - 1)) != 0)
      code |= ~mask;
    tensor.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(code);
  }
  return tensor;
}

Result<TensorInfo> read_tensor(const FlatTable& table) {
  TensorInfo info;
  info.name = printable(TRY(table.text(3)), 256);
  info.type = element_of(table.number<std::int8_t>(1, 0));
  const auto shape = TRY(table.numbers<std::int32_t>(0));
  const auto signature = TRY(table.numbers<std::int32_t>(7));
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool open = signature.size() == shape.size() && signature[i] < 0;
    info.is_known = info.is_known && !open;
    info.dims.push_back(open ? -1 : shape[i]);
  }
  if (info.dims.size() > max_rank)
    return corrupt(fmt::format("tensor '{}': {} axes", info.name, info.dims.size()));
  if (table.has(6))
    return Error(ErrorKind::unsupported, fmt::format("tensor '{}': sparse", info.name));
  const FlatTable q = TRY(table.table(4));
  if (!q.exists()) return info;
  info.quantisation.scale = TRY(q.numbers<float>(2));
  info.quantisation.zero = TRY(q.numbers<std::int64_t>(3));
  info.quantisation.axis = q.number<std::int32_t>(6, 0);
  return info;
}

struct Buffers {
  std::span<const std::byte> file;
  std::vector<FlatTable> tables;

  Result<std::span<const std::byte>> at(std::uint32_t index) const {
    if (index >= tables.size())
      return corrupt(fmt::format("buffer {} of {}", index, tables.size()));
    const auto offset = tables[index].number<std::uint64_t>(1, 0),
               size = tables[index].number<std::uint64_t>(2, 0);
    if (offset <= 1) return tables[index].bytes(0);
    if (offset > file.size() || size > file.size() - offset)
      return corrupt(fmt::format("buffer {}: outside the file", index));
    return file.subspan(offset, size);
  }
};

struct Codes {
  std::vector<int> builtin;
  std::vector<std::string> custom;
};

Result<Codes> read_codes(const FlatTable& model) {
  Codes codes;
  for (const FlatTable& code : TRY(model.tables(1))) {
    codes.builtin.push_back(
        std::max<int>(code.number<std::int8_t>(0, 0), code.number<std::int32_t>(3, 0)));
    codes.custom.push_back(printable(TRY(code.text(1))));
  }
  return codes;
}

// A file, and what is being read of it.
struct Model {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
  std::vector<FlatTable> subgraphs;
  Buffers buffers;
  Codes codes;
  std::size_t operators = 0;  // so far, those of subgraphs that are written out among them
  int depth = 0;
};

constexpr int most_depth = 24;

// Scales of blocks lie in a tensor of their own.
Status read_blocks(const Model& model, const FlatTable& subgraph, const FlatTable& table,
                   TensorInfo& info) {
  const FlatTable q = TRY(table.table(4));
  const auto kind = q.exists() ? q.number<std::uint8_t>(4, 0) : std::uint8_t{0};
  if (kind == 0) return Done{};
  const auto refused = [&](std::string_view what) {
    return Error(ErrorKind::unsupported, fmt::format("tensor '{}': {}", info.name, what));
  };
  constexpr std::uint8_t blockwise = 2;
  if (kind != blockwise) return refused("quantised in a way of its own");
  const FlatTable details = TRY(q.table(5));
  const auto tensors = TRY(subgraph.tables(0));
  const auto read = [&](unsigned slot, std::vector<double>& to) -> Status {
    const auto index = details.number<std::int32_t>(slot, slot == 1 ? -1 : 0);
    if (index < 0 || (slot == 1 && index == 0)) return Done{};
    if (static_cast<std::size_t>(index) >= tensors.size())
      return corrupt(fmt::format("tensor {}", index));
    const TensorInfo held = TRY(read_tensor(tensors[static_cast<std::size_t>(index)]));
    const auto data =
        TRY(model.buffers.at(tensors[static_cast<std::size_t>(index)].number<std::uint32_t>(2, 0)));
    const Tensor numbers = TRY(read_constant(held, data, model.owner));
    to.resize(static_cast<std::size_t>(numbers.count));
    load(Work::f64, to.data(), numbers.type, numbers.bytes, to.size());
    return Done{};
  };
  std::vector<double> scales, zeros;
  TRY(read(0, scales));
  TRY(read(1, zeros));
  info.quantisation.scale.assign(scales.begin(), scales.end());
  info.quantisation.zero.assign(zeros.begin(), zeros.end());
  info.quantisation.block = details.number<std::int32_t>(2, 0);
  const std::int64_t block = info.quantisation.block, k = info.dims.empty() ? 0 : info.dims.back();
  const std::int64_t count = TRY(count_of(info.dims));
  if (block < 1 || k % block != 0 || !std::cmp_equal(scales.size(), count / block) ||
      (!zeros.empty() && zeros.size() != scales.size()))
    return refused(
        fmt::format("{} scales for {} in blocks of {}", scales.size(), to_text(info.dims), block));
  return Done{};
}

Status read_tensors(const Model& model, Builder& b, const FlatTable& subgraph) {
  for (const FlatTable& table : TRY(subgraph.tables(0))) {
    TensorInfo info = TRY(read_tensor(table));
    const auto data = TRY(model.buffers.at(table.number<std::uint32_t>(2, 0)));
    if (table.number<std::uint8_t>(5, 0) != 0)
      return Error(ErrorKind::unsupported, fmt::format("tensor '{}': a variable", info.name));
    if (!data.empty()) {
      TRY(read_blocks(model, subgraph, table, info));
      info.constant = TRY(read_constant(info, data, model.owner));
    }
    b.tensors.push_back(std::move(info));
  }
  return Done{};
}

Status read_operators(Model& model, Builder& b, const FlatTable& subgraph);

// A composite does what its decomposition does: that graph is written out in its place.
Status write_out(Model& model, Builder& b, const Operator& op) {
  constexpr unsigned decomposition = 1;
  const auto index =
      static_cast<std::size_t>(op.more_options.number<std::int32_t>(decomposition, -1));
  if (index >= model.subgraphs.size()) return corrupt(fmt::format("graph {}", index));
  if (model.depth >= most_depth)
    return Error(ErrorKind::exhausted, fmt::format("composites nested {} deep", most_depth));
  const FlatTable& subgraph = model.subgraphs[index];
  Builder inner(b.graph);
  TRY(read_tensors(model, inner, subgraph));
  const auto inputs = TRY(subgraph.numbers<std::int32_t>(1)),
             outputs = TRY(subgraph.numbers<std::int32_t>(2));
  if (inputs.size() != op.inputs.size() || outputs.size() != op.outputs.size())
    return corrupt(fmt::format("graph {}: other inputs or outputs than its composite", index));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    TensorInfo* t = TRY(inner.info(inputs[i]));
    t->id = TRY(b.raw(op.inputs[i]));
    t->constant = TRY(b.info(op.inputs[i]))->constant;
  }
  ++model.depth;
  TRY(read_operators(model, inner, subgraph));
  --model.depth;
  for (std::size_t i = 0; i < outputs.size(); ++i)
    TRY(b.give_raw(op.outputs[i], b.emit("Identity", {TRY(inner.raw(outputs[i]))})));
  return Done{};
}

Status read_operators(Model& model, Builder& b, const FlatTable& subgraph) {
  constexpr int custom = 32, composite = 206;
  std::set<std::string> unknown;
  const auto operators = TRY(subgraph.tables(3));
  model.operators += operators.size();
  if (model.operators > most_operators)
    return Error(ErrorKind::exhausted, fmt::format("{} operators", model.operators));
  for (const FlatTable& table : operators) {
    Operator op;
    const auto index = table.number<std::uint32_t>(0, 0);
    if (index >= model.codes.builtin.size()) return corrupt(fmt::format("operator code {}", index));
    op.code = model.codes.builtin[index];
    op.inputs = TRY(table.numbers<std::int32_t>(1));
    op.outputs = TRY(table.numbers<std::int32_t>(2));
    op.options = TRY(table.table(4));
    op.more_options = TRY(table.table(12));
    const std::string name = op.code == custom ? "CUSTOM " + model.codes.custom[index]
                                               : std::string(operator_name(op.code));
    if (!unknown.empty() && op.code == composite) continue;
    auto added = op.code == composite ? write_out(model, b, op) : add_operator(b, op);
    if (added) continue;
    if (added.error().kind() == ErrorKind::unsupported && added.error().message().empty())
      unknown.insert(name);
    else if (unknown.empty())  // otherwise it may only lack what an unknown one would have given
      return std::move(added).error().within(name);
  }
  if (unknown.empty()) return Done{};
  std::string all;
  for (const std::string& name : unknown) all += (all.empty() ? "" : ", ") + name;
  return Error(ErrorKind::unsupported, fmt::format("operators that Hearth does not know: {}", all));
}

// What a signature calls the tensors of its graph.
struct Signature {
  std::string key;
  std::size_t subgraph = 0;
  std::map<std::int64_t, std::string> inputs, outputs;  // by place of the tensor
};

Result<std::vector<Signature>> read_signatures(const FlatTable& model) {
  std::vector<Signature> all;
  for (const FlatTable& table : TRY(model.tables(7))) {
    Signature one;
    one.key = printable(TRY(table.text(2)), 256);
    one.subgraph = table.number<std::uint32_t>(4, 0);
    for (const bool is_input : {true, false})
      for (const FlatTable& map : TRY(table.tables(is_input ? 0 : 1)))
        (is_input ? one.inputs : one.outputs)
            .emplace(map.number<std::uint32_t>(1, 0), printable(TRY(map.text(0)), 256));
    all.push_back(std::move(one));
  }
  return all;
}

std::string keys_of(const std::vector<Signature>& signatures) {
  std::string keys;
  for (const Signature& each : signatures) keys += (keys.empty() ? "" : ", ") + each.key;
  return keys;
}

// The graph of a method, its inputs and outputs by the names that the method gives them.
Status read_graph(Model& model, const Signature& method, Graph& graph) {
  if (method.subgraph >= model.subgraphs.size())
    return corrupt(fmt::format("graph {}", method.subgraph));
  const FlatTable& subgraph = model.subgraphs[method.subgraph];
  graph.name = printable(TRY(subgraph.text(4)));
  Builder b(graph);
  TRY(read_tensors(model, b, subgraph));
  for (const std::int32_t index : TRY(subgraph.numbers<std::int32_t>(1))) {
    TRY(b.info(index));
    const ValueId id = b.new_value();
    TRY(b.give_raw(index, id));
    if (const auto found = method.inputs.find(index); found != method.inputs.end())
      graph.values.back().name = found->second;
    graph.inputs.push_back(id);
  }
  TRY(read_operators(model, b, subgraph));
  for (const std::int32_t index : TRY(subgraph.numbers<std::int32_t>(2))) {
    ValueId id = TRY(b.raw(index));
    if (const auto found = method.outputs.find(index); found != method.outputs.end()) {
      ValueInfo info = graph.values[static_cast<std::size_t>(id)];
      id = b.emit("Identity", {id});
      info.name = found->second;
      graph.values[static_cast<std::size_t>(id)] = std::move(info);
    }
    graph.outputs.push_back(id);
  }
  return finish(graph);
}

Result<Program> read_program(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                             const std::string& method) {
  const FlatTable root = TRY(FlatTable::root(bytes));
  Model model{bytes,
              std::move(owner),
              TRY(root.tables(2)),
              {bytes, TRY(root.tables(4))},
              TRY(read_codes(root))};
  if (model.subgraphs.empty()) return corrupt("a model without a graph");
  const std::vector<Signature> signatures = TRY(read_signatures(root));
  Signature chosen;  // the first graph, its tensors by their own names
  if (!method.empty()) {
    const auto found = std::ranges::find(signatures, method, &Signature::key);
    if (found == signatures.end())
      return Error(ErrorKind::not_found,
                   fmt::format("no method '{}'; there are {}", method,
                               signatures.empty() ? "none" : keys_of(signatures)));
    chosen = *found;
  }
  const auto graph = std::make_shared<Graph>();
  graph->storage.push_back(model.owner);
  TRY(read_graph(model, chosen, *graph));
  Program program;
  program.format = "tflite";
  program.format_version = root.number<std::uint32_t>(0, 0);
  program.description = printable(TRY(root.text(3)), 1024);
  program.graph = graph;
  if (!signatures.empty()) program.metadata["methods"] = keys_of(signatures);
  if (model.subgraphs.size() > 1 && method.empty() && signatures.size() > 1)
    program.warnings.push_back(fmt::format("{} graphs; the first is read (--method names another)",
                                           model.subgraphs.size()));
  return program;
}

}  // namespace
}  // namespace tflite

Result<Program> import_tflite(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                              const std::string& method) {
  return tflite::read_program(bytes, std::move(owner), method);
}

Result<std::vector<std::string>> tflite_methods(std::span<const std::byte> bytes) {
  std::vector<std::string> keys;
  for (tflite::Signature& each : TRY(tflite::read_signatures(TRY(FlatTable::root(bytes)))))
    keys.push_back(std::move(each.key));
  return keys;
}

bool looks_like_tflite(std::span<const std::byte> bytes) {
  return bytes.size() > 8 && std::memcmp(bytes.data() + 4, "TFL3", 4) == 0;
}

}  // namespace hearth::graphs
