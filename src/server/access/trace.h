// Trace ids, so that what many programs do for one request can be found again as one.
// Source: W3C Trace Context, section 3.2, "Traceparent Header".
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hearth::server {

struct Trace {
  std::string trace_id;   // 32 digits of hex
  std::string parent_id;  // 16; whose part we are; empty: we began it
  std::string span_id;    // 16; our own part
  std::string flags = "01";

  std::string header() const;  // "00-<trace_id>-<span_id>-<flags>"
};

// Goes on with a trace that the client began, or begins one.
Trace trace_of(const std::string* traceparent);

}  // namespace hearth::server
