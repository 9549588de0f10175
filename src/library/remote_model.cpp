#include "library/remote_model.h"

#include <fmt/core.h>

#include <array>

namespace hearth {
namespace {

// Bytes, of which a text of four million is longer than what any server takes.
constexpr std::uint32_t context_bytes = 1u << 22;
constexpr Token end_token = 256;
constexpr std::int32_t tokens = 257;

constexpr std::string_view mark = "\x01hearth conversation ";

// The comment shows how calls and thoughts come back: remote_runner.cpp writes them so.
constexpr std::string_view chat_template =
    "{# <think></think> <tool_call>\n{\"name\": n, \"arguments\": a}\n</tool_call> #}"
    "\x01hearth conversation {\"messages\": {{ messages | tojson }}"
    "{% if tools %}, \"tools\": {{ tools | tojson }}{% endif %}}";

class ByteTokenizer final : public Tokenizer {
 public:
  ByteTokenizer() {
    for (std::size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<char>(i);
    special_.eos = end_token;
    special_.end_of_generation = {end_token};
  }
  Result<std::vector<Token>> encode(std::string_view text, EncodeOptions) const override {
    if (text.size() > max_text_bytes)
      return Error(ErrorKind::invalid, fmt::format("a text of {} bytes", text.size()));
    std::vector<Token> ids;
    ids.reserve(text.size());
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  std::string_view piece(Token id, bool) const override {
    if (id < 0 || id >= end_token) return {};
    return std::string_view(bytes_.data() + id, 1);
  }
  std::string decode(std::span<const Token> ids, bool special) const override {
    std::string text;
    for (const Token id : ids) text += piece(id, special);
    return text;
  }
  std::int32_t size() const override { return tokens; }
  std::string_view name(Token id) const override { return piece(id, false); }
  TokenKind kind(Token id) const override {
    return id == end_token ? TokenKind::control : TokenKind::byte;
  }
  std::optional<Token> find(std::string_view name) const override {
    if (name.size() != 1) return std::nullopt;
    return static_cast<unsigned char>(name[0]);
  }
  const SpecialTokens& special() const override { return special_; }
  std::string_view algorithm() const override { return "bytes"; }

 private:
  std::array<char, 256> bytes_{};
  SpecialTokens special_;
};

class RemoteModel final : public Model {
 public:
  explicit RemoteModel(const RemoteSettings& remote) {
    info_.name = remote.name;
    info_.architecture = "remote";
    info_.kind = remote.embeds ? ModelKind::embedder : ModelKind::generator;
    info_.quantisation = "none";
    info_.context_length = context_bytes;
    info_.vocabulary = tokens;
    if (auto parsed = ChatFormat::parse(chat_template)) format_ = *std::move(parsed);
    HEARTH_CHECK(format_.has_value());
  }
  const ModelInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return tokenizer_; }
  const ChatFormat* chat_format() const override { return &*format_; }
  std::string_view chat_template_source() const override { return chat_template; }
  const KvLayout& kv_layout() const override { return layout_; }
  std::uint32_t embedding_dim() const override { return 0; }
  Status forward(ops::Context&, const Batch&, std::span<float>, std::stop_token) const override {
    return Error(ErrorKind::unsupported, "the model runs elsewhere");
  }
  Result<std::vector<std::vector<float>>> embed(ops::Context&, std::span<const std::vector<Token>>,
                                                std::stop_token) const override {
    return Error(ErrorKind::unsupported, "the model runs elsewhere");
  }

 private:
  ModelInfo info_;
  ByteTokenizer tokenizer_;
  std::optional<ChatFormat> format_;
  KvLayout layout_;
};

// Arguments of calls are JSON text in OpenAI's form.
void write_arguments(Json& message) {
  Json* calls = message.find("tool_calls");
  if (calls == nullptr || !calls->is_array()) return;
  for (Json& call : calls->as_array()) {
    Json* function = call.find("function");
    Json* arguments = function == nullptr ? nullptr : function->find("arguments");
    if (arguments != nullptr && !arguments->is_string()) *arguments = write_json(*arguments);
  }
}

}  // namespace

std::shared_ptr<const Model> make_remote_model(const RemoteSettings& remote) {
  return std::make_shared<RemoteModel>(remote);
}

Result<std::optional<Json>> conversation_in(std::string_view prompt) {
  if (!prompt.starts_with(mark)) return std::optional<Json>();
  prompt.remove_prefix(mark.size());
  Json body = TRY(parse_json(prompt));
  Json* messages = body.find("messages");
  if (messages == nullptr || !messages->is_array())
    return Error(ErrorKind::corrupt, "a conversation without messages");
  for (Json& message : messages->as_array()) write_arguments(message);
  return std::optional<Json>(std::move(body));
}

}  // namespace hearth
