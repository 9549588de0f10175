#include <fmt/core.h>

#include <array>
#include <chrono>
#include <cstring>

#include "base/check.h"
#include "base/digest.h"
#include "library/library.h"
#include "library/pictures.h"
#include "models/vision/vision.h"
#include "text/chat_format.h"

namespace hearth {
namespace {

// For models without a template of their own.  Source: OpenAI, "Chat Markup Language".
constexpr std::string_view chatml =
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

std::string name_of(const Tokenizer& tokenizer, std::optional<Token> token) {
  return token ? std::string(tokenizer.name(*token)) : std::string();
}

Result<RenderedPrompt> render(const Model& model, const RenderInputs& inputs) {
  if (const ChatFormat* own = model.chat_format()) return own->render(inputs);
  static const auto fallback = ChatFormat::parse(chatml);
  HEARTH_CHECK(fallback);
  return fallback->render(inputs);
}

// The text is encoded as a whole, since tokens may reach across parts; control tokens come only
// from what the template wrote.
Result<std::vector<Token>> encode(const Tokenizer& tokenizer, const RenderedPrompt& prompt) {
  std::vector<TextRange> untrusted;
  std::size_t begin = 0;
  for (const RenderedPrompt::Part& part : prompt.parts) {
    if (!part.trusted) untrusted.push_back({begin, begin + part.text.size()});
    begin += part.text.size();
  }
  return tokenizer.encode(prompt.text(), {.parse_special = true, .untrusted = untrusted});
}

// ---- Pictures ----

Result<PromptPicture> read_prompt_picture(const Vision& vision, const std::string& bytes,
                                          std::int64_t& points) {
  const Picture picture = TRY(read_picture(std::as_bytes(std::span(bytes))));
  points += picture.width * picture.height;
  if (points > max_conversation_points)
    return Error(ErrorKind::exhausted, fmt::format("the pictures of a conversation have over {} "
                                                   "points",
                                                   max_conversation_points));
  PromptPicture result;
  result.prepared = std::make_shared<const PreparedPicture>(TRY(vision.prepare(picture)));
  const Sha256 digest = sha256(bytes);
  static_assert(sizeof digest == sizeof result.digest);
  std::memcpy(result.digest.data(), digest.data(), digest.size());
  return result;
}

Result<std::vector<PromptPicture>> read_pictures(const Model& model, const Json& messages) {
  std::vector<PromptPicture> pictures;
  const auto files = TRY(pictures_in(messages));
  if (files.empty()) return pictures;
  if (model.vision() == nullptr)
    return Error(ErrorKind::unsupported,
                 "messages show a picture: this model reads text, it does not see");
  std::int64_t points = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    auto picture = read_prompt_picture(*model.vision(), files[i], points);
    if (!picture) return std::move(picture).error().within(fmt::format("picture {}", i + 1));
    pictures.push_back(*std::move(picture));
  }
  return pictures;
}

// The token that stands for a row: the model's own, or, where a vocabulary lacks it, another
// control token that is nowhere in the prompt.
Result<Token> row_token(const Tokenizer& tokenizer, const Vision& vision, std::string_view prompt) {
  if (const auto own = tokenizer.find(vision.row_name());
      own && tokenizer.kind(*own) != TokenKind::normal)
    return *own;
  for (Token token = 0; token < tokenizer.size(); ++token)
    if (tokenizer.kind(token) == TokenKind::control && !tokenizer.name(token).empty() &&
        prompt.find(tokenizer.name(token)) == std::string_view::npos)
      return token;
  return Error(ErrorKind::unsupported,
               fmt::format("the vocabulary has no token for '{}'", vision.row_name()));
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  if (from == to) return text;
  std::string out;
  std::size_t begin = 0;
  for (std::size_t at; (at = text.find(from, begin)) != std::string::npos;
       begin = at + from.size()) {
    out.append(text, begin, at - begin);
    out += to;
  }
  return out.append(text, begin);
}

// Every marker that the template wrote becomes the text of the next picture.
Status put_pictures(const Vision& vision, std::string_view row_name,
                    const std::vector<PromptPicture>& pictures, RenderedPrompt& prompt) {
  std::size_t next = 0;
  const std::string_view marker = vision.marker();
  for (RenderedPrompt::Part& part : prompt.parts) {
    if (!part.trusted) continue;
    std::string text;
    std::size_t begin = 0;
    for (std::size_t at; (at = part.text.find(marker, begin)) != std::string::npos;
         begin = at + marker.size()) {
      text.append(part.text, begin, at - begin);
      if (next < pictures.size())
        text += replaced(pictures[next].prepared->text, vision.row_name(), row_name);
      ++next;
    }
    part.text = text.append(part.text, begin);
  }
  if (next == pictures.size()) return Done{};
  return Error(ErrorKind::invalid,
               fmt::format("the chat template has places for {} pictures, the messages show {}",
                           next, pictures.size()));
}

Status find_places(std::span<const Token> tokens, Token row, std::vector<PromptPicture>& pictures) {
  std::size_t picture = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] != row) continue;
    while (picture < pictures.size() &&
           pictures[picture].places.size() == pictures[picture].prepared->rows)
      ++picture;
    if (picture == pictures.size())
      return Error(ErrorKind::invalid, "the prompt has more rows than its pictures");
    pictures[picture].places.push_back(static_cast<std::uint32_t>(i));
  }
  return Done{};
}

}  // namespace

Result<ChatPrompt> chat_prompt(const Model& model, const Json& messages, const Json& tools,
                               const Json& variables, bool add_generation_prompt) {
  const Tokenizer& tokenizer = model.tokenizer();
  const SpecialTokens& special = tokenizer.special();
  RenderInputs inputs;
  inputs.messages = messages;
  inputs.tools = tools;
  inputs.variables = variables;
  inputs.add_generation_prompt = add_generation_prompt;
  inputs.bos_token = name_of(tokenizer, special.bos);
  inputs.eos_token = name_of(tokenizer, special.eos);
  inputs.pad_token = name_of(tokenizer, special.pad);
  inputs.unk_token = name_of(tokenizer, special.unk);
  inputs.now_seconds = std::chrono::duration_cast<std::chrono::seconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count();
  std::vector<PromptPicture> pictures = TRY(read_pictures(model, messages));
  if (!pictures.empty()) inputs.picture_text = model.vision()->marker_in_text();
  RenderedPrompt rendered = TRY(render(model, inputs));
  std::string text = rendered.text();
  Token row = 0;
  if (!pictures.empty()) {
    row = TRY(row_token(tokenizer, *model.vision(), text));
    TRY(put_pictures(*model.vision(), tokenizer.name(row), pictures, rendered));
  }
  std::vector<Token> tokens = TRY(encode(tokenizer, rendered));
  if (!pictures.empty()) TRY(find_places(tokens, row, pictures));
  ChatPrompt prompt{
      .text = std::move(text), .tokens = std::move(tokens), .pictures = std::move(pictures)};
  if (special.add_bos && special.bos &&
      (prompt.tokens.empty() || prompt.tokens.front() != *special.bos)) {
    prompt.tokens.insert(prompt.tokens.begin(), *special.bos);
    for (PromptPicture& picture : prompt.pictures)
      for (std::uint32_t& place : picture.places) ++place;
  }
  if (prompt.tokens.empty())
    return Error(ErrorKind::invalid, "the chat template made an empty prompt of these messages");
  return prompt;
}

}  // namespace hearth
