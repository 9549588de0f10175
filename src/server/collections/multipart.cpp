#include "server/collections/multipart.h"

#include "base/ascii.h"
#include "base/utf8.h"
#include "http/message.h"

namespace hearth::server {
namespace {

constexpr std::size_t max_parts = 64;
constexpr std::size_t max_boundary = 70;  // RFC 2046, section 5.1.1

Problem bad(std::string_view what) {
  return {400, "invalid_form", "the form cannot be read: " + std::string(what), "", 0};
}

// The value of `name` in "form-data; name=\"file\"; filename=\"a.txt\"".
std::string parameter(std::string_view header, std::string_view name) {
  for (std::size_t at = header.find(';'); at != header.npos; at = header.find(';', at + 1)) {
    std::string_view rest = header.substr(at + 1);
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
    if (rest.size() <= name.size() || rest[name.size()] != '=' ||
        !equal_ignoring_case(rest.substr(0, name.size()), name))
      continue;
    rest.remove_prefix(name.size() + 1);
    if (!rest.starts_with('"')) return std::string(rest.substr(0, rest.find(';')));
    std::string value;
    for (std::size_t i = 1; i < rest.size() && rest[i] != '"'; ++i) {
      if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
      value += rest[i];
    }
    return value;
  }
  return "";
}

// The headers of one part: only what it is called is looked at.
Checked<FormPart> read_part(std::string_view text) {
  const std::size_t end = text.find("\r\n\r\n");
  if (end == text.npos) return bad("a part without headers");
  FormPart part;
  part.content = text.substr(end + 4);
  std::string_view headers = text.substr(0, end);
  while (!headers.empty()) {
    const std::string_view line = headers.substr(0, headers.find("\r\n"));
    headers.remove_prefix(std::min(headers.size(), line.size() + 2));
    const std::size_t colon = line.find(':');
    if (colon == line.npos || !equal_ignoring_case(line.substr(0, colon), "content-disposition"))
      continue;
    part.name = parameter(line.substr(colon + 1), "name");
    part.file_name = parameter(line.substr(colon + 1), "filename");
  }
  if (part.name.empty()) return bad("a part without a name");
  return part;
}

}  // namespace

Checked<std::vector<FormPart>> parse_form(std::string_view content_type, std::string_view body) {
  if (content_type.find("multipart/form-data") != 0) return bad("needs multipart/form-data");
  const std::string boundary = parameter(content_type, "boundary");
  if (boundary.empty() || boundary.size() > max_boundary) return bad("no boundary");
  const std::string mark = "\r\n--" + boundary;
  // The first boundary has no line before it.
  if (!body.starts_with(std::string_view(mark).substr(2))) return bad("it does not begin");
  body.remove_prefix(mark.size() - 2);
  std::vector<FormPart> parts;
  while (!body.starts_with("--")) {
    if (!body.starts_with("\r\n")) return bad("a boundary without a line's end");
    body.remove_prefix(2);
    const std::size_t end = body.find(mark);
    if (end == body.npos) return bad("it has no end");
    if (parts.size() == max_parts) return bad("over 64 parts");
    parts.push_back(TRY(read_part(body.substr(0, end))));
    body.remove_prefix(end + mark.size());
  }
  return parts;
}

}  // namespace hearth::server
