// Neural networks: what their layers are imported with.
// Source: Core ML Tools, NeuralNetwork.proto.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "graphs/coreml/assembly.h"
#include "graphs/coreml/mil.h"

namespace hearth::graphs::coreml {

// Everything that flows between layers is f32, truth being 1 and places being whole numbers.
class Network {
 public:
  // around: the network that this one is a branch or a turn of, whose values it reads.
  explicit Network(Emitter& target, Network* around = nullptr);
  Emitter& b;
  Network* const outer;
  const int depth;             // of networks within one another
  bool ranks_are_five = true;  // arrays are [steps, batch, channels, height, width]
  std::uint64_t budget = 0;    // of the outermost one: bytes of layers that may still be added
  std::set<std::string> unknown;
  std::vector<ValueId> captured;               // values of `outer` that this graph reads
  std::set<std::string, std::less<>> written;  // names that layers have given a value

  // The layers of a NeuralNetwork message.
  Status add_layers(const Fields& network);
  // What a name stands for now.  Errors: corrupt (never written).
  Result<ValueId> find(std::string_view name);
  bool has(std::string_view name) const;
  void define(std::string_view name, ValueId id);
  // What is known of a value's shape, after the rules of the nodes that made it.
  Result<Dims> dims(ValueId id);
  void set(ValueId id, const Dims& dims);

 private:
  Status add_layers(std::span<const Bytes> layers);
  Status add_layer(Bytes layer);
  void catch_up();
  std::map<std::string, ValueId, std::less<>> blobs_;
  std::size_t layers_ = 0;  // of the outermost network: of all within it
  std::size_t inferred_ = 0, indexed_ = 0;
  std::map<ValueId, std::size_t> constant_at_;
};

// One layer at work.
struct Layer {
  Network& net;
  Emitter& b;
  std::uint32_t kind;
  std::string_view ours;  // of its row
  std::vector<std::string_view> inputs, outputs;
  Fields p;

  Result<ValueId> in(std::size_t i = 0);
  Result<Dims> dims(std::size_t i = 0);
  Result<ValueId> places(std::size_t i);       // as i64
  Result<ValueId> flat_places(std::size_t i);  // as i64 [n]
  // 0 <= axis < rank of input 0, or of one axis more.
  Result<std::int64_t> axis(std::int64_t axis, std::size_t more = 0);
  Status give(ValueId id, std::size_t i = 0);
  Status give(ValueId id, const Dims& dims, std::size_t i = 0);
  Status give_number(ValueId id, std::size_t i = 0);  // of any type, as f32
  Status give_number(ValueId id, const Dims& dims, std::size_t i = 0);
  // A WeightParams of this shape.
  Result<Tensor> weights(std::uint32_t field, const Dims& dims);
  Result<ValueId> weight(std::uint32_t field, const Dims& dims);
  Result<Ints> ints(std::uint32_t field, const Ints& fallback);
  double real(std::uint32_t field, double fallback);  // 0 counts as not set
  ValueId scalar(double value) { return b.scalar(static_cast<float>(value)); }
  ValueId reshaped(ValueId id, const Ints& dims) {
    return b.emit("Reshape", {id, b.integers(dims)});
  }
};

Result<Tensor> read_weights(Bytes weight_params, const Dims& dims);
// x as [images, channels, h, w], and a result of that form as x was.
Result<ValueId> as_images(Layer& layer, ValueId x);
Result<ValueId> as_before(Layer& layer, ValueId y, ValueId x);

struct LayerRow {
  std::uint32_t tag;
  std::string_view name;
  Status (*add)(Layer& layer);
  std::string_view ours = {};
};
std::span<const LayerRow> image_layers();
std::span<const LayerRow> simple_layers();
std::span<const LayerRow> array_layers();
std::span<const LayerRow> shape_layers();
std::span<const LayerRow> flow_layers();
// The name of a layer by its field number, where we know the layer; else "layer 42".
std::string layer_name(std::uint32_t tag);

constexpr int most_networks = 24;  // within one another
// Whether a layer may end the turn of a loop that it is in before its end.
Result<bool> may_stop(Bytes layer, int depth = 0);
// Adds layers that run unless the turn of the loop they are in has ended.
Status add_unless_stopped(Network& net, const std::function<Status(Network&)>& add);

// An activation of the layers that have one within.
struct Activation {
  std::string name;  // as our recurrent operators call it
  double alpha = 0, beta = 0;
};
Result<Activation> read_activation(Bytes params);

}  // namespace hearth::graphs::coreml
