#include "server/tools/host.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <mutex>

#include "base/utf8.h"
#include "server/workers.h"

namespace hearth::server {
namespace {

using hearth::mcp::OfferedTool;
using hearth::mcp::ServerSettings;
using hearth::mcp::Serving;
using hearth::mcp::Toolbox;
using Clock = std::chrono::steady_clock;

// A server that could not be started is not tried again by every request.
constexpr std::chrono::seconds failure_lasts{30};
constexpr Milliseconds visit_patience{30'000};
constexpr std::size_t max_problem_bytes = 300;

bool may_use(const ServerSettings& server, const KeyRecord* key) {
  if (server.served_keys.empty()) return true;
  return key && std::ranges::any_of(server.served_keys, [&](const std::string& name) {
           return name == key->id || name == key->name;
         });
}

void add_warning(std::string& warning, std::string text) {
  warning += (warning.empty() ? "" : "; ") + std::move(text);
}

Problem unusable(const std::string& label, const std::string& why) {
  return {424, "mcp_server_unavailable",
          fmt::format("The tools of the MCP server '{}' cannot be had: {}", printable(label), why),
          "tools", 0};
}

Problem not_offered(const std::string& label) {
  return invalid_value(
      "tools", fmt::format("names '{}', which is no MCP server whose tools this request may use; "
                           "\"serve\" in mcp.json offers them",
                           printable(label)));
}

std::string problem_of(const Toolbox& box) {
  const auto states = box.servers();
  return states.empty() ? "" : printable(states.front().problem, max_problem_bytes);
}

}  // namespace

struct ToolHost::Place {
  ServerSettings settings;
  std::mutex opening;  // held while the server starts: whoever wants it waits for it
  Box box;
  std::string problem;
  Clock::time_point failed_at;
};

ToolHost::ToolHost(ToolSettings settings) : settings_(std::move(settings)) {
  for (const ServerSettings& server : settings_.served.servers) {
    auto place = std::make_unique<Place>();
    place->settings = server;
    has_standing_ = has_standing_ || server.serving == Serving::always;
    places_.emplace(server.name, std::move(place));
  }
}

ToolHost::~ToolHost() { leaving_.request_stop(); }

Checked<ToolHost::Box> ToolHost::open(Place& place) {
  const Workers::Aside aside;  // it takes seconds
  const std::lock_guard lock(place.opening);
  if (place.box) {
    place.box->refresh(leaving_.get_token());
    return place.box;
  }
  if (!place.problem.empty() && Clock::now() - place.failed_at < failure_lasts)
    return unusable(place.settings.name, place.problem);
  // Not the request's own stop: the next one wants the server too.
  Box box = Toolbox::open({place.settings}, settings_.variables, leaving_.get_token());
  place.problem = problem_of(*box);
  place.failed_at = Clock::now();
  if (!place.problem.empty()) return unusable(place.settings.name, place.problem);
  place.box = box;
  return box;
}

// One that the request brings; its tools are for this request alone.
Checked<ToolHost::Box> ToolHost::visit(const ToolWish& wish, const std::stop_token& stop) const {
  const std::string origin = hearth::mcp::origin_of(wish.url);
  if (origin.empty() ||
      std::ranges::find(settings_.served.origins, origin) == settings_.served.origins.end())
    return invalid_value("tools.server_url",
                         "is of a host that this server may not ask; \"serveHosts\" in mcp.json "
                         "names those that it may");
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  if (!std::ranges::all_of(wish.label, is_plain))
    return invalid_value("tools.server_label", "has letters, digits, '-', '_' and '.'");
  ServerSettings settings;
  settings.name = wish.label;
  settings.url = wish.url;
  settings.headers = wish.headers;
  settings.patience = visit_patience;
  const Workers::Aside aside;
  Box box = Toolbox::open({settings}, {}, stop);
  const std::string problem = problem_of(*box);
  if (!problem.empty()) return unusable(wish.label, problem);
  return box;
}

Checked<ToolHost::Box> ToolHost::find(const OfferRequest& request, const ToolWish& wish) {
  const auto found = places_.find(wish.label);
  const bool is_ours = found != places_.end() && may_use(found->second->settings, request.key);
  if (!wish.url.empty() && !(is_ours && wish.url == found->second->settings.url)) {
    if (is_ours)
      return invalid_value("tools.server_url",
                           fmt::format("is not the address of '{}' in mcp.json: leave it out",
                                       printable(wish.label)));
    return visit(wish, request.stop);
  }
  if (!is_ours) {
    if (!settings_.problem.empty()) return unusable(wish.label, settings_.problem);
    return not_offered(wish.label);
  }
  if (!wish.headers.empty())
    return invalid_value("tools.headers",
                         fmt::format("of '{}' are those of mcp.json", printable(wish.label)));
  return open(*found->second);
}

Checked<ToolOffer> ToolHost::offer(OfferRequest request, std::string& warning) {
  ToolOffer offer;
  const auto add = [&](const Box& box, const ToolWish* wish, bool is_visit) {
    std::size_t added = 0;
    for (OfferedTool& tool : box->tools()) {
      const bool reads = tool.tool.only_reads;
      if (wish && !wish->wants(tool.tool.name, reads)) continue;
      // What the settings do not allow is asked about, whatever the request says.
      const bool is_free = is_visit || box->is_allowed(tool);
      if (!request.can_ask && !is_free) continue;
      const bool asks =
          request.can_ask && (!is_free || (wish && wish->needs_approval(tool.tool.name, reads)));
      if (!request.taken.insert(tool.name).second) {
        add_warning(warning, fmt::format("a tool was left out: '{}' is there twice", tool.name));
        continue;
      }
      offer.tools.push_back({box, std::move(tool), asks});
      ++added;
    }
    return added;
  };
  for (const ToolWish& wish : request.wishes) {
    if (std::ranges::find(offer.asked, wish.label) != offer.asked.end())
      return invalid_value("tools", fmt::format("names '{}' twice", printable(wish.label)));
    const Box box = TRY(find(request, wish));
    const bool is_visit = !wish.url.empty() && !places_.contains(wish.label);
    if (add(box, &wish, is_visit) == 0)
      add_warning(warning, fmt::format("no tool of '{}' may be used{}", printable(wish.label),
                                       request.can_ask ? "" : " without asking"));
    offer.asked.push_back(wish.label);
  }
  for (const auto& [label, place] : places_) {
    if (place->settings.serving != Serving::always || !may_use(place->settings, request.key) ||
        std::ranges::find(offer.asked, label) != offer.asked.end())
      continue;
    auto box = open(*place);
    if (box.ok())
      add(box.value(), nullptr, false);
    else
      add_warning(warning, std::move(box).error().message);
  }
  return offer;
}

}  // namespace hearth::server
