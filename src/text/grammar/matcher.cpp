#include "text/grammar/matcher.h"

#include <algorithm>

namespace hearth::grammar {
namespace {

// With which a text can go on.
Symbols first_symbols(Reading& reading, SituationId from) {
  Symbols symbols;
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (reading.after(from, static_cast<std::uint8_t>(byte)) == dead) continue;
    if (byte < 128)
      symbols.set(symbol_of(static_cast<std::uint8_t>(byte)));
    else
      symbols.set(symbol_wide).set(symbol_broken);
  }
  return symbols;
}

}  // namespace

Matcher::Matcher(std::shared_ptr<Masks> masks)
    : masks_(std::move(masks)),
      reading_(masks_->program()),
      at_(reading_.begin()),
      path_(masks_->trie().longest_bytes() + 1) {}

void Matcher::allow(std::span<std::uint64_t> set) {
  auto recent = std::ranges::find(recent_, at_, &Recent::at);
  if (recent == recent_.end()) {
    recent = recent_.begin() + static_cast<std::ptrdiff_t>(next_recent_++ % recent_.size());
    recent->at = at_;
    recent->set.assign(set.size(), 0);
    make(recent->set);
  }
  for (std::size_t i = 0; i < set.size(); ++i) set[i] |= recent->set[i];
}

void Matcher::make(std::span<std::uint64_t> set) {
  const TokenTrie& trie = masks_->trie();
  const std::vector<Place> places(reading_.places(at_).begin(), reading_.places(at_).end());
  for (const Place& place : places) {
    const auto mask = masks_->at(place.state, place.count);
    if (mask->set.empty())
      for (const Token token : mask->few) put(set, token);
    else
      for (std::size_t i = 0; i < set.size(); ++i) set[i] |= mask->set[i];
    if (!mask->ends.empty() && place.stack != bottom) {
      const SituationId rest = reading_.on_return(place.stack);
      const Symbols first = first_symbols(reading_, rest);
      for (const std::uint32_t node : mask->ends)
        if ((trie.nodes()[node].tail & first).any()) allow_rest(rest, node, set);
    }
    for (const Program::TokenEdge& edge : reading_.program().tokens_of(place.state))
      put(set, edge.token);
  }
  if (may_end())
    for (const Token token : trie.tokenizer().special().end_of_generation) put(set, token);
}

// The tokens below `node` whose rest can be read from there.
void Matcher::allow_rest(SituationId from, std::uint32_t node, std::span<std::uint64_t> set) {
  const auto nodes = masks_->trie().nodes();
  path_[nodes[node].depth] = from;
  for (std::uint32_t i = node + 1; i < nodes[node].end;) {
    const SituationId next = reading_.after(path_[nodes[i].depth - 1u], nodes[i].byte);
    if (next == dead) {
      i = nodes[i].end;
      continue;
    }
    path_[nodes[i].depth] = next;
    for (Token token = nodes[i].token; token >= 0; token = masks_->trie().twin(token))
      put(set, token);
    i = reading_.places(next).empty() ? nodes[i].end : i + 1;
  }
}

SituationId Matcher::after(Token token) const {
  const Tokenizer& tokenizer = masks_->trie().tokenizer();
  const TokenKind kind = tokenizer.kind(token);
  const bool is_text = kind != TokenKind::control && kind != TokenKind::unknown &&
                       kind != TokenKind::unused && !tokenizer.ends_generation(token);
  const std::string_view bytes = is_text ? tokenizer.piece(token) : "";
  SituationId next = reading_.after_token(at_, token);
  if (next != dead || bytes.empty()) return next;
  next = at_;
  for (const char byte : bytes) {
    if (next == dead) break;
    next = reading_.after(next, static_cast<std::uint8_t>(byte));
  }
  return next;
}

bool Matcher::allows(Token token) const {
  if (masks_->trie().tokenizer().ends_generation(token)) return may_end();
  return after(token) != dead;
}

bool Matcher::accept(Token token) {
  if (masks_->trie().tokenizer().ends_generation(token) && may_end()) return true;
  const SituationId next = after(token);
  if (next == dead) return false;
  at_ = next;
  if (reading_.tidy(at_))
    for (Recent& recent : recent_) recent.at = unknown;
  return true;
}

std::vector<Matcher::ListBegin> Matcher::lists_in(std::string_view bytes) const {
  const auto& lists = reading_.program().lists;
  std::vector<ListBegin> begins;
  SituationId at = at_;
  for (std::size_t i = 0; i < bytes.size() && at != dead && !lists.empty(); ++i) {
    if (bytes[i] == '{' || bytes[i] == '[')
      for (const Place& place : reading_.places(at))
        if (const auto found = lists.find(place.state); found != lists.end()) {
          begins.push_back({i, found->second.get()});
          break;
        }
    at = reading_.after(at, static_cast<std::uint8_t>(bytes[i]));
  }
  return begins;
}

bool Matcher::accept_text(std::string_view bytes) {
  SituationId next = at_;
  for (const char byte : bytes) {
    next = reading_.after(next, static_cast<std::uint8_t>(byte));
    if (next == dead) return false;
  }
  at_ = next;
  return true;
}

}  // namespace hearth::grammar
