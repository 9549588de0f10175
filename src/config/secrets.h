// Secrets by reference: settings name where a secret is kept, and never hold it.
#pragma once

#include <string>
#include <string_view>

#include "base/duration.h"
#include "base/result.h"

namespace hearth {

constexpr std::string_view secret_forms = "env:NAME, file:PATH (mode 0600) or keyring:NAME";

// "env:HF_TOKEN", "file:/home/ada/.token", "keyring:huggingface"; empty: none.
bool is_secret_reference(std::string_view text);

// The secret itself, without white space at its end; "" for an empty reference.  keyring: asks
// `secret-tool` for the secret with the attributes `service hearth` and `name NAME`;
// `keyring_patience` is for the person who unlocks the keyring meanwhile.  Errors: not_found (no
// such variable, file or entry), invalid (no reference; a file that others may read), unavailable
// (no keyring, or one that is locked).  None tells anything of what was found.  Source:
// secret-tool(1).
Result<std::string> read_secret(std::string_view reference,
                                Milliseconds keyring_patience = std::chrono::minutes(1));

}  // namespace hearth
