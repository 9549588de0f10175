// Streams one answer: generate [MODEL [QUESTION]]
#include <cstdio>
#include <hearth/hearth.hpp>
#include <string>

int main(int count, char** words) {
  const std::string reference = count > 1 ? words[1] : "builtin";
  const std::string question = count > 2 ? words[2] : "How do I serve a model?";
  try {
    hearth::Runtime runtime;
    hearth::LocalModel model = runtime.load(reference);
    hearth::GenerateOptions options;
    options.max_tokens = 100;
    options.temperature = 0;
    // A real program would build the JSON with its JSON library.
    model.chat(R"([{"role": "user", "content": ")" + question + R"("}])", options,
               [](std::string_view text) {
                 std::fwrite(text.data(), 1, text.size(), stdout);
                 std::fflush(stdout);
                 return true;
               });
    std::puts("");
  } catch (const hearth::Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
  }
}
