// hearth embed: texts to vectors.
#include <fmt/core.h>

#include "cli/interrupts.h"
#include "cli/open_model.h"
#include "cli/rows.h"
#include "cli/texts.h"

namespace hearth::cli {
namespace {

Status run(App& app, const Arguments& arguments) {
  const std::vector<std::string> texts = TRY(texts_from(arguments, 1));
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
