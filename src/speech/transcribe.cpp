#include "speech/transcribe.h"

#include <fmt/core.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "base/ascii.h"
#include "base/bytes.h"
#include "base/utf8.h"
#include "speech/rules.h"

namespace hearth::speech {
namespace {

// How often a text repeats itself: its bytes to those that DEFLATE needs.
double compression_of(const std::string& text) {
  if (text.empty()) return 0;
  uLongf bytes = compressBound(text.size());
  std::vector<Bytef> packed(bytes);
  if (compress(packed.data(), &bytes, reinterpret_cast<const Bytef*>(text.data()), text.size()) !=
      Z_OK)
    return 0;
  return static_cast<double>(text.size()) / static_cast<double>(bytes);
}

// What was said of one window.
struct Said {
  std::vector<Token> tokens;  // without the end
  std::string text;
  float temperature = 0;
  double log_probability = 0, compression = 0, no_speech = 0;
};

std::string text_of(const Whisper& model, std::span<const Token> tokens) {
  std::string text;
  for (const Token id : tokens)
    if (model.codes().is_text(id)) text += model.tokenizer().piece(id);
  return repair_utf8(text);
}

// One recording on its way to text.
class Writer {
 public:
  Writer(ops::Context& ctx, const Whisper& model, const TranscribeOptions& options,
         const TranscribeHooks& hooks)
      : ctx_(ctx),
        model_(model),
        codes_(model.codes()),
        options_(options),
        hooks_(hooks),
        random_(options.seed) {}

  Result<Transcript> write(std::span<const float> samples);

 private:
  Result<std::vector<double>> language_probabilities();
  Status listen(std::uint32_t seek, std::uint32_t frames);
  Status choose_language();
  std::vector<Token> beginning() const;
  std::vector<Token> prompt() const;
  Result<Said> say_window();
  Result<Said> say_at(float temperature, std::span<const Token> prompt, double no_speech,
                      std::span<const float> first_logits);
  Token draw(std::span<const float> log_probabilities, float temperature);
  bool needs_another(const Said& said) const;
  Status keep(const Said& said, std::uint32_t seek, std::uint32_t frames, std::uint32_t& heard);

  ops::Context& ctx_;
  const Whisper& model_;
  const Codes& codes_;
  const TranscribeOptions& options_;
  const TranscribeHooks& hooks_;
  std::mt19937_64 random_;
  Mel mel_;
  Window window_;
  Transcript out_;
  Token language_ = 0;             // 0: the model has but one
  std::vector<Token> before_;      // what was said so far
  std::size_t relevant_from_ = 0;  // of `before_`
};

Status Writer::listen(std::uint32_t seek, std::uint32_t frames) {
  return model_.hear(ctx_,
                     std::span(mel_.values)
                         .subspan(std::size_t{seek} * mel_.bins, std::size_t{frames} * mel_.bins),
                     window_, hooks_.stop);
}

// Of each language of the model, after its first window was heard.
Result<std::vector<double>> Writer::language_probabilities() {
  std::vector<float> logits(model_.sizes().vocabulary);
  const Token start[] = {codes_.start};
  const std::uint32_t row[] = {0};
  TRY(model_.say(ctx_, window_, start, 0, row, logits));
  std::vector<double> shares;
  double most = -1e30, sum = 0;
  for (const auto& [code, id] : codes_.languages)
    most = std::max<double>(most, logits[static_cast<std::size_t>(id)]);
  for (const auto& [code, id] : codes_.languages) {
    shares.push_back(std::exp(logits[static_cast<std::size_t>(id)] - most));
    sum += shares.back();
  }
  for (double& share : shares) share /= sum;
  return shares;
}

Status Writer::choose_language() {
  if (!codes_.is_multilingual) {
    out_.language = "en";
    const Language* wanted = options_.language.empty() ? nullptr : find_language(options_.language);
    if (wanted != nullptr && wanted->code != "en")
      return Error(ErrorKind::invalid,
                   fmt::format("language '{}': this model knows English only", options_.language));
    return Done{};
  }
  if (options_.language.empty()) {
    const std::vector<double> shares = TRY(language_probabilities());
    if (shares.empty()) return Error(ErrorKind::corrupt, "the model names no languages");
    const auto best = static_cast<std::size_t>(std::ranges::max_element(shares) - shares.begin());
    out_.language = codes_.languages[best].first;
    language_ = codes_.languages[best].second;
    return Done{};
  }
  const Language* wanted = find_language(options_.language);
  for (const auto& [code, id] : codes_.languages)
    if (wanted != nullptr && code == wanted->code) {
      out_.language = code;
      language_ = id;
      return Done{};
    }
  return Error(ErrorKind::invalid,
               fmt::format("language '{}': not one that this model knows; 'en' or 'english' is one",
                           printable(options_.language)));
}

// What stands before every window's text.
std::vector<Token> Writer::beginning() const {
  std::vector<Token> tokens{codes_.start};
  if (language_ != 0) {
    tokens.push_back(language_);
    tokens.push_back(options_.translate ? codes_.translate : codes_.transcribe);
  }
  if (!options_.timestamps) tokens.push_back(codes_.no_timestamps);
  return tokens;
}

std::vector<Token> Writer::prompt() const {
  const std::size_t most = model_.sizes().target_positions / 2 - 1;
  const auto relevant = std::span(before_).subspan(relevant_from_);
  std::vector<Token> tokens;
  if (!relevant.empty()) {
    tokens.push_back(codes_.previous);
    const auto last = relevant.last(std::min(most, relevant.size()));
    tokens.insert(tokens.end(), last.begin(), last.end());
  }
  const std::vector<Token> begin = beginning();
  tokens.insert(tokens.end(), begin.begin(), begin.end());
  return tokens;
}

Token Writer::draw(std::span<const float> log_probabilities, float temperature) {
  if (temperature <= 0)
    return static_cast<Token>(std::ranges::max_element(log_probabilities) -
                              log_probabilities.begin());
  std::vector<double> sums(log_probabilities.size());
  const float most = *std::ranges::max_element(log_probabilities);
  double sum = 0;
  for (std::size_t i = 0; i < sums.size(); ++i)
    sums[i] = sum += std::exp((static_cast<double>(log_probabilities[i]) - most) / temperature);
  // As std::uniform_real_distribution would, but the same everywhere.
  const double point = static_cast<double>(random_() >> 11) * 0x1p-53 * sum;
  const auto found = std::ranges::upper_bound(sums, point);
  return static_cast<Token>(std::min<std::ptrdiff_t>(found - sums.begin(), std::ssize(sums) - 1));
}

Result<Said> Writer::say_at(float temperature, std::span<const Token> prompt, double no_speech,
                            std::span<const float> first_logits) {
  Said said;
  said.temperature = temperature;
  said.no_speech = no_speech;
  std::vector<float> logits(first_logits.begin(), first_logits.end());
  const std::size_t positions = model_.sizes().target_positions;
  const std::size_t most =
      std::min<std::size_t>(options_.window_tokens > 0 ? options_.window_tokens : positions / 2,
                            positions - prompt.size());
  double sum = 0;
  std::size_t summed = 0;
  while (said.tokens.size() < most) {
    if (hooks_.stop.stop_requested())
      return Error(ErrorKind::cancelled, "transcribing was stopped");
    apply_rules(logits, said.tokens, codes_, {options_.timestamps});
    log_softmax(logits);
    const Token id = draw(logits, temperature);
    sum += logits[static_cast<std::size_t>(id)];
    ++summed;
    if (id == codes_.end) break;
    said.tokens.push_back(id);
    if (said.tokens.size() == most) break;
    const std::uint32_t row[] = {0};
    TRY(model_.say(ctx_, window_, {&id, 1},
                   static_cast<std::uint32_t>(prompt.size() + said.tokens.size() - 1), row,
                   logits));
  }
  said.log_probability = sum / static_cast<double>(std::max<std::size_t>(summed, 1));
  said.text = std::string(trimmed(text_of(model_, said.tokens)));
  said.compression = compression_of(said.text);
  return said;
}

bool Writer::needs_another(const Said& said) const {
  if (said.no_speech > options_.no_speech && said.log_probability < options_.min_log_probability)
    return false;  // silence
  return said.compression > options_.max_compression ||
         said.log_probability < options_.min_log_probability;
}

Result<Said> Writer::say_window() {
  const std::vector<Token> tokens = prompt();
  const auto start_row = static_cast<std::uint32_t>(tokens.size() - beginning().size());
  const std::uint32_t last_row = static_cast<std::uint32_t>(tokens.size()) - 1;
  std::vector<std::uint32_t> rows{start_row};
  if (last_row != start_row) rows.push_back(last_row);
  const std::size_t width = model_.sizes().vocabulary;
  std::vector<float> logits(rows.size() * width);
  TRY(model_.say(ctx_, window_, tokens, 0, rows, logits));
  std::vector<float> at_start(logits.begin(), logits.begin() + static_cast<std::ptrdiff_t>(width));
  log_softmax(at_start);
  const double no_speech = std::exp(at_start[static_cast<std::size_t>(codes_.no_speech)]);
  const auto first = std::span(logits).last(width);
  Said said;
  for (const float temperature : options_.temperatures) {
    said = TRY(say_at(temperature, tokens, no_speech, first));
    if (!needs_another(said)) break;
  }
  return said;
}

// Segments of a window.  `heard`: how far the recording was understood.
Status Writer::keep(const Said& said, std::uint32_t seek, std::uint32_t frames,
                    std::uint32_t& heard) {
  const Stretches stretches = cut_into_stretches(said.tokens, frames, codes_);
  const double offset = static_cast<double>(seek) / frames_per_second;
  std::vector<Segment> fresh;
  for (const Stretch& stretch : stretches.list) {
    Segment segment;
    segment.seek_frames = seek;
    segment.start = std::min(offset + 0.02 * stretch.begin, out_.seconds);
    segment.end = std::min(offset + 0.02 * stretch.end, out_.seconds);
    segment.tokens = stretch.tokens;
    segment.text = text_of(model_, stretch.tokens);
    segment.temperature = said.temperature;
    segment.log_probability = said.log_probability;
    segment.compression = said.compression;
    segment.no_speech = said.no_speech;
    before_.insert(before_.end(), stretch.tokens.begin(), stretch.tokens.end());
    out_.tokens += std::ssize(stretch.tokens);
    if (segment.start >= segment.end || trimmed(segment.text).empty()) continue;
    fresh.push_back(std::move(segment));
  }
  if (options_.words)
    TRY(add_word_times(ctx_, model_, window_, beginning(), out_.language, frames, fresh));
  for (Segment& segment : fresh) {
    segment.id = static_cast<std::uint32_t>(out_.segments.size());
    out_.text += segment.text;
    out_.segments.push_back(std::move(segment));
    if (hooks_.segment) hooks_.segment(out_.segments.back());
  }
  heard = stretches.heard_frames;
  // A guess at a high temperature leads the next window astray.
  constexpr float astray = 0.5f;
  if (!options_.condition_on_text || said.temperature > astray) relevant_from_ = before_.size();
  return Done{};
}

Result<Transcript> Writer::write(std::span<const float> samples) {
  out_.seconds = static_cast<double>(samples.size()) / sample_rate;
  const std::uint32_t window_frames = model_.sizes().window_frames();
  // A short recording is followed by silence; a long one ends where it ends.
  std::vector<float> padded;
  const std::size_t window_length = std::size_t{window_frames} * hop_samples;
  if (samples.size() < window_length) {
    padded.assign(samples.begin(), samples.end());
    padded.resize(window_length);
    mel_ = log_mel(*ctx_.pool, padded, model_.sizes().mels);
  } else {
    mel_ = log_mel(*ctx_.pool, samples, model_.sizes().mels);
  }
  window_ = TRY(model_.make_window());
  if (!options_.prompt.empty()) {
    before_ = TRY(model_.tokenizer().encode(" " + std::string(trimmed(options_.prompt)), {}));
    std::erase_if(before_, [&](Token id) { return !codes_.is_text(id); });
  }
  const auto end = static_cast<std::uint32_t>(
      std::min(mel_.frames(), (samples.size() + hop_samples - 1) / hop_samples));
  for (std::uint32_t seek = 0; seek < end;) {
    if (hooks_.progress) hooks_.progress(static_cast<double>(seek) / end);
    const std::uint32_t frames = std::min(window_frames, end - seek);
    // A window of a short recording has the silence behind it, too.
    const auto rest = static_cast<std::uint32_t>(mel_.frames() - seek);
    TRY(listen(seek, std::min(window_frames, rest)));
    if (seek == 0) TRY(choose_language());
    const Said said = TRY(say_window());
    std::uint32_t heard = frames;
    const bool is_silence =
        said.no_speech > options_.no_speech && said.log_probability < options_.min_log_probability;
    if (!is_silence) TRY(keep(said, seek, frames, heard));
    seek += heard > 0 ? heard : frames;
  }
  if (hooks_.progress) hooks_.progress(1);
  return std::move(out_);
}

}  // namespace

Result<Transcript> transcribe(ops::Context& ctx, const Whisper& model,
                              std::span<const float> samples, const TranscribeOptions& options,
                              const TranscribeHooks& hooks) {
  return Writer(ctx, model, options, hooks).write(samples);
}

}  // namespace hearth::speech
