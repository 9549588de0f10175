#include "library/pictures.h"

#include <fmt/core.h>

#include "base/bytes.h"
#include "base/files.h"
#include "formats/picture.h"
#include "text/base64.h"
#include "text/chat_format.h"

namespace hearth {
namespace {

Error invalid(std::string message) { return Error(ErrorKind::invalid, std::move(message)); }

// Where a part says what it shows: {"image_url": {"url": ...}} or {"image_url": "..."}.
const Json* url_of(const Json& part) {
  const Json* url = part.find("image_url");
  if (url != nullptr && url->is_object()) url = url->find("url");
  return url != nullptr && url->is_string() ? url : nullptr;
}

Result<std::string> bytes_of_url(std::string_view url) {
  constexpr std::string_view scheme = "data:";
  if (!url.starts_with(scheme))
    return invalid(
        "image_url needs to be a data: URL (data:image/png;base64,...): no picture is fetched from "
        "another place, for that would tell it of this conversation");
  url.remove_prefix(scheme.size());
  const auto comma = url.find(',');
  if (comma == std::string_view::npos || comma > 256)
    return invalid("image_url: a data: URL without a comma");
  const std::string_view head = url.substr(0, comma), body = url.substr(comma + 1);
  if (!head.ends_with(";base64")) return invalid("image_url: a data: URL that is not base64");
  if (!head.starts_with("image/") && !head.starts_with("application/octet-stream"))
    return invalid("image_url: a data: URL that is no image");
  if (body.size() / 4 * 3 > max_picture_bytes)
    return Error(ErrorKind::exhausted,
                 fmt::format("a picture of over {} bytes", max_picture_bytes));
  auto bytes = decode_base64(body);
  if (!bytes) return invalid(fmt::format("image_url: {}", bytes.error().message()));
  return bytes;
}

}  // namespace

bool names_picture(const Json& part) { return url_of(part) != nullptr; }

Result<std::string> picture_in(const Json& part) {
  const Json* url = url_of(part);
  if (url == nullptr) return invalid("has a picture without image_url");
  return bytes_of_url(url->as_string());
}

Result<std::vector<std::string>> pictures_in(const Json& messages) {
  std::vector<std::string> all;
  if (!messages.is_array()) return all;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Json* content = messages.as_array()[i].find("content");
    if (content == nullptr || !content->is_array()) continue;
    for (const Json& part : content->as_array()) {
      if (!is_picture(part)) continue;
      const std::string place = fmt::format("messages[{}].content", i);
      if (all.size() == max_pictures)
        return invalid(fmt::format("messages: over {} pictures", max_pictures));
      auto bytes = picture_in(part);
      if (!bytes) return std::move(bytes).error().within(place);
      all.push_back(*std::move(bytes));
    }
  }
  return all;
}

Json picture_part_of(std::string_view bytes) {
  const std::string_view type = picture_type(std::as_bytes(std::span(bytes)));
  const std::string url = fmt::format(
      "data:{};base64,{}", type.empty() ? "application/octet-stream" : type, encode_base64(bytes));
  return Json::object({{"type", "image_url"}, {"image_url", Json::object({{"url", url}})}});
}

Result<Json> picture_part(const std::string& path) {
  const std::string bytes = TRY(read_file(path, max_picture_bytes));
  const auto picture = read_picture(std::as_bytes(std::span(bytes)));
  if (!picture) return Error(picture.error()).within(path);
  return picture_part_of(bytes);
}

}  // namespace hearth
