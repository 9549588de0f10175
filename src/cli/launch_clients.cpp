// Source: the documentation of each client: Claude Code, "LLM gateway" and "Environment variables";
// Codex, "Configuration"; opencode, "Config" and "Providers"; aider, "OpenAI compatible APIs";
// Continue, "config.yaml reference"; Zed, "LLM providers"; Open WebUI, "Environment variables".
#include "cli/launch_clients.h"

#include <fmt/core.h>

#include "base/json.h"

namespace hearth::cli {
namespace {

constexpr JsonStyle readable{.indent = 2, .key_separator = ": "};

// Room for an answer is left when old turns are to be summed up.
std::int64_t compact_at(std::int64_t context) { return context * 4 / 5; }
std::int64_t answer_tokens(std::int64_t context) { return context / 4; }

LaunchPlan claude(const LaunchSetup& setup) {
  LaunchPlan plan;
  plan.environment = {{"ANTHROPIC_BASE_URL", setup.base},
                      {"ANTHROPIC_AUTH_TOKEN", setup.key},
                      {"ANTHROPIC_MODEL", setup.model},
                      {"ANTHROPIC_DEFAULT_HAIKU_MODEL", setup.model},
                      {"ANTHROPIC_SMALL_FAST_MODEL", setup.model},
                      {"CLAUDE_CODE_MAX_CONTEXT_TOKENS", fmt::format("{}", setup.context)},
                      {"CLAUDE_CODE_AUTO_COMPACT_WINDOW", fmt::format("{}", setup.context)},
                      {"CLAUDE_CODE_ATTRIBUTION_HEADER", "0"},
                      {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"}};
  plan.command = {"claude"};
  return plan;
}

std::string quoted(std::string_view text) { return write_json(Json(text)); }

// Values on its command line are TOML; a JSON text is one.
LaunchPlan codex(const LaunchSetup& setup) {
  LaunchPlan plan;
  plan.environment = {{"HEARTH_API_KEY", setup.key}};
  const std::string provider =
      fmt::format(R"({{name="Hearth",base_url={},env_key="HEARTH_API_KEY",wire_api="responses"}})",
                  quoted(setup.base + "/v1"));
  plan.command = {"codex"};
  for (const std::string& value :
       {std::string("model_provider=\"hearth\""), "model_providers.hearth=" + provider,
        "model=" + quoted(setup.model), fmt::format("model_context_window={}", setup.context),
        fmt::format("model_auto_compact_token_limit={}", compact_at(setup.context))}) {
    plan.command.push_back("-c");
    plan.command.push_back(value);
  }
  return plan;
}

LaunchPlan opencode(const LaunchSetup& setup) {
  const Json limit =
      Json::object({{"context", setup.context}, {"output", answer_tokens(setup.context)}});
  const Json model = Json::object({{"name", setup.model}, {"limit", limit}});
  const Json provider = Json::object(
      {{"npm", "@ai-sdk/openai-compatible"},
       {"name", "Hearth"},
       {"options", Json::object({{"baseURL", setup.base + "/v1"}, {"apiKey", setup.key}})},
       {"models", Json::object({{setup.model, model}})}});
  const Json config = Json::object({{"$schema", "https://opencode.ai/config.json"},
                                    {"provider", Json::object({{"hearth", provider}})},
                                    {"model", "hearth/" + setup.model}});
  LaunchPlan plan;
  plan.environment = {{"OPENCODE_CONFIG_CONTENT", write_json(config)}};
  plan.command = {"opencode"};
  return plan;
}

LaunchPlan aider(const LaunchSetup& setup) {
  const std::string name = "openai/" + setup.model;
  const Json facts = Json::object({{"max_input_tokens", setup.context},
                                   {"max_output_tokens", answer_tokens(setup.context)},
                                   {"input_cost_per_token", 0},
                                   {"output_cost_per_token", 0},
                                   {"litellm_provider", "openai"},
                                   {"mode", "chat"}});
  LaunchPlan plan;
  plan.environment = {{"OPENAI_API_BASE", setup.base + "/v1"}, {"OPENAI_API_KEY", setup.key}};
  plan.file = "aider-models.json";
  plan.file_text = write_json(Json::object({{name, facts}}), readable) + "\n";
  plan.command = {"aider", "--model", name, "--model-metadata-file", "{file}"};
  return plan;
}

LaunchPlan continue_cli(const LaunchSetup& setup) {
  LaunchPlan plan;
  plan.file = "continue.yaml";
  plan.file_text = fmt::format(
      "name: Hearth\nversion: 1.0.0\nschema: v1\nmodels:\n  - name: {0}\n    provider: openai\n"
      "    model: {0}\n    apiBase: {1}\n    apiKey: {2}\n    roles: [chat, edit, apply, "
      "autocomplete]\n    defaultCompletionOptions:\n      contextLength: {3}\n      maxTokens: "
      "{4}\n",
      quoted(setup.model), quoted(setup.base + "/v1"), quoted(setup.key), setup.context,
      answer_tokens(setup.context));
  plan.command = {"cn", "--config", "{file}"};
  plan.place = "~/.continue/config.yaml, for the editor's extension";
  plan.text = plan.file_text;
  return plan;
}

LaunchPlan cline(const LaunchSetup& setup) {
  LaunchPlan plan;
  plan.place = "Cline's settings, API Provider \"OpenAI Compatible\"";
  plan.text = fmt::format(
      "Base URL            {}/v1\nAPI Key             {}\nModel ID            {}\n"
      "Context Window Size {}\nMax Output Tokens   {}\n",
      setup.base, setup.key, setup.model, setup.context, answer_tokens(setup.context));
  return plan;
}

LaunchPlan zed(const LaunchSetup& setup) {
  const Json model =
      Json::object({{"name", setup.model},
                    {"display_name", setup.model},
                    {"max_tokens", setup.context},
                    {"max_output_tokens", answer_tokens(setup.context)},
                    {"capabilities", Json::object({{"tools", true}, {"images", false}})}});
  const Json provider = Json::object(
      {{"api_url", setup.base + "/v1"}, {"available_models", Json(Json::Array{model})}});
  const Json settings = Json::object(
      {{"language_models",
        Json::object({{"openai_compatible", Json::object({{"Hearth", provider}})}})},
       {"agent", Json::object({{"default_model", Json::object({{"provider", "Hearth"},
                                                               {"model", setup.model}})}})}});
  LaunchPlan plan;
  plan.environment = {{"HEARTH_API_KEY", setup.key}};  // Zed's name for the provider's key
  plan.command = {"zed", "."};
  plan.place = "~/.config/zed/settings.json";
  plan.text = write_json(settings, readable) + "\n";
  return plan;
}

LaunchPlan open_webui(const LaunchSetup& setup) {
  LaunchPlan plan;
  plan.environment = {{"OPENAI_API_BASE_URL", setup.base + "/v1"},
                      {"OPENAI_API_KEY", setup.key},
                      {"ENABLE_OLLAMA_API", "false"},
                      {"DEFAULT_MODELS", setup.model}};
  plan.command = {"open-webui", "serve"};
  return plan;
}

constexpr LaunchClient clients[] = {
    {"aider", "aider", "pip install aider-install && aider-install", aider},
    {"claude", "Claude Code", "npm install -g @anthropic-ai/claude-code", claude},
    {"cline", "Cline", "the extension Cline of Visual Studio Code", cline},
    {"codex", "Codex", "npm install -g @openai/codex", codex},
    {"continue", "Continue", "npm install -g @continuedev/cli", continue_cli},
    {"open-webui", "Open WebUI", "pip install open-webui", open_webui},
    {"opencode", "opencode", "npm install -g opencode-ai", opencode},
    {"zed", "Zed", "https://zed.dev/download", zed},
};

}  // namespace

std::span<const LaunchClient> launch_clients() { return clients; }

}  // namespace hearth::cli
