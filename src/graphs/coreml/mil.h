// ML programs: what the operators of a MIL block are imported with.
// Source: Core ML Tools, MIL.proto and the MIL operator reference.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "graphs/coreml/assembly.h"

namespace hearth::graphs::coreml {

using Ints = std::vector<std::int64_t>;

struct Binding {
  std::string_view name;  // empty: `value` stands here
  Bytes value;
};

struct MilOutput {
  std::string name;
  MilType type;
};

struct RawOp {
  std::string_view type;
  std::map<std::string_view, std::vector<Binding>> inputs;
  std::vector<MilOutput> outputs;
  std::vector<Bytes> blocks;
  std::map<std::string_view, Bytes> attributes;
};
Result<RawOp> read_op(Bytes bytes);
Result<MilOutput> read_named_type(Bytes bytes);

// A name of a block: a constant, a value of the graph, or both.
struct Var {
  ValueId id = absent;
  MilType type;
  std::optional<Tensor> constant;
  std::string state;  // of a state: which one
};

// A block as it is written out: into a graph of its own, or (no captured) into its surrounding's.
struct Scope {
  Emitter b;
  std::map<std::string, Var, std::less<>> names;
  Scope* outer = nullptr;
  std::vector<ValueId>* captured = nullptr;  // values of `outer` that this graph reads
  int depth = 0;
};

class Mil {
 public:
  explicit Mil(Assembly& target) : at(target) {}
  Assembly& at;
  std::set<std::string> unknown;  // operators we do not know, as a person should read them

  Result<Var*> use(Scope& scope, std::string_view name);
  Result<ValueId> id_of(Scope& scope, Var& var);
  Status define(Scope& scope, const std::string& name, Var var);
  // Adds the operators of a block; returns what it gives, in its order.
  Result<std::vector<Var*>> add_block(Scope& scope, Bytes block);
  // The values of a block as a graph of its own, whose inputs are `inputs` under the block's names.
  Result<std::shared_ptr<const Graph>> body(Scope& around, Bytes block,
                                            std::vector<ValueId>& captured);

 private:
  Status add_op(Scope& scope, Bytes bytes);
  std::size_t made_ = 0;
};

// One operator at work.
struct MilOp {
  Mil& mil;
  Scope& scope;
  const RawOp& op;
  Emitter& b;
  std::string_view ours;  // of its row

  bool has(std::string_view name) const;
  std::size_t count(std::string_view name) const;  // of bindings
  Result<Var*> var(std::string_view name, std::size_t i = 0);
  Result<ValueId> in(std::string_view name, std::size_t i = 0);
  Result<ValueId> in_or_absent(std::string_view name);
  Result<std::vector<ValueId>> all(std::string_view name);
  Result<const MilType*> type(std::string_view name);
  Result<std::size_t> rank(std::string_view name);
  Result<Dims> dims(std::string_view name);  // errors: unsupported (of no known rank)
  bool is_constant(std::string_view name);
  // Errors: unsupported (it is computed).  Valid while the block is.
  Result<Tensor> constant(std::string_view name);
  Result<Ints> ints(std::string_view name);
  Result<Ints> ints(std::string_view name, const Ints& fallback);
  Result<std::int64_t> integer(std::string_view name, std::int64_t fallback);
  Result<double> real(std::string_view name, double fallback);
  Result<bool> flag(std::string_view name, bool fallback);
  Result<std::string> text(std::string_view name, std::string_view fallback);
  // 0 <= axis < rank of `of`.
  Result<std::int64_t> axis(std::string_view name, std::int64_t fallback, std::string_view of);

  const MilType& out(std::size_t i = 0) const { return op.outputs[i].type; }
  // Output i is value `id`.
  Status give(std::size_t i, ValueId id);
  Status give(ValueId id) { return give(0, id); }
  Status give_cast(std::size_t i, ValueId id);  // as its declared type
  Status give_constant(std::size_t i, Tensor tensor);

  // The shape of value `id` as i64 [rank].
  ValueId shape_of(ValueId id) { return b.emit("Shape", {id}); }
  // A parameter that may be computed, as i64 [n].
  Result<ValueId> int_list(std::string_view name);
  // `id` under shape `dims`, of which at most one extent may be unknown; otherwise its own shape
  // must be put together with the rest.
  ValueId reshaped(ValueId id, const Ints& dims) {
    return b.emit("Reshape", {id, b.integers(dims)});
  }
};

Error computed(std::string_view what);

// One row of the list of MIL operators.
struct MilRow {
  std::string_view name;
  Status (*add)(MilOp& op);
  std::string_view ours = {};  // the canonical operator it is, where it is one
};
// The families, each a list in its own source.
std::span<const MilRow> elementwise_rows();
std::span<const MilRow> shape_rows();
std::span<const MilRow> indexing_rows();
std::span<const MilRow> layer_rows();
std::span<const MilRow> image_rows();
std::span<const MilRow> recurrent_rows();
std::span<const MilRow> control_rows();
std::span<const MilRow> compressed_rows();
const MilRow* find_mil(std::string_view name);
// Every name, for the documentation and the tests.
std::vector<std::string_view> mil_operators();

// One layer of a recurrent network, or two that go opposite ways.  Shapes and orders of gates are
// those of ONNX's operators.
struct Cells {
  std::string_view op;  // "LSTM", "GRU", "RNN"
  Tensor w, r, bias, peepholes;
  std::vector<std::string> activations;
  std::vector<double> alpha, beta;
  std::string direction = "forward";  // "reverse", "bidirectional"
  bool resets_after = false;          // a GRU: the gate is applied to the product, not before it
  bool is_coupled = false;            // an LSTM: it forgets 1 - what it takes in
  double memory_clip = 0;             // > 0: an LSTM's memory stays within it of 0
  std::int64_t hidden = 0;
};
struct CellOutputs {
  ValueId y, h, c;  // [steps, directions, batch, hidden], [directions, batch, hidden]
};
CellOutputs emit_cells(Emitter& b, ValueId x, ValueId h, ValueId c, const Cells& cells);
// Rows of blocks of equal size in another order: order[i] is the block that stands at place i.
Result<Tensor> gates_in_order(const Tensor& tensor, std::span<const std::size_t> order);

// Points along one axis that a resize or crop takes, and how sizes are given.
// Grid points of `count` samples over [0, size - 1], by the name of the sampling mode.
Result<std::vector<double>> sample_points(std::string_view mode, std::int64_t size,
                                          std::int64_t count);
// Bilinear resize of the last two axes in a mode of sample_points.
Result<ValueId> emit_resize_bilinear(Emitter& b, ValueId x, const Dims& dims, std::int64_t height,
                                     std::int64_t width, std::string_view mode);
struct CropResize {
  std::int64_t height = 1, width = 1;
  bool normalized = false;
  double scale = 1;
  std::string mode = "DEFAULT", boxes = "CORNERS_HEIGHT_FIRST";
  std::optional<double> outside;  // what points outside the image are; absent: its nearest edge
};
// x: [images, channels, h, w], boxes: [n, 4] f32, which: [n] integers.  Gives [n, channels, height,
// width].
Result<ValueId> emit_crop_resize(Emitter& b, ValueId x, ValueId boxes, ValueId which,
                                 const CropResize& how);
// Every one of n boxes from every image: [n, images, channels, height, width].
struct ImageCount {
  std::int64_t count, channels;
};
Result<ValueId> emit_crop_each(Emitter& b, ValueId x, ImageCount images, ValueId boxes,
                               std::int64_t n, const CropResize& how);

}  // namespace hearth::graphs::coreml
