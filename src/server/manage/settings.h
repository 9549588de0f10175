// Settings that change while the server runs.
#pragma once

#include "server/service.h"

namespace hearth::server {

// Has every change of service.settings do what it can at once, and tells those who listen to the
// system's events.  The number is for LiveConfig::forget().
int follow_settings(Service& service);

// By the words of server.log_level.
void set_log_level(std::string_view name);

}  // namespace hearth::server
