// The `hearth serve` that runs on this machine, as its clients see it.
#pragma once

#include <functional>
#include <stop_token>
#include <string>

#include "cli/command.h"
#include "config/config.h"

namespace hearth::cli {

// "http://127.0.0.1:11500": where it is reached from this machine.
std::string server_address(const ServerConfig& server);

// Asks the server of server.host and server.port, with the key of HEARTH_API_KEY where there is
// one.  The answer's JSON; an empty answer is null.  Errors: unavailable (none answers), those that
// the server tells.
Result<Json> ask_server(const Arguments& arguments, const std::string& method,
                        const std::string& path, const Json& body = {});

// Options that say which server.
std::span<const Option> server_options();

}  // namespace hearth::cli
