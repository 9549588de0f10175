// hearth rerank: texts in the order in which they answer a query.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "cli/interrupts.h"
#include "cli/open_model.h"
#include "cli/rows.h"
#include "cli/texts.h"

namespace hearth::cli {
namespace {

constexpr std::int64_t most_shown = 1 << 20;

Status run(App& app, const Arguments& arguments) {
  const std::vector<std::string> texts = TRY(texts_from(arguments, 2));
  if (texts.empty()) return Error(ErrorKind::invalid, "rerank: no text");
  const auto shown =
      static_cast<std::size_t>(TRY(arguments.integer("-k", most_shown, 1, most_shown)));
  const OpenModel open = TRY(open_model(app, arguments, arguments[0]));
  const InterruptScope interrupts;
  const Ranking ranking = TRY(rerank_texts(*open.lease, arguments[1], texts, interrupts.token()));
  if (ranking.is_cut) app.out.remark("texts too long for the model were cut");
  std::vector<std::size_t> order(texts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater(), [&](std::size_t i) { return ranking.scores[i]; });
  order.resize(std::min(order.size(), shown));
  const auto share = [&](std::size_t i) {
    return 1 / (1 + std::exp(-static_cast<double>(ranking.scores[i])));
  };
  if (arguments.has("--json")) {
    Json results = Json::array();
    for (const std::size_t i : order)
      results.push_back(Json::object({{"index", i}, {"relevance_score", share(i)}}));
    app.out.json(Json::object({{"model", open.lease->id}, {"results", std::move(results)}}));
    return Done{};
  }
  for (const std::size_t i : order) app.out.line(fmt::format("{:.4f}  {}", share(i), texts[i]));
  return Done{};
}

constexpr Option options[] = {{"-k", "N", "Only the best N."}};

}  // namespace

const Command rerank_command{
    .name = "rerank",
    .arguments = "MODEL QUERY [TEXT...]",
    .summary = "Order texts by how well they answer a query.",
    .details =
        "MODEL is a cross-encoder, which reads query and text together; the scores lie between\n"
        "0 and 1.  Without TEXT, every line of standard input is one.\n\n"
        "  hearth rerank bge-reranker \"where do cats sleep?\" \"On the roof.\" \"At noon.\"",
    .options = options,
    .run = run};

}  // namespace hearth::cli
