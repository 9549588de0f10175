// The endpoints, one row each: routing, OpenAPI and the tests walk the list.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "server/service.h"

namespace hearth::server {

struct Endpoint {
  std::string_view method;  // "GET": also HEAD
  // "{id}" at the end stands for the rest, slashes too; other names in braces for one part.
  std::string_view path;
  std::string_view summary;
  Scope scope;  // what a key must allow; Scope::none: no key is needed
  std::string_view request_schema, response_schema;  // names in openapi.cpp; "": none
  // Quick ones run on the loop's thread and must not block or compute; the others on a worker.
  enum class Place { loop, worker, embedder } place;
  // Answers through call.responder, now or later.
  void (*handle)(Service& service, Call call);
  bool generates = false;       // joins a model's queue
  bool streams_events = false;  // over a WebSocket too
};

// To add an endpoint: write server/<name>.cpp with one `const Endpoint`, name it in endpoints.cpp.
std::span<const Endpoint* const> endpoints();

struct Route {
  const Endpoint* endpoint = nullptr;  // nullptr: none of this path and method
  std::string rest;                    // what stands for {id}
  std::vector<std::string> parts;      // and for the other names, in order
  std::string allowed;                 // methods of this path, for Allow; empty: no such path
};
// A leading "/v1", even twice, may be there or not.
std::string_view without_version(std::string_view path);
Route find_route(std::string_view method, std::string_view path);

}  // namespace hearth::server
