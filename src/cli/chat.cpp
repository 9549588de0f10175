// hearth chat: a conversation in the terminal.
#include <fmt/core.h>

#include <charconv>

#include "base/bytes.h"
#include "base/files.h"
#include "base/user_folders.h"
#include "base/utf8.h"
#include "cli/conversation.h"
#include "cli/first_model.h"
#include "cli/interrupts.h"
#include "cli/line_editor.h"
#include "cli/mcp_servers.h"
#include "cli/open_model.h"
#include "cli/rows.h"
#include "cli/sampling_flags.h"
#include "cli/settings.h"
#include "library/transcriber.h"

namespace hearth::cli {
namespace {

struct Chat {
  App& app;
  const LoadedModel& model;
  Conversation conversation;
  LineEditor editor;
  std::unique_ptr<ToolUse> tools;  // null: there are no servers
  bool leaving = false;
};

// ---- Commands inside the conversation: one row each. ----

struct Slash {
  std::string_view name, argument, help;
  Status (*run)(Chat& chat, const std::string& argument);
};
std::span<const Slash> slashes();

Status show_help(Chat& chat, const std::string&) {
  for (const Slash& slash : slashes())
    chat.app.out.row(fmt::format("{} {}", slash.name, slash.argument), slash.help);
  chat.app.out.line("  \"\"\" begins and ends a message of several lines; Ctrl-C ends an answer;");
  chat.app.out.line("  Ctrl-D leaves.");
  return Done{};
}

Status clear(Chat& chat, const std::string&) {
  chat.conversation.clear();
  chat.app.out.line("A new conversation.");
  return Done{};
}

Status set_system(Chat& chat, const std::string& text) {
  chat.conversation.set_system(text);
  chat.app.out.line(text.empty() ? "No system message." : "System message set.");
  return Done{};
}

// What `/set` can change: one row each.
struct Setting {
  std::string_view name;
  double min, max;
  double (*read)(const GenerateRequest&);
  void (*write)(GenerateRequest&, double);
};
constexpr Setting settings[] = {
    {"temperature", 0, 2, [](const GenerateRequest& r) { return double{r.sampling.temperature}; },
     [](GenerateRequest& r, double v) { r.sampling.temperature = static_cast<float>(v); }},
    {"top-k", 0, 1e6, [](const GenerateRequest& r) { return double(r.sampling.top_k); },
     [](GenerateRequest& r, double v) { r.sampling.top_k = static_cast<std::int32_t>(v); }},
    {"top-p", 0.001, 1, [](const GenerateRequest& r) { return double{r.sampling.top_p}; },
     [](GenerateRequest& r, double v) { r.sampling.top_p = static_cast<float>(v); }},
    {"min-p", 0, 1, [](const GenerateRequest& r) { return double{r.sampling.min_p}; },
     [](GenerateRequest& r, double v) { r.sampling.min_p = static_cast<float>(v); }},
    {"repetition-penalty", 0.01, 10,
     [](const GenerateRequest& r) { return double{r.sampling.repetition_penalty}; },
     [](GenerateRequest& r, double v) { r.sampling.repetition_penalty = static_cast<float>(v); }},
    {"seed", 0, 9e15, [](const GenerateRequest& r) { return double(r.sampling.seed); },
     [](GenerateRequest& r, double v) { r.sampling.seed = static_cast<std::uint64_t>(v); }},
    {"max-tokens", -1, 1e9, [](const GenerateRequest& r) { return double(r.max_tokens); },
     [](GenerateRequest& r, double v) { r.max_tokens = static_cast<std::int64_t>(v); }},
};

Status set(Chat& chat, const std::string& argument) {
  const std::size_t space = argument.find(' ');
  const std::string name = argument.substr(0, space);
  for (const Setting& setting : settings) {
    if (setting.name != name) continue;
    const std::string text = space == argument.npos ? "" : argument.substr(space + 1);
    double value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() ||
        !(value >= setting.min && value <= setting.max))
      return Error(ErrorKind::invalid, fmt::format("{} = '{}': needs a number from {} to {}", name,
                                                   text, setting.min, setting.max));
    setting.write(chat.conversation.settings(), value);
    chat.app.out.line(fmt::format("{} = {}", name, value));
    return Done{};
  }
  std::string names;
  for (const Setting& setting : settings) names += fmt::format(" {}", setting.name);
  return Error(ErrorKind::invalid, fmt::format("/set knows{}", names));
}

Status show(Chat& chat, const std::string&) {
  chat.app.out.row("model", chat.model.id);
  for (const Setting& setting : settings)
    chat.app.out.row(setting.name, fmt::format("{}", setting.read(chat.conversation.settings())));
  chat.app.out.row("messages", fmt::format("{}", chat.conversation.messages().size()));
  return Done{};
}

Status save(Chat& chat, const std::string& path) {
  if (path.empty()) return Error(ErrorKind::invalid, "/save needs a FILE");
  const std::string text = write_json(chat.conversation.messages(), {.indent = 1}) + "\n";
  TRY(replace_file(path, bytes_of(text)));
  chat.app.out.line(
      fmt::format("{} messages saved to {}", chat.conversation.messages().size(), path));
  return Done{};
}

Status load(Chat& chat, const std::string& path) {
  constexpr std::uint64_t max_bytes = 64u << 20;
  const std::string text = TRY(read_file(path, max_bytes));
  auto messages = parse_json(text);
  if (!messages) return std::move(messages).error().within(path);
  const Status loaded = chat.conversation.load(std::move(*messages));
  if (!loaded.ok()) return Error(loaded.error()).within(path);
  chat.app.out.line(fmt::format("{} messages", chat.conversation.messages().size()));
  return Done{};
}

void report_end(Chat& chat, const Answer& answer) {
  chat.app.out.text("\n");
  if (answer.finish == FinishReason::length)
    chat.app.out.line(chat.app.out.dim("(the limit of tokens is reached)"));
  if (answer.finish == FinishReason::cancelled)
    chat.app.out.line(chat.app.out.dim("(interrupted)"));
}

Status regenerate(Chat& chat, const std::string&) {
  const InterruptScope interrupts;
  const Answer answer = TRY(chat.conversation.ask_again(
      interrupts.token(), [&](std::string_view text) { chat.app.out.text(text); }));
  report_end(chat, answer);
  return Done{};
}

Status undo(Chat& chat, const std::string&) {
  chat.app.out.line(chat.conversation.undo() ? "Forgotten." : "Nothing to undo.");
  return Done{};
}

Status show_picture(Chat& chat, const std::string& path) {
  if (path.empty()) return Error(ErrorKind::invalid, "/image needs a FILE");
  TRY(chat.conversation.show_picture(path));
  chat.app.out.line(fmt::format("{} goes with your next message.", path));
  return Done{};
}

Status count_tokens(Chat& chat, const std::string&) {
  chat.app.out.line(fmt::format("{} of {} tokens", TRY(chat.conversation.token_count()),
                                chat.model.runner->context_tokens()));
  return Done{};
}

// ---- Servers of the Model Context Protocol. ----

Status answer_last(Chat& chat) {
  const InterruptScope interrupts;
  const Answer answer = TRY(chat.conversation.go_on(
      interrupts.token(), [&](std::string_view text) { chat.app.out.text(text); }));
  report_end(chat, answer);
  return Done{};
}

Status read_resource(Chat& chat, const std::string& server, const std::string& uri) {
  const InterruptScope interrupts;
  const auto client = TRY(chat.tools->box().client(server));
  const std::string text = TRY(client->read(uri, interrupts.token()));
  chat.conversation.add("user", fmt::format("{}:\n\n{}", uri, text));
  chat.app.out.line(fmt::format("{} bytes of {} are part of the conversation now.", text.size(),
                                printable(uri, 200)));
  return Done{};
}

Status fill_prompt(Chat& chat, const std::string& server, std::span<const std::string> words) {
  {
    const InterruptScope interrupts;
    const auto client = TRY(chat.tools->box().client(server));
    const Json values = TRY(read_pairs(words.subspan(1)));
    const Json messages = TRY(client->prompt(words[0], values, interrupts.token()));
    for (const Json& message : messages.as_array())
      chat.conversation.add(message.find("role")->as_string(),
                            message.find("content")->as_string());
  }
  return answer_last(chat);
}

Status use_servers(Chat& chat, const std::string& argument) {
  if (!chat.tools)
    return Error(ErrorKind::not_found, "no servers are in use; `hearth help mcp list` tells more");
  std::vector<std::string> words;
  for (std::size_t at = 0; at < argument.size();) {
    const std::size_t end = std::min(argument.find(' ', at), argument.size());
    if (end > at) words.push_back(argument.substr(at, end - at));
    at = end + 1;
  }
  if (words.empty()) {
    print_servers(chat.app.out, chat.tools->box());
    return Done{};
  }
  if (words[0] == "read" && words.size() == 3) return read_resource(chat, words[1], words[2]);
  if (words[0] == "prompt" && words.size() >= 3)
    return fill_prompt(chat, words[1], std::span(words).subspan(2));
  return Error(ErrorKind::invalid,
               "/mcp, /mcp read SERVER URI, or /mcp prompt SERVER NAME [KEY=VALUE...]");
}

Status leave(Chat& chat, const std::string&) {
  chat.leaving = true;
  return Done{};
}

std::span<const Slash> slashes() {
  static constexpr Slash list[] = {
      {"/help", "", "This list.", show_help},
      {"/clear", "", "Forget the conversation; the system message stays.", clear},
      {"/system", "TEXT", "Set the system message; without TEXT: none.", set_system},
      {"/set", "NAME VALUE", "Change a setting; /show lists them.", set},
      {"/show", "", "The model and the settings.", show},
      {"/image", "FILE", "Show a picture with the next message.", show_picture},
      {"/regen", "", "Another answer to the last question.", regenerate},
      {"/undo", "", "Forget the last question and its answer.", undo},
      {"/tokens", "", "How much of the context is used.", count_tokens},
      {"/mcp", "[read|prompt ...]", "Servers and tools; read SERVER URI; prompt SERVER NAME.",
       use_servers},
      {"/save", "FILE", "Write the messages to FILE, as JSON.", save},
      {"/load", "FILE", "Continue the conversation in FILE.", load},
      {"/bye", "", "Leave; so do /exit and /quit.", leave},
  };
  return list;
}

// ---- The loop. ----

Status run_slash(Chat& chat, const std::string& line) {
  const std::size_t space = line.find(' ');
  std::string name = line.substr(0, space);
  if (name == "/exit" || name == "/quit") name = "/bye";  // as other programs have it
  for (const Slash& slash : slashes())
    if (slash.name == name)
      return slash.run(chat, space == line.npos ? "" : line.substr(space + 1));
  return Error(ErrorKind::invalid, fmt::format("no command {}; /help lists them", name));
}

// One message: a line, or several between """ marks.
LineEditor::Line read_message(LineEditor& editor) {
  constexpr std::string_view mark = "\"\"\"";
  LineEditor::Line first = editor.read(">>> ");
  if (first.outcome != LineEditor::Outcome::line || !first.text.starts_with(mark)) return first;
  std::string text = first.text.substr(mark.size());
  while (!text.ends_with(mark)) {
    const LineEditor::Line next = editor.read("... ");
    if (next.outcome != LineEditor::Outcome::line) return next;
    text += "\n" + next.text;
  }
  text.resize(text.size() - mark.size());
  if (text.starts_with('\n')) text.erase(0, 1);
  if (text.ends_with('\n')) text.pop_back();
  return {LineEditor::Outcome::line, std::move(text)};
}

Status answer(Chat& chat, const std::string& text) {
  const InterruptScope interrupts;
  const Answer answer = TRY(chat.conversation.ask(
      text, interrupts.token(), [&](std::string_view piece) { chat.app.out.text(piece); }));
  report_end(chat, answer);
  return Done{};
}

std::string history_path() { return in_user_folder(UserFolder::data, "hearth/chat_history"); }

// The servers that are set, unless nothing of them can be used.
Status reach_servers(Chat& chat, const Arguments& arguments) {
  const ToolPolicy policy = TRY(read_tool_policy(arguments));
  if (policy == ToolPolicy::none) return Done{};
  const std::vector<mcp::ServerSettings> servers = TRY(mcp_settings(arguments));
  if (servers.empty()) return Done{};
  const InterruptScope interrupts;
  chat.app.out.progress_text(fmt::format("reaching {} servers", servers.size()));
  auto box = mcp::Toolbox::open(servers, environment_variables(), interrupts.token());
  chat.app.out.progress_done();
  for (const mcp::ServerState& state : box->servers())
    if (!state.problem.empty())
      chat.app.out.remark(fmt::format("{}: {}", state.name, state.problem));
  const std::size_t tools = box->tools().size();
  chat.tools = std::make_unique<ToolUse>(chat.app, chat.editor, std::move(box), policy);
  if (tools == 0) return Done{};
  const bool is_given = chat.conversation.give_tools(
      {[&use = *chat.tools] { return use.tools(); },
       [&use = *chat.tools](const std::string& name, const std::string& words,
                            const std::stop_token& stop) { return use.use(name, words, stop); }});
  if (!is_given)
    chat.app.out.remark("this model knows no tools: those of the servers are not offered to it");
  else if (chat.editor.is_terminal())
    chat.app.out.line(fmt::format("{} tools may be called; /mcp lists them.", tools));
  return Done{};
}

std::span<const Option> options() {
  static const std::vector<Option> list = [] {
    std::vector<Option> all(std::begin(sampling_flags), std::end(sampling_flags));
    all.push_back({"--yes-tools", "WHICH",
                   "Which tools of servers run without asking: ask (none, as it is without this), "
                   "reads (those that say they only read), all; none: no servers."});
    all.push_back(mmproj_flag);
    all.push_back(lora_flag);
    for (const Option& option : setting_options("mcp.")) all.push_back(option);
    return all;
  }();
  return list;
}

Status run(App& app, const Arguments& arguments) {
  const std::string reference =
      arguments.count() > 0 ? arguments[0] : TRY(model_for_chat(app, arguments));
  const OpenModel open = TRY(open_model(app, arguments, reference));
  TRY(check_reads_text(*open.lease));
  GenerateRequest request = TRY(read_request(arguments, open));
  Chat chat{app, *open.lease, Conversation(*open.lease, std::move(request)),
            LineEditor(history_path()), nullptr};
  Json first = Json::array();
  if (arguments.has("--system"))
    first.push_back(Json::object({{"role", "system"}, {"content", arguments.text("--system")}}));
  TRY(chat.conversation.load(with_preset_messages(open.preset, std::move(first))));
  if (chat.editor.is_terminal())
    app.out.line(fmt::format("{} on {} threads. /help tells what you can do, Ctrl-D leaves.",
                             app.out.bold(open.lease->id), open.library->threads()));
  TRY(reach_servers(chat, arguments));
  while (!chat.leaving) {
    const LineEditor::Line line = read_message(chat.editor);
    if (line.outcome == LineEditor::Outcome::end) break;
    if (line.outcome == LineEditor::Outcome::interrupted || line.text.empty()) continue;
    chat.editor.remember(line.text);
    const Status status =
        line.text.starts_with('/') ? run_slash(chat, line.text) : answer(chat, line.text);
    if (!status.ok()) app.out.remark(status.error().message());
  }
  return Done{};
}

}  // namespace

const Command chat_command{
    .name = "chat",
    .arguments = "[MODEL]",
    .summary = "Talk with a model.",
    .details =
        "Without MODEL: the one that `hearth use` set, or the best one here; where there is none,\n"
        "the one that suits this machine is offered for download, and the built-in one answers\n"
        "until then.  Lines can be edited, the arrow keys and Ctrl-R find earlier ones; /help\n"
        "lists the commands inside.  Tools of the servers in ~/.config/hearth/mcp.json are offered "
        "to\n"
        "the model, and you are asked before one is called.",
    .options = options(),
    .run = run};

}  // namespace hearth::cli
