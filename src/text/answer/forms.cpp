#include "text/answer/forms.h"

#include <algorithm>

#include "base/ascii.h"
#include "text/answer/answer.h"

namespace hearth {
namespace {

// The first row whose marks the template holds is the family's: the narrower come first.
constexpr CallForm calls[] = {
    {.family = "harmony",
     .shown = {"<|channel|>", "<|message|>"},
     .syntax = CallSyntax::harmony,
     .forced = "<|channel|>commentary to=functions.",
     .forced_name_end = " <|constrain|>json<|message|>"},
    {.family = "deepseek-dsml",
     .shown = {"｜DSML｜"},
     .syntax = CallSyntax::tagged,
     .open = "<｜DSML｜function_calls>",
     .close = "</｜DSML｜function_calls>",
     .name_open = "<｜DSML｜invoke name=\"",
     .name_close = "\">",
     .key_open = "<｜DSML｜parameter name=\"",
     .key_close = "\"",
     .value_open = ">",
     .value_close = "</｜DSML｜parameter>",
     .function_close = "</｜DSML｜invoke>"},
    {.family = "deepseek",
     .shown = {"tool▁call▁begin"},
     .syntax = CallSyntax::named_json,
     .open = "<｜tool▁call▁begin｜>",
     .close = "<｜tool▁call▁end｜>",
     .separators = {"<｜tool▁sep｜>"},
     .silent = {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"}},
    {.family = "kimi",
     .shown = {"<|tool_call_begin|>"},
     .syntax = CallSyntax::named_json,
     .open = "<|tool_call_begin|>",
     .close = "<|tool_call_end|>",
     .separators = {"<|tool_call_argument_begin|>"},
     .silent = {"<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"}},
    {.family = "mistral-args",
     .shown = {"[TOOL_CALLS]", "[ARGS]"},
     .syntax = CallSyntax::named_json,
     .open = "[TOOL_CALLS]",
     .separators = {"[CALL_ID]", "[ARGS]"},
     .forced = "[TOOL_CALLS]",
     .forced_name_end = "[ARGS]"},
    {.family = "mistral",
     .shown = {"[TOOL_CALLS]"},
     .syntax = CallSyntax::json,
     .open = "[TOOL_CALLS]",
     .forced = "[TOOL_CALLS][{\"name\": \"",
     .forced_name_end = "\", \"arguments\": "},
    {.family = "minimax",
     .shown = {"minimax:tool_call"},
     .syntax = CallSyntax::tagged,
     .open = "<minimax:tool_call>",
     .close = "</minimax:tool_call>",
     .name_open = "<invoke name=\"",
     .name_close = "\">",
     .key_open = "<parameter name=\"",
     .key_close = "\"",
     .value_open = ">",
     .value_close = "</parameter>",
     .function_close = "</invoke>",
     .forced = "<minimax:tool_call>\n<invoke name=\"",
     .forced_name_end = "\">\n"},
    {.family = "seed",
     .shown = {"<seed:tool_call>", "<function="},
     .syntax = CallSyntax::tagged,
     .open = "<seed:tool_call>",
     .close = "</seed:tool_call>",
     .name_open = "<function=",
     .name_close = ">",
     .key_open = "<parameter=",
     .key_close = ">",
     .value_close = "</parameter>",
     .function_close = "</function>",
     .forced = "<seed:tool_call>\n<function=",
     .forced_name_end = ">\n"},
    {.family = "glm",
     .shown = {"<tool_call>", "<arg_key>"},
     .syntax = CallSyntax::tagged,
     .open = "<tool_call>",
     .close = "</tool_call>",
     .key_open = "<arg_key>",
     .key_close = "</arg_key>",
     .value_open = "<arg_value>",
     .value_close = "</arg_value>",
     .forced = "<tool_call>",
     .forced_name_end = "\n"},
    {.family = "qwen-coder",
     .shown = {"<tool_call>", "<function="},
     .syntax = CallSyntax::tagged,
     .open = "<tool_call>",
     .close = "</tool_call>",
     .name_open = "<function=",
     .name_close = ">",
     .key_open = "<parameter=",
     .key_close = ">",
     .value_close = "</parameter>",
     .function_close = "</function>",
     .forced = "<tool_call>\n<function=",
     .forced_name_end = ">\n"},
    {.family = "apriel",
     .shown = {"<tool_calls>"},
     .syntax = CallSyntax::json,
     .open = "<tool_calls>",
     .close = "</tool_calls>",
     .forced = "<tool_calls>[{\"name\": \"",
     .forced_name_end = "\", \"arguments\": "},
    {.family = "hermes",
     .shown = {"<tool_call>"},
     .syntax = CallSyntax::json,
     .open = "<tool_call>",
     .close = "</tool_call>",
     .forced = "<tool_call>\n{\"name\": \"",
     .forced_name_end = "\", \"arguments\": "},
    {.family = "command-r7b",
     .shown = {"<|START_ACTION|>"},
     .syntax = CallSyntax::json,
     .open = "<|START_ACTION|>",
     .close = "<|END_ACTION|>",
     .silent = {"<|START_RESPONSE|>", "<|END_RESPONSE|>"}},
    {.family = "nemotron",
     .shown = {"<TOOLCALL>"},
     .syntax = CallSyntax::json,
     .open = "<TOOLCALL>",
     .close = "</TOOLCALL>",
     .forced = "<TOOLCALL>[{\"name\": \"",
     .forced_name_end = "\", \"arguments\": "},
    {.family = "granite",
     .shown = {"<|tool_call|>"},
     .syntax = CallSyntax::json,
     .open = "<|tool_call|>",
     .silent = {"<|/tool_call|>"},
     .forced = "<|tool_call|>[{\"name\": \"",
     .forced_name_end = "\", \"arguments\": "},
    {.family = "gemma4",
     .shown = {"<|tool_call>"},
     .syntax = CallSyntax::braces,
     .open = "<|tool_call>call:",
     .close = "<tool_call|>",
     .value_open = "<|\"|>"},
    {.family = "functiongemma",
     .shown = {"<start_function_call>"},
     .syntax = CallSyntax::braces,
     .open = "<start_function_call>call:",
     .close = "<end_function_call>",
     .value_open = "<escape>"},
    {.family = "apertus",
     .shown = {"<|tools_prefix|>"},
     .syntax = CallSyntax::keyed_json,
     .open = "<|tools_prefix|>",
     .close = "<|tools_suffix|>"},
    {.family = "lfm2",
     .shown = {"List of tools: "},
     .syntax = CallSyntax::python,
     .open = "<|tool_call_start|>",
     .close = "<|tool_call_end|>"},
    {.family = "firefunction",
     .shown = {"functools["},
     .syntax = CallSyntax::json,
     .open = "functools"},
    {.family = "gigachat-3.1",
     .shown = {"<|function_call|>"},
     .syntax = CallSyntax::json,
     .open = "<|function_call|>",
     .forced = "<|function_call|>{\"name\": \"",
     .forced_name_end = "\", \"arguments\": "},
    {.family = "gigachat-3",
     .shown = {"function call", "role_sep"},
     .syntax = CallSyntax::json,
     .open = "function call<|role_sep|>",
     .silent = {"<|message_sep|>"}},
    {.family = "functionary",
     .shown = {"<|start_header_id|>", "<function="},
     .syntax = CallSyntax::named_json,
     .open = "<function=",
     .close = "</function>",
     .separators = {">"},
     .forced = "<function=",
     .forced_name_end = ">"},
    {.family = "llama3",
     .shown = {"<|start_header_id|>", "\"parameters\""},
     .syntax = CallSyntax::bare_json,
     .silent = {"<|python_tag|>"},
     .forced = "{\"name\": \"",
     .forced_name_end = "\", \"parameters\": "},
    // What a model is likeliest to write when its template says nothing we know.
    {.family = "json",
     .shown = {"tools"},
     .syntax = CallSyntax::bare_json,
     .forced = "{\"name\": \"",
     .forced_name_end = "\", \"arguments\": "},
};

constexpr ThoughtForm thoughts[] = {
    {"<seed:think>", "</seed:think>"},          {"[THINK]", "[/THINK]"},
    {"<|START_THINKING|>", "<|END_THINKING|>"}, {"<|channel>thought\n", "<channel|>"},
    {"<|inner_prefix|>", "<|inner_suffix|>"},   {"<think>", "</think>"},
};

bool is_shown(std::string_view source, std::string_view mark) {
  return mark.empty() || source.find(mark) != std::string_view::npos;
}

}  // namespace

std::span<const CallForm> call_forms() { return calls; }
std::span<const ThoughtForm> thought_forms() { return thoughts; }

AnswerForm find_answer_form(std::string_view source) {
  AnswerForm form;
  const auto call = std::ranges::find_if(calls, [&](const CallForm& row) {
    return is_shown(source, row.shown[0]) && is_shown(source, row.shown[1]);
  });
  if (call != std::end(calls)) form.calls = &*call;
  const auto thought = std::ranges::find_if(
      thoughts, [&](const ThoughtForm& row) { return is_shown(source, trimmed_end(row.close)); });
  if (thought != std::end(thoughts)) form.thoughts = &*thought;
  form.has_short_ids = is_shown(source, "length != 9");
  return form;
}

std::string_view family_of(const AnswerForm& form) { return form.calls ? form.calls->family : ""; }

std::vector<std::string_view> marks_of(const AnswerForm& form) {
  std::vector<std::string_view> marks;
  const auto add = [&](std::string_view mark) {
    if (!mark.empty()) marks.push_back(mark);
  };
  if (form.thoughts) {
    add(form.thoughts->open);
    add(form.thoughts->close);
  }
  if (!form.calls) return marks;
  for (const std::string_view mark : {form.calls->open, form.calls->close, form.calls->value_open})
    add(mark);
  for (const auto& list : {form.calls->shown, form.calls->separators, form.calls->silent})
    for (const std::string_view mark : list) add(mark);
  if (form.calls->syntax == CallSyntax::braces)
    add(form.calls->open.substr(0, form.calls->open.find("call:")));
  return marks;
}

bool begins_thought(const AnswerForm& form, std::string_view prompt) {
  return form.thoughts && trimmed_end(prompt).ends_with(trimmed_end(form.thoughts->open));
}

std::string end_of_thought(const AnswerForm& form) {
  return form.thoughts ? std::string(form.thoughts->close) : "";
}

std::string forced_call(const AnswerForm& form, std::string_view tool) {
  if (!form.calls || form.calls->forced.empty()) return "";
  std::string text(form.calls->forced);
  if (tool.empty()) return text;
  text += tool;
  return text.append(form.calls->forced_name_end);
}

}  // namespace hearth
