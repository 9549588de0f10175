#include "engines/graph_decoder.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "engines/graph_inputs.h"

namespace hearth::adapters {
namespace {

using graphs::Tensor;
using graphs::Value;

// Graphs give the logits of every row: so many bytes of them at once.
constexpr std::size_t most_logit_bytes = 64u << 20;
constexpr std::size_t most_rows = 512;
constexpr std::size_t assumed_width = 1u << 17;

struct States final : Memory {
  std::vector<Value> values;  // in the order of the binding's states
  std::size_t tokens = 0;
  std::uint64_t bytes() const override {
    std::uint64_t sum = 0;
    for (const Value& value : values) sum += value.tensor.byte_count();
    return sum;
  }
};

// The first `extent` places along an axis.
Result<Tensor> beginning(const Tensor& tensor, std::size_t axis, std::int64_t extent) {
  graphs::Dims dims = tensor.dims;
  dims[axis] = extent;
  Tensor part = TRY(graphs::make_tensor(tensor.type, dims));
  std::int64_t outer = 1, inner = static_cast<std::int64_t>(graphs::size_of(tensor.type));
  for (std::size_t i = 0; i < axis; ++i) outer *= dims[i];
  for (std::size_t i = axis + 1; i < dims.size(); ++i) inner *= dims[i];
  for (std::int64_t i = 0; i < outer; ++i)
    std::memcpy(part.bytes + i * extent * inner, tensor.bytes + i * tensor.dims[axis] * inner,
                static_cast<std::size_t>(extent * inner));
  return part;
}

// What one run reads of a text.
struct Piece {
  std::size_t begin, end;
};

// Places whose logits are wanted, and where they go.
struct Wish {
  std::span<const std::uint32_t> places;
  std::span<float> logits;
};

class GraphDecoder final : public Decoder {
 public:
  explicit GraphDecoder(std::vector<GraphStage> stages)
      : stages_(std::move(stages)), binding_(stages_.back().binding) {}

  MemoryPointer cut(const Memory& memory, std::size_t tokens) const override;
  Result<MemoryPointer> read(ops::Context& ctx, const MemoryPointer& memory, std::size_t known,
                             std::span<const Token> text, std::span<const std::uint32_t> wanted,
                             std::span<float> logits, std::stop_token stop) const override;

 private:
  // Of the stages that read a fixed number of tokens and give no logits, the one that reads most of
  // those that are there and of which none is wanted; otherwise the last.
  const GraphStage& stage_for(std::size_t begin, std::size_t end, const Wish& wish,
                              std::size_t next) const;
  std::size_t rows_at_once() const {
    if (binding_.fixed_tokens > 0 && binding_.room > 0)
      return static_cast<std::size_t>(binding_.fixed_tokens);
    if (binding_.most_tokens > 0)
      return std::min(most_rows, static_cast<std::size_t>(binding_.most_tokens));
    const std::size_t width =
        binding_.width > 0 ? static_cast<std::size_t>(binding_.width) : assumed_width;
    if (!binding_.kept_logits.empty()) return most_rows;
    return std::clamp<std::size_t>(most_logit_bytes / (width * sizeof(float)), 8, most_rows);
  }
  Result<std::vector<Value>> run(ops::Context& ctx, const GraphStage& stage, const States* from,
                                 std::span<const Token> text, const Piece& piece, const Wish& wish,
                                 std::size_t next, const std::stop_token& stop) const;
  Result<std::size_t> take(const Tensor& result, const Piece& piece, const Wish& wish,
                           std::size_t next) const;
  std::size_t end_of(std::size_t begin, std::size_t most, const Wish& wish, std::size_t next) const;
  Result<MemoryPointer> read_on(ops::Context& ctx, MemoryPointer memory, std::size_t known,
                                std::span<const Token> text, const Wish& wish,
                                const std::stop_token& stop) const;
  Status read_again(ops::Context& ctx, std::span<const Token> text, const Wish& wish,
                    const std::stop_token& stop) const;

  std::vector<GraphStage> stages_;  // all have the states of the last, in its order
  const GraphBinding& binding_;     // of the last
  mutable std::atomic<bool> last_row_alone_ = false;  // of the logits, as a run has shown
};

MemoryPointer GraphDecoder::cut(const Memory& memory, std::size_t tokens) const {
  const auto& states = static_cast<const States&>(memory);
  auto part = std::make_shared<States>();
  part->tokens = tokens;
  for (std::size_t i = 0; i < states.values.size(); ++i) {
    const int axis = binding_.states[i].grows;
    const Tensor& whole = states.values[i].tensor;
    if (binding_.states[i].has_room) {  // what lies behind is hidden, and written over
      part->values.push_back(states.values[i]);
      continue;
    }
    if (axis < 0 || !std::cmp_equal(whole.dims[static_cast<std::size_t>(axis)], states.tokens))
      return nullptr;
    auto kept = beginning(whole, static_cast<std::size_t>(axis), static_cast<std::int64_t>(tokens));
    if (!kept) return nullptr;
    part->values.emplace_back(std::move(*kept));
  }
  return part;
}

const GraphStage& GraphDecoder::stage_for(std::size_t begin, std::size_t end, const Wish& wish,
                                          std::size_t next) const {
  const std::size_t most =
      std::min(end, next < wish.places.size() ? std::size_t{wish.places[next]} : end);
  const GraphStage* best = &stages_.back();
  for (const GraphStage& stage : stages_)
    if (&stage != &stages_.back() &&
        begin + static_cast<std::size_t>(stage.binding.fixed_tokens) <= most &&
        stage.binding.fixed_tokens > best->binding.fixed_tokens)
      best = &stage;
  return *best;
}

Result<std::vector<Value>> GraphDecoder::run(ops::Context& ctx, const GraphStage& stage,
                                             const States* from, std::span<const Token> text,
                                             const Piece& piece, const Wish& wish, std::size_t next,
                                             const std::stop_token& stop) const {
  const bool is_wanted = next < wish.places.size() && wish.places[next] < piece.end;
  TokenInputs tokens{.tokens = text.subspan(piece.begin, piece.end - piece.begin),
                     .known = piece.begin};
  tokens.kept_logits = is_wanted ? static_cast<std::int64_t>(piece.end - wish.places[next]) : 1;
  GraphInputs inputs = TRY(token_inputs(stage.run->graph(), stage.binding, tokens));
  for (std::size_t i = 0; i < stage.binding.states.size(); ++i) {
    const GraphState& state = stage.binding.states[i];
    if (from != nullptr) {
      inputs.emplace(state.input, from->values[i]);
      continue;
    }
    if (state.has_start) continue;
    Tensor start = TRY(graphs::make_tensor(state.type, state.start));
    std::memset(start.bytes, 0, start.byte_count());
    inputs.emplace(state.input, std::move(start));
  }
  return stage.run->run(ctx, inputs, stop);
}

// Writes the logits of the wanted places before `piece.end` from `next` on; how many.  None: the
// graph gave the last row alone, and an earlier one is wanted.
Result<std::size_t> GraphDecoder::take(const Tensor& result, const Piece& piece, const Wish& wish,
                                       std::size_t next) const {
  std::size_t last = next;
  while (last < wish.places.size() && wish.places[last] < piece.end) ++last;
  if (last == next) return std::size_t{0};
  const std::size_t width = wish.logits.size() / wish.places.size();
  if (result.rank() == 0 || !std::cmp_equal(result.dims.back(), width))
    return Error(ErrorKind::corrupt, fmt::format("logits {}: the vocabulary has {}",
                                                 graphs::to_text(result.dims), width));
  const std::size_t rows = static_cast<std::size_t>(result.count) / width;
  const std::size_t read = binding_.fixed_tokens > 0
                               ? static_cast<std::size_t>(binding_.fixed_tokens)
                               : piece.end - piece.begin;
  const std::size_t first_row = piece.begin + read - std::min(read, rows);
  if (wish.places[next] < first_row) {
    if (last_row_alone_.exchange(true))
      return Error(ErrorKind::corrupt,
                   fmt::format("logits {} of {} tokens", graphs::to_text(result.dims), read));
    return std::size_t{0};
  }
  for (std::size_t i = next; i < last; ++i)
    TRY(copy_rows(result, wish.places[i] - first_row, 1, wish.logits.data() + i * width));
  return last - next;
}

std::size_t GraphDecoder::end_of(std::size_t begin, std::size_t most, const Wish& wish,
                                 std::size_t next) const {
  if (last_row_alone_ && next < wish.places.size())
    return std::min(most, std::size_t{wish.places[next]} + 1);
  return std::min(most, begin + rows_at_once());
}

// Piece after piece, each going on from the one before.
Result<MemoryPointer> GraphDecoder::read_on(ops::Context& ctx, MemoryPointer memory,
                                            std::size_t known, std::span<const Token> text,
                                            const Wish& wish, const std::stop_token& stop) const {
  if (binding_.room > 0 && std::cmp_greater(text.size(), binding_.room))
    return Error(ErrorKind::too_long,
                 fmt::format("a text of {} tokens: the model has places for {}", text.size(),
                             binding_.room));
  std::size_t next = 0;
  for (std::size_t begin = known; begin < text.size();) {
    const GraphStage& stage = stage_for(begin, text.size(), wish, next);
    const bool is_last = &stage == &stages_.back();
    const Piece piece{
        begin, is_last ? std::min(end_of(begin, text.size(), wish, next), begin + rows_at_once())
                       : begin + static_cast<std::size_t>(stage.binding.fixed_tokens)};
    auto outputs = TRY(
        run(ctx, stage, static_cast<const States*>(memory.get()), text, piece, wish, next, stop));
    const bool is_wanted = next < wish.places.size() && wish.places[next] < piece.end;
    const std::size_t taken =
        is_last ? TRY(take(outputs[binding_.output].tensor, piece, wish, next)) : 0;
    if (is_wanted && taken == 0) continue;  // the piece again, shorter
    next += taken;
    auto states = std::make_shared<States>();
    states->tokens = begin = piece.end;
    for (const GraphState& state : stage.binding.states)
      states->values.push_back(std::move(outputs[state.output]));
    memory = std::move(states);
  }
  return memory;
}

// A graph without a memory reads the whole text anew.
Status GraphDecoder::read_again(ops::Context& ctx, std::span<const Token> text, const Wish& wish,
                                const std::stop_token& stop) const {
  if (binding_.fixed_tokens > 0 && std::cmp_greater(text.size(), binding_.fixed_tokens))
    return Error(ErrorKind::too_long, fmt::format("a text of {} tokens: the graph reads {}",
                                                  text.size(), binding_.fixed_tokens));
  for (std::size_t next = 0; next < wish.places.size();) {
    const std::size_t most = last_row_alone_ ? wish.places[next] + 1 : text.size();
    const Piece piece{0, most};
    auto outputs = TRY(run(ctx, stages_.back(), nullptr, text, piece, wish, next, stop));
    next += TRY(take(outputs[binding_.output].tensor, piece, wish, next));
  }
  return Done{};
}

Result<MemoryPointer> GraphDecoder::read(ops::Context& ctx, const MemoryPointer& memory,
                                         std::size_t known, std::span<const Token> text,
                                         std::span<const std::uint32_t> wanted,
                                         std::span<float> logits, std::stop_token stop) const {
  const Wish wish{wanted, logits};
  if (!binding_.states.empty()) return read_on(ctx, memory, known, text, wish, stop);
  TRY(read_again(ctx, text, wish, stop));
  return MemoryPointer();
}

}  // namespace

std::unique_ptr<const Decoder> make_graph_decoder(std::vector<GraphStage> stages) {
  return std::make_unique<GraphDecoder>(std::move(stages));
}

}  // namespace hearth::adapters
