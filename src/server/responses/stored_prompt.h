// Prompts that are kept in files of this machine, for requests that name one.
#pragma once

#include <string>

#include "base/json.h"
#include "server/errors.h"

namespace hearth::server::responses {

// "prompts" in the folder of the person's settings.
std::string prompts_folder();

// The text that the body's "prompt" ({"id", "version", "variables"}) stands for; "" without one.
// `folder` has a file ID.md for each prompt, and ID@VERSION.md for its versions; "{{name}}" in it
// is where a variable goes, once: what is put in is not looked through again.  Errors: 400 naming
// the field: an id that is no plain name, a variable that is missing, unknown or no text; 404:
// there is no such prompt.
Checked<std::string> stored_prompt(const Json& body, const std::string& folder);

}  // namespace hearth::server::responses
