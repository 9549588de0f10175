// The door: which requests come in, on whose account, and what every answer says of it.
#pragma once

#include <optional>

#include "server/service.h"

namespace hearth::server {

// Why the key of a request does not let it in: 401, 403, 429.  Nothing: it does.
std::optional<http::Response> refuse_at_door(Service& service, const Endpoint& endpoint,
                                             const http::Request& request);

// Finds the call's key, counts the request and opens its account.  The refusal, if there is one.
std::optional<http::Response> enter(Service& service, Call& call);

// The same for a request of our own: it is counted, and never refused.
void enter_as(Service& service, Call& call, Identity identity);

// The trace, when the client has one, and what is left of the key's limits, in the names that the
// interface's clients read.
http::Headers access_headers(const Call& call);

}  // namespace hearth::server
