// hearth index create, list, info, rm, tune, reindex, snapshot, restore.
#include <fmt/core.h>

#include "base/utf8.h"
#include "cli/collections.h"
#include "cli/interrupts.h"
#include "cli/rows.h"
#include "vectors/store/wire.h"

namespace hearth::cli {
namespace {

using vectors::Access;

// "year=number" to a field of the schema; "m=32" to a parameter of the index.
Result<std::pair<std::string, std::string>> split_pair(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == text.npos || equals == 0)
    return Error(ErrorKind::invalid, fmt::format("'{}': needs NAME=VALUE", printable(text)));
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

Result<vectors::IndexChoice> index_choice(const Arguments& arguments, const std::string& kind) {
  vectors::IndexChoice choice;
  choice.kind = kind;
  for (const std::string& text : arguments.all("--set")) {
    auto [name, value] = TRY(split_pair(text));
    const auto json = parse_json(value);
    choice.parameters.set(std::move(name), json.ok() ? *json : Json(value));
  }
  return choice;
}

Status create(App& app, const Arguments& arguments) {
  TRY(vectors::check_name(arguments[0]));
  const CollectionPlace place = TRY(collection_place(arguments));
  Json fields = Json::object();
  for (const std::string& text : arguments.all("--field")) {
    auto [name, type] = TRY(split_pair(text));
    fields.set(std::move(name), std::move(type));
  }
  std::string model = arguments.text("--model");
  std::int64_t dim = TRY(arguments.integer("--dim", 0, 1, vectors::max_dim));
  if (dim == 0 && model.empty()) model = builtin_embedder;
  if (!model.empty()) {
    Embedder embedder(app, arguments, model);
    const auto made = static_cast<std::int64_t>(TRY(embedder.dim()));
    if (dim != 0 && dim != made)
      return Error(ErrorKind::invalid,
                   fmt::format("--dim {}: the vectors of '{}' have {} numbers", dim, model, made));
    dim = made;
  }
  vectors::Schema schema =
      TRY(vectors::schema_from_json(Json::object({{"dim", dim},
                                                  {"metric", arguments.text("--metric", "cosine")},
                                                  {"fields", std::move(fields)},
                                                  {"embedder", model}})));
  schema.index = TRY(index_choice(arguments, arguments.text("--index", "auto")));
  const auto collection =
      TRY(vectors::create_collection(place.folder(arguments[0]), schema, place.options));
  const auto info = TRY(collection->info());
  if (arguments.has("--json"))
    app.out.json(vectors::to_json(info));
  else
    app.out.line(fmt::format("Made '{}': vectors of {} numbers by {}, {}.", info.name, dim,
                             vectors::name_of(schema.metric),
                             model.empty() ? "given by you" : "made by " + model));
  return Done{};
}

Status list(App& app, const Arguments& arguments) {
  const CollectionPlace place = TRY(collection_place(arguments));
  Json all = Json::array();
  const std::vector<std::string> names = vectors::list_collections(place.root);
  for (const std::string& name : names) {
    const auto collection =
        vectors::open_collection(place.folder(name), Access::read, place.options);
    if (!collection.ok()) {
      all.push_back(Json::object({{"name", name}, {"problem", collection.error().message()}}));
      if (!arguments.has("--json")) app.out.row(name, collection.error().message());
      continue;
    }
    const auto info = TRY((*collection)->info());
    all.push_back(vectors::to_json(info));
    if (!arguments.has("--json"))
      app.out.row(name,
                  fmt::format("{} documents, {} on disk, {}", info.documents,
                              readable_bytes(info.disk_bytes + info.log_bytes), info.index.kind));
  }
  if (arguments.has("--json"))
    app.out.json(Json::object({{"folder", place.root}, {"collections", std::move(all)}}));
  else if (names.empty())
    app.out.line(
        fmt::format("No collections in {}. `hearth index add FOLDER` makes one.", place.root));
  return Done{};
}

std::string segments_text(std::size_t count) {
  return count == 1 ? "one segment" : fmt::format("{} segments", count);
}

// The share of the exact answers that was found when some queries were answered exactly as well.
std::string recall_line(const vectors::CollectionInfo& info) {
  const Json* recall = info.recall.find("recall");
  if (!recall)
    return info.index.kind == "flat" ? "every document is compared"
                                     : "not sampled yet: `hearth index tune` measures it";
  const auto member = [&](std::string_view name) {
    const Json* found = info.recall.find(name);
    return found ? found->as_number() : 0;
  };
  const Json* of = info.recall.find("of");
  return fmt::format("recall@{:.0f} {:.3f}, sampled on {:.0f} {} over {:.0f} documents",
                     member("k"), recall->as_number(), member("queries"),
                     of && of->is_string() ? of->as_string() : "queries", member("documents"));
}

Status info(App& app, const Arguments& arguments) {
  const CollectionPlace place = TRY(collection_place(arguments));
  const auto collection = TRY(open_collection(place, arguments[0], Access::read));
  const auto info = TRY(collection->info());
  if (arguments.has("--json")) {
    app.out.json(vectors::to_json(info));
    return Done{};
  }
  Output& out = app.out;
  out.line(out.bold(info.name));
  out.row("documents", fmt::format("{}", info.documents));
  out.row("vectors",
          fmt::format("{} numbers, {}", info.schema.dim, vectors::name_of(info.schema.metric)));
  out.row("model", info.schema.embedder.empty() ? "none" : info.schema.embedder);
  out.row("index", fmt::format("{}: {}", info.index.kind, info.index.explanation));
  out.row("memory, index", readable_bytes(info.index.memory_bytes));
  out.row("disk", fmt::format("{} in {}, {} of log", readable_bytes(info.disk_bytes),
                              segments_text(info.segments), readable_bytes(info.log_bytes)));
  for (const vectors::TierInfo& tier : info.tiers)
    if (tier.segments > 0)
      out.row(tier.name,
              fmt::format("{} in {}", readable_bytes(tier.bytes), segments_text(tier.segments)));
  if (info.unindexed > 0)
    out.row("not in the index",
            fmt::format("{} documents, compared one by one until it is built", info.unindexed));
  if (info.removed > 0) out.row("removed", fmt::format("{}, not yet compacted", info.removed));
  if (const Json* target = info.tuning.find("target"))
    out.row("tuned",
            fmt::format("for recall {}: {:.3f} measured, {:.0f} queries/s (at target {})",
                        write_json(*info.tuning.find("recall")),
                        info.tuning.find("measured")->as_number(),
                        info.tuning.find("queries_per_second")->as_number(), write_json(*target)));
  out.row("recall", recall_line(info));
  out.row("a write is there", info.is_synced
                                  ? "after any crash and a loss of power"
                                  : "after a crash of the program; a loss of power may take the "
                                    "writes of the last second");
  out.row("folder", info.folder);
  if (!info.problem.empty()) out.row("problem", info.problem);
  return Done{};
}

Status rm(App& app, const Arguments& arguments) {
  TRY(vectors::check_name(arguments[0]));
  const CollectionPlace place = TRY(collection_place(arguments));
  const std::string& name = arguments[0];
  const bool is_partial = arguments.has("--where") || arguments.has("--id");
  if (!is_partial) {
    if (!arguments.has("--yes"))
      return Error(ErrorKind::invalid,
                   fmt::format("index rm {}: removes the whole collection; say --yes, or which "
                               "documents with --id or --where",
                               name));
    Status removed = vectors::remove_collection(place.folder(name), place.options);
    TRY(std::move(removed));
    if (arguments.has("--json"))
      app.out.json(Json::object({{"name", name}, {"removed", true}}));
    else
      app.out.line(fmt::format("Removed '{}'.", name));
    return Done{};
  }
  const auto collection = TRY(open_collection(place, name, Access::write));
  const std::size_t before = TRY(collection->count(nullptr));
  TRY(vectors::remove(*collection, arguments.all("--id")));
  if (arguments.has("--where")) {
    const vectors::Filter filter = TRY(vectors::parse_filter(arguments.text("--where")));
    TRY(collection->remove_where(filter));
  }
  const std::size_t removed = before - TRY(collection->count(nullptr));
  if (arguments.has("--json"))
    app.out.json(Json::object({{"name", name}, {"removed_documents", removed}}));
  else
    app.out.line(fmt::format("Removed {} documents of '{}'.", removed, name));
  return Done{};
}

Status tune(App& app, const Arguments& arguments) {
  const CollectionPlace place = TRY(collection_place(arguments));
  vectors::TuneOptions options;
  options.recall = TRY(arguments.real("--recall", options.recall, 0.01, 1));
  options.queries = static_cast<std::size_t>(TRY(arguments.integer("--queries", 100, 1, 10'000)));
  const auto collection = TRY(open_collection(place, arguments[0], Access::write));
  const InterruptScope interrupts;
  const Json tuned = TRY(collection->tune(options, interrupts.token()));
  if (arguments.has("--json")) {
    app.out.json(tuned);
    return Done{};
  }
  app.out.line("  target   recall   queries/s");
  for (const Json& row : tuned.find("table")->as_array())
    app.out.line(fmt::format("  {:<7.3g}  {:.4f}   {:.0f}", row.find("target")->as_number(),
                             row.find("recall")->as_number(),
                             row.find("queries_per_second")->as_number()));
  const double measured = tuned.find("measured")->as_number();
  app.out.line(fmt::format("{}: recall {:.4f} measured on {} held-out queries.",
                           measured >= options.recall ? "Kept" : "Kept the best there is", measured,
                           options.queries));
  return Done{};
}

Status reindex(App& app, const Arguments& arguments) {
  const CollectionPlace place = TRY(collection_place(arguments));
  const auto choice = TRY(index_choice(arguments, arguments[1]));
  const auto collection = TRY(open_collection(place, arguments[0], Access::write));
  const InterruptScope interrupts;
  Status built = collection->reindex(
      choice, [&](double share) { app.out.progress("building", share); }, interrupts.token());
  app.out.progress_done();
  TRY(std::move(built));
  const auto made = TRY(collection->info());
  if (arguments.has("--json"))
    app.out.json(vectors::to_json(made));
  else
    app.out.line(fmt::format("'{}' is searched by {}: {}", made.name, made.index.kind,
                             made.index.explanation));
  return Done{};
}

Status snapshot(App& app, const Arguments& arguments) {
  const CollectionPlace place = TRY(collection_place(arguments));
  const auto collection = TRY(open_collection(place, arguments[0], Access::write));
  TRY(collection->snapshot(arguments[1]));
  if (arguments.has("--json"))
    app.out.json(Json::object({{"name", arguments[0]}, {"snapshot", arguments[1]}}));
  else
    app.out.line(fmt::format("'{}' as it is now is in {}", arguments[0], arguments[1]));
  return Done{};
}

Status restore(App& app, const Arguments& arguments) {
  const CollectionPlace place = TRY(collection_place(arguments));
  TRY(vectors::check_name(arguments[1]));
  const auto copy = TRY(vectors::open_collection(arguments[0], Access::write, place.options));
  TRY(copy->snapshot(place.folder(arguments[1])));
  const std::size_t documents = TRY(copy->count(nullptr));
  if (arguments.has("--json"))
    app.out.json(Json::object({{"name", arguments[1]}, {"documents", documents}}));
  else
    app.out.line(
        fmt::format("'{}' has the {} documents of {}", arguments[1], documents, arguments[0]));
  return Done{};
}

std::span<const Option> plain_options() {
  static const std::vector<Option> list = with_collection_options({});
  return list;
}

std::span<const Option> create_options() {
  static const std::vector<Option> list = with_collection_options(
      {{"--model", "MODEL", "Makes the vectors of texts (default: builtin-embed)."},
       {"--dim", "N", "Length of the vectors that you will give; without --model."},
       {"--metric", "NAME", "cosine (default), l2 or inner_product."},
       {"--index", "KIND", "How it is searched (default: auto)."},
       {"--set", "NAME=VALUE", "A parameter of the index; may be given several times.", true},
       {"--field", "NAME=TYPE",
        "A metadata field whose type is checked: text, number, truth or list; may be given several "
        "times.",
        true}});
  return list;
}

std::span<const Option> rm_options() {
  static const std::vector<Option> list = with_collection_options(
      {{"--id", "ID", "Remove this document; may be given several times.", true},
       {"--where", "FILTER", "Remove the documents that the filter means."}});
  return list;
}

std::span<const Option> tune_options() {
  static const std::vector<Option> list = with_collection_options(
      {{"--recall", "R", "The share of the true nearest ten to find (default: 0.95)."},
       {"--queries", "N", "How many to measure with (default: 100)."}});
  return list;
}

std::span<const Option> reindex_options() {
  static const std::vector<Option> list = with_collection_options(
      {{"--set", "NAME=VALUE", "A parameter of the index; may be given several times.", true}});
  return list;
}

}  // namespace

const Command index_create_command{
    .name = "index create",
    .arguments = "COLLECTION",
    .summary = "Make a collection of documents.",
    .details =
        "  hearth index create papers --field year=number --index hnsw --set m=32\n"
        "  hearth index create faces --dim 512 --metric l2",
    .options = create_options(),
    .run = create};

const Command index_list_command{.name = "index list",
                                 .arguments = "",
                                 .summary = "List the collections.",
                                 .details = "",
                                 .options = plain_options(),
                                 .run = list};

const Command index_info_command{.name = "index info",
                                 .arguments = "COLLECTION",
                                 .summary = "Say what a collection holds and how it is searched.",
                                 .details = "",
                                 .options = plain_options(),
                                 .run = info};

const Command index_rm_command{
    .name = "index rm",
    .arguments = "COLLECTION",
    .summary = "Remove documents, or the whole collection.",
    .details = "  hearth index rm papers --where \"year < 2000 and not lang = 'de'\"",
    .options = rm_options(),
    .run = rm};

const Command index_tune_command{
    .name = "index tune",
    .arguments = "COLLECTION",
    .summary = "Measure recall and speed, and keep the setting that reaches a recall.",
    .details = "",
    .options = tune_options(),
    .run = tune};

const Command index_reindex_command{
    .name = "index reindex",
    .arguments = "COLLECTION KIND",
    .summary = "Build another kind of index over the same documents.",
    .details = "  hearth index reindex papers hnsw --set m=24",
    .options = reindex_options(),
    .run = reindex};

const Command index_snapshot_command{
    .name = "index snapshot",
    .arguments = "COLLECTION FOLDER",
    .summary = "Copy a collection as it is now to a new folder.",
    .details = "On the same file system the copy shares its files and takes no room of its own.",
    .options = plain_options(),
    .run = snapshot};

const Command index_restore_command{.name = "index restore",
                                    .arguments = "FOLDER COLLECTION",
                                    .summary = "Make a collection of a snapshot.",
                                    .details = "",
                                    .options = plain_options(),
                                    .run = restore};

}  // namespace hearth::cli
