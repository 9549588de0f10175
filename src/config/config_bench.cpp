// How long a full configuration takes to load: every setting in a file, with the environment.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "base/bytes.h"
#include "base/files.h"
#include "config/config.h"
#include "config/file_edit.h"

int main() {
  using namespace hearth;
  std::string text = "# every setting\n";
  for (const Setting& setting : settings())
    text += fmt::format("{} = {}\n", setting.key, toml_text(setting.show(Config{})));
  const std::string path = fmt::format("/tmp/hearth-config-bench-{}.toml", ::getpid());
  if (!replace_file(path, bytes_of(text)).ok()) return 1;
  ConfigSources sources;
  sources.files = {{Layer::user_file, path}};
  sources.environment = {{"HEARTH_SERVER_PORT", "1234"}, {"HEARTH_RUNTIME_THREADS", "3"}};

  std::vector<double> times;
  for (int i = 0; i < 400; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const auto loaded = load_config(sources);
    if (!loaded) {
      fmt::print("{}\n", loaded.error().message());
      return 1;
    }
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
            .count());
  }
  std::remove(path.c_str());
  std::ranges::sort(times);
  fmt::print("{} settings: median {:.3f} ms, 99 of 100 within {:.3f} ms\n", settings().size(),
             times[times.size() / 2], times[times.size() * 99 / 100]);
  return times[times.size() / 2] < 1 ? 0 : 1;
}
