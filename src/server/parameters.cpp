#include "server/parameters.h"

#include <fmt/format.h>

#include <charconv>

#include "http/secrets.h"
#include "library/adapters.h"
#include "server/answer_rule.h"

namespace hearth::server {
namespace {

constexpr double far_tokens = 1 << 24;  // beyond any context
constexpr std::int64_t max_asked_tokens = (std::int64_t{1} << 31) - 1;

std::int32_t whole(double value) { return static_cast<std::int32_t>(value); }
float real(double value) { return static_cast<float>(value); }

constexpr SamplingField fields[] = {
    {"temperature",
     false,
     {0, 2},
     [](SamplingOptions& s, double v) { s.temperature = real(v); },
     "0 takes the likeliest token each time."},
    {"top_p",
     false,
     {0, 1, true},
     [](SamplingOptions& s, double v) { s.top_p = real(v); },
     "Keep the likeliest tokens that together have this probability."},
    {"top_k",
     true,
     {-1, far_tokens},
     [](SamplingOptions& s, double v) { s.top_k = v < 0 ? 0 : whole(v); },
     "Keep this many of the likeliest tokens; 0 or -1: all."},
    {"min_p",
     false,
     {0, 1},
     [](SamplingOptions& s, double v) { s.min_p = real(v); },
     "Keep tokens at least this likely, relative to the likeliest."},
    {"typical_p",
     false,
     {0, 1, true},
     [](SamplingOptions& s, double v) { s.typical_p = real(v); },
     "Locally typical sampling."},
    {"frequency_penalty",
     false,
     {-2, 2},
     [](SamplingOptions& s, double v) { s.frequency_penalty = real(v); },
     "Subtracted from a token's logit for each time it was used."},
    {"presence_penalty",
     false,
     {-2, 2},
     [](SamplingOptions& s, double v) { s.presence_penalty = real(v); },
     "Subtracted from the logit of every token that was used."},
    {"repetition_penalty",
     false,
     {0, 10, true},
     [](SamplingOptions& s, double v) { s.repetition_penalty = real(v); },
     "Divides the logits of recent tokens; 1: off."},
    {"repeat_penalty",
     false,
     {0, 10, true},
     [](SamplingOptions& s, double v) { s.repetition_penalty = real(v); },
     "Another name of repetition_penalty."},
    {"repeat_last_n",
     true,
     {-1, far_tokens},
     [](SamplingOptions& s, double v) { s.penalty_last_n = whole(v); },
     "Tokens that repetition_penalty looks back at; -1: all."},
    {"dry_multiplier",
     false,
     {0, 100},
     [](SamplingOptions& s, double v) { s.dry_multiplier = real(v); },
     "Strength of the penalty on repeated runs of tokens; 0: off."},
    {"dry_base",
     false,
     {1, 10},
     [](SamplingOptions& s, double v) { s.dry_base = real(v); },
     "Growth of that penalty with the run's length."},
    {"dry_allowed_length",
     true,
     {0, far_tokens},
     [](SamplingOptions& s, double v) { s.dry_allowed_length = whole(v); },
     "Runs up to this length are free."},
    {"dry_penalty_last_n",
     true,
     {-1, far_tokens},
     [](SamplingOptions& s, double v) { s.dry_last_n = whole(v); },
     "Tokens that the penalty on runs looks back at; -1: all."},
    {"mirostat",
     true,
     {0, 2},
     [](SamplingOptions& s, double v) { s.mirostat = whole(v); },
     "0: off; 1 or 2: hold the surprise of the text at mirostat_tau."},
    {"mirostat_tau",
     false,
     {0, 100, true},
     [](SamplingOptions& s, double v) { s.mirostat_tau = real(v); },
     "Surprise aimed at, in bits."},
    {"mirostat_eta",
     false,
     {0, 1, true},
     [](SamplingOptions& s, double v) { s.mirostat_eta = real(v); },
     "How fast it is corrected."},
};

Check read_sampling(const Json& body, SamplingOptions& sampling) {
  for (const SamplingField& field : fields) {
    std::optional<double> value;
    if (field.is_whole) {
      const auto number =
          TRY(read_integer(body, field.name, static_cast<std::int64_t>(field.range.min),
                           static_cast<std::int64_t>(field.range.max)));
      if (number) value = static_cast<double>(*number);
    } else {
      value = TRY(read_number(body, field.name, field.range));
    }
    if (value) field.apply(sampling, *value);
  }
  const auto seed = TRY(read_integer(body, "seed", std::numeric_limits<std::int64_t>::min(),
                                     std::numeric_limits<std::int64_t>::max()));
  // Without a seed the answer should be another one each time.
  sampling.seed = seed ? static_cast<std::uint64_t>(*seed) : http::random_u64();
  return Done{};
}

Check read_stop(const Json& body, std::vector<std::string>& stop) {
  const Json* value = body.find("stop");
  if (!value || value->is_null()) return Done{};
  const Json list = value->is_string() ? Json(Json::Array{*value}) : *value;
  if (!list.is_array() || list.size() > max_stop_strings)
    return invalid_value("stop", fmt::format("needs a text, or up to {}", max_stop_strings));
  for (const Json& item : list.as_array()) {
    if (!item.is_string() || item.as_string().empty() || item.as_string().size() > max_stop_bytes)
      return invalid_value("stop", fmt::format("needs texts of 1 to {} bytes", max_stop_bytes));
    stop.push_back(item.as_string());
  }
  return Done{};
}

Check read_bias(const Json& body, std::int32_t vocabulary, std::map<Token, float>& bias) {
  const Json* value = body.find("logit_bias");
  if (!value || value->is_null()) return Done{};
  if (!value->is_object() || value->size() > max_biases)
    return invalid_value("logit_bias", fmt::format("needs an object of up to {}", max_biases));
  for (const auto& [key, amount] : value->as_object()) {
    Token token = -1;
    const char* last = key.data() + key.size();
    const auto [end, error] = std::from_chars(key.data(), last, token);
    if (end != last || error != std::errc() || token < 0 || token >= vocabulary)
      return invalid_value("logit_bias",
                           fmt::format("needs token ids from 0 to {} as keys", vocabulary - 1));
    if (!amount.is_number() || !(amount.as_number() >= -100 && amount.as_number() <= 100))
      return invalid_value("logit_bias", "needs numbers from -100 to 100");
    bias[token] = real(amount.as_number());
  }
  return Done{};
}

Checked<std::optional<ops::Tier>> read_tier(const Json& body) {
  const auto name = TRY(read_text(body, "tier", 16));
  if (!name) return std::optional<ops::Tier>();
  const auto tier = ops::tier_named(*name);
  if (!tier)
    return invalid_value("tier", fmt::format("needs one of {}", fmt::join(ops::tier_names, ", ")));
  return tier;
}

// [{"id": 0, "scale": 0.5}]; a name may stand for the number.
Check read_adapters(const Json& body, std::optional<std::vector<Asked::Adapter>>& adapters) {
  const Json* list = given(body, "lora");
  if (!list) return Done{};
  if (!list->is_array() || list->size() > max_adapters)
    return invalid_value("lora", fmt::format("needs a list of up to {}", max_adapters));
  adapters.emplace();
  for (const Json& item : list->as_array()) {
    const Json* id = given(item, "id");
    const std::string_view name = text_of(item, id != nullptr ? "id" : "name");
    const bool is_number = id != nullptr && id->is_integer();
    if (!is_number && name.empty())
      return invalid_value("lora", "needs objects with an id, or a name, and a scale");
    Asked::Adapter adapter;
    if (is_number)
      adapter.which = id->as_integer();
    else
      adapter.which = std::string(name);
    adapter.scale =
        real(TRY(read_number(item, "scale", {-max_adapter_scale, max_adapter_scale})).value_or(1));
    adapters->push_back(std::move(adapter));
  }
  return Done{};
}

// n, best_of and the two ways to ask for log probabilities.
Check read_answers(const Json& body, Dialect dialect, Asked& asked) {
  asked.n = static_cast<int>(TRY(read_integer(body, "n", 1, max_answers)).value_or(1));
  asked.generate.n = asked.n;
  if (dialect == Dialect::chat) {
    asked.generate.logprobs = TRY(read_bool(body, "logprobs")).value_or(false);
    const auto alternatives = TRY(read_integer(body, "top_logprobs", 0, max_alternatives));
    if (alternatives.value_or(0) > 0 && !asked.generate.logprobs)
      return invalid_value("top_logprobs", "needs logprobs to be true");
    asked.generate.top_logprobs = static_cast<int>(alternatives.value_or(0));
    return Done{};
  }
  const auto alternatives = TRY(read_integer(body, "logprobs", 0, max_alternatives));
  asked.generate.logprobs = alternatives.has_value();
  asked.generate.top_logprobs = static_cast<int>(alternatives.value_or(0));
  asked.echo = TRY(read_bool(body, "echo")).value_or(false);
  asked.generate.prompt_logprobs = asked.echo && alternatives.has_value();
  const auto best_of = TRY(read_integer(body, "best_of", 1, max_answers));
  if (!best_of) return Done{};
  if (*best_of < asked.n)
    return invalid_value("best_of", fmt::format("is {}: needs to be at least n", *best_of));
  if (*best_of > asked.n && asked.stream)
    return unsupported_value("best_of", "cannot be chosen from while streaming");
  asked.generate.n = static_cast<int>(*best_of);
  return Done{};
}

Check read_max_tokens(const Json& body, Dialect dialect, Asked& asked) {
  // Nothing but the prompt's own log probabilities: a legitimate use of echo.
  const std::int64_t least = dialect == Dialect::completion && asked.echo ? 0 : 1;
  asked.max_tokens = TRY(read_integer(body, "max_tokens", least, max_asked_tokens));
  if (dialect == Dialect::completion) return Done{};
  const auto newer = TRY(read_integer(body, "max_completion_tokens", 1, max_asked_tokens));
  if (newer && asked.max_tokens && *newer != *asked.max_tokens)
    return invalid_value("max_completion_tokens", "differs from max_tokens: give one of them");
  if (newer) asked.max_tokens = newer;
  return Done{};
}

Check read_streaming(const Json& body, Asked& asked) {
  asked.stream = TRY(read_bool(body, "stream")).value_or(false);
  const Json* options = body.find("stream_options");
  if (!options || options->is_null()) return Done{};
  if (!options->is_object()) return invalid_value("stream_options", "needs an object");
  asked.include_usage = TRY(read_bool(*options, "include_usage")).value_or(false);
  return Done{};
}

// Known fields whose other values belong to a later release: refused by name, never ignored.
Check refuse_unsupported(const Json& body) {
  for (const std::string_view name : {"functions", "function_call", "audio", "web_search_options"})
    if (const Json* value = body.find(name); value && !value->is_null())
      return unsupported_value(name, "is not offered");
  if (const Json* kinds = body.find("modalities"); kinds && !kinds->is_null())
    if (*kinds != Json(Json::Array{"text"}))
      return unsupported_value("modalities", "needs [\"text\"]");
  return Done{};
}

}  // namespace

std::span<const SamplingField> sampling_fields() { return fields; }

Checked<Asked> read_parameters(const Json& body, Dialect dialect, std::int32_t vocabulary,
                               const SamplingOptions& recommended) {
  Asked asked;
  asked.generate.sampling = recommended;
  TRY(refuse_unsupported(body));
  TRY(read_sampling(body, asked.generate.sampling));
  TRY(read_streaming(body, asked));
  TRY(read_answers(body, dialect, asked));
  TRY(read_max_tokens(body, dialect, asked));
  TRY(read_stop(body, asked.generate.stop));
  TRY(read_answer_rule(body, asked.rule, asked.rule_field));
  TRY(read_bias(body, vocabulary, asked.generate.sampling.logit_bias));
  asked.generate.ignore_end = TRY(read_bool(body, "ignore_eos")).value_or(false);
  asked.generate.deterministic = TRY(read_bool(body, "deterministic")).value_or(false);
  asked.generate.tier = TRY(read_tier(body));
  TRY(read_adapters(body, asked.adapters));
  return asked;
}

}  // namespace hearth::server
