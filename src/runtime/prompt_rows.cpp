#include "runtime/prompt_rows.h"

#include <fmt/core.h>

#include <algorithm>

namespace hearth {
namespace {

// Source: Steele, Lea and Flood 2014, the finaliser of SplitMix.
std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

// Every fourth row holds the same part of the digest: a few rows hold all of it.
Token mark_of(const PromptPicture& picture, std::size_t row) {
  const std::uint64_t part = picture.digest[row % picture.digest.size()];
  return static_cast<Token>(-1 - static_cast<std::int64_t>(mixed(part + row) >> 33));
}

}  // namespace

PromptRows::PromptRows(const Vision& vision, std::vector<PromptPicture> pictures,
                       std::vector<Token>& prompt)
    : pictures_(std::move(pictures)), rows_(pictures_.size()) {
  if (pictures_.empty()) return;
  places_.resize(prompt.size());
  for (std::uint32_t p = 0; p < pictures_.size(); ++p)
    for (std::uint32_t row = 0; row < pictures_[p].places.size(); ++row) {
      const std::uint32_t place = pictures_[p].places[row];
      places_[place].picture = p;
      places_[place].row = row;
      prompt[place] = mark_of(pictures_[p], row);
    }
  for (std::size_t i = places_.size(); vision.sees_ahead() && i-- > 1;)
    if (places_[i].picture != none && places_[i - 1].picture == places_[i].picture)
      places_[i - 1].ahead = places_[i].ahead + 1;

  // Text goes on behind the longer edge of a picture.  Source: Wang et al. 2024, section 2.1.
  for (std::size_t i = 0; i < places_.size(); ++i) {
    Place& place = places_[i];
    if (place.picture == none || !vision.grid_positions()) {
      place.rope.fill(next_rope_++);
      continue;
    }
    const PreparedPicture& picture = *pictures_[place.picture].prepared;
    place.rope = {next_rope_, next_rope_ + place.row / picture.grid_width,
                  next_rope_ + place.row % picture.grid_width};
    if (place.row + 1 == pictures_[place.picture].places.size())
      next_rope_ += std::max(picture.grid_height, picture.grid_width);
  }
}

Status PromptRows::encode(ops::Context& ctx, const Model& model, std::size_t begin, std::size_t end,
                          std::stop_token stop) {
  deep_layers_ = static_cast<std::uint32_t>(model.vision()->deep_layers());
  dim_ = std::size_t{model.info().dim} * (1 + deep_layers_);
  for (std::size_t i = begin; i < std::min(end, places_.size()); ++i) {
    const std::uint32_t picture = places_[i].picture;
    if (picture == none || !rows_[picture].empty()) continue;
    const PreparedPicture& prepared = *pictures_[picture].prepared;
    std::vector<float> rows(prepared.rows * dim_);
    TRY(model.vision()->encode(ctx, prepared, View(rows.data(), prepared.rows, dim_), stop));
    rows_[picture] = std::move(rows);
  }
  return Done{};
}

void PromptRows::release() {
  for (auto& rows : rows_) rows = {};
}

RowInput PromptRows::at(std::size_t position) const {
  RowInput input;
  if (position >= places_.size()) {
    input.place.fill(next_rope_ + static_cast<std::uint32_t>(position - places_.size()));
    return input;
  }
  const Place& place = places_[position];
  input.place = place.rope;
  input.ahead = place.ahead;
  if (place.picture != none) {
    input.embedding = rows_[place.picture].data() + std::size_t{place.row} * dim_;
    input.deep_layers = deep_layers_;
  }
  return input;
}

std::size_t PromptRows::whole_end(std::size_t end) const {
  if (end == 0 || end > places_.size()) return end;
  return end + places_[end - 1].ahead;
}

std::size_t PromptRows::whole_end_before(std::size_t begin, std::size_t end) const {
  while (end > begin && end <= places_.size() && places_[end - 1].ahead > 0) --end;
  return end;
}

Status check_pictures(const std::vector<PromptPicture>& pictures, std::size_t prompt_tokens) {
  std::size_t next = 0;
  for (const PromptPicture& picture : pictures) {
    if (picture.prepared == nullptr || picture.places.size() != picture.prepared->rows)
      return Error(ErrorKind::invalid, "pictures: needs as many places as rows");
    for (const std::uint32_t place : picture.places) {
      if (place < next || place >= prompt_tokens)
        return Error(ErrorKind::invalid,
                     fmt::format("pictures: place {}: needs {} to {}", place, next,
                                 static_cast<std::int64_t>(prompt_tokens) - 1));
      next = std::size_t{place} + 1;
    }
  }
  return Done{};
}

std::size_t before_pictures(std::span<const Token> tokens, std::size_t end) {
  if (end >= tokens.size() || !is_picture_row(tokens[end])) return end;
  while (end > 0 && is_picture_row(tokens[end - 1])) --end;
  return end;
}

}  // namespace hearth
