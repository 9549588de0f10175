#include "models/text_side.h"

#include "base/log.h"
#include "models/model.h"

namespace hearth::models {
namespace {

// Stands in where a package has no tokenizer: the model still runs on token ids.
class NoTokenizer final : public Tokenizer {
 public:
  NoTokenizer(std::string why, std::uint32_t tokens)
      : why_(std::move(why)), tokens_(static_cast<std::int32_t>(tokens)) {}
  Result<std::vector<Token>> encode(std::string_view, EncodeOptions) const override {
    return Error(ErrorKind::unsupported, why_);
  }
  std::string_view piece(Token, bool) const override { return {}; }
  std::string decode(std::span<const Token>, bool) const override { return {}; }
  std::int32_t size() const override { return tokens_; }
  std::string_view name(Token) const override { return {}; }
  TokenKind kind(Token) const override { return TokenKind::normal; }
  std::optional<Token> find(std::string_view) const override { return std::nullopt; }
  const SpecialTokens& special() const override { return special_; }
  std::string_view algorithm() const override { return "none"; }

 private:
  std::string why_;
  std::int32_t tokens_;
  SpecialTokens special_;
};

}  // namespace

Result<TextSide> load_text_side(const Package& package, const std::string& model,
                                std::uint32_t vocabulary) {
  TextSide side;
  auto tokenizer = load_tokenizer(package);
  if (tokenizer)
    side.tokenizer = std::move(*tokenizer);
  else if (tokenizer.error().kind() == ErrorKind::not_found)
    side.tokenizer = std::make_unique<NoTokenizer>(tokenizer.error().message(), vocabulary);
  else
    return std::move(tokenizer).error();

  auto source = chat_template_source(package);
  if (!source) {
    if (source.error().kind() == ErrorKind::not_found) return side;
    return std::move(source).error();
  }
  side.chat_template_source = std::move(*source);
  auto parsed = ChatFormat::parse(side.chat_template_source);
  if (parsed)
    side.chat_format = std::move(*parsed);
  else
    log_warning("chat_template_unusable model={} why={}", model, parsed.error().message());
  return side;
}

}  // namespace hearth::models
