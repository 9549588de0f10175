// How each client is told of a server.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::cli {

struct LaunchSetup {
  std::string base;  // "http://127.0.0.1:11500"
  std::string model;
  std::string key;  // never empty: clients need one
  std::int64_t context = 0;
};

struct LaunchPlan {
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<std::string> command;  // empty: it is no command of a terminal
  // What a person puts into which place, where the two above are not all.
  std::string place, text;
  // A file that the command reads, written before it starts: its name, its text.  In the command
  // "{file}" stands for its path.
  std::string file, file_text;
};

struct LaunchClient {
  std::string_view name, title;
  std::string_view install;  // how to get it
  LaunchPlan (*plan)(const LaunchSetup& setup);
};

// To add one: a row.
std::span<const LaunchClient> launch_clients();

}  // namespace hearth::cli
