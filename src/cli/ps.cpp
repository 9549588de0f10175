// hearth ps and hearth stop: the models in the memory of the running server.
#include <fmt/core.h>

#include "cli/own_server.h"
#include "cli/rows.h"
#include "cli/table.h"
#include "library/json_members.h"

namespace hearth::cli {
namespace {

std::string until_text(const Json& model) {
  if (text_member(model, "state") != "ready") return "";
  if (const Json* pinned = model.find("pinned"); pinned && *pinned == Json(true))
    return "it is stopped";
  if (number_member(model, "users") > 0) return "in use";
  const Json* left = model.find("expires_in_seconds");
  if (!left || !left->is_number()) return "its memory is needed";
  return readable_seconds(left->as_number()) + " from now";
}

// What the governor holds back, and why; nothing, where it does not.
void print_governor(Output& out, const Json* governor) {
  const Json* reasons = governor ? governor->find("reasons") : nullptr;
  if (!reasons || reasons->size() == 0) return;
  const auto part = [&](std::string_view name, std::string_view what) {
    const Json* pair = governor->find(name);
    const double wanted = pair ? number_member(*pair, "wanted") : 0,
                 now = pair ? number_member(*pair, "now") : 0;
    return now < wanted ? fmt::format("{} of {} {}, ", now, wanted, what) : std::string();
  };
  std::string text = "Held back: " + part("threads", "threads") +
                     part("step_tokens", "rows in a batch") + part("parallel", "answers at once");
  const std::string idle = text_member(*governor, "idle_models");
  if (idle == "leave_soon") text += "idle models leave after 30 s, ";
  if (idle == "leave") text += "idle models leave at once, ";
  text += "because ";
  for (std::size_t i = 0; i < reasons->size(); ++i)
    text += (i == 0 ? "" : ", and ") + reasons->as_array()[i].as_string();
  out.line(text);
}

Status list(App& app, const Arguments& arguments) {
  const Json status = TRY(ask_server(arguments, "GET", "/api/models/status"));
  const Json* loaded = status.find("loaded");
  const Json* governor = status.find("governor");
  if (!loaded || !loaded->is_array())
    return Error(ErrorKind::invalid, "the server does not tell what it has in memory");
  if (arguments.has("--json")) {
    Json answer = Json::object({{"models", *loaded}});
    if (governor) answer.set("governor", *governor);
    app.out.json(answer);
    return Done{};
  }
  std::vector<TableRow> rows;
  for (const Json& model : loaded->as_array()) {
    std::string state = text_member(model, "state");
    if (state == "loading")
      state = fmt::format("loading, {:.0f} %", number_member(model, "share") * 100);
    rows.push_back({text_member(model, "name"),
                    readable_bytes(static_cast<std::uint64_t>(number_member(model, "bytes"))),
                    state, fmt::format("{:.0f}", number_member(model, "users")),
                    until_text(model)});
  }
  if (rows.empty())
    app.out.line("No model is in memory; the first request for one loads it.");
  else
    print_table(app.out, {"NAME", "SIZE", "STATE", "USERS", "UNTIL"}, rows);
  print_governor(app.out, governor);
  return Done{};
}

Status stop(App& app, const Arguments& arguments) {
  Json stopped = Json::array();
  for (const std::string& name : arguments.positional()) {
    const Json answer =
        TRY(ask_server(arguments, "POST", "/api/models/unload", Json::object({{"model", name}})));
    const std::string own = text_member(answer, "name");
    stopped.push_back(own);
    if (!arguments.has("--json")) app.out.line(fmt::format("{} leaves memory", own));
  }
  if (arguments.has("--json")) app.out.json(Json::object({{"stopped", std::move(stopped)}}));
  return Done{};
}

}  // namespace

const Command ps_command{
    .name = "ps",
    .arguments = "",
    .summary = "List the models in the running server's memory.",
    .details =
        "With what they take, who uses them, and how long they stay.  A server with keys\n"
        "wants one in HEARTH_API_KEY.",
    .options = server_options(),
    .run = list};

const Command stop_command{
    .name = "stop",
    .arguments = "MODEL...",
    .summary = "Have the running server unload models.",
    .details =
        "Answers that are being written are finished first; the next request loads the\n"
        "model again.",
    .options = server_options(),
    .run = stop};

}  // namespace hearth::cli
