// How long chat templates take over a long conversation.
//   template_bench TEMPLATE... [--messages N]
#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "text/chat_format.h"

using namespace hearth;

namespace {

constexpr int rounds = 5;
constexpr std::size_t max_template_bytes = 1u << 20;

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

Json conversation(int messages) {
  std::string answer;
  for (int i = 0; i < 40; ++i) answer += "It was the best of times, it was the worst of times. ";
  Json all = Json::array();
  all.push_back(Json::object({{"role", "system"}, {"content", "You are a helpful assistant."}}));
  for (int i = 1; i < messages; ++i)
    all.push_back(Json::object({{"role", i % 2 == 1 ? "user" : "assistant"},
                                {"content", i % 2 == 1 ? "And then what happened?" : answer}}));
  return all;
}

void measure(const std::string& path, const Json& messages) {
  const std::string name = path.substr(path.rfind('/') + 1);
  const auto source = read_file(path, max_template_bytes);
  if (!source) return fmt::print("{}\n", source.error().message());
  const auto made = ChatFormat::parse(*source);
  if (!made) return fmt::print("{}: {}\n", name, made.error().message());
  RenderInputs inputs;
  inputs.messages = messages;
  inputs.bos_token = "<s>";
  inputs.eos_token = "</s>";
  double best = 1e9;
  std::size_t bytes = 0;
  for (int round = 0; round < rounds; ++round) {
    const double start = processor_seconds();
    const auto prompt = made->render(inputs);
    best = std::min(best, processor_seconds() - start);
    if (!prompt) return fmt::print("{}: {}\n", name, prompt.error().message());
    bytes = prompt->text().size();
  }
  fmt::print("{:50} {:8.2f} ms  {:8} bytes  {:6.0f} MB/s\n", name, best * 1e3, bytes,
             static_cast<double>(bytes) / 1e6 / best);
}

}  // namespace

int main(int count, char** words) {
  int messages = 1000;
  std::vector<std::string> paths;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word != "--messages" || i + 1 == count) {
      paths.emplace_back(word);
      continue;
    }
    const std::string_view number = words[++i];
    std::from_chars(number.data(), number.data() + number.size(), messages);
  }
  if (paths.empty()) paths.emplace_back("tests/golden/templates/own/chatml.jinja");
  const Json all = conversation(messages);
  for (const std::string& path : paths) measure(path, all);
}
