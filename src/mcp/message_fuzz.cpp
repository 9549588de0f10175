// Arbitrary bytes as what a server sends: as events of a stream, as contents, as settings.
#include "base/json.h"
#include "mcp/content.h"
#include "mcp/settings.h"
#include "mcp/transport.h"

using namespace hearth;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  mcp::EventReader reader;
  (void)reader
      .add(text,
           [](std::string_view event) {
             if (const auto json = parse_json(event, mcp::message_limits))
               (void)mcp::tool_result(*json);
           })
      .ok();
  if (const auto json = parse_json(text, mcp::message_limits)) {
    (void)mcp::tool_result(*json);
    (void)mcp::content_text(*json);
    (void)mcp::resource_text(*json);
  }
  (void)mcp::parse_servers(text, "/", {}).ok();
  (void)mcp::cleaned(text, 100);
  return 0;
}
