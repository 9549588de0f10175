// Whisper against Hugging Face transformers: scripts/golden_whisper.py made what is compared.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "base/files.h"
#include "formats/sound/sound.h"
#include "models/test_support.h"
#include "speech/test_support.h"
#include "speech/transcribe.h"

namespace hearth::speech {
namespace {

const std::string folder = "tests/golden/speech/";

Json golden() {
  const auto text = read_file(folder + "golden.json", 1 << 20);
  REQUIRE(text.ok());
  auto json = parse_json(*text);
  REQUIRE(json.ok());
  return *std::move(json);
}

std::vector<float> sound_named(const Json& data, const std::string& name) {
  const Json& sound = *data.find("sounds")->find(name);
  return as_floats(
      test_sound(sound.find("seconds")->as_number(), sound.find("seed")->as_integer()));
}

std::vector<float> padded(std::vector<float> samples) {
  samples.resize(std::max<std::size_t>(samples.size(), 480000));
  return samples;
}

// Every `step`-th value against those of the golden.
double worst(std::span<const float> got, const Json& wanted) {
  const auto step = static_cast<std::size_t>(wanted.find("step")->as_integer());
  const auto& values = wanted.find("values")->as_array();
  REQUIRE(values.size() == (got.size() + step - 1) / step);
  double most = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    most = std::max(most, std::abs(values[i].as_number() - static_cast<double>(got[i * step])));
  return most;
}

std::shared_ptr<const Whisper> load(ops::Context& ctx, const std::string& path,
                                    WhisperOptions options = {.kv_dtype = Dtype::f32}) {
  const auto package = open_package(folder + path);
  REQUIRE_MESSAGE(package.ok(), package.error().message());
  CHECK(is_whisper(*package));
  const auto model = Whisper::load(ctx, *package, options);
  REQUIRE_MESSAGE(model.ok(), model.error().message());
  return *model;
}

struct Machine {
  ThreadPool pool{2};
  ops::Context ctx{
      .kernels = kernels::tables_to_test().front().table, .pool = &pool, .tier = ops::Tier::exact};
  Machine() {
    for (const kernels::Candidate& candidate : kernels::tables_to_test())
      if (candidate.supported()) ctx.kernels = candidate.table;
  }
};

TEST_CASE("features are those of WhisperFeatureExtractor") {
  const Json data = golden();
  ThreadPool pool(2);
  const std::vector<float> samples = padded(sound_named(data, "short"));
  for (const std::size_t bins : {80u, 128u}) {
    const Mel mel = log_mel(pool, samples, bins);
    CHECK(mel.frames() == 3000);
    CHECK(worst(mel.values, *data.find("features")->find(std::to_string(bins))) < 2e-4);
  }
  CHECK(log_mel(pool, std::vector<float>(100), 80).frames() == 0);
}

TEST_CASE("encoder and decoder give transformers' numbers, from every container") {
  const Json data = golden();
  const std::vector<float> samples = padded(sound_named(data, "short"));
  const struct {
    const char* path;
    double encoder, logits;
  } rows[] = {{"tiny", 2e-3, 2e-2},
              {"ggml-tiny.bin", 2e-3, 2e-2},
              {"ggml-tiny-q8_0.bin", 0.3, 3},
              {"ct2-float16", 2e-3, 2e-2},
              {"ct2-int8", 0.3, 3}};
  for (const auto& row : rows) {
    CAPTURE(row.path);
    Machine machine;
    const auto model = load(machine.ctx, row.path);
    const Mel mel = log_mel(machine.pool, samples, model->sizes().mels);
    const auto encoded = model->encode(machine.ctx, mel.values);
    REQUIRE(encoded.ok());
    CHECK(worst(*encoded, *data.find("encoder")) < row.encoder);

    auto window = model->make_window();
    REQUIRE(window.ok());
    REQUIRE(model->hear(machine.ctx, mel.values, *window).ok());
    const auto prompt = models::Golden::tokens_of(*data.find("logits")->find("prompt"));
    std::vector<std::uint32_t> all(prompt.size());
    for (std::uint32_t i = 0; i < all.size(); ++i) all[i] = i;
    const std::size_t width = model->sizes().vocabulary;
    std::vector<float> logits(prompt.size() * width);
    REQUIRE(model->say(machine.ctx, *window, prompt, 0, all, logits).ok());
    CHECK(worst(logits, *data.find("logits")) < row.logits);

    // Token by token gives the same.
    std::vector<float> single(width);
    const std::uint32_t first[] = {0};
    for (std::uint32_t i = 0; i < prompt.size(); ++i)
      REQUIRE(
          model->say(machine.ctx, *window, std::span(prompt).subspan(i, 1), i, first, single).ok());
    CHECK(models::difference(single, std::span(logits).last(width)) < 1e-2);
  }
}

TranscribeOptions plain_options() {
  TranscribeOptions options;
  options.temperatures = {0};
  options.max_compression = std::numeric_limits<double>::infinity();
  options.min_log_probability = -std::numeric_limits<double>::infinity();
  options.window_tokens = 40;
  return options;
}

// The tokens of segments that have a length and words, without what begins the next one.
std::vector<std::vector<Token>> told(const Json& run, const Whisper& model, double seconds) {
  std::vector<std::vector<Token>> all;
  for (const Json& segment : run.find("segments")->as_array()) {
    auto tokens = models::Golden::tokens_of(*segment.find("tokens"));
    const Codes& codes = model.codes();
    if (tokens.size() > 2 && codes.is_timestamp(tokens[tokens.size() - 2]) &&
        codes.is_timestamp(tokens.back()))
      tokens.pop_back();
    std::string text;
    for (const Token id : tokens)
      if (codes.is_text(id)) text += model.tokenizer().piece(id);
    const double start = std::min(segment.find("start")->as_number(), seconds),
                 end = std::min(segment.find("end")->as_number(), seconds);
    if (end > start && text.find_first_not_of(" \n\t\r") != text.npos) all.push_back(tokens);
  }
  return all;
}

TEST_CASE("recordings become the tokens that transformers writes, window after window") {
  const Json data = golden();
  Machine machine;
  const auto model = load(machine.ctx, "tiny");
  for (const Json& run : data.find("runs")->as_array()) {
    CAPTURE(write_json(run));
    const std::vector<float> samples = padded(sound_named(data, run.find("sound")->as_string()));
    TranscribeOptions options = plain_options();
    options.language = run.find("language")->as_string();
    options.translate = run.find("task")->as_string() == "translate";
    options.condition_on_text = run.find("condition")->as_bool();
    const auto transcript = transcribe(machine.ctx, *model, samples, options);
    REQUIRE_MESSAGE(transcript.ok(), transcript.error().message());
    std::vector<std::vector<Token>> got;
    for (const Segment& segment : transcript->segments) got.push_back(segment.tokens);
    CHECK(got == told(run, *model, static_cast<double>(samples.size()) / 16000));
  }
}

TEST_CASE("the language is heard, named, or refused") {
  const Json data = golden();
  Machine machine;
  const auto model = load(machine.ctx, "tiny");
  const std::vector<float> samples = sound_named(data, "short");
  TranscribeOptions options = plain_options();
  const auto heard = transcribe(machine.ctx, *model, samples, options);
  REQUIRE(heard.ok());
  CHECK("<|" + heard->language + "|>" == data.find("language")->as_string());
  CHECK(heard->seconds == doctest::Approx(6.4));
  for (const Segment& segment : heard->segments) CHECK(segment.end <= 6.4);
  options.language = "German";
  const auto german = transcribe(machine.ctx, *model, samples, options);
  REQUIRE(german.ok());
  CHECK(german->language == "de");
  options.language = "klingon";
  const auto refused = transcribe(machine.ctx, *model, samples, options);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().kind() == ErrorKind::invalid);
}

TEST_CASE("hotter tries, words, prompts, keys and values in f16, and stopping") {
  const Json data = golden();
  Machine machine;
  const auto model = load(machine.ctx, "tiny", {});
  const std::vector<float> samples = sound_named(data, "long");
  TranscribeOptions options;
  options.language = "de";
  options.words = true;
  options.prompt = "the lazy dog";
  options.max_compression = 0.1;  // never met: the last temperature is taken
  std::vector<std::string> told_texts;
  double share = 0;
  const auto transcript =
      transcribe(machine.ctx, *model, samples, options,
                 {.segment = [&](const Segment& s) { told_texts.push_back(s.text); },
                  .progress =
                      [&](double at) {
                        CHECK(at >= share);
                        share = at;
                      }});
  REQUIRE_MESSAGE(transcript.ok(), transcript.error().message());
  CHECK(share == 1);
  CHECK(told_texts.size() == transcript->segments.size());
  for (const Segment& segment : transcript->segments) {
    CHECK(segment.temperature == 1.0f);
    std::string words;
    double last = segment.seek_frames * 0.01;
    for (const Word& word : segment.words) {
      words += word.text;
      CHECK(word.start <= word.end);
      CHECK(word.end >= last);
      last = word.start;
      CHECK(word.probability >= 0);
      CHECK(word.probability <= 1);
    }
    CHECK(words == segment.text);
  }
  std::stop_source stop;
  stop.request_stop();
  const auto stopped =
      transcribe(machine.ctx, *model, samples, options, {.stop = stop.get_token()});
  REQUIRE_FALSE(stopped.ok());
  CHECK(stopped.error().kind() == ErrorKind::cancelled);
}

TEST_CASE("real speech has the features of the reference") {
  const std::string path = models::shared_data("models/audio/silero-vad/test.wav");
  if (path.empty()) return;
  const auto file = read_file(path, 64 << 20);
  REQUIRE(file.ok());
  const auto samples = read_sound(std::as_bytes(std::span(*file)), {.rate = sample_rate});
  REQUIRE_MESSAGE(samples.ok(), samples.error().message());
  ThreadPool pool(2);
  const Mel mel = log_mel(pool, *samples, 80);
  const auto text = read_file(folder + "speech_features.json", 1 << 20);
  REQUIRE(text.ok());
  const auto wanted = parse_json(*text);
  REQUIRE(wanted.ok());
  CHECK(worst(mel.values, *wanted) < 2e-4);
}

}  // namespace
}  // namespace hearth::speech
