// Handlers out of functions that may fail: what fails is answered in the form of the interface.
#pragma once

#include "server/endpoints.h"
#include "server/fields.h"

namespace hearth::server {

// `make`: Checked<Json>(Service&, const Call&), the body of the answer.
template <auto make>
void reply_json(Service& service, Call call) {
  auto answer = make(service, std::as_const(call));
  if (answer.ok())
    send(service, call, http::json_response(write_json(answer.value())));
  else
    send(service, call, std::move(answer).error());
}

// `make`: Checked<http::Response>(Service&, const Call&), the answer.
template <auto make>
void reply(Service& service, Call call) {
  auto answer = make(service, std::as_const(call));
  if (answer.ok())
    send(service, call, std::move(answer).value());
  else
    send(service, call, std::move(answer).error());
}

// `start`: Check(Service&, Call&), which moves the call on to who answers it, or fails.
template <auto start>
void start_answer(Service& service, Call call) {
  Check done = start(service, call);
  if (!done.ok()) send(service, call, std::move(done).error());
}

}  // namespace hearth::server
