#include "speech/rules.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hearth::speech {
namespace {

constexpr float never = -std::numeric_limits<float>::infinity();

void forbid(std::span<float> logits, std::size_t begin, std::size_t end) {
  end = std::min(end, logits.size());
  for (std::size_t i = begin; i < end; ++i) logits[i] = never;
}

// Timestamps come in pairs and never go back.
void apply_order(std::span<float> logits, std::span<const Token> made, const Codes& codes) {
  const auto first = static_cast<std::size_t>(codes.first_timestamp());
  const bool last_is = !made.empty() && codes.is_timestamp(made.back());
  const bool before_is = made.size() < 2 || codes.is_timestamp(made[made.size() - 2]);
  if (last_is && before_is) forbid(logits, first, logits.size());
  if (last_is && !before_is) forbid(logits, 0, static_cast<std::size_t>(codes.end));
  const auto latest =
      std::find_if(made.rbegin(), made.rend(), [&](Token id) { return codes.is_timestamp(id); });
  if (latest == made.rend()) return;
  // The end of one stretch may be the start of the next; a stretch of no length may not be.
  const bool may_repeat = last_is && !before_is;
  forbid(logits, first, static_cast<std::size_t>(*latest) + (may_repeat ? 0 : 1));
}

double log_of_sum(std::span<const float> logits) {
  const float most = *std::ranges::max_element(logits);
  if (most == never) return never;
  double sum = 0;
  for (const float value : logits) sum += std::exp(static_cast<double>(value) - most);
  return most + std::log(sum);
}

// Where all timestamps together are likelier than any one word, one of them it is.
void prefer_timestamps(std::span<float> logits, const Codes& codes) {
  const auto first = static_cast<std::size_t>(codes.first_timestamp());
  const double together = log_of_sum(logits.subspan(first));
  if (together > *std::ranges::max_element(logits.first(first))) forbid(logits, 0, first);
}

}  // namespace

void apply_rules(std::span<float> logits, std::span<const Token> made, const Codes& codes,
                 const RuleOptions& options) {
  for (float& value : logits)
    if (std::isnan(value)) value = never;
  if (made.empty())
    for (const Token id : codes.never_first) logits[static_cast<std::size_t>(id)] = never;
  for (const Token id : codes.never) logits[static_cast<std::size_t>(id)] = never;
  const auto first = static_cast<std::size_t>(codes.first_timestamp());
  if (!options.timestamps) return forbid(logits, first, logits.size());
  logits[static_cast<std::size_t>(codes.no_timestamps)] = never;
  apply_order(logits, made, codes);
  if (made.empty()) {
    forbid(logits, 0, first);
    if (codes.latest_start) forbid(logits, first + *codes.latest_start + 1, logits.size());
  }
  prefer_timestamps(logits, codes);
}

void log_softmax(std::span<float> logits) {
  const double whole = log_of_sum(logits);
  for (float& value : logits)
    value = whole == never ? never : static_cast<float>(static_cast<double>(value) - whole);
}

Stretches cut_into_stretches(std::span<const Token> said, std::uint32_t frames,
                             const Codes& codes) {
  constexpr std::uint32_t frames_of_step = 2;  // 20 ms
  const auto is_time = [&](std::size_t i) { return codes.is_timestamp(said[i]); };
  const auto time = [&](std::size_t i) {
    return static_cast<std::uint32_t>(said[i] - codes.first_timestamp());
  };
  Stretches result;
  std::vector<std::size_t> cuts;
  for (std::size_t i = 1; i < said.size(); ++i)
    if (is_time(i - 1) && is_time(i)) cuts.push_back(i);
  const std::size_t count = said.size();
  const bool ends_alone = count >= 2 && is_time(count - 1) && !is_time(count - 2);
  if (cuts.empty()) {
    Stretch whole{0, frames / frames_of_step, {said.begin(), said.end()}};
    for (std::size_t i = count; i-- > 0;)
      if (is_time(i)) {
        if (time(i) > 0) whole.end = time(i);
        break;
      }
    result.list.push_back(std::move(whole));
    result.heard_frames = frames;
    return result;
  }
  const std::size_t last_cut = cuts.back();
  if (ends_alone) cuts.push_back(count);
  std::size_t begin = 0;
  for (const std::size_t cut : cuts) {
    const auto of = said.subspan(begin, cut - begin);
    const std::uint32_t start = is_time(begin) ? time(begin) : 0;
    const std::uint32_t end = is_time(cut - 1) ? time(cut - 1) : start;
    result.list.push_back({start, end, {of.begin(), of.end()}});
    begin = cut;
  }
  // A single timestamp at the end: no speech follows.  Two: the next stretch was cut off.
  result.heard_frames = ends_alone ? frames : std::min(frames, time(last_cut - 1) * frames_of_step);
  return result;
}

}  // namespace hearth::speech
