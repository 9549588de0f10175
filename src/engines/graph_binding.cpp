#include "engines/graph_binding.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

namespace hearth::adapters {
namespace {

using graphs::Graph;
using graphs::ValueInfo;

constexpr std::size_t most_states = 4096;
constexpr std::int64_t most_layers = 1024;

const ValueInfo& info_of(const Graph& graph, graphs::ValueId id) {
  return graph.values[static_cast<std::size_t>(id)];
}

Error unsupported(std::string what) { return Error(ErrorKind::unsupported, std::move(what)); }

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  return at == std::string::npos ? std::string() : text.replace(at, from.size(), to);
}

// Names of inputs and of the outputs that follow them, where genai_config.json says them:
// "past_key_names": "past_key_values.%d.key" goes with "present_key_names".
std::map<std::string, std::string> configured_pairs(const Json& genai) {
  std::map<std::string, std::string> pairs;
  const Json* model = genai.find("model");
  const Json* decoder = model == nullptr ? nullptr : model->find("decoder");
  const Json* inputs = decoder == nullptr ? nullptr : decoder->find("inputs");
  const Json* outputs = decoder == nullptr ? nullptr : decoder->find("outputs");
  const Json* layers = decoder == nullptr ? nullptr : decoder->find("num_hidden_layers");
  if (inputs == nullptr || outputs == nullptr || layers == nullptr || !layers->is_integer() ||
      !inputs->is_object())
    return pairs;
  const std::int64_t count = std::clamp<std::int64_t>(layers->as_integer(), 0, most_layers);
  for (const auto& [key, from] : inputs->as_object()) {
    if (!key.starts_with("past_") || !from.is_string()) continue;
    const Json* to = outputs->find("present_" + key.substr(5));
    if (to == nullptr || !to->is_string()) continue;
    for (std::int64_t i = 0; i < count; ++i)
      pairs.emplace(replaced(from.as_string(), "%d", std::to_string(i)),
                    replaced(to->as_string(), "%d", std::to_string(i)));
  }
  return pairs;
}

std::optional<std::size_t> find_output(const Graph& graph, std::string_view name) {
  for (std::size_t i = 0; i < graph.outputs.size(); ++i)
    if (info_of(graph, graph.outputs[i]).name == name) return i;
  return std::nullopt;
}

// The output that is this input after a run.
std::optional<std::size_t> successor(const Graph& graph, const std::string& input,
                                     const std::map<std::string, std::string>& pairs) {
  if (const auto found = pairs.find(input); found != pairs.end())
    if (const auto output = find_output(graph, found->second)) return output;
  if (const auto output = find_output(graph, input)) return output;
  static constexpr std::pair<std::string_view, std::string_view> words[] = {
      {"past_key_values", "present"},
      {"past_key_values", "present_key_values"},
      {"past", "present"},
      {"cache_in", "cache_out"},
      {"state_in", "state_out"},
      {"_in", "_out"}};
  for (const auto& [from, to] : words)
    if (const std::string name = replaced(input, from, to); !name.empty())
      if (const auto output = find_output(graph, name)) return output;
  return std::nullopt;
}

// Whether an extent of no known size is the batch's.
bool is_batch(const graphs::Extent& extent, std::size_t axis, std::size_t first_open) {
  return extent.name.contains("batch") || (axis == first_open && axis < 2);
}

// An input that an output follows.  The axis of tokens is the open one that is not the batch.
Result<GraphState> state_of(const ValueInfo& info, std::size_t output) {
  GraphState state{.input = info.name, .output = output, .type = info.type, .start = {}};
  if (!info.has_shape || info.shape.empty() || info.shape.size() > 8)
    return unsupported(fmt::format("input '{}': of no known shape", info.name));
  std::size_t first_open = info.shape.size();
  for (std::size_t i = info.shape.size(); i-- > 0;)
    if (info.shape[i].value < 0) first_open = i;
  for (std::size_t i = 0; i < info.shape.size(); ++i) {
    const graphs::Extent& extent = info.shape[i];
    if (extent.value >= 0) {
      state.start.push_back(extent.value);
    } else if (is_batch(extent, i, first_open)) {
      state.start.push_back(1);
    } else if (state.grows < 0) {
      state.grows = static_cast<int>(i);
      state.start.push_back(0);
    } else {
      return unsupported(fmt::format("input '{}': two extents that are not known", info.name));
    }
  }
  return state;
}

// Plain inputs by their usual names.
struct Usual {
  std::string_view name;
  std::string GraphBinding::* field;
};
constexpr Usual usual[] = {
    {"input_ids", &GraphBinding::ids},
    {"attention_mask", &GraphBinding::mask},
    {"position_ids", &GraphBinding::positions},
    {"cache_position", &GraphBinding::places},
    {"token_type_ids", &GraphBinding::types},
    {"use_cache_branch", &GraphBinding::branch},
    {"num_logits_to_keep", &GraphBinding::kept_logits},
    {"inputIds", &GraphBinding::ids},
    {"tokens", &GraphBinding::ids},
    {"token_ids", &GraphBinding::ids},
    {"input_pos", &GraphBinding::places},
    {"positionIds", &GraphBinding::positions},
    {"causalMask", &GraphBinding::visible},
    {"causal_mask", &GraphBinding::visible},
    {"mask", &GraphBinding::visible},
};

// Inputs that ExecuTorch has no names for: tokens, then their places.
constexpr std::string_view unnamed_ids = "input_0", unnamed_places = "input_1";

// What genai_config.json calls an input of ours.
std::string configured_name(const Json& genai, std::string_view name) {
  const Json* at = genai.find("model");
  for (const std::string_view key : {std::string_view("decoder"), std::string_view("inputs"), name})
    at = at == nullptr ? nullptr : at->find(key);
  return at != nullptr && at->is_string() ? at->as_string() : std::string(name);
}

// The only output beside the states of a graph that keeps any.
Status bind_unnamed(const Graph& graph, GraphBinding& binding) {
  std::vector<std::size_t> others;
  for (std::size_t i = 0; i < graph.outputs.size(); ++i)
    if (std::ranges::find(binding.states, i, &GraphState::output) == binding.states.end())
      others.push_back(i);
  if (binding.room == 0 || others.size() != 1)
    return unsupported(
        "a graph whose outputs are none of logits, last_hidden_state and sentence_embedding");
  const ValueInfo& info = info_of(graph, graph.outputs[others[0]]);
  binding.output = others[0];
  binding.gives = GraphGives::logits;
  if (info.has_shape && !info.shape.empty()) binding.width = info.shape.back().value;
  return Done{};
}

Status bind_output(const Graph& graph, GraphBinding& binding) {
  struct Row {
    std::string_view name;
    GraphGives gives;
  };
  static constexpr Row rows[] = {{"logits", GraphGives::logits},
                                 {"sentence_embedding", GraphGives::pooled},
                                 {"pooled_embeddings", GraphGives::pooled},
                                 {"last_hidden_state", GraphGives::hidden},
                                 {"token_embeddings", GraphGives::hidden},
                                 {"hidden_states", GraphGives::hidden}};
  for (const Row& row : rows) {
    const auto found = find_output(graph, row.name);
    if (!found) continue;
    const ValueInfo& info = info_of(graph, graph.outputs[*found]);
    binding.output = *found;
    binding.gives = row.gives;
    if (info.has_shape && !info.shape.empty()) binding.width = info.shape.back().value;
    if (row.gives == GraphGives::logits && info.has_shape && info.shape.size() == 2)
      binding.gives = GraphGives::scores;
    return Done{};
  }
  return bind_unnamed(graph, binding);
}

}  // namespace

const ValueInfo* find_input(const Graph& graph, std::string_view name) {
  for (const graphs::ValueId id : graph.inputs)
    if (info_of(graph, id).name == name) return &info_of(graph, id);
  return nullptr;
}

namespace {

// The last extent of a value, where it is known.
std::int64_t last_extent(const ValueInfo* info) {
  return info != nullptr && info->has_shape && !info->shape.empty() ? info->shape.back().value : -1;
}

// How much one run reads.  Bounds of an open extent are its name: "1..128".
Status bind_tokens(const Graph& graph, GraphBinding& binding) {
  const ValueInfo* ids = find_input(graph, binding.ids);
  if (!ids->has_shape) return Done{};
  if (ids->shape.size() != 2)
    return unsupported(fmt::format("'{}' of {} axes: needs 2", binding.ids, ids->shape.size()));
  const graphs::Extent& extent = ids->shape[1];
  if (extent.value > 0) binding.fixed_tokens = extent.value;
  if (const std::size_t at = extent.name.rfind(".."); at != std::string::npos) {
    const char* from = extent.name.data() + at + 2;
    std::from_chars(from, extent.name.data() + extent.name.size(), binding.most_tokens);
  }
  return Done{};
}

// One place, or one for each token.
void bind_places(const Graph& graph, GraphBinding& binding) {
  const ValueInfo* places = find_input(graph, binding.places);
  if (places == nullptr || last_extent(places) != 1 || binding.fixed_tokens == 1) return;
  binding.first = std::exchange(binding.places, {});
}

// Keys and values of one extent from the start: as long as the mask's rows, or as the longest axis
// of the first.
void bind_room(const Graph& graph, GraphBinding& binding) {
  std::int64_t room = last_extent(find_input(graph, binding.visible));
  const bool is_told_places =
      !binding.visible.empty() || !binding.places.empty() || !binding.first.empty();
  for (const GraphState& state : binding.states)
    if (state.grows >= 0 || !is_told_places) return;
  if (binding.states.empty()) return;
  if (room <= 0) room = std::ranges::max(binding.states[0].start);
  for (GraphState& state : binding.states)
    state.has_room = std::ranges::find(state.start, room) != state.start.end();
  binding.room = room;
}

Status bind_input(const Graph& graph, const Json& genai,
                  const std::map<std::string, std::string>& pairs, graphs::ValueId id,
                  GraphBinding& binding) {
  const ValueInfo& info = info_of(graph, id);
  const bool has_start =
      std::ranges::find(graph.constants, id, &graphs::Constant::id) != graph.constants.end();
  if (has_start && !find_output(graph, info.name)) return Done{};  // it may stay as it is
  const auto known = std::ranges::find_if(usual, [&](const Usual& row) {
    return info.name == row.name || info.name == configured_name(genai, row.name);
  });
  if (known != std::end(usual) && !has_start) {
    binding.*known->field = info.name;
    return Done{};
  }
  if (info.name == unnamed_ids || info.name == unnamed_places) {
    (info.name == unnamed_ids ? binding.ids : binding.places) = info.name;
    return Done{};
  }
  const auto output = successor(graph, info.name, pairs);
  if (!output)
    return unsupported(fmt::format(
        "input '{}': Hearth does not know what a model of text wants there", info.name));
  if (binding.states.size() >= most_states)
    return Error(ErrorKind::exhausted, fmt::format("more than {} states", most_states));
  binding.states.push_back(TRY(state_of(info, *output)));
  binding.states.back().has_start = has_start;
  return Done{};
}

// The inputs and states of a graph, and how much it reads.
Result<GraphBinding> bind_inputs(const Graph& graph, const Json& genai) {
  GraphBinding binding;
  const auto pairs = configured_pairs(genai);
  for (const graphs::ValueId id : graph.inputs) TRY(bind_input(graph, genai, pairs, id, binding));
  if (binding.ids.empty()) return unsupported("a graph without input_ids");
  const ValueInfo* mask = find_input(graph, binding.mask);
  if (mask != nullptr && mask->has_shape && mask->shape.size() > 2)
    binding.visible = std::exchange(binding.mask, {});
  TRY(bind_tokens(graph, binding));
  bind_places(graph, binding);
  bind_room(graph, binding);
  return binding;
}

}  // namespace

Result<GraphBinding> bind_prefill(const Graph& graph, const GraphBinding& decoder) {
  GraphBinding binding = TRY(bind_inputs(graph, Json()));
  if (binding.room != decoder.room || binding.fixed_tokens < 2)
    return unsupported("a graph of another use");
  std::vector<GraphState> states;
  for (const GraphState& state : decoder.states) {
    const auto found = std::ranges::find(binding.states, state.input, &GraphState::input);
    if (found == binding.states.end() || found->start != state.start)
      return unsupported(fmt::format("a graph without the state '{}'", state.input));
    states.push_back(*found);
  }
  if (states.size() != binding.states.size()) return unsupported("a graph with states of its own");
  binding.states = std::move(states);
  return binding;
}

Result<GraphBinding> bind_graph(const Graph& graph, const Json& genai) {
  GraphBinding binding = TRY(bind_inputs(graph, genai));
  if (binding.fixed_tokens > 0 && !binding.states.empty() && binding.room == 0)
    return unsupported(fmt::format("a graph that reads {} tokens at a time", binding.fixed_tokens));
  TRY(bind_output(graph, binding));
  return binding;
}

}  // namespace hearth::adapters
