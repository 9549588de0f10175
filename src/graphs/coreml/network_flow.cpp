// Branches and loops of neural networks.  Networks within a network read and write its values by
// their names; what they write becomes outputs of an If or Loop.
// Source: Core ML Tools, NeuralNetwork.proto.
#include <fmt/core.h>

#include <algorithm>

#include "graphs/coreml/network.h"

namespace hearth::graphs::coreml {
namespace {

constexpr std::uint32_t branch_tag = 605, loop_tag = 615, break_tag = 620, continue_tag = 625;

// Names no file uses, of numbers that are 1 once this turn, and once the whole loop, is to end.
constexpr std::string_view turn_ends = "\x01turn ends", loop_ends = "\x01loop ends";

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

// A network that becomes the body of a node.
struct Part {
  explicit Part(Network& around) : net(b, &around) {}
  std::shared_ptr<Graph> graph = std::make_shared<Graph>();
  Emitter b{*graph};
  Network net;
};

// A number as bool [].
ValueId truth_of(Emitter& b, ValueId id) {
  const ValueId number = b.emit("Reshape", {id, b.integers({})});
  return b.emit("Greater", {b.emit("Abs", {number}), b.scalar(1e-6f)});
}

// The shape of a value that is one of two.
void set_common(Network& net, ValueId id, const Result<Dims>& one, const Result<Dims>& other) {
  if (!one || !other || one->size() != other->size()) return;
  Dims dims = *one;
  for (std::size_t i = 0; i < dims.size(); ++i)
    if (dims[i] != (*other)[i]) dims[i] = -1;
  net.set(id, dims);
}

// Names that have a value whichever of the two runs are outputs.
Status add_choice(Network& net, ValueId chosen, Part& first, Part& second) {
  net.unknown.merge(first.net.unknown);
  net.unknown.merge(second.net.unknown);
  if (!net.unknown.empty()) return Done{};
  std::set<std::string, std::less<>> names = first.net.written;
  names.insert(second.net.written.begin(), second.net.written.end());
  std::erase_if(names, [&](const std::string& name) {
    return !first.net.has(name) || !second.net.has(name);
  });
  if (names.empty()) return Done{};
  std::vector<std::vector<Result<Dims>>> shapes;
  for (Part* part : {&first, &second}) {
    auto& dims = shapes.emplace_back();
    for (const std::string& name : names) {
      const ValueId id = TRY(part->net.find(name));
      dims.push_back(part->net.dims(id));
      part->graph->outputs.push_back(part->b.emit("Identity", {id}));
    }
    TRY(finish(*part->graph));
  }
  const auto made = net.b.emit_many("If", {chosen}, names.size());
  Node& node = net.b.graph.nodes.back();
  node.bodies = {first.graph, second.graph};
  node.body_names = {"then_branch", "else_branch"};
  node.captured = first.net.captured;
  node.captured.insert(node.captured.end(), second.net.captured.begin(), second.net.captured.end());
  std::size_t i = 0;
  for (const std::string& name : names) {
    set_common(net, made[i], shapes[0][i], shapes[1][i]);
    net.define(name, made[i++]);
  }
  return Done{};
}

// BranchLayerParams: 1 the network that runs where the input is not 0, 2 the other one.
Status branch(Layer& layer) {
  const ValueId chosen = truth_of(layer.b, TRY(layer.in()));
  Part first(layer.net), second(layer.net);
  TRY(first.net.add_layers(TRY(layer.p.message(1))));
  TRY(second.net.add_layers(TRY(layer.p.message(2))));
  return add_choice(layer.net, chosen, first, second);
}

// LoopLayerParams: 1 the most turns, 2 the name and 3 the network of what is tested before each
// turn, 4 the network of a turn.
struct LoopOf {
  Fields test, turn;
  std::string_view tested;  // empty: nothing
  bool may_end = false;     // within a turn
};

Result<LoopOf> read_loop(const Fields& p) {
  LoopOf loop;
  loop.test = TRY(p.message(3));
  loop.turn = TRY(p.message(4));
  loop.tested = p.text(2);
  if (loop.tested.empty() && !loop.test.messages(1).empty())
    return corrupt("a condition without a name");
  for (const Bytes layer : loop.turn.messages(1))
    loop.may_end = loop.may_end || TRY(may_stop(layer));
  return loop;
}

// Every name that layers of a network, and of those within it, may write.
Status collect_written(const Fields& network, std::set<std::string, std::less<>>& names,
                       int depth = 0) {
  if (depth > most_networks)
    return Error(ErrorKind::exhausted, fmt::format("networks nested {} deep", most_networks));
  for (const Bytes bytes : network.messages(1)) {
    const Fields layer = TRY(Fields::of(bytes));
    for (const std::string_view name : layer.texts(3)) names.emplace(name);
    const auto within = [&](std::uint32_t tag, std::uint32_t field) -> Status {
      const Fields params = TRY(layer.message(tag));
      return collect_written(TRY(params.message(field)), names, depth + 1);
    };
    if (layer.has(branch_tag)) {
      TRY(within(branch_tag, 1));
      TRY(within(branch_tag, 2));
    }
    if (layer.has(loop_tag)) {
      TRY(within(loop_tag, 3));
      TRY(within(loop_tag, 4));
    }
  }
  return Done{};
}

// A value that goes from turn to turn.
struct Carried {
  std::string name;
  ValueId first = absent;
  Result<Dims> dims = Dims();  // what is known of it before every turn
};

// The body of the Loop: a turn, then the test of the next one.  Gives whether all values that are
// carried end in the shapes they were said to have; where not, those shapes are made wider.
Result<bool> add_turn(Part& part, const LoopOf& loop, std::vector<Carried>& carried,
                      std::vector<Result<Dims>>& ends) {
  Network& net = part.net;
  part.graph->inputs = {part.b.new_value(), part.b.new_value()};
  for (const Carried& each : carried) {
    const ValueId id = part.b.new_value();
    part.graph->inputs.push_back(id);
    if (each.dims.ok()) net.set(id, *each.dims);
    net.define(each.name, id);
  }
  if (loop.may_end) {
    net.define(turn_ends, part.b.scalar(0));
    net.define(loop_ends, part.b.scalar(0));
  }
  TRY(net.add_layers(loop.turn));
  ValueId goes_on = absent;
  if (loop.may_end) goes_on = part.b.emit("Not", {truth_of(part.b, TRY(net.find(loop_ends)))});
  if (!loop.tested.empty()) {
    TRY(net.add_layers(loop.test));
    const ValueId passes = truth_of(part.b, TRY(net.find(loop.tested)));
    goes_on = goes_on == absent ? passes : part.b.emit("And", {passes, goes_on});
  }
  if (goes_on == absent) goes_on = part.b.emit("Identity", {part.graph->inputs[1]});
  part.graph->outputs.push_back(goes_on);
  bool is_settled = true;
  for (Carried& each : carried) {
    const ValueId id = TRY(net.find(each.name));
    ends.push_back(net.dims(id));
    part.graph->outputs.push_back(part.b.emit("Identity", {id}));
    if (!each.dims.ok()) continue;
    if (!ends.back().ok() || ends.back()->size() != each.dims->size()) {
      each.dims = corrupt("a rank that changes from turn to turn");
      is_settled = false;
      continue;
    }
    for (std::size_t i = 0; i < each.dims->size(); ++i) {
      if ((*each.dims)[i] < 0 || (*each.dims)[i] == (*ends.back())[i]) continue;
      (*each.dims)[i] = -1;
      is_settled = false;
    }
  }
  return is_settled;
}

Status loop(Layer& layer) {
  Network& net = layer.net;
  const LoopOf loop = TRY(read_loop(layer.p));
  const std::int64_t most = layer.p.integer(1);
  ValueId turns = absent;
  if (!layer.inputs.empty())
    turns = layer.reshaped(TRY(layer.places(0)), {});
  else if (most != 0 || loop.tested.empty())
    turns = layer.b.integer(most < 0 ? INT64_MAX : most);
  TRY(net.add_layers(loop.test));
  if (!net.unknown.empty()) return Done{};
  const ValueId first_test =
      loop.tested.empty() ? absent : truth_of(layer.b, TRY(net.find(loop.tested)));
  std::set<std::string, std::less<>> names;
  TRY(collect_written(loop.turn, names));
  TRY(collect_written(loop.test, names));
  std::vector<Carried> carried;
  for (const std::string& name : names) {
    if (!net.has(name)) continue;
    const ValueId id = TRY(net.find(name));
    carried.push_back({name, id, net.dims(id)});
  }
  // Shapes get wider from round to round: each rank and extent at most once.
  std::unique_ptr<Part> part;
  std::vector<Result<Dims>> ends;
  for (bool is_settled = false; !is_settled;) {
    part = std::make_unique<Part>(net);
    ends.clear();
    is_settled = TRY(add_turn(*part, loop, carried, ends));
    net.unknown.merge(part->net.unknown);
    if (!net.unknown.empty()) return Done{};
  }
  for (const std::string& name : names) {  // those that a turn is the first to write
    if (net.has(name) || !part->net.has(name)) continue;
    const ValueId id = TRY(part->net.find(name));
    ends.push_back(part->net.dims(id));
    part->graph->inputs.push_back(part->b.new_value());
    part->graph->outputs.push_back(part->b.emit("Identity", {id}));
    carried.push_back({name, layer.b.scalar(0), ends.back()});
  }
  TRY(finish(*part->graph));
  std::vector<ValueId> inputs{turns, first_test};
  for (const Carried& each : carried) inputs.push_back(each.first);
  const auto made = layer.b.emit_many("Loop", inputs, carried.size());
  Node& node = layer.b.graph.nodes.back();
  node.bodies = {part->graph};
  node.body_names = {"body"};
  node.captured = part->net.captured;
  for (std::size_t i = 0; i < carried.size(); ++i) {
    set_common(net, made[i], carried[i].dims, ends[i]);
    net.define(carried[i].name, made[i]);
  }
  return Done{};
}

// Ends the turn, and loopBreak the loop.
Status stop(Layer& layer) {
  if (!layer.net.has(turn_ends)) return corrupt("outside a loop");
  layer.net.define(turn_ends, layer.b.scalar(1));
  if (layer.kind == break_tag) layer.net.define(loop_ends, layer.b.scalar(1));
  return Done{};
}

constexpr LayerRow rows[] = {
    {branch_tag, "branch", branch},
    {loop_tag, "loop", loop},
    {break_tag, "loopBreak", stop},
    {continue_tag, "loopContinue", stop},
};

}  // namespace

std::span<const LayerRow> flow_layers() { return rows; }

Result<bool> may_stop(Bytes bytes, int depth) {
  if (depth > most_networks)
    return Error(ErrorKind::exhausted, fmt::format("networks nested {} deep", most_networks));
  const Fields layer = TRY(Fields::of(bytes));
  if (layer.has(break_tag) || layer.has(continue_tag)) return true;
  const Fields params = TRY(layer.message(branch_tag));
  for (const std::uint32_t side : {1u, 2u}) {
    const Fields network = TRY(params.message(side));
    for (const Bytes each : network.messages(1))
      if (TRY(may_stop(each, depth + 1))) return true;
  }
  return false;
}

Status add_unless_stopped(Network& net, const std::function<Status(Network&)>& add) {
  const ValueId goes_on = net.b.emit("Not", {truth_of(net.b, TRY(net.find(turn_ends)))});
  Part rest(net), nothing(net);
  TRY(add(rest.net));
  return add_choice(net, goes_on, rest, nothing);
}

}  // namespace hearth::graphs::coreml
