#include "text/decoders.h"

#include <functional>

#include "base/utf8.h"
#include "text/vocabulary.h"

namespace hearth {
namespace {

using Tokens = std::vector<std::string>;

class Function final : public DecoderStep {
 public:
  explicit Function(std::function<void(Tokens&)> apply) : apply_(std::move(apply)) {}
  void apply(Tokens& tokens) const override { apply_(tokens); }

 private:
  std::function<void(Tokens&)> apply_;
};

std::unique_ptr<DecoderStep> make_step(std::function<void(Tokens&)> apply) {
  return std::make_unique<Function>(std::move(apply));
}

std::string fuse(const Tokens& tokens) {
  std::string text;
  for (const std::string& token : tokens) text += token;
  return text;
}

std::string spaced(std::string_view text) {
  std::string out(1, ' ');
  out += text;
  return out;
}

// English as it is written, not as it is cut.
std::string clean_up(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> rules[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : rules)
    if (text.find(from) != std::string::npos) text = replace_all(text, from, to);
  return text;
}

// Runs of <0x..> tokens become text; bytes that are no UTF-8 become U+FFFD each.
void join_bytes(Tokens& tokens) {
  Tokens out;
  std::string bytes;
  const auto flush = [&] {
    if (bytes.empty()) return;
    if (is_utf8(bytes))
      out.push_back(bytes);
    else
      for (std::size_t i = 0; i < bytes.size(); ++i) out.emplace_back("\xEF\xBF\xBD");
    bytes.clear();
  };
  for (std::string& token : tokens) {
    const int byte = byte_of_name(token);
    if (byte >= 0) {
      bytes += static_cast<char>(byte);
      continue;
    }
    flush();
    out.push_back(std::move(token));
  }
  flush();
  tokens = std::move(out);
}

void strip(std::string& text, const StripDecoderOptions& options) {
  const std::string& unit = options.content;
  if (unit.empty()) return;
  for (std::size_t n = 0; n < options.start && text.starts_with(unit); ++n)
    text.erase(0, unit.size());
  for (std::size_t n = 0; n < options.stop && text.ends_with(unit); ++n)
    text.erase(text.size() - unit.size());
}

class Steps final : public Decoder {
 public:
  explicit Steps(DecoderSteps steps) : steps_(std::move(steps)) {}
  std::string decode(Tokens tokens) const override {
    for (const auto& step : steps_) step->apply(tokens);
    return fuse(tokens);
  }

 private:
  DecoderSteps steps_;
};

}  // namespace

std::unique_ptr<DecoderStep> make_bpe_decoder(std::string suffix) {
  return make_step([suffix](Tokens& tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = replace_all(tokens[i], suffix, i + 1 == tokens.size() ? "" : " ");
  });
}

std::unique_ptr<DecoderStep> make_byte_level_decoder() {
  return make_step([](Tokens& tokens) {
    std::string all, bytes;
    for (const std::string& token : tokens) all += decode_byte_name(token, bytes) ? bytes : token;
    tokens.assign(1, repair_utf8(all));
  });
}

std::unique_ptr<DecoderStep> make_wordpiece_decoder(WordPieceDecoderOptions options) {
  return make_step([options](Tokens& tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      std::string& token = tokens[i];
      if (i > 0) {
        if (token.starts_with(options.prefix))
          token.erase(0, options.prefix.size());
        else
          token = spaced(token);
      }
      if (options.cleanup) token = clean_up(std::move(token));
    }
  });
}

std::unique_ptr<DecoderStep> make_metaspace_decoder(MetaspaceDecoderOptions options) {
  return make_step([options](Tokens& tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i)
      tokens[i] =
          replace_all(tokens[i], options.replacement, i == 0 && !options.keep_first ? "" : " ");
  });
}

std::unique_ptr<DecoderStep> make_ctc_decoder(CtcDecoderOptions options) {
  return make_step([options](Tokens& tokens) {
    Tokens out;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0 && tokens[i] == tokens[i - 1]) continue;
      std::string token = replace_all(tokens[i], options.pad, "");
      if (options.cleanup) token = replace_all(clean_up(token), options.word_delimiter, " ");
      if (!token.empty()) out.push_back(std::move(token));
    }
    tokens = std::move(out);
  });
}

std::unique_ptr<DecoderStep> make_replace_decoder(std::string from, std::string to) {
  return make_step([from, to](Tokens& tokens) {
    for (std::string& token : tokens) token = replace_all(token, from, to);
  });
}

std::unique_ptr<DecoderStep> make_regex_replace_decoder(Regex regex, std::string to) {
  const auto shared = std::make_shared<const Regex>(std::move(regex));
  return make_step([shared, to](Tokens& tokens) {
    for (std::string& token : tokens) {
      auto replaced = replace_all(*shared, repair_utf8(token), to);
      if (replaced) token = *std::move(replaced);  // a search without end leaves the token as it is
    }
  });
}

std::unique_ptr<DecoderStep> make_fuse_decoder() {
  return make_step([](Tokens& tokens) { tokens.assign(1, fuse(tokens)); });
}

std::unique_ptr<DecoderStep> make_strip_decoder(StripDecoderOptions options) {
  return make_step([options](Tokens& tokens) {
    for (std::string& token : tokens) strip(token, options);
  });
}

std::unique_ptr<DecoderStep> make_byte_fallback_decoder() { return make_step(join_bytes); }

std::unique_ptr<DecoderStep> make_spaced_decoder() {
  return make_step([](Tokens& tokens) {
    for (std::size_t i = 1; i < tokens.size(); ++i) tokens[i] = spaced(tokens[i]);
  });
}

std::unique_ptr<Decoder> make_decoder(DecoderSteps steps) {
  return std::make_unique<Steps>(std::move(steps));
}

}  // namespace hearth
