// Where a person's files are.  Source: XDG Base Directory Specification, "Environment variables".
#pragma once

#include <string>
#include <string_view>

namespace hearth {

// $HOME, or what the system's list of users says; "/" where nothing does.
std::string home_folder();

enum class UserFolder { config, data, cache };
// `own` within $XDG_CONFIG_HOME (~/.config), $XDG_DATA_HOME (~/.local/share) or $XDG_CACHE_HOME
// (~/.cache).  A variable that holds no absolute path counts as not set.
std::string in_user_folder(UserFolder folder, std::string_view own);

}  // namespace hearth
