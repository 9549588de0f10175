// What the routes that manage models share.
#pragma once

#include "server/manage/events.h"
#include "server/service.h"

namespace hearth::server {

// Errors: 501: this server has a fixed set of models.
Checked<LiveLibrary*> library_of(Service& service);

Json to_json(const Download& download);
Json to_json(const LifecycleView& view);
Json to_json(const PoolModel& model);
// The same as what listeners are told.
Json event_of(const Download& download);
Json event_of(const LifecycleView& view);
Json state_of_system();

// What the request's Upgrade and Accept ask for.
EventForm form_of(const Call& call, EventForm standard);
std::optional<std::string> query_value(const http::Request& request, std::string_view name);

// The events of one download until it is over, as `make` puts them.  A download that nobody waits
// for any more goes on, unless `is_tied`: then it ends with its last listener.
void follow_download(Service& service, Call call, const Download& download, EventForm form,
                     bool is_tied, std::function<std::vector<Json>(const Download&)> make);

}  // namespace hearth::server
