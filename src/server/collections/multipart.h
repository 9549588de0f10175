// Bodies of several parts, as forms and SDKs upload files.  Source: RFC 7578, RFC 2046.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/errors.h"

namespace hearth::server {

struct FormPart {
  std::string name, file_name;  // file_name: empty: a plain field
  std::string_view content;     // points into the body
};

// content_type: the request's header.  Errors: 400.
Checked<std::vector<FormPart>> parse_form(std::string_view content_type, std::string_view body);

}  // namespace hearth::server
