// Which model a person gets who names none.
#pragma once

#include <optional>
#include <string>

#include "cli/pulling.h"
#include "library/recommend.h"

namespace hearth::cli {

// For conversation: the catalog's entry that models.preferred names, where a person set it, or what
// suits the machine; nothing: nothing fits.  Errors: not_found: no entry of that name.
Result<std::optional<Recommendation>> choose_first_model(const Arguments& arguments,
                                                         const std::vector<CatalogEntry>& catalog,
                                                         const MachineFigures& machine,
                                                         ModelWish wish);

// Writes one setting of the user's own file.
Status set_user_setting(std::string_view key, const Json& value);

// The setting models.default, or the best model for conversation that is installed and runs well
// here; nothing: there is none.
Result<std::optional<std::string>> best_installed(App& app, const Arguments& arguments);

// best_installed(), or what suits this machine best, downloaded when the person agrees; otherwise
// the built-in one, saying so.
Result<std::string> model_for_chat(App& app, const Arguments& arguments);

}  // namespace hearth::cli
