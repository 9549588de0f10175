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
  GraphDecoder(std::unique_ptr<const GraphRun> run, GraphBinding binding)
      : run_(std::move(run)), binding_(std::move(binding)) {}

  MemoryPointer cut(const Memory& memory, std::size_t tokens) const override;
  Result<MemoryPointer> read(ops::Context& ctx, const MemoryPointer& memory, std::size_t known,
                             std::span<const Token> text, std::span<const std::uint32_t> wanted,
                             std::span<float> logits, std::stop_token stop) const override;

 private:
  const graphs::Graph& graph() const { return run_->graph(); }
  std::size_t rows_at_once() const {
    const std::size_t width =
        binding_.width > 0 ? static_cast<std::size_t>(binding_.width) : assumed_width;
    if (!binding_.kept_logits.empty()) return most_rows;
    return std::clamp<std::size_t>(most_logit_bytes / (width * sizeof(float)), 8, most_rows);
  }
  Result<std::vector<Value>> run(ops::Context& ctx, const States* from, std::span<const Token> text,
                                 const Piece& piece, const Wish& wish, std::size_t next,
                                 const std::stop_token& stop) const;
  Result<std::size_t> take(const Tensor& result, const Piece& piece, const Wish& wish,
                           std::size_t next) const;
  std::size_t end_of(std::size_t begin, std::size_t most, const Wish& wish, std::size_t next) const;
  Result<MemoryPointer> read_on(ops::Context& ctx, MemoryPointer memory, std::size_t known,
                                std::span<const Token> text, const Wish& wish,
                                const std::stop_token& stop) const;
  Status read_again(ops::Context& ctx, std::span<const Token> text, const Wish& wish,
                    const std::stop_token& stop) const;

  std::unique_ptr<const GraphRun> run_;
  GraphBinding binding_;
  mutable std::atomic<bool> last_row_alone_ = false;  // of the logits, as a run has shown
};

MemoryPointer GraphDecoder::cut(const Memory& memory, std::size_t tokens) const {
  const auto& states = static_cast<const States&>(memory);
  auto part = std::make_shared<States>();
  part->tokens = tokens;
  for (std::size_t i = 0; i < states.values.size(); ++i) {
    const int axis = binding_.states[i].grows;
    const Tensor& whole = states.values[i].tensor;
    if (axis < 0 || !std::cmp_equal(whole.dims[static_cast<std::size_t>(axis)], states.tokens))
      return nullptr;
    auto kept = beginning(whole, static_cast<std::size_t>(axis), static_cast<std::int64_t>(tokens));
    if (!kept) return nullptr;
    part->values.emplace_back(std::move(*kept));
  }
  return part;
}

Result<std::vector<Value>> GraphDecoder::run(ops::Context& ctx, const States* from,
                                             std::span<const Token> text, const Piece& piece,
                                             const Wish& wish, std::size_t next,
                                             const std::stop_token& stop) const {
  const bool is_wanted = next < wish.places.size() && wish.places[next] < piece.end;
  TokenInputs tokens{.tokens = text.subspan(piece.begin, piece.end - piece.begin),
                     .known = piece.begin};
  tokens.kept_logits = is_wanted ? static_cast<std::int64_t>(piece.end - wish.places[next]) : 1;
  GraphInputs inputs = TRY(token_inputs(graph(), binding_, tokens));
  for (std::size_t i = 0; i < binding_.states.size(); ++i) {
    const GraphState& state = binding_.states[i];
    if (from != nullptr) {
      inputs.emplace(state.input, from->values[i]);
      continue;
    }
    Tensor start = TRY(graphs::make_tensor(state.type, state.start));
    std::memset(start.bytes, 0, start.byte_count());
    inputs.emplace(state.input, std::move(start));
  }
  return run_->run(ctx, inputs, stop);
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
  std::size_t next = 0;
  for (std::size_t begin = known; begin < text.size();) {
    const Piece piece{begin,
                      std::min(end_of(begin, text.size(), wish, next), begin + rows_at_once())};
    auto outputs =
        TRY(run(ctx, static_cast<const States*>(memory.get()), text, piece, wish, next, stop));
    const bool is_wanted = next < wish.places.size() && wish.places[next] < piece.end;
    const std::size_t taken = TRY(take(outputs[binding_.output].tensor, piece, wish, next));
    if (is_wanted && taken == 0) continue;  // the piece again, shorter
    next += taken;
    auto states = std::make_shared<States>();
    states->tokens = begin = piece.end;
    for (const GraphState& state : binding_.states)
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
    auto outputs = TRY(run(ctx, nullptr, text, piece, wish, next, stop));
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

std::unique_ptr<const Decoder> make_graph_decoder(std::unique_ptr<const GraphRun> run,
                                                  GraphBinding binding) {
  return std::make_unique<GraphDecoder>(std::move(run), std::move(binding));
}

}  // namespace hearth::adapters
