// hearth search: the documents of a collection that answer a text.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "base/utf8.h"
#include "cli/collections.h"
#include "cli/interrupts.h"
#include "cli/rows.h"
#include "vectors/store/wire.h"

namespace hearth::cli {
namespace {

constexpr std::size_t reranked_share = 5;  // so many times k are given to the ranking model

// The one named; else the default one; else the only one there is.
std::string collection_name(const Arguments& arguments, const CollectionPlace& place) {
  if (arguments.count() > 1) return arguments[0];
  const std::vector<std::string> names = vectors::list_collections(place.root);
  const bool has_default = std::find(names.begin(), names.end(), default_collection) != names.end();
  return names.size() == 1 && !has_default ? names[0] : std::string(default_collection);
}

Result<vectors::Query> read_query(const Arguments& arguments, std::size_t k) {
  vectors::Query query;
  query.k = k;
  query.is_exact = arguments.has("--exact");
  query.group_by = arguments.text("--group-by");
  query.group_size =
      static_cast<std::size_t>(TRY(arguments.integer("--group-size", std::int64_t{1}, 1, 1000)));
  if (arguments.has("--max-distance"))
    query.max_distance = static_cast<float>(TRY(arguments.real("--max-distance", 0, -1e30, 1e30)));
  if (arguments.has("--where"))
    query.filter = TRY(vectors::parse_filter(arguments.text("--where")));
  if (arguments.has("--mmr")) query.mmr = TRY(arguments.real("--mmr", 0, 0, 1));
  if (arguments.has("--target-recall"))
    query.target_recall = static_cast<float>(TRY(arguments.real("--target-recall", 0.95, 0.01, 1)));
  return query;
}

Status rerank(App& app, const Arguments& arguments, const std::string& text,
              std::vector<vectors::Match>& matches) {
  const InterruptScope interrupts;
  const OpenModel open = TRY(open_model(app, arguments, arguments.text("--rerank")));
  std::vector<std::string> texts;
  for (const vectors::Match& match : matches) texts.push_back(match.document.text);
  const Ranking ranking = TRY(rerank_texts(*open.lease, text, texts, interrupts.token()));
  for (std::size_t i = 0; i < matches.size(); ++i)
    matches[i].score = static_cast<double>(ranking.scores[i]);
  std::stable_sort(matches.begin(), matches.end(),
                   [](const auto& a, const auto& b) { return a.score > b.score; });
  return Done{};
}

// Where it stands: "notes/a.md:12" as seen from here, or the document's id.
std::string place_of(const vectors::Document& document) {
  const Json* found = document.metadata.find("path");
  if (!found || !found->is_string()) return document.id;
  std::error_code error;
  const std::string here = std::filesystem::current_path(error).string() + "/";
  std::string path = found->as_string();
  if (path.starts_with(here)) path.erase(0, here.size());
  const Json* line = document.metadata.find("line");
  return line && line->is_integer() ? fmt::format("{}:{}", path, line->as_integer()) : path;
}

// The first lines of a text, in one paragraph.
std::string excerpt(std::string_view text, std::size_t max_bytes) {
  std::string shown;
  for (const char c : text) {
    const bool is_space = c == '\n' || c == '\r' || c == '\t' || c == ' ';
    if (!is_space)
      shown += c;
    else if (!shown.empty() && shown.back() != ' ')
      shown += ' ';
  }
  return printable(shown, max_bytes);
}

Status run(App& app, const Arguments& arguments) {
  const CollectionPlace place = TRY(collection_place(arguments));
  const std::string name = collection_name(arguments, place);
  const std::string& text = arguments[arguments.count() - 1];
  const auto k = static_cast<std::size_t>(TRY(arguments.integer("-k", 5, 1, 1000)));
  const bool is_reranked = arguments.has("--rerank");
  vectors::Query query = TRY(read_query(arguments, is_reranked ? k * reranked_share : k));
  if (arguments.has("--words") && arguments.has("--vector"))
    return Error(ErrorKind::invalid, "search: --words or --vector, not both");
  const auto collection = TRY(open_collection(place, name, vectors::Access::read));
  const InterruptScope interrupts;
  const std::string model = collection->schema().embedder;
  if (!arguments.has("--vector")) query.text = text;
  if (!arguments.has("--words") && (!model.empty() || arguments.has("--vector"))) {
    Embedder embedder(app, arguments, model);
    query.vector = std::move(TRY(embedder.embed({text}, interrupts.token())).at(0));
  }
  std::vector<vectors::Match> matches = TRY(collection->search(query));
  if (is_reranked) TRY(rerank(app, arguments, text, matches));
  if (matches.size() > k) matches.resize(k);
  if (arguments.has("--json")) {
    Json list = Json::array();
    for (const vectors::Match& match : matches) list.push_back(vectors::to_json(match, query));
    app.out.json(Json::object({{"collection", name}, {"matches", std::move(list)}}));
    return Done{};
  }
  if (matches.empty()) app.out.remark("nothing found");
  constexpr std::size_t shown_bytes = 300;
  for (const vectors::Match& match : matches) {
    const Json* heading = match.document.metadata.find("heading");
    const std::string under = heading && heading->is_string() && !heading->as_string().empty()
                                  ? "  " + heading->as_string()
                                  : "";
    app.out.line(fmt::format("{}{}", app.out.bold(printable(place_of(match.document), 500)),
                             app.out.dim(under)));
    app.out.line("    " + excerpt(match.document.text, shown_bytes));
  }
  return Done{};
}

std::span<const Option> options() {
  static const std::vector<Option> list = with_collection_options(
      {{"-k", "N", "How many answers (default: 5)."},
       {"--where", "FILTER",
        "Only documents that the filter means: \"year >= 2020 and lang = 'de'\"."},
       {"--words", "", "By words alone (BM25)."},
       {"--vector", "", "By meaning alone."},
       {"--exact", "", "Compare with every document."},
       {"--target-recall", "R", "The share of the true nearest that is enough."},
       {"--mmr", "L", "Vary the answers: 1: not at all, 0: as much as can be."},
       {"--max-distance", "D", "Only answers as near, by the collection's metric."},
       {"--group-by", "FIELD", "One answer for each value of the field, such as path."},
       {"--group-size", "N", "So many answers of each value (default: 1)."},
       {"--rerank", "MODEL", "Order the answers by a model that reads query and text together."}});
  return list;
}

}  // namespace

const Command search_command{
    .name = "search",
    .arguments = "[COLLECTION] TEXT",
    .summary = "Find what answers a text, by words and meaning.",
    .details =
        "Without COLLECTION: the default one, or the only one there is.\n\n"
        "  hearth search \"how to renew the pass\"\n"
        "  hearth search papers \"graph index\" --where \"year >= 2020\" -k 10",
    .options = options(),
    .run = run};

}  // namespace hearth::cli
