// hearth index feedback: which answers to a query were right.
#include <fmt/core.h>

#include "cli/collections.h"
#include "cli/interrupts.h"
#include "cli/rows.h"

namespace hearth::cli {
namespace {

Status feedback(App& app, const Arguments& arguments) {
  const CollectionPlace place = TRY(collection_place(arguments));
  const bool is_forgotten = arguments.has("--forget");
  if (is_forgotten == (arguments.count() == 2))
    return Error(ErrorKind::invalid, "index feedback: needs a TEXT, or --forget");
  const auto collection = TRY(open_collection(place, arguments[0], vectors::Access::write));
  if (is_forgotten) {
    TRY(collection->forget_feedback());
  } else {
    vectors::Feedback lesson;
    lesson.relevant = arguments.all("--relevant");
    lesson.irrelevant = arguments.all("--irrelevant");
    if (lesson.relevant.empty() && lesson.irrelevant.empty())
      return Error(ErrorKind::invalid,
                   "index feedback: needs ids of documents with --relevant or --irrelevant");
    const InterruptScope interrupts;
    Embedder embedder(app, arguments, collection->schema().embedder);
    lesson.vector = std::move(TRY(embedder.embed({arguments[1]}, interrupts.token())).at(0));
    TRY(collection->learn_from(lesson));
  }
  if (arguments.has("--json"))
    app.out.json(Json::object({{"collection", arguments[0]}, {"forgotten", is_forgotten}}));
  else
    app.out.line(is_forgotten ? "Forgotten: queries are taken as they were before all feedback."
                              : "Learned; `hearth index feedback NAME --forget` takes it back.");
  return Done{};
}

std::span<const Option> options() {
  static const std::vector<Option> list = with_collection_options(
      {{"--relevant", "ID", "This document answers TEXT; may be given several times.", true},
       {"--irrelevant", "ID", "This one does not; may be given several times.", true},
       {"--forget", "", "Take back all that was said."}});
  return list;
}

}  // namespace

const Command index_feedback_command{
    .name = "index feedback",
    .arguments = "COLLECTION [TEXT]",
    .summary = "Tell a learned index which documents answer a text.",
    .details =
        "Queries are turned towards what was right, by little and within bounds; documents stay as "
        "they are.\nIndexes of other kinds than learned and hybrid learn nothing.\n\n"
        "  hearth index reindex papers learned\n"
        "  hearth index feedback papers \"graph index\" --relevant hnsw --irrelevant botany",
    .options = options(),
    .run = feedback};

}  // namespace hearth::cli
