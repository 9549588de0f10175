// Source: OpenAI API reference, "Create chat completion" (file parts) and "Responses" (input_file).
#include "server/message_files.h"

#include <fmt/core.h>

#include "base/utf8.h"
#include "server/collections/files.h"
#include "server/collections/pool.h"
#include "server/fields.h"
#include "text/base64.h"
#include "vectors/text/readable.h"

namespace hearth::server {
namespace {

// The bytes behind "data:...;base64,", or of base64 alone.
Checked<std::string> data_bytes(std::string_view data, const std::string& place) {
  if (data.starts_with("data:")) {
    const std::size_t comma = data.find(',');
    if (comma == data.npos || !data.substr(0, comma).ends_with(";base64"))
      return invalid_value(place, "needs file_data as a data: URL in base64");
    data.remove_prefix(comma + 1);
  }
  auto bytes = decode_base64(data);
  if (!bytes) return invalid_value(place, "has file_data that is no base64");
  return *std::move(bytes);
}

struct NamedText {
  std::string name, text;
};

// What of the file a model reads.
Checked<std::string> text_in(const Call& call, std::string bytes, const std::string& name,
                             const std::string& place) {
  auto text = vectors::readable_text(std::move(bytes), call.responder->stop());
  if (text) return *std::move(text);
  const std::string reason =
      fmt::format("has the file '{}': {}", printable(name), text.error().message());
  return text.error().kind() == ErrorKind::unsupported ? unsupported_value(place, reason)
                                                       : invalid_value(place, reason);
}

Checked<NamedText> read_file_part(Service& service, const Call& call, const Json& file,
                                  const std::string& place) {
  if (given(file, "file_url"))
    return unsupported_value(place,
                             "names an address: this server asks none, send the file itself");
  std::string name(text_of(file, "filename"));
  std::string bytes;
  if (const std::string_view id = text_of(file, "file_id"); !id.empty()) {
    if (!service.collections)
      return unsupported_value(place, "names an uploaded file: this server keeps no files");
    const StoredFile stored = TRY(find_file(service, id, call.tenant));
    if (name.empty()) name = stored.name;
    bytes = TRY(read_stored_file(service, stored));
  } else if (const std::string_view data = text_of(file, "file_data"); !data.empty()) {
    bytes = TRY(data_bytes(data, place));
  } else {
    return invalid_value(place, "has a file without file_data or file_id");
  }
  if (name.empty()) name = "file";
  std::string text = TRY(text_in(call, std::move(bytes), name, place));
  return NamedText{std::move(name), std::move(text)};
}

}  // namespace

std::string file_text(std::string_view name, std::string_view text) {
  return fmt::format("<file name=\"{}\">\n{}{}</file>\n", printable(std::string(name)), text,
                     text.ends_with('\n') ? "" : "\n");
}

Check place_files(Service& service, const Call& call, Json& messages) {
  if (!messages.is_array()) return Done{};
  for (std::size_t i = 0; i < messages.size(); ++i) {
    Json* content = messages.as_array()[i].find("content");
    if (content == nullptr || !content->is_array()) continue;
    for (Json& part : content->as_array()) {
      const std::string_view type = text_of(part, "type");
      if (type != "file" && type != "input_file") continue;
      const Json* file = type == "file" ? given(part, "file") : &part;
      const std::string place = fmt::format("messages[{}].content", i);
      if (file == nullptr || !file->is_object())
        return invalid_value(place, "has a file part without its file");
      const auto [name, text] = TRY(read_file_part(service, call, *file, place));
      part = Json::object({{"type", "text"}, {"text", file_text(name, text)}});
    }
  }
  return Done{};
}

}  // namespace hearth::server
