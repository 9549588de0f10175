// Source: TFLite, schema.fbs (version 3).
#include "graphs/tflite/import.h"
#include "graphs/borrowed.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "base/utf8.h"
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
  if (q.number<std::uint8_t>(4, 0) > 1)
    return Error(ErrorKind::unsupported,
                 fmt::format("tensor '{}': quantised by blocks", info.name));
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

Status read_tensors(Builder& b, const FlatTable& subgraph, const Buffers& buffers,
                    const std::shared_ptr<const MappedFile>& file) {
  for (const FlatTable& table : TRY(subgraph.tables(0))) {
    TensorInfo info = TRY(read_tensor(table));
    const auto data = TRY(buffers.at(table.number<std::uint32_t>(2, 0)));
    if (table.number<std::uint8_t>(5, 0) != 0)
      return Error(ErrorKind::unsupported, fmt::format("tensor '{}': a variable", info.name));
    if (!data.empty()) info.constant = TRY(read_constant(info, data, file));
    b.tensors.push_back(std::move(info));
  }
  return Done{};
}

Status read_operators(Builder& b, const FlatTable& subgraph, const Codes& codes) {
  std::set<std::string> unknown;
  std::optional<Error> first;
  const auto operators = TRY(subgraph.tables(3));
  if (operators.size() > most_operators)
    return Error(ErrorKind::exhausted, fmt::format("{} operators", operators.size()));
  for (const FlatTable& table : operators) {
    Operator op;
    const auto index = table.number<std::uint32_t>(0, 0);
    if (index >= codes.builtin.size()) return corrupt(fmt::format("operator code {}", index));
    op.code = codes.builtin[index];
    op.inputs = TRY(table.numbers<std::int32_t>(1));
    op.outputs = TRY(table.numbers<std::int32_t>(2));
    op.options = TRY(table.table(4));
    const std::string name =
        op.code == 32 ? "CUSTOM " + codes.custom[index] : std::string(operator_name(op.code));
    if (!unknown.empty()) continue;
    auto added = add_operator(b, op);
    if (added) continue;
    if (added.error().kind() == ErrorKind::unsupported && added.error().message().empty())
      unknown.insert(name);
    else
      return std::move(added).error().within(name);
  }
  if (unknown.empty()) return Done{};
  return Error(ErrorKind::unsupported,
               fmt::format("operators that Hearth does not know: {}", *unknown.begin()));
}

Result<Program> read_program(const std::shared_ptr<const MappedFile>& file) {
  const FlatTable model = TRY(FlatTable::root(file->bytes()));
  const auto subgraphs = TRY(model.tables(2));
  if (subgraphs.empty()) return corrupt("a model without a graph");
  const Buffers buffers{file->bytes(), TRY(model.tables(4))};
  const Codes codes = TRY(read_codes(model));
  const auto graph = std::make_shared<Graph>();
  graph->storage.push_back(file);
  graph->name = printable(TRY(subgraphs[0].text(4)));
  Builder b(*graph);
  TRY(read_tensors(b, subgraphs[0], buffers, file));
  for (const std::int32_t index : TRY(subgraphs[0].numbers<std::int32_t>(1))) {
    TRY(b.info(index));
    graph->values.emplace_back();
    const auto id = static_cast<ValueId>(graph->values.size() - 1);
    TRY(b.give_raw(index, id));
    graph->inputs.push_back(id);
  }
  TRY(read_operators(b, subgraphs[0], codes));
  for (const std::int32_t index : TRY(subgraphs[0].numbers<std::int32_t>(2)))
    graph->outputs.push_back(TRY(b.raw(index)));
  TRY(finish(*graph));
  Program program;
  program.format = "tflite";
  program.format_version = model.number<std::uint32_t>(0, 0);
  program.description = printable(TRY(model.text(3)), 1024);
  program.graph = graph;
  if (subgraphs.size() > 1)
    program.warnings.push_back(fmt::format("{} graphs; the first is read", subgraphs.size()));
  return program;
}

}  // namespace
}  // namespace tflite

Result<Program> import_tflite(std::shared_ptr<const MappedFile> file) {
  return tflite::read_program(file);
}

bool looks_like_tflite(std::span<const std::byte> bytes) {
  return bytes.size() > 8 && std::memcmp(bytes.data() + 4, "TFL3", 4) == 0;
}

}  // namespace hearth::graphs
