#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "runtime/fake_model.h"

namespace hearth {

struct FakeSlot {
  Token token;
  std::uint32_t noise;
};

namespace {

std::uint64_t mix(std::uint64_t hash, FakeSlot slot) {
  hash ^= static_cast<std::uint64_t>(slot.token) << 32 | slot.noise;
  hash *= 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 29;
}

// In a page the slots of the trunk come first, then those of the layer that guesses.
enum class Part : std::size_t { trunk, mtp };

std::byte* slot_at(const ops::KvSequence& sequence, std::size_t position, Part part) {
  const std::size_t place =
      position % ops::kv_page_tokens + static_cast<std::size_t>(part) * ops::kv_page_tokens;
  return sequence.pages[position / ops::kv_page_tokens] + place * sizeof(FakeSlot);
}
void write(const ops::KvSequence& sequence, std::size_t position, FakeSlot slot,
           Part part = Part::trunk) {
  std::memcpy(slot_at(sequence, position, part), &slot, sizeof slot);
}
std::vector<FakeSlot> read(const ops::KvSequence& sequence, std::size_t last,
                           Part part = Part::trunk) {
  std::vector<FakeSlot> slots(last + 1);
  for (std::size_t i = 0; i <= last; ++i)
    std::memcpy(&slots[i], slot_at(sequence, i, part), sizeof(FakeSlot));
  return slots;
}

std::uint64_t hash_of(std::span<const FakeSlot> slots) {
  std::uint64_t hash = 1;
  for (const FakeSlot& slot : slots) hash = mix(hash, slot);
  return hash;
}

// What is made of a row: the hash of all slots up to it.
constexpr std::size_t fake_dim = 2;
void make(float* made, std::span<const FakeSlot> slots) {
  const std::uint64_t hash = hash_of(slots);
  made[0] = static_cast<float>(hash >> 44);
  made[1] = static_cast<float>(hash >> 24 & 0xFFFFF);
}
void check_before(const float* before, std::span<const FakeSlot> slots) {
  float made[fake_dim];
  make(made, slots);
  HEARTH_CHECK(std::equal(made, made + fake_dim, before));
}

// The tokens a state has read, and their hash.
struct FakeState {
  std::uint64_t tokens, hash;
};

FakeState state_after(const ops::KvSequence& sequence, std::size_t position, FakeSlot slot) {
  FakeState state;
  std::memcpy(&state, sequence.state, sizeof state);
  if (position == 0) state = {.tokens = 0, .hash = 1};
  HEARTH_CHECK(state.tokens == position);
  state = {.tokens = state.tokens + 1, .hash = mix(state.hash, slot)};
  std::memcpy(sequence.state, &state, sizeof state);
  return state;
}

// Behind a row: the state is kept where the rest of the sequence's rows are guesses.
void keep_certain(const Batch& batch, std::size_t row) {
  const std::uint32_t index = batch.places[row].sequence;
  const ops::KvSequence& sequence = batch.sequences[index];
  std::size_t end = row;
  while (end < batch.places.size() && batch.places[end].sequence == index) ++end;
  if (sequence.guesses > 0 && end - row - 1 == sequence.guesses)
    std::memcpy(sequence.certain, sequence.state, sizeof(FakeState));
}

// What Batch promises.
void check(const Batch& batch) {
  HEARTH_CHECK(!batch.tokens.empty() && batch.places.size() == batch.tokens.size());
  for (std::size_t row = 0; row < batch.places.size(); ++row) {
    const auto [sequence, position] = batch.places[row];
    HEARTH_CHECK(position < batch.sequences[sequence].pages.size() * ops::kv_page_tokens);
    if (row == 0) continue;
    const auto before = batch.places[row - 1];
    HEARTH_CHECK(sequence == before.sequence ? position == before.position + 1
                                             : sequence == before.sequence + 1);
  }
  HEARTH_CHECK(std::ranges::is_sorted(batch.output_rows));
}

}  // namespace

FakeTokenizer::FakeTokenizer(std::int32_t size, std::vector<std::string> pieces)
    : pieces_(std::move(pieces)) {
  for (std::int32_t i = static_cast<std::int32_t>(pieces_.size()) + 2; i < size; ++i)
    pieces_.push_back(fmt::format("a{} ", i));
  special_.end_of_generation = {0};
  special_.bos = 1;
}

Result<std::vector<Token>> FakeTokenizer::encode(std::string_view, EncodeOptions) const {
  return Error(ErrorKind::unsupported, "a fake does not encode");
}

std::string_view FakeTokenizer::piece(Token id, bool special) const {
  if (id == 0) return special ? "<end>" : "";
  if (id == 1) return special ? "<begin>" : "";
  const auto place = static_cast<std::size_t>(id) - 2;
  return place < pieces_.size() ? std::string_view(pieces_[place]) : "";
}

std::string FakeTokenizer::decode(std::span<const Token> ids, bool special) const {
  std::string text;
  for (const Token id : ids) text += piece(id, special);
  return text.starts_with(' ') ? text.substr(1) : text;
}

FakeModel::FakeModel(FakeOptions options)
    : options_(std::move(options)),
      tokenizer_(static_cast<std::int32_t>(options_.vocabulary), options_.pieces) {
  info_.name = "fake";
  info_.vocabulary = options_.vocabulary;
  info_.context_length = options_.context;
  layout_.page_bytes = ops::kv_page_tokens * sizeof(FakeSlot);
  if (options_.recurs) layout_.state_bytes = sizeof(FakeState);
  if (!guesses()) return;
  info_.dim = fake_dim;
  info_.layers = 9;
  layout_.page_bytes *= 2;
}

Status FakeModel::forward(ops::Context& ctx, const Batch& batch, std::span<float> logits,
                          std::stop_token stop) const {
  if (options_.on_forward) options_.on_forward(batch);
  if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
  const std::uint32_t noise =
      options_.is_noisy && !ctx.deterministic ? static_cast<std::uint32_t>(batch.tokens.size()) : 0;
  check(batch);
  std::vector<std::uint64_t> hashes;
  for (std::size_t row = 0; row < batch.tokens.size(); ++row) {
    const auto [sequence, position] = batch.places[row];
    const FakeSlot slot{batch.tokens[row], noise};
    write(batch.sequences[sequence], position, slot);
    if (guesses()) {
      write(batch.sequences[sequence], position, slot, Part::mtp);
      const auto slots = read(batch.sequences[sequence], position);
      const bool is_first = row == 0 || batch.places[row - 1].sequence != sequence;
      if (is_first && !batch.before.empty() && batch.before[sequence] != nullptr)
        check_before(batch.before[sequence], std::span(slots).first(position));
      if (!batch.hidden.empty()) make(&batch.hidden[row * fake_dim], slots);
    }
    if (options_.recurs) {
      hashes.push_back(state_after(batch.sequences[sequence], position, slot).hash);
      keep_certain(batch, row);
    }
    for (int i = 0; i < options_.spins_per_row; ++i) asm volatile("");
  }
  for (std::size_t i = 0; i < batch.output_rows.size(); ++i) {
    const auto [sequence, position] = batch.places[batch.output_rows[i]];
    const auto out = logits.subspan(i * info_.vocabulary, info_.vocabulary);
    const std::uint64_t* hash = options_.recurs ? &hashes[batch.output_rows[i]] : nullptr;
    if (hash != nullptr && !options_.logits) {
      logits_of(*hash, out);
      continue;
    }
    const auto slots = read(batch.sequences[sequence], position);
    HEARTH_CHECK(hash == nullptr || *hash == hash_of(slots));
    logits_after(slots, out);
  }
  return Done{};
}

Status FakeModel::guess(ops::Context&, const Batch& batch, std::span<float> logits,
                        std::stop_token stop) const {
  if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
  HEARTH_CHECK(batch.sequences.size() == batch.tokens.size());
  for (std::size_t row = 0; row < batch.tokens.size(); ++row) {
    const auto [sequence, position] = batch.places[row];
    HEARTH_CHECK(sequence == row && position > 0);
    write(batch.sequences[row], position, {batch.tokens[row], 0}, Part::mtp);
    const auto slots = read(batch.sequences[row], position, Part::mtp);
    check_before(batch.before[row], std::span(slots).first(position));
    make(&batch.hidden[row * fake_dim], slots);
    const auto out = logits.subspan(row * info_.vocabulary, info_.vocabulary);
    logits_after(slots, out);
    const bool is_right =
        static_cast<double>(hash_of(slots) >> 20 & 1023) < *options_.mtp_right * 1024;
    const auto best = static_cast<std::size_t>(std::ranges::max_element(out) - out.begin());
    out[is_right ? best : (best + 1) % out.size()] = 9;
  }
  return Done{};
}

Result<std::vector<std::vector<float>>> FakeModel::embed(ops::Context&,
                                                         std::span<const std::vector<Token>> texts,
                                                         std::stop_token stop) const {
  if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
  std::vector<std::vector<float>> vectors;
  for (const auto& text : texts) {
    std::uint64_t hash = 1;
    for (const Token token : text) hash = mix(hash, {token, 0});
    vectors.push_back({static_cast<float>(text.size()), static_cast<float>(hash % 1024)});
  }
  return vectors;
}

std::vector<Token> FakeModel::expected(std::vector<Token> history, std::size_t tokens) const {
  const std::size_t prompt = history.size();
  std::vector<float> logits(info_.vocabulary);
  std::vector<FakeSlot> slots;
  for (const Token token : history) slots.push_back({token, 0});
  for (std::size_t i = 0; i < tokens; ++i) {
    logits_after(slots, logits);
    history.push_back(static_cast<Token>(std::ranges::max_element(logits) - logits.begin()));
    slots.push_back({history.back(), 0});
  }
  return {history.begin() + static_cast<std::ptrdiff_t>(prompt), history.end()};
}

void FakeModel::logits_after(const std::vector<FakeSlot>& slots, std::span<float> logits) const {
  if (options_.logits) {
    std::vector<Token> history;
    for (const FakeSlot& slot : slots) history.push_back(slot.token);
    return options_.logits(history, logits);
  }
  logits_of(hash_of(slots), logits);
}

void FakeModel::logits_of(std::uint64_t hash, std::span<float> logits) const {
  for (std::size_t i = 0; i < logits.size(); ++i)
    logits[i] = static_cast<float>(mix(hash, {static_cast<Token>(i), 7}) >> 40) * 0x1p-21f - 4;
  if (!options_.allows_end) logits[0] = -10;
}

}  // namespace hearth
