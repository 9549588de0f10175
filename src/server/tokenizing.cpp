// POST /tokenize, /detokenize and /apply-template, with the field names of llama-server and vLLM.
#include "base/utf8.h"
#include "server/fields.h"
#include "server/prompts.h"
#include "server/rows.h"
#include "server/task.h"

namespace hearth::server {
namespace {

using Handler = Checked<Json> (*)(Service& service, const Call& call, const Json& body);

// The text under any of its names.
Checked<std::string> read_content(const Json& body) {
  for (const std::string_view name : {"content", "prompt", "text"}) {
    auto text = TRY(read_text(body, name, max_text_bytes));
    if (text) return std::move(*text);
  }
  return invalid_value("content", "is missing");
}

Checked<ChatPrompt> render(const Model& model, const Json& body, const ChatInput& input) {
  TRY(check_pictures(model, input));
  const bool opens_answer = TRY(read_bool(body, "add_generation_prompt")).value_or(true);
  return TRY(conversation_prompt(model, input, opens_answer));
}

Json byte_list(std::string_view bytes) {
  Json::Array list;
  for (const char c : bytes) list.emplace_back(static_cast<int>(static_cast<unsigned char>(c)));
  return list;
}

// Each token with its text, or its bytes where they are no text by themselves.
Json pieces_of(const Tokenizer& tokenizer, const std::vector<Token>& tokens) {
  Json pieces = Json::array();
  for (const Token token : tokens) {
    const std::string_view bytes = tokenizer.piece(token, true);
    Json piece = Json::object({{"id", token}});
    piece.set("piece", is_utf8(bytes) ? Json(bytes) : byte_list(bytes));
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

Json id_list(const std::vector<Token>& tokens) {
  Json::Array list;
  for (const Token token : tokens) list.emplace_back(token);
  return list;
}

Checked<Json> tokenize(Service& service, const Call& call, const Json& body) {
  const Lease lease = TRY(service.model_of(call, body, true));
  const Tokenizer& tokenizer = lease->model().tokenizer();
  std::vector<Token> tokens;
  if (body.find("messages")) {
    const ChatInput input = TRY(read_chat_input(with_preset(service.preset_of(body), body)));
    tokens = TRY(render(lease->model(), body, input)).tokens;
  } else {
    EncodeOptions options;
    options.add_special = TRY(read_bool(body, "add_special")).value_or(false);
    options.parse_special = TRY(read_bool(body, "parse_special")).value_or(true);
    const std::string text = TRY(read_content(body));
    tokens = TRY(tokenizer.encode(text, options));
  }
  const bool with_pieces = TRY(read_bool(body, "with_pieces")).value_or(false);
  return Json::object({{"tokens", with_pieces ? pieces_of(tokenizer, tokens) : id_list(tokens)},
                       {"count", tokens.size()},
                       {"max_model_len", lease->runner->context_tokens()}});
}

Checked<Json> detokenize(Service& service, const Call& call, const Json& body) {
  const Lease lease = TRY(service.model_of(call, body, true));
  const Tokenizer& tokenizer = lease->model().tokenizer();
  const Json* list = body.find("tokens");
  if (!list) return invalid_value("tokens", "is missing");
  std::vector<Token> tokens;
  if (!list->is_array() || list->size() > 0)
    tokens = TRY(read_tokens(*list, "tokens", tokenizer.size()));
  const std::string text = repair_utf8(tokenizer.decode(tokens, true));
  return Json::object({{"content", text}, {"prompt", text}});
}

Checked<Json> apply_template(Service& service, const Call& call, const Json& body) {
  const Lease lease = TRY(service.model_of(call, body, true));
  const ChatInput input = TRY(read_chat_input(with_preset(service.preset_of(body), body)));
  ChatPrompt prompt = TRY(render(lease->model(), body, input));
  return Json::object({{"prompt", std::move(prompt.text)}});
}

template <Handler handler>
void handle(Service& service, Call call) {
  Checked<Json> body = parse_body(call.request.body);
  Checked<Json> answer = body.ok() ? handler(service, call, body.value()) : std::move(body);
  if (answer.ok())
    send(service, call, http::json_response(write_json(answer.value())));
  else
    send(service, call, std::move(answer).error());
}

}  // namespace

const Endpoint tokenize_endpoint{.method = "POST",
                                 .path = "/tokenize",
                                 .summary = "Turn a text, or a conversation, into token ids.",
                                 .scope = Scope::chat,
                                 .request_schema = "TokenizeRequest",
                                 .response_schema = "TokenizeAnswer",
                                 .place = Endpoint::Place::worker,
                                 .handle = handle<tokenize>};

const Endpoint detokenize_endpoint{.method = "POST",
                                   .path = "/detokenize",
                                   .summary = "Turn token ids into text.",
                                   .scope = Scope::chat,
                                   .request_schema = "DetokenizeRequest",
                                   .response_schema = "DetokenizeAnswer",
                                   .place = Endpoint::Place::worker,
                                   .handle = handle<detokenize>};

const Endpoint apply_template_endpoint{.method = "POST",
                                       .path = "/apply-template",
                                       .summary = "The prompt that a conversation becomes.",
                                       .scope = Scope::chat,
                                       .request_schema = "ApplyTemplateRequest",
                                       .response_schema = "ApplyTemplateAnswer",
                                       .place = Endpoint::Place::worker,
                                       .handle = handle<apply_template>};

}  // namespace hearth::server
