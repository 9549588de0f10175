// Files in messages: the text in them takes their place.
#pragma once

#include <string>
#include <string_view>

#include "server/service.h"

namespace hearth::server {

// How a file stands in a message.
std::string file_text(std::string_view name, std::string_view text);

// Every part {"type": "file"} or {"type": "input_file"} of messages (file_data, or the file_id of
// one that was uploaded, with a filename) becomes a part of text.  Errors: 400 with the place for
// files that hold no text and for addresses, 404 for files that are not here.
Check place_files(Service& service, const Call& call, Json& messages);

}  // namespace hearth::server
