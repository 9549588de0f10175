#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "base/files.h"
#include "base/user_folders.h"

namespace hearth {
namespace {

struct Row {
  const char* variable;
  std::string_view standard;
};
constexpr Row rows[] = {{"XDG_CONFIG_HOME", ".config"},
                        {"XDG_DATA_HOME", ".local/share"},
                        {"XDG_CACHE_HOME", ".cache"}};

}  // namespace

std::string home_folder() {
  if (const char* home = std::getenv("HOME"); home && *home) return home;
  passwd user{};
  passwd* found = nullptr;
  std::array<char, 4096> texts{};
  const int failed = ::getpwuid_r(::getuid(), &user, texts.data(), texts.size(), &found);
  return failed == 0 && found && *found->pw_dir ? found->pw_dir : "/";
}

std::string in_user_folder(UserFolder folder, std::string_view own) {
  const Row& row = rows[std::to_underlying(folder)];
  const char* set = std::getenv(row.variable);
  return join_path(set && *set == '/' ? set : join_path(home_folder(), row.standard), own);
}

}  // namespace hearth
