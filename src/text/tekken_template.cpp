// Folders with tekken.json alone hold no chat template: their conversations are laid out by
// mistral-common.  Source: mistralai/mistral-common, tokens/tokenizers/instruct.py.
#include <charconv>

#include <fmt/core.h>

#include "base/utf8.h"
#include "text/tokenizer.h"

namespace hearth {
namespace {

constexpr int first_version = 3, last_version = 15;

// After "version", a number.
constexpr std::string_view layout = R"(
{%- macro parts(content) -%}
  {%- if content is string -%}{{- content -}}
  {%- elif content -%}
    {%- for part in content -%}
      {%- if part.type == 'text' -%}{{- part.text -}}{%- else -%}[IMG]{%- endif -%}
    {%- endfor -%}
  {%- endif -%}
{%- endmacro -%}
{%- macro text_of(arguments) -%}
  {%- if arguments is string -%}{{- arguments -}}{%- else -%}{{- arguments | tojson -}}{%- endif -%}
{%- endmacro -%}
{%- set users = namespace(first=-1, last=-1, system='') -%}
{%- for message in messages -%}
  {%- if message.role == 'user' -%}
    {%- if users.first < 0 -%}{%- set users.first = loop.index0 -%}{%- endif -%}
    {%- set users.last = loop.index0 -%}
  {%- elif message.role == 'system' and version < 7 -%}
    {%- set users.system = users.system + parts(message.content) + '\n\n' -%}
  {%- endif -%}
{%- endfor -%}
{{- bos_token -}}
{%- for message in messages -%}
  {%- if message.role == 'system' and version >= 7 -%}
    [SYSTEM_PROMPT]{{- parts(message.content) -}}[/SYSTEM_PROMPT]
  {%- elif message.role == 'user' -%}
    {%- if tools and loop.index0 == (users.first if version >= 13 else users.last) -%}
      [AVAILABLE_TOOLS]{{- tools | tojson -}}[/AVAILABLE_TOOLS]
    {%- endif -%}
    [INST]{%- if loop.index0 == users.last -%}{{- users.system -}}{%- endif -%}
    {{- parts(message.content) -}}[/INST]
  {%- elif message.role == 'assistant' -%}
    {{- parts(message.content) -}}
    {%- for call in message.tool_calls or [] -%}
      {%- set function = call.function -%}
      {%- if version >= 13 -%}
        [TOOL_CALLS]{{- function.name -}}[ARGS]{{- text_of(function.arguments) -}}
      {%- elif version >= 11 -%}
        [TOOL_CALLS]{{- function.name -}}[CALL_ID]{{- call.id -}}[ARGS]
        {{- text_of(function.arguments) -}}
      {%- else -%}
        {{- '[TOOL_CALLS][' if loop.first else ', ' -}}
        {{- '{"name": ' -}}{{- function.name | tojson -}}{{- ', "arguments": ' -}}
        {{- text_of(function.arguments) -}}
        {{- ', "id": ' -}}{{- call.id | tojson -}}{{- '}' -}}
        {{- ']' if loop.last -}}
      {%- endif -%}
    {%- endfor -%}
    {{- eos_token -}}
  {%- elif message.role == 'tool' -%}
    [TOOL_RESULTS]
    {%- if version >= 13 -%}{{- parts(message.content) -}}
    {%- elif version >= 7 -%}
      {{- message.tool_call_id -}}[TOOL_CONTENT]{{- parts(message.content) -}}
    {%- else -%}
      {{- '{"content": ' -}}{{- parts(message.content) | tojson -}}
      {{- ', "call_id": ' -}}{{- message.tool_call_id | tojson -}}{{- '}' -}}
    {%- endif -%}
    [/TOOL_RESULTS]
  {%- endif -%}
{%- endfor -%}
)";

}  // namespace

Result<std::string> tekken_template(std::string_view text) {
  const Json json = TRY(parse_json(text));
  const Json* config = json.find("config");
  const Json* told = config != nullptr ? config->find("version") : nullptr;
  const std::string_view version =
      told != nullptr && told->is_string() ? std::string_view(told->as_string()) : "";
  int number = 0;
  const auto [end, error] = std::from_chars(version.data() + version.starts_with('v'),
                                            version.data() + version.size(), number);
  if (error != std::errc() || end != version.data() + version.size() || number < first_version ||
      number > last_version)
    return Error(ErrorKind::unsupported,
                 fmt::format("tekken.json: conversations of version '{}': we know v{} to v{}",
                             printable(version), first_version, last_version));
  return fmt::format("{{%- set version = {} -%}}{}", number, layout);
}

}  // namespace hearth
