// POST /api/models/pull and /api/downloads: models from the hubs, and how far they are.
#include <fmt/core.h>

#include <charconv>

#include "server/fields.h"
#include "server/manage/manage.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {

Json to_json(const Download& download) {
  const PullProgress& progress = download.progress;
  Json json = Json::object({{"id", download.id},
                            {"model", download.model},
                            {"name", download.name},
                            {"reference", download.reference},
                            {"state", name_of(download.state)},
                            {"priority", download.priority},
                            {"bytes", progress.bytes},
                            {"total_bytes", progress.total},
                            {"bytes_per_second", progress.bytes_per_second},
                            {"files", progress.files}});
  Json each = Json::array();
  for (const FileProgress& file : progress.each)
    each.push_back(
        Json::object({{"name", file.name}, {"bytes", file.bytes}, {"total_bytes", file.total}}));
  json.set("each", std::move(each));
  const double left = progress.seconds_left();
  json.set("seconds_left", download.is_over() || left < 0 ? Json() : Json(left));
  json.set("was_here", download.was_here);
  json.set("waits", download.remark.empty() ? Json() : Json(download.remark));
  json.set("error", download.error ? Json::object({{"kind", name_of(download.error->kind())},
                                                   {"message", download.error->message()}})
                                   : Json());
  json.set("began", download.began_seconds);
  json.set("ended", download.ended_seconds);
  return json;
}

Json event_of(const Download& download) {
  Json event = to_json(download);
  event.set("event", "download");
  return event;
}

void follow_download(Service& service, Call call, const Download& download, EventForm form,
                     bool is_tied, std::function<std::vector<Json>(const Download&)> make) {
  struct Watch {
    std::shared_ptr<Call> call;
    std::mutex mutex;
    int observer = 0;
    bool is_over = false;
  };
  DownloadQueue& queue = *service.library->downloads;
  auto watch = std::make_shared<Watch>();
  watch->call = std::make_shared<Call>(std::move(call));
  start_events(watch->call->request, *watch->call->responder, form);
  service.metrics.count_answer(watch->call->endpoint->path, form == EventForm::socket ? 101 : 200);
  const int id = download.id;
  if (is_tied) service.followers.with([&](auto& count) { ++count[id]; });
  const auto see = [&service, &queue, watch, form, is_tied, make, id](const Download& seen) {
    if (seen.id != id) return;
    const std::lock_guard lock(watch->mutex);
    if (watch->is_over) return;
    http::Responder& responder = *watch->call->responder;
    const bool has_left = !responder.is_open() || service.is_stopping();
    if (!has_left)
      for (const Json& event : make(seen)) responder.write(event_text(form, event));
    if (!has_left && !seen.is_over()) return;
    watch->is_over = true;
    responder.finish();
    queue.forget(watch->observer);
    const bool is_last =
        is_tied && service.followers.with([&](auto& count) { return --count[id] <= 0; });
    if (is_last) service.followers.with([&](auto& count) { count.erase(id); });
    if (is_last && has_left && !seen.is_over()) (void)queue.cancel(id).ok();
  };
  {
    const std::lock_guard lock(watch->mutex);
    watch->observer = queue.observe(see);
  }
  // It may have ended before anybody looked.
  if (const auto now = queue.find(id)) see(*now);
}

namespace {

Checked<int> read_id(const Call& call) {
  int id = 0;
  const std::string& text = call.rest;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), id);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size())
    return invalid_value("id", "needs a download's number");
  return id;
}

Problem no_such_download(int id) {
  return {404, "not_found", fmt::format("There is no download {}", id), "id", 0};
}

std::vector<Json> plain_events(const Download& download) { return {event_of(download)}; }

Check pull(Service& service, Call& call) {
  LiveLibrary* library = TRY(library_of(service));
  const Json body = TRY(parse_body(call.request.body));
  const auto model = TRY(read_text(body, "model", 1024));
  if (!model || model->empty()) return invalid_value("model", "is missing");
  const auto priority = TRY(read_integer(body, "priority", -100, 100)).value_or(0);
  const bool stream = TRY(read_bool(body, "stream")).value_or(false);
  DownloadQueue::Wish wish;
  wish.priority = static_cast<int>(priority);
  wish.any_size = TRY(read_bool(body, "force")).value_or(false);
  wish.only_public = !call.request.is_loopback;
  const Download download = TRY(library->downloads->add(*model, wish));
  const EventForm form = form_of(call, EventForm::lines);
  if (stream)
    follow_download(service, std::move(call), download, form, false, plain_events);
  else
    send(service, call, http::json_response(write_json(to_json(download)), 202));
  return Done{};
}

Checked<Json> list(Service& service, const Call&) {
  LiveLibrary* library = TRY(library_of(service));
  Json downloads = Json::array(), interrupted = Json::array();
  for (const Download& download : library->downloads->list())
    downloads.push_back(to_json(download));
  for (const PartialDownload& one : partial_downloads(library->installed.folders().models))
    interrupted.push_back(Json::object({{"name", one.name}, {"bytes", one.bytes}}));
  return Json::object(
      {{"downloads", std::move(downloads)}, {"unfinished", std::move(interrupted)}});
}

Check show(Service& service, Call& call) {
  LiveLibrary* library = TRY(library_of(service));
  const int id = TRY(read_id(call));
  const auto download = library->downloads->find(id);
  if (!download) return no_such_download(id);
  const EventForm form = form_of(call, EventForm::lines);
  const bool stream = query_value(call.request, "stream") == "true" || form != EventForm::lines;
  if (stream)
    follow_download(service, std::move(call), *download, form, false, plain_events);
  else
    send(service, call, http::json_response(write_json(to_json(*download))));
  return Done{};
}

// {"paused": true, "priority": 5}; what is absent stays.
Checked<Json> change(Service& service, const Call& call) {
  LiveLibrary* library = TRY(library_of(service));
  const int id = TRY(read_id(call));
  const Json body = TRY(parse_body(call.request.body));
  const auto paused = TRY(read_bool(body, "paused"));
  const auto priority = TRY(read_integer(body, "priority", -100, 100));
  DownloadQueue& queue = *library->downloads;
  if (!queue.find(id)) return no_such_download(id);
  if (priority) TRY(queue.set_priority(id, static_cast<int>(*priority)));
  if (paused) TRY(*paused ? queue.pause(id) : queue.resume(id));
  return to_json(*queue.find(id));
}

Checked<Json> cancel(Service& service, const Call& call) {
  LiveLibrary* library = TRY(library_of(service));
  const int id = TRY(read_id(call));
  const Status status = library->downloads->cancel(id);
  if (!status.ok() && status.error().kind() == ErrorKind::not_found) return no_such_download(id);
  TRY(status);
  return Json::object({{"id", id}, {"cancelled", true}});
}

constexpr auto worker = Endpoint::Place::worker;
constexpr bool generates = false, streams_events = true;
constexpr Endpoint rows[] = {
    {"POST", "/api/models/pull",
     "Download a model; `stream`: tell how far it is until it is there.", Scope::manage,
     "PullRequest", "Download", worker, start_answer<pull>},
    {"GET", "/api/downloads", "Downloads that wait, run and have ended.", Scope::manage, "",
     "DownloadList", worker, reply_json<list>},
    {"GET", "/api/downloads/{id}", "One download, or its progress as a stream or a WebSocket.",
     Scope::manage, "", "Download", worker, start_answer<show>, generates, streams_events},
    {"PATCH", "/api/downloads/{id}", "Pause or resume a download, or let it go before others.",
     Scope::manage, "DownloadChange", "Download", worker, reply_json<change>},
    {"DELETE", "/api/downloads/{id}", "Stop a download; what came is kept.", Scope::manage, "", "",
     worker, reply_json<cancel>},
};

}  // namespace

std::span<const Endpoint> download_rows() { return rows; }

}  // namespace hearth::server
