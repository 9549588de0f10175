// hearth embed: texts to vectors.
#include <fmt/core.h>

#include "base/files.h"
#include "cli/interrupts.h"
#include "cli/open_model.h"
#include "cli/rows.h"

namespace hearth::cli {
namespace {

constexpr std::uint64_t max_input_bytes = 64u << 20;

// Without TEXT: one text per line of standard input.
Result<std::vector<std::string>> read_texts(const Arguments& arguments) {
  if (arguments.count() > 1)
    return std::vector<std::string>(arguments.positional().begin() + 1,
                                    arguments.positional().end());
  const std::string input = TRY(read_stdin(max_input_bytes));
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < input.size();) {
    const std::size_t end = std::min(input.find('\n', i), input.size());
    if (end > i) texts.push_back(input.substr(i, end - i));
    i = end + 1;
  }
  return texts;
}

Status run(App& app, const Arguments& arguments) {
  const std::vector<std::string> texts = TRY(read_texts(arguments));
  if (texts.empty()) return Error(ErrorKind::invalid, "embed: no text");
  const OpenModel open = TRY(open_model(app, arguments, arguments[0]));
  std::vector<std::vector<Token>> tokens;
  for (const std::string& text : texts)
    tokens.push_back(TRY(open.lease->model().tokenizer().encode(text, {.add_special = true})));
  const InterruptScope interrupts;
  const auto vectors = TRY(open.lease->runner->embed(tokens, interrupts.token()));
  if (arguments.has("--json")) {
    Json data = Json::array();
    for (const auto& vector : vectors) {
      Json::Array numbers(vector.begin(), vector.end());
      data.push_back(Json(std::move(numbers)));
    }
    app.out.json(Json::object({{"model", open.lease->id}, {"embeddings", std::move(data)}}));
    return Done{};
  }
  for (const auto& vector : vectors) {
    std::string line;
    for (const float value : vector)
      line += fmt::format("{}{:.6f}", line.empty() ? "" : " ", value);
    app.out.line(line);
  }
  return Done{};
}

}  // namespace

const Command embed_command{.name = "embed",
                            .arguments = "MODEL [TEXT...]",
                            .summary = "Turn texts into vectors.",
                            .details =
                                "Without TEXT, every line of standard input is one.\n\n"
                                "  hearth embed builtin-embed \"a small cat\" --json",
                            .options = {},
                            .run = run};

}  // namespace hearth::cli
