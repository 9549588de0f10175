// What a model can do, told before it is loaded.
#pragma once

#include "server/service.h"

namespace hearth::server {

// For requests that want words: refuses the model of the body by what its file says, where it is
// not in memory yet and would be loaded for nothing.
Check may_generate(const Service& service, const Json& body);

}  // namespace hearth::server
