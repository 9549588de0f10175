// `quantize` of /api/create: a model in smaller types, under a name of its own.
#pragma once

#include <stop_token>
#include <string>

#include "formats/package.h"
#include "server/service.h"

namespace hearth::server::ollama {

// Ollama's "q4_K_M", in any case.  Errors: 400 that names those there are.
Check check_recipe(const std::string& recipe);

// Makes it in our store; a model of that name is replaced.  Blocks, for minutes where the model is
// large.  Errors: those of adapt::translate, adapt::quantise and import_model.
Status import_quantised(LiveLibrary& library, const std::string& name, const Package& package,
                        const std::string& recipe, const std::stop_token& stop);

}  // namespace hearth::server::ollama
