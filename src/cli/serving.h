// What the commands that serve models begin with.
#pragma once

#include <memory>

#include "cli/settings.h"
#include "library/live.h"
#include "server/serve.h"

namespace hearth::cli {

// Every model that is installed, loaded when it is asked for.
Result<std::unique_ptr<LiveLibrary>> open_library(const Arguments& arguments, const Config& config);

server::ApiServerOptions api_options(const Config& config);

}  // namespace hearth::cli
