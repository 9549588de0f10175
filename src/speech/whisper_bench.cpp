// Whisper's speed at the sizes that are used, with random weights: a window of 30 s encoded, tokens
// written one by one.  whisper_bench [--size tiny,base,small,turbo] [--type f16] [--threads N]
// [--cpu TABLE]
#include <fmt/core.h>

#include <cstring>
#include <random>

#include "kernels/select.h"
#include "ops/bench_support.h"
#include "ops/quantise.h"
#include "speech/test_support.h"
#include "speech/transcribe.h"

namespace hearth::speech {
namespace {

struct Size {
  std::string_view name;
  std::uint32_t dim, heads, encoder_layers, decoder_layers, mels, vocabulary;
};
constexpr Size sizes[] = {
    {"tiny", 384, 6, 4, 4, 80, 51865},      {"base", 512, 8, 6, 6, 80, 51865},
    {"small", 768, 12, 12, 12, 80, 51865},  {"medium", 1024, 16, 24, 24, 80, 51865},
    {"turbo", 1280, 20, 32, 4, 128, 51866},
};

// A package of random weights; matrices share one stretch of memory, which holds enough for each.
class Maker {
 public:
  Maker(const Size& size, Dtype type) : size_(size), type_(type) {
    const std::size_t most = std::size_t{size.vocabulary} * size.dim;
    random_ = std::make_shared<std::vector<std::byte>>(byte_size(type, most).value());
    std::mt19937 random(7);
    std::normal_distribution<float> normal(0, 0.02f);
    std::vector<float> row(std::size_t{64} * size.dim);
    for (float& value : row) value = normal(random);
    std::vector<std::byte> stored(byte_size(type, row.size()).value());
    ops::quantiser(type)(row.data(), nullptr, stored.data(), row.size());
    for (std::size_t at = 0; at < random_->size(); at += stored.size())
      std::memcpy(random_->data() + at, stored.data(),
                  std::min(stored.size(), random_->size() - at));
    const std::size_t dim = size.dim, floats = std::max(1500 * dim, 3 * dim * dim);
    floats_ = std::make_shared<std::vector<float>>(floats, 0.01f);
    package_.format = "made";
    package_.path = size.name;
    package_.naming = Naming::huggingface;
    package_.storage = {random_, floats_};
  }

  Package make() {
    const std::uint64_t dim = size_.dim;
    matrix("encoder.conv1", {dim, size_.mels, 3});
    matrix("encoder.conv2", {dim, dim, 3});
    vector("encoder.embed_positions.weight", {1500, dim});
    vector("decoder.embed_positions.weight", {448, dim});
    norm("encoder.layer_norm");
    norm("decoder.layer_norm");
    for (std::uint32_t i = 0; i < size_.encoder_layers; ++i)
      layer(fmt::format("encoder.layers.{}.", i), false);
    for (std::uint32_t i = 0; i < size_.decoder_layers; ++i)
      layer(fmt::format("decoder.layers.{}.", i), true);
    add("decoder.embed_tokens.weight", type_, {size_.vocabulary, dim}, *random_);
    describe();
    return std::move(package_);
  }

 private:
  void add(const std::string& name, Dtype type, std::vector<std::uint64_t> shape,
           std::span<const std::byte> data) {
    TensorEntry entry{.name = name, .dtype = type, .shape = std::move(shape), .data = {}};
    entry.data = data.first(entry.bytes());
    package_.tensor_index[name] = package_.tensors.size();
    package_.tensors.push_back(std::move(entry));
  }
  void matrix(const std::string& name, std::vector<std::uint64_t> shape) {
    const std::uint64_t rows = shape[0];
    const bool is_plain = shape.size() == 2;  // convolutions are never quantised
    add(name + ".weight", is_plain ? type_ : Dtype::f32, std::move(shape),
        is_plain ? std::span<const std::byte>(*random_) : std::as_bytes(std::span(*floats_)));
    vector(name + ".bias", {rows});
  }
  void vector(const std::string& name, std::vector<std::uint64_t> shape) {
    add(name, Dtype::f32, std::move(shape), std::as_bytes(std::span(*floats_)));
  }
  void norm(const std::string& name) {
    for (const char* part : {".weight", ".bias"}) vector(name + part, {size_.dim});
  }
  void attention(const std::string& name) {
    for (const char* part : {"q_proj", "k_proj", "v_proj", "out_proj"})
      matrix(name + part, {size_.dim, size_.dim});
  }
  void layer(const std::string& name, bool decodes) {
    const std::uint64_t dim = size_.dim;
    attention(name + "self_attn.");
    norm(name + "self_attn_layer_norm");
    if (decodes) attention(name + "encoder_attn.");
    if (decodes) norm(name + "encoder_attn_layer_norm");
    matrix(name + "fc1", {4 * dim, dim});
    matrix(name + "fc2", {dim, 4 * dim});
    norm(name + "final_layer_norm");
  }
  void describe() {
    package_.config = Json::object({{"model_type", "whisper"},
                                    {"d_model", size_.dim},
                                    {"vocab_size", size_.vocabulary},
                                    {"num_mel_bins", size_.mels},
                                    {"encoder_layers", size_.encoder_layers},
                                    {"encoder_attention_heads", size_.heads},
                                    {"encoder_ffn_dim", 4 * size_.dim},
                                    {"decoder_layers", size_.decoder_layers},
                                    {"decoder_attention_heads", size_.heads},
                                    {"decoder_ffn_dim", 4 * size_.dim},
                                    {"max_source_positions", 1500},
                                    {"max_target_positions", 448}});
    package_.generation_config = Json::object({{"eos_token_id", 50257},
                                               {"decoder_start_token_id", 50258},
                                               {"no_timestamps_token_id", 50363},
                                               {"is_multilingual", false},
                                               {"suppress_tokens", Json::array()},
                                               {"begin_suppress_tokens", Json::array()}});
    static constexpr std::string_view words = "YQ== 0\n";
    package_.files["whisper.tiktoken"] = std::as_bytes(std::span(words));
  }

  const Size& size_;
  const Dtype type_;
  std::shared_ptr<std::vector<std::byte>> random_;
  std::shared_ptr<std::vector<float>> floats_;
  Package package_;
};

void measure(ops::Context& ctx, const Size& size, Dtype type) {
  const Package package = Maker(size, type).make();
  const auto model = Whisper::load(ctx, package);
  if (!model) {
    fmt::print("{}: {}\n", size.name, model.error().message());
    return;
  }
  const int threads = ctx.pool->threads();
  const std::vector<float> samples = as_floats(test_sound(30, 3));
  const auto timed = [&](int times, auto f) {
    double best = 1e30;
    for (int i = 0; i < times; ++i) {
      const double start = bench::seconds(threads);
      f();
      best = std::min(best, bench::seconds(threads) - start);
    }
    return best;
  };
  Mel mel;
  const double mel_seconds = timed(3, [&] { mel = log_mel(*ctx.pool, samples, size.mels); });
  Window window = (*model)->make_window().value();
  const double hear_seconds = timed(3, [&] { (void)(*model)->hear(ctx, mel.values, window).ok(); });
  constexpr std::uint32_t tokens = 100;  // of 30 s of quick speech
  std::vector<float> logits(size.vocabulary);
  const double say_seconds = timed(2, [&] {
    for (std::uint32_t i = 0; i < tokens; ++i) {
      const Token token[] = {static_cast<Token>(100 + i)};
      const std::uint32_t row[] = {0};
      (void)(*model)->say(ctx, window, token, i, row, logits).ok();
    }
  });
  const double all = mel_seconds + hear_seconds + say_seconds;
  fmt::print("{:<8}{:<8}{:>3}{:>12.1f}{:>12.1f}{:>12.2f}{:>10.3f}{:>10.1f}\n", size.name,
             name_of(type), threads, mel_seconds * 1e3, hear_seconds * 1e3,
             say_seconds * 1e3 / tokens, all / 30, 30 / all);
}

}  // namespace
}  // namespace hearth::speech

int main(int count, char** words) {
  using namespace hearth;
  const std::string wanted = "," + bench::argument(count, words, "--size", "tiny,base,turbo") + ",";
  const std::string type = bench::argument(count, words, "--type", "f16");
  const auto table = kernels::choose(bench::argument(count, words, "--cpu", ""));
  if (!table) return 1;
  ThreadPool pool(std::stoi(bench::argument(count, words, "--threads", "2")));
  ops::Context ctx{.kernels = *table, .pool = &pool};
  fmt::print("{:<8}{:<8}{:>3}{:>12}{:>12}{:>12}{:>10}{:>10}\n", "size", "type", "thr", "mel ms",
             "hear ms", "token ms", "rtf", "x real");
  for (const auto& size : speech::sizes)
    for (const DtypeInfo& each : dtypes())
      if (each.name == type && wanted.find("," + std::string(size.name) + ",") != wanted.npos)
        speech::measure(ctx, size, each.dtype);
}
