#include <algorithm>
#include <cstring>

#include "kernels/select.h"
#include "server/scripted.h"
#include "text/grammar/engine.h"

namespace hearth::server {
namespace {

constexpr std::string_view turn_open = "<|im_start|>", turn_close = "<|im_end|>";
constexpr std::string_view answer_open = "<|im_start|>assistant\n";

constexpr std::string_view chat_template = R"({%- if tools %}<|im_start|>system
{% if messages[0].role == 'system' %}{{ messages[0].content }}

{% endif %}# Tools
Call one by writing, between marks:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>
<tools>
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}</tools><|im_end|>
{% elif messages[0].role == 'system' %}<|im_start|>system
{{ messages[0].content }}<|im_end|>
{% endif %}{% for message in messages %}{% if message.role == 'tool' %}<|im_start|>user
<tool_response>
{{ message.content }}
</tool_response><|im_end|>
{% elif message.role == 'assistant' %}<|im_start|>assistant
{% if message.reasoning_content %}<think>
{{ message.reasoning_content }}
</think>

{% endif %}{{ message.content }}{% for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% elif not (loop.first and message.role == 'system') %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %})";

// The letter that stands for a byte in such a vocabulary.
// Source: Radford et al. 2019, byte-level BPE.
std::string letter_of(int byte) {
  const auto is_plain = [](int b) {
    return (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
  };
  int point = byte;
  if (!is_plain(byte)) {
    point = 256;
    for (int b = 0; b < byte; ++b) point += !is_plain(b);
  }
  if (point < 0x80) return std::string(1, static_cast<char>(point));
  return {static_cast<char>(0xC0 | point >> 6), static_cast<char>(0x80 | (point & 0x3F))};
}

Result<std::unique_ptr<Tokenizer>> byte_tokenizer() {
  std::vector<std::string> texts;
  for (int byte = 0; byte < 256; ++byte) texts.push_back(letter_of(byte));
  texts.emplace_back(turn_open);
  texts.emplace_back(turn_close);
  GgufVocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = "gpt-2";
  for (const std::string& text : texts) vocabulary.tokens.push_back(text);
  vocabulary.kinds.assign(texts.size(), static_cast<std::int64_t>(TokenKind::normal));
  vocabulary.kinds[256] = vocabulary.kinds[257] = static_cast<std::int64_t>(TokenKind::control);
  vocabulary.eos = vocabulary.eot = 257;
  vocabulary.add_bos = false;
  vocabulary.chat_template = chat_template;
  return make_tokenizer(vocabulary);
}

bool holds(std::string_view text, const std::string& part) {
  return text.find(part) != std::string_view::npos;
}

class ScriptedModel final : public Model {
 public:
  static Result<std::shared_ptr<ScriptedModel>> create(ScriptedOptions options) {
    auto model = std::make_shared<ScriptedModel>();
    model->tokenizer_ = TRY(byte_tokenizer());
    for (Token token = 0; token < model->tokenizer_->size(); ++token)
      model->pieces_.emplace_back(model->tokenizer_->piece(token, true));
    model->format_ =
        std::make_unique<ChatFormat>(TRY(ChatFormat::parse(std::string(chat_template))));
    model->info_.name = "scripted";
    model->info_.architecture = "scripted";
    model->info_.vocabulary = static_cast<std::uint32_t>(model->tokenizer_->size());
    model->info_.context_length = options.context;
    model->info_.kv_bytes_per_token = sizeof(Token);
    model->layout_.page_bytes = ops::kv_page_tokens * sizeof(Token);
    model->script_ = std::move(options.script);
    model->before_step_ = std::move(options.before_step);
    return model;
  }

  const ModelInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  const ChatFormat* chat_format() const override { return format_.get(); }
  std::string_view chat_template_source() const override { return chat_template; }
  const KvLayout& kv_layout() const override { return layout_; }
  std::uint32_t embedding_dim() const override { return 4; }

  // What is in the pages is the text so far: a page that is shared or copied wrongly shows.
  Status forward(ops::Context&, const Batch& batch, std::span<float> logits,
                 std::stop_token) const override {
    if (before_step_) before_step_();
    for (std::size_t row = 0; row < batch.tokens.size(); ++row) {
      const auto [sequence, position] = batch.places[row];
      std::byte* page = batch.sequences[sequence].pages[position / ops::kv_page_tokens];
      std::memcpy(page + position % ops::kv_page_tokens * sizeof(Token), &batch.tokens[row],
                  sizeof(Token));
    }
    for (std::size_t i = 0; i < batch.output_rows.size(); ++i) {
      const auto [sequence, position] = batch.places[batch.output_rows[i]];
      const auto out = logits.subspan(i * info_.vocabulary, info_.vocabulary);
      std::ranges::fill(out, -30.0f);
      out[static_cast<std::size_t>(next(batch.sequences[sequence], position))] = 30;
    }
    return Done{};
  }
  Result<std::vector<std::vector<float>>> embed(ops::Context&, std::span<const std::vector<Token>>,
                                                std::stop_token) const override {
    return Error(ErrorKind::unsupported, "it only talks");
  }

 private:
  Token next(const ops::KvSequence& sequence, std::size_t last) const {
    std::string text;
    text.reserve(last + 64);
    for (std::size_t i = 0; i <= last; ++i) {
      Token token;
      std::memcpy(&token,
                  sequence.pages[i / ops::kv_page_tokens] + i % ops::kv_page_tokens * sizeof token,
                  sizeof token);
      text += pieces_[static_cast<std::size_t>(token)];
    }
    const Token end = tokenizer_->special().end_of_generation.front();
    const std::size_t mark = text.rfind(answer_open);
    if (mark == text.npos) return end;
    const std::string_view prompt = std::string_view(text).substr(0, mark);
    const std::string_view said = std::string_view(text).substr(mark + answer_open.size());
    for (const ScriptLine& line : script_) {
      const auto is_there = [&](const std::string& part) { return holds(prompt, part); };
      if (!std::ranges::all_of(line.with, is_there) || std::ranges::any_of(line.without, is_there))
        continue;
      if (said.size() >= line.say.size()) return end;
      return static_cast<Token>(static_cast<unsigned char>(line.say[said.size()]));
    }
    return end;
  }

  std::unique_ptr<const Tokenizer> tokenizer_;
  std::vector<std::string> pieces_;  // of all tokens
  std::unique_ptr<const ChatFormat> format_;
  ModelInfo info_;
  KvLayout layout_;
  Script script_;
  std::function<void()> before_step_;
};

Result<std::vector<std::string>> read_texts(const Json& line, std::string_view name) {
  std::vector<std::string> texts;
  const Json* list = line.find(name);
  if (!list) return texts;
  if (!list->is_array()) return Error(ErrorKind::invalid, "'if' and 'unless' are lists of texts");
  for (const Json& item : list->as_array()) {
    if (!item.is_string()) return Error(ErrorKind::invalid, "'if' and 'unless' are lists of texts");
    texts.push_back(item.as_string());
  }
  return texts;
}

}  // namespace

Result<Script> parse_script(const std::string& text) {
  const Json json = TRY(parse_json(text));
  if (!json.is_array()) return Error(ErrorKind::invalid, "a script is a list");
  Script script;
  for (const Json& item : json.as_array()) {
    ScriptLine line;
    line.with = TRY(read_texts(item, "if"));
    line.without = TRY(read_texts(item, "unless"));
    line.say = TRY(required<std::string>(item, "say"));
    script.push_back(std::move(line));
  }
  return script;
}

Result<Lease> scripted_lease(std::string id, ScriptedOptions options) {
  RunnerOptions runner = options.runner;
  if (runner.kv_budget_bytes == 0) runner.kv_budget_bytes = 256 << 20;
  auto model = TRY(ScriptedModel::create(std::move(options)));
  const kernels::Kernels* table = TRY(kernels::choose(""));
  auto loaded = std::make_shared<LoadedModel>();
  loaded->reference = loaded->path = loaded->id = std::move(id);
  loaded->loaded_seconds = 1'700'000'000;
  loaded->sampling.temperature = 0;
  loaded->runner = TRY(make_runner(model, *table, std::make_shared<ThreadPool>(1), runner));
  loaded->grammars = std::make_shared<GrammarEngine>(loaded->model().tokenizer());
  return loaded;
}

}  // namespace hearth::server
