// Pictures in the messages of a conversation.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace hearth {

constexpr std::size_t max_pictures = 64;                                   // of one conversation
constexpr std::int64_t max_conversation_points = std::int64_t{256} << 20;  // of all together

// The files of the pictures, in order.  They come as data: URLs; nothing is fetched from anywhere.
// Errors: invalid, with the place (another kind of URL, broken base64, too many).
Result<std::vector<std::string>> pictures_in(const Json& messages);
// The same for one part of a message, without the place.
Result<std::string> picture_in(const Json& part);

// Whether a part says where its picture is, whatever it says.
bool names_picture(const Json& part);

// A part of a message that shows the file.  Errors: io, not_found, unsupported (no picture that we
// read), exhausted.
Result<Json> picture_part(const std::string& path);
// The same for a file's bytes, read or not.
Json picture_part_of(std::string_view bytes);

}  // namespace hearth
