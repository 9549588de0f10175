// Every family's calls and thoughts, read whole and cut at every byte.
#include "text/answer/answer.h"

#include <doctest/doctest.h>

#include <string>

using namespace hearth;

namespace {

const Json& tools() {
  static const Json list = *parse_json(R"([{"type":"function","function":{"name":"weather",
"parameters":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"},
"at":{"type":"object"},"exact":{"type":"boolean"}}}}},
{"type":"function","function":{"name":"time","parameters":{"type":"object","properties":{}}}}])");
  return list;
}

// "text|thought|name(arguments)name(arguments)", what was read.
class Seen {
 public:
  void add(const std::vector<AnswerPiece>& pieces) {
    for (const AnswerPiece& piece : pieces) {
      switch (piece.kind) {
        case AnswerPiece::Kind::text:
          text_ += piece.text;
          break;
        case AnswerPiece::Kind::thought:
          thought_ += piece.text;
          break;
        case AnswerPiece::Kind::call:
          CHECK(!is_open_);
          is_open_ = true;
          calls_ += (piece.id.empty() ? "" : piece.id + "=") + piece.text + "(";
          break;
        case AnswerPiece::Kind::arguments:
          CHECK(is_open_);
          calls_ += piece.text;
          break;
        case AnswerPiece::Kind::call_end:
          CHECK(is_open_);
          is_open_ = false;
          calls_ += ")";
          break;
      }
    }
  }
  std::string all() const {
    CHECK(!is_open_);
    return text_ + "|" + thought_ + "|" + calls_;
  }

 private:
  std::string text_, thought_, calls_;
  bool is_open_ = false;
};

std::string read_cut(const AnswerForm& form, const Json& with, bool is_thinking,
                     std::string_view text, std::size_t step, std::size_t first) {
  AnswerReader reader(form, with, is_thinking);
  Seen seen;
  seen.add(reader.add(text.substr(0, first)));
  for (std::size_t at = first; at < text.size(); at += step)
    seen.add(reader.add(text.substr(at, step)));
  seen.add(reader.finish());
  return seen.all();
}

struct Row {
  std::string about, family, shown, text, want;
  bool is_thinking = false;
};

const Row rows[] = {
    {"a call", "hermes", "<tool_call>",
     "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo}\\\"\"}}\n</tool_call>",
     "||weather({\"city\": \"Oslo}\\\"\"})"},
    {"text, two calls, blanks between", "hermes", "<tool_call>",
     "Let me see.\n\n<tool_call>\n{\"name\":\"weather\",\"arguments\":{\"days\":2}}\n</tool_call>\n"
     "<tool_call>\n{\"arguments\":{},\"name\":\"time\"}\n</tool_call>\n",
     "Let me see.||weather({\"days\":2})time({})"},
    {"no arguments, and arguments as a text", "hermes", "<tool_call>",
     "<tool_call>{\"name\":\"time\"}</tool_call><tool_call>{\"name\":\"weather\",\"arguments\":"
     "\"{\\\"city\\\":\\\"x\\\"}\"}</tool_call>",
     "||time({})weather({\"city\":\"x\"})"},
    {"no call at all", "hermes", "<tool_call>", "1 < 2 <tool> \n<tool_call \n",
     "1 < 2 <tool> \n<tool_call \n||"},
    {"the mark without a call is text", "hermes", "<tool_call>", "Use <tool_call> to call. ",
     "Use <tool_call> to call. ||"},
    {"cut off in the arguments", "hermes", "<tool_call>",
     "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Os",
     "||weather({\"city\": \"Os)"},
    {"cut off before the name", "hermes", "<tool_call>", "<tool_call>\n{\"name\": \"wea",
     "<tool_call>\n{\"name\": \"wea||"},
    {"a thought before", "hermes", "<tool_call><think></think>",
     "<think>\nhm, < "
     "\n</think>\n\nWell.\n<tool_call>{\"name\":\"time\",\"arguments\":{}}</tool_call>",
     "Well.|hm, <|time({})"},
    {"a thought that the prompt began", "hermes", "<tool_call><think></think>",
     "I think\n</think>\n\nYes. \n", "Yes. \n|I think|", true},
    {"begun twice", "", "<think></think>", "<think>\nI think</think>Yes", "Yes|I think|", true},
    {"a thought without an end", "", "<think></think>", "<think>on and on </thin",
     "|on and on </thin|"},
    {"the mark inside a text is text", "", "<think></think>", "Say <think> now",
     "Say <think> now||"},
    {"arguments by lines", "qwen-coder", "<tool_call><function=",
     "Now:\n<tool_call>\n<function=weather>\n<parameter=city>\nOslo\n\"x\" <b>\n</parameter>\n"
     "<parameter=days>\n3\n</parameter>\n<parameter=exact>\nTrue\n</parameter>\n</function>\n"
     "</tool_call>",
     "Now:||weather({\"city\": \"Oslo\\n\\\"x\\\" <b>\", \"days\": 3, \"exact\": true})"},
    {"a number as text, two line ends", "qwen-coder", "<tool_call><function=",
     "<tool_call><function=weather><parameter=city>\n\n42\n\n</parameter></function></tool_call>"
     "<tool_call><function=time></function></tool_call>",
     "||weather({\"city\": \"\\n42\\n\"})time({})"},
    {"glm", "glm", "<tool_call><arg_key>",
     "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n<arg_key>days"
     "</arg_key>\n<arg_value>2</arg_value>\n</tool_call>\n<tool_call>time\n</tool_call>",
     "||weather({\"city\": \"Oslo\", \"days\": 2})time({})"},
    {"minimax", "minimax", "minimax:tool_call",
     "<minimax:tool_call>\n<invoke name=\"weather\">\n<parameter name=\"city\">Oslo</parameter>\n"
     "<parameter name=\"at\">{\"x\": 1}</parameter>\n</invoke>\n<invoke name=\"time\">\n</invoke>\n"
     "</minimax:tool_call>",
     "||weather({\"city\": \"Oslo\", \"at\": {\"x\": 1}})time({})"},
    {"deepseek 3.2", "deepseek-dsml", "｜DSML｜",
     "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"weather\">\n<｜DSML｜parameter "
     "name=\"city\" "
     "string=\"true\">5</｜DSML｜parameter>\n<｜DSML｜parameter name=\"days\" string=\"false\">5"
     "</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
     "||weather({\"city\": \"5\", \"days\": 5})"},
    {"seed", "seed", "<seed:tool_call><function=<parameter=",
     "<seed:tool_call>\n<function=weather>\n<parameter=city>Oslo</parameter>\n</function>\n"
     "</seed:tool_call>",
     "||weather({\"city\": \"Oslo\"})"},
    {"deepseek 3", "deepseek", "<｜tool▁call▁begin｜>",
     "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"city\":"
     " "
     "\"Oslo\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>time\n```"
     "json\n{}\n"
     "```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "||weather({\"city\": \"Oslo\"})time({})"},
    {"deepseek 3.1", "deepseek", "<｜tool▁call▁begin｜>",
     "Yes.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{\"days\":1}"
     "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "Yes.||weather({\"days\":1})"},
    {"kimi", "kimi", "<|tool_call_begin|>",
     "<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:3<|tool_call_argument_begin|"
     ">"
     "{\"days\":1}<|tool_call_end|><|tool_calls_section_end|>",
     "||functions.weather:3=weather({\"days\":1})"},
    {"mistral, a list", "mistral", "[TOOL_CALLS]",
     "[TOOL_CALLS][{\"name\": \"weather\", \"arguments\": {\"days\": [1, 2]}, \"id\": "
     "\"abcdefghi\"}"
     ", {\"name\": \"time\", \"arguments\": {}}]",
     "||weather({\"days\": [1, 2]})time({})"},
    {"mistral, arguments", "mistral-args", "[TOOL_CALLS][ARGS]",
     "[TOOL_CALLS]weather[CALL_ID]abcdefghi[ARGS]{\"days\": 1}[TOOL_CALLS]time[ARGS]{}",
     "||abcdefghi=weather({\"days\": 1})time({})"},
    {"llama 3", "llama3", "<|start_header_id|>\"parameters\"",
     " {\"name\": \"weather\", \"parameters\": {\"city\": \"Oslo\"}}; {\"name\": \"time\", "
     "\"parameters\": {}}",
     "||weather({\"city\": \"Oslo\"})time({})"},
    {"llama 3 with its mark", "llama3", "<|start_header_id|>\"parameters\"",
     "<|python_tag|>{\"type\": \"function\", \"name\": \"time\", \"parameters\": {}}",
     "||time({})"},
    {"an answer in JSON is no call", "llama3", "<|start_header_id|>\"parameters\"",
     "{\"name\": \"Ada\", \"parameters\": {}} \n", "{\"name\": \"Ada\", \"parameters\": {}} \n||"},
    {"and neither is any other text", "llama3", "<|start_header_id|>\"parameters\"",
     "Yes {\"name\": \"time\"}", "Yes {\"name\": \"time\"}||"},
    {"command r", "command-r7b", "<|START_ACTION|><|END_THINKING|>",
     "<|START_THINKING|>hm<|END_THINKING|><|START_ACTION|>[\n {\"tool_call_id\": \"0\", "
     "\"tool_name\": \"weather\", \"parameters\": {\"days\": 1}}\n]<|END_ACTION|>",
     "|hm|weather({\"days\": 1})"},
    {"command r, a response", "command-r7b", "<|START_ACTION|>",
     "<|START_RESPONSE|>Hello.<|END_RESPONSE|>", "Hello.||"},
    {"granite", "granite", "<|tool_call|>",
     "<|tool_call|>[{\"name\": \"time\", \"arguments\": {}}]", "||time({})"},
    {"nemotron", "nemotron", "<TOOLCALL>",
     "<TOOLCALL>[{\"name\": \"time\", \"arguments\": {}}]</TOOLCALL>", "||time({})"},
    {"apertus", "apertus", "<|tools_prefix|>",
     "<|tools_prefix|>[{\"weather\": {\"days\": 1}}, {\"time\": {}}]<|tools_suffix|>",
     "||weather({\"days\": 1})time({})"},
    {"lfm2", "lfm2", "List of tools: ",
     "<|tool_call_start|>[weather(city='O\"s', days=2, at={\"x\": [True, None]}), time()]"
     "<|tool_call_end|>Done.",
     "Done.||weather({\"city\":\"O\\\"s\",\"days\":2,\"at\":{\"x\":[true,null]}})time({})"},
    {"gemma 4", "gemma4", "<|tool_call>",
     "<|tool_call>call:weather{city:<|\"|>Oslo, {x}<|\"|>,days:2,at:{x:true}}<tool_call|>",
     "||weather({\"city\":\"Oslo, {x}\",\"days\":2,\"at\":{\"x\":true}})"},
    {"functiongemma", "functiongemma", "<start_function_call>",
     "<start_function_call>call:weather{city:<escape>Oslo<escape>}<end_function_call>",
     "||weather({\"city\":\"Oslo\"})"},
    {"functionary", "functionary", "<|start_header_id|><function=",
     "<function=weather>{\"days\": 1}</function>", "||weather({\"days\": 1})"},
    {"harmony", "harmony", "<|channel|><|message|>",
     "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary"
     " to=functions.weather <|constrain|>json<|message|>{\"city\":\"Oslo\"}<|call|>",
     "|Hm.|weather({\"city\":\"Oslo\"})"},
    {"harmony, the final channel", "harmony", "<|channel|><|message|>",
     "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes < "
     "no",
     "Yes < no|Hm.|"},
    {"harmony, to whom before which channel", "harmony", "<|channel|><|message|>",
     " to=functions.time<|channel|>commentary json<|message|>{}<|call|>", "||time({})"},
    {"gigachat 3", "gigachat-3", "function call <|role_sep|>",
     "Yes<|message_sep|>\n\nfunction call<|role_sep|>\n{\"name\": \"time\", \"arguments\": {}}"
     "<|message_sep|>\n\n",
     "Yes||time({})"},
    {"gigachat 3.1", "gigachat-3.1", "<|function_call|>",
     "<|function_call|>{\"name\": \"time\", \"arguments\": {}}", "||time({})"},
    {"harmony, plain text", "harmony", "<|channel|><|message|>", "Yes", "Yes||"},
};

}  // namespace

TEST_CASE("every family's answers, cut anywhere") {
  for (const Row& row : rows) {
    CAPTURE(row.about);
    const AnswerForm form = find_answer_form(row.shown);
    CHECK(std::string(family_of(form)) == row.family);
    const auto read = [&](std::size_t step, std::size_t first) {
      return read_cut(form, tools(), row.is_thinking, row.text, step, first);
    };
    CHECK(read(row.text.size(), row.text.size()) == row.want);
    CHECK(read(1, 0) == row.want);
    for (std::size_t cut = 1; cut < row.text.size(); ++cut) {
      CAPTURE(cut);
      REQUIRE(read(row.text.size(), cut) == row.want);
    }
  }
}

TEST_CASE("every prefix of an answer is read, and what is cut off is no crash") {
  for (const Row& row : rows) {
    CAPTURE(row.about);
    const AnswerForm form = find_answer_form(row.shown);
    for (std::size_t size = 0; size < row.text.size(); ++size) {
      CAPTURE(size);
      const std::string_view text = std::string_view(row.text).substr(0, size);
      const std::string whole =
          read_cut(form, tools(), row.is_thinking, text, text.size() + 1, size);
      REQUIRE(whole == read_cut(form, tools(), row.is_thinking, text, 1, 0));
    }
  }
}

TEST_CASE("without tools calls are text, and thoughts are thoughts") {
  const AnswerForm form = find_answer_form("<tool_call></think>");
  CHECK(read_cut(form, Json(), false, "<think>a</think>b <tool_call>{} ", 1, 0) ==
        "b <tool_call>{} |a|");
}

TEST_CASE("prompts that begin a thought, and calls that are forced") {
  const AnswerForm form = find_answer_form("<tool_call></think>");
  CHECK(begins_thought(form, "<|im_start|>assistant\n<think>\n"));
  CHECK(!begins_thought(form, "<|im_start|>assistant\n<think>\n\n</think>\n\n"));
  CHECK(forced_call(form, "time") == "<tool_call>\n{\"name\": \"time\", \"arguments\": ");
  CHECK(forced_call(form, "") == "<tool_call>\n{\"name\": \"");
  CHECK(forced_call(find_answer_form("<start_function_call>"), "").empty());
  CHECK(find_answer_form("if tool_call.id|length != 9").has_short_ids);
}
