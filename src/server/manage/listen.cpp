// GET /api/events and its parts: what happens, as it happens, as server-sent events, lines of JSON
// or messages of a WebSocket.
#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"
#include "http/websocket.h"
#include "server/fields.h"
#include "server/manage/manage.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {

EventForm form_of(const Call& call, EventForm standard) {
  if (call.endpoint->streams_events && http::asks_for_socket(call.request))
    return EventForm::socket;
  const std::string* accept = call.request.header("accept");
  if (accept && accept->contains("text/event-stream")) return EventForm::sse;
  if (accept && accept->contains("ndjson")) return EventForm::lines;
  return standard;
}

namespace {

using Topic = EventHub::Topic;
using Topics = std::vector<Topic>;

// To add a topic: a row here, and somebody who tells it.
struct TopicRow {
  std::string_view name;
  Topic topic;
  Scope scope;  // what a key must allow
};
constexpr TopicRow topic_rows[] = {{"models", Topic::models, Scope::infer},
                                   {"downloads", Topic::downloads, Scope::infer},
                                   {"system", Topic::system, Scope::metrics}};

bool may_listen(Service& service, const Call& call, const TopicRow& row) {
  return service.keys->check(call.request.headers, row.scope).refusal == nullptr;
}

const TopicRow& row_of(Topic topic) {
  return *std::ranges::find(topic_rows, topic, &TopicRow::topic);
}

// ?topics=models,downloads; otherwise those of `standard` that the key allows.
Checked<Topics> read_topics(Service& service, const Call& call, const Topics& standard) {
  const auto text = query_value(call.request, "topics");
  Topics topics;
  if (!text) {
    for (const Topic topic : standard)
      if (may_listen(service, call, row_of(topic))) topics.push_back(topic);
    return topics;
  }
  std::string_view rest = *text;
  do {
    const std::string_view name = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    const auto* row = std::ranges::find(topic_rows, name, &TopicRow::name);
    if (row == std::end(topic_rows))
      return invalid_value("topics", "needs some of models, downloads, system");
    if (!may_listen(service, call, *row))
      return Problem{403, "insufficient_scope",
                     fmt::format("the key does not open the topic '{}'", name), "topics", 0};
    topics.push_back(row->topic);
  } while (!rest.empty());
  return topics;
}

std::vector<Json> state_of(Service& service, Topic topic) {
  std::vector<Json> events;
  if (topic == Topic::system) events.push_back(state_of_system());
  if (topic == Topic::models && service.library)
    for (const LifecycleView& view : service.library->lifecycles.views())
      events.push_back(event_of(view));
  if (topic == Topic::downloads && service.library)
    for (const Download& download : service.library->downloads->list())
      if (!download.is_over()) events.push_back(event_of(download));
  return events;
}

Check listen(Service& service, Call& call, const Topics& standard) {
  EventHub::Wish wish;
  wish.topics = TRY(read_topics(service, call, standard));
  wish.model = query_value(call.request, "model").value_or("");
  if (wish.model.size() > 1024) return invalid_value("model", "is too long");
  wish.form = form_of(call, EventForm::sse);
  if (call.key)
    wish.may_stay = [&service, headers = call.request.headers, scope = call.endpoint->scope] {
      return service.keys->check(headers, scope).refusal == nullptr;
    };
  service.metrics.count_answer(call.endpoint->path, wish.form == EventForm::socket ? 101 : 200);
  const auto standing = [&service, topics = wish.topics, model = wish.model] {
    std::vector<Json> events;
    for (const Topic topic : topics)
      for (Json& event : state_of(service, topic))
        if (EventHub::concerns(event, model)) events.push_back(std::move(event));
    return events;
  };
  service.events->listen(call.request, call.responder, std::move(wish), standing);
  return Done{};
}

Check everything(Service& service, Call& call) {
  return listen(service, call, {Topic::models, Topic::downloads, Topic::system});
}

Check of_models(Service& service, Call& call) {
  TRY(library_of(service));
  return listen(service, call, {Topic::models, Topic::downloads});
}

Check of_system(Service& service, Call& call) { return listen(service, call, {Topic::system}); }

constexpr auto worker = Endpoint::Place::worker;
constexpr bool generates = false, streams_events = true;
constexpr Endpoint rows[] = {
    {"GET", "/api/events",
     "What happens, as it happens: as server-sent events, lines of JSON or a WebSocket; ?topics= "
     "and ?model= leave some out.",
     Scope::any, "", "Event", worker, start_answer<everything>, generates, streams_events},
    {"GET", "/api/models/events", "Of that, what happens to models and downloads.", Scope::infer,
     "", "Event", worker, start_answer<of_models>, generates, streams_events},
    {"GET", "/api/system/events", "Of that, how the machine feels, once a second.", Scope::metrics,
     "", "Event", worker, start_answer<of_system>, generates, streams_events},
};

}  // namespace

std::span<const Endpoint> event_rows() { return rows; }

}  // namespace hearth::server
