// hearth tokenize: text to token ids.
#include <fmt/core.h>

#include "base/files.h"
#include "cli/pulling.h"
#include "cli/rows.h"
#include "library/library.h"

namespace hearth::cli {
namespace {

Status run(App& app, const Arguments& arguments) {
  if (arguments.has("--file") == (arguments.count() > 1))
    return Error(ErrorKind::invalid, "tokenize: needs either TEXT or --file F");
  const std::string text = arguments.has("--file")
                               ? TRY(read_file(arguments.text("--file"), max_text_bytes))
                               : arguments[1];
  const LocalModel model = TRY(find_named(app, arguments, arguments[0]));
  const Package package = TRY(open_reference(model.path));
  const auto tokenizer = TRY(load_tokenizer(package));
  const auto tokens = TRY(tokenizer->encode(text, {.add_special = arguments.has("--special"),
                                                   .parse_special = arguments.has("--special")}));
  if (arguments.has("--json")) {
    Json::Array ids, pieces;
    for (const Token token : tokens) {
      ids.emplace_back(token);
      pieces.emplace_back(tokenizer->piece(token, true));
    }
    app.out.json(Json::object(
        {{"tokens", std::move(ids)}, {"pieces", std::move(pieces)}, {"count", tokens.size()}}));
    return Done{};
  }
  for (const Token token : tokens) {
    std::string quoted;
    append_json_string(quoted, tokenizer->piece(token, true));
    app.out.line(fmt::format("{:>8}  {}", token, quoted));
  }
  app.out.line(fmt::format("{} tokens", tokens.size()));
  return Done{};
}

constexpr Option options[] = {
    {"--file", "F", "Take the text from file F."},
    {"--special", "", "Add the model's own special tokens, and read them in the text."},
};

}  // namespace

const Command tokenize_command{.name = "tokenize",
                               .arguments = "MODEL [TEXT]",
                               .summary = "Show the tokens of a text.",
                               .details = "  hearth tokenize builtin \"Hello, world\"",
                               .options = options,
                               .run = run};

}  // namespace hearth::cli
