// Source: Model Context Protocol, revision 2025-11-25, "Tools", "Tool Result"; "Resources",
// "Resource Contents".
#include "mcp/content.h"

#include <fmt/core.h>

#include "base/utf8.h"

namespace hearth::mcp {
namespace {

constexpr std::size_t max_uri_bytes = 1024;

// Characters that are not seen, or turn around what is: words to the model that a person who agrees
// to a call would not see.
bool is_hiding(std::uint32_t point) {
  const bool is_control =
      (point < 0x20 && point != '\n' && point != '\t') || (point >= 0x7F && point < 0xA0);
  const bool is_direction = (point >= 0x202A && point <= 0x202E) ||
                            (point >= 0x2066 && point <= 0x2069) || point == 0x200E ||
                            point == 0x200F;
  const bool is_tag = point >= 0xE0000 && point <= 0xE007F;
  return is_control || is_direction || is_tag || point == 0xFEFF || point == 0x200B;
}

// Whole characters, `max_bytes` of them at most.
std::string_view cut(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  text = text.substr(0, max_bytes);
  text.remove_suffix(incomplete_tail(text));
  return text;
}

}  // namespace

std::string cleaned(std::string_view text, std::size_t max_bytes) {
  std::string out;
  while (!text.empty() && out.size() < max_bytes) {
    const Decoded next = decode_utf8(text);
    if (!is_hiding(next.point)) append_utf8(out, next.point);
    text.remove_prefix(next.size);
  }
  return std::string(cut(out, max_bytes));
}

std::string text_in(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value && value->is_string() ? value->as_string() : "";
}

std::string resource_text(const Json& resource) {
  if (const Json* text = resource.find("text"); text && text->is_string()) return text->as_string();
  const Json* blob = resource.find("blob");
  const std::size_t size = blob && blob->is_string() ? blob->as_string().size() / 4 * 3 : 0;
  return fmt::format("[{}, {} bytes of {}: not text]",
                     cleaned(text_in(resource, "uri"), max_uri_bytes), size,
                     cleaned(text_in(resource, "mimeType"), 64));
}

std::string content_text(const Json& block) {
  if (block.is_string()) return block.as_string();
  const std::string type = text_in(block, "type");
  if (type == "text") return text_in(block, "text");
  if (type == "resource") {
    const Json* resource = block.find("resource");
    return resource ? resource_text(*resource) : "";
  }
  if (type == "resource_link")
    return fmt::format("[{}]", cleaned(text_in(block, "uri"), max_uri_bytes));
  return fmt::format("[{} {}: not shown]", cleaned(type, 64),
                     cleaned(text_in(block, "mimeType"), 64));
}

ToolResult tool_result(const Json& answer) {
  ToolResult result;
  const Json* failed = answer.find("isError");
  result.is_error = failed && *failed == Json(true);
  std::string text;
  if (const Json* content = answer.find("content"); content && content->is_array())
    for (const Json& block : content->as_array()) {
      if (!text.empty()) text += '\n';
      text += content_text(block);
      if (text.size() > max_result_bytes) break;
    }
  const Json* structured = answer.find("structuredContent");
  if (text.empty() && structured) text = write_json(*structured);
  result.text = cut(text, max_result_bytes);
  result.is_cut = result.text.size() < text.size();
  if (result.is_cut) result.text += "\n[the rest was cut: it was too long]";
  return result;
}

}  // namespace hearth::mcp
