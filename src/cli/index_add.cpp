// hearth index add, import, export: documents into a collection and out of it.
#include <fmt/core.h>

#include "cli/collections.h"
#include "cli/interrupts.h"
#include "cli/rows.h"
#include "vectors/store/exchange.h"
#include "vectors/store/wire.h"

namespace hearth::cli {
namespace {

using vectors::Access;

// The collection, made with the built-in embedder if there is none of the name.
Result<std::unique_ptr<vectors::Collection>> open_or_create(App& app, const Arguments& arguments,
                                                            const CollectionPlace& place,
                                                            const std::string& name) {
  TRY(vectors::check_name(name));
  if (vectors::is_collection(place.folder(name)))
    return open_collection(place, name, Access::write);
  vectors::Schema schema;
  schema.embedder = arguments.text("--model", builtin_embedder);
  Embedder embedder(app, arguments, schema.embedder);
  schema.dim = TRY(embedder.dim());
  return vectors::create_collection(place.folder(name), schema, place.options);
}

Json to_json(const vectors::FileReport& report, const std::string& name) {
  Json skipped = Json::array();
  for (const std::string& one : report.skipped) skipped.push_back(one);
  return Json::object({{"collection", name},
                       {"files", Json::object({{"added", report.added},
                                               {"changed", report.changed},
                                               {"unchanged", report.unchanged},
                                               {"removed", report.removed}})},
                       {"skipped", std::move(skipped)},
                       {"chunks", Json::object({{"written", report.chunks_written},
                                                {"removed", report.chunks_removed},
                                                {"embedded", report.chunks_embedded}})}});
}

// The index becomes what suits the documents now, so that searches need not wait for it.  Being
// interrupted here loses nothing: the next program that opens the collection goes on with it.
Status settle(App& app, vectors::Collection& collection, const InterruptScope& interrupts) {
  app.out.progress_text("bringing the index up to date");
  const Status done = collection.maintain(interrupts.token());
  app.out.progress_done();
  if (done.ok() || done.error().kind() == ErrorKind::cancelled) return Done{};
  return done;
}

Status add(App& app, const Arguments& arguments) {
  const CollectionPlace place = TRY(collection_place(arguments));
  const std::string name = arguments.text("--to", default_collection);
  vectors::FileOptions options;
  options.globs = arguments.all("--glob");
  options.excluded = arguments.all("--exclude");
  options.chunks.max_bytes = static_cast<std::size_t>(
      TRY(arguments.integer("--chunk-bytes", std::int64_t{1200}, 64, 1 << 20)));
  options.chunks.overlap_bytes = static_cast<std::size_t>(
      TRY(arguments.integer("--overlap-bytes", std::int64_t{150}, 0, 1 << 19)));
  for (const std::string& path : arguments.positional())
    if (!is_file(path) && !is_folder(path) && !vectors::is_collection(place.folder(name)))
      return Error(ErrorKind::not_found,
                   fmt::format("{}: there is no such file or folder{}", path,
                               arguments.count() > 1 ? "; `--to NAME` names a collection" : ""));
  const auto collection = TRY(open_or_create(app, arguments, place, name));
  Embedder embedder(app, arguments, collection->schema().embedder);
  const InterruptScope interrupts;
  const auto report = TRY(vectors::index_files(
      *collection, {arguments.positional().begin(), arguments.positional().end()}, options,
      [&](const std::vector<std::string>& texts, std::stop_token stop) {
        return embedder.embed(texts, std::move(stop));
      },
      [&](double share) { app.out.progress("indexing", share); }, interrupts.token()));
  app.out.progress_done();
  if (report.chunks_written + report.chunks_removed > 0) TRY(settle(app, *collection, interrupts));
  if (arguments.has("--json")) {
    app.out.json(to_json(report, name));
    return Done{};
  }
  for (const std::string& skipped : report.skipped) app.out.remark("skipped " + skipped);
  app.out.line(
      fmt::format("'{}': {} files added, {} changed, {} removed, {} as they were; {} "
                  "documents in all.",
                  name, report.added, report.changed, report.removed, report.unchanged,
                  TRY(collection->count(nullptr))));
  return Done{};
}

Status import(App& app, const Arguments& arguments) {
  const CollectionPlace place = TRY(collection_place(arguments));
  const auto format = TRY(vectors::exchange_format(arguments[1]));
  if (!is_file(arguments[1]))
    return Error(ErrorKind::not_found, fmt::format("{}: there is no such file", arguments[1]));
  const auto collection = TRY(open_collection(place, arguments[0], Access::write));
  Embedder embedder(app, arguments, collection->schema().embedder);
  const InterruptScope interrupts;
  std::size_t taken = 0;
  const auto use = [&](std::vector<vectors::Document> documents) -> Status {
    taken += documents.size();
    std::vector<std::string> texts;
    for (const auto& document : documents)
      if (document.vector.empty()) texts.push_back(document.text);
    if (!texts.empty()) {
      auto made = TRY(embedder.embed(texts, interrupts.token()));
      std::size_t next = 0;
      for (auto& document : documents)
        if (document.vector.empty()) document.vector = std::move(made[next++]);
    }
    return vectors::upsert(*collection, std::move(documents));
  };
  const auto read = vectors::read_documents(
      arguments[1], format, use, [&](double share) { app.out.progress("importing", share); },
      interrupts.token());
  app.out.progress_done();
  if (!read.ok() && taken > 0 && !arguments.has("--json"))
    app.out.remark(fmt::format("{} documents were read before this", taken));
  TRY(read);
  TRY(settle(app, *collection, interrupts));
  if (arguments.has("--json"))
    app.out.json(Json::object({{"collection", arguments[0]}, {"documents", *read}}));
  else
    app.out.line(fmt::format("Read {} documents into '{}'.", *read, arguments[0]));
  return Done{};
}

Status export_all(App& app, const Arguments& arguments) {
  const CollectionPlace place = TRY(collection_place(arguments));
  const auto format = TRY(vectors::exchange_format(arguments[1]));
  const auto collection = TRY(open_collection(place, arguments[0], Access::read));
  const InterruptScope interrupts;
  const std::size_t written =
      TRY(vectors::export_documents(*collection, arguments[1], format, interrupts.token()));
  if (arguments.has("--json"))
    app.out.json(Json::object({{"file", arguments[1]}, {"documents", written}}));
  else
    app.out.line(fmt::format("Wrote {} documents to {}", written, arguments[1]));
  return Done{};
}

std::span<const Option> add_options() {
  static const std::vector<Option> list = with_collection_options(
      {{"--to", "COLLECTION", "Which collection (default: default); made if there is none."},
       {"--glob", "GLOB", "Only files of these names; may be given several times.", true},
       {"--exclude", "GLOB", "No files of these names; may be given several times.", true},
       {"--model", "MODEL", "Makes the vectors of a new collection (default: builtin-embed)."},
       {"--chunk-bytes", "N", "Largest piece of a file (default: 1200)."},
       {"--overlap-bytes", "N", "What a piece repeats of the one before (default: 150)."}});
  return list;
}

std::span<const Option> plain_options() {
  static const std::vector<Option> list = with_collection_options({});
  return list;
}

}  // namespace

const Command index_add_command{
    .name = "index add",
    .arguments = "PATH...",
    .summary = "Put files of text into a collection, or bring it up to date.",
    .details =
        "Folders are searched through; what begins with a dot is passed over.  Files that "
        "did not change cost\nnothing, pieces of files that are gone are removed.\n\n"
        "  hearth index add ~/notes --glob '*.md'\n  hearth search \"how to renew the pass\"",
    .options = add_options(),
    .run = add};

const Command index_import_command{
    .name = "index import",
    .arguments = "COLLECTION FILE",
    .summary = "Read documents from a .jsonl file, or vectors from .npy or .fvecs.",
    .details =
        "A line of JSON: {\"id\": \"a\", \"vector\": [...], \"text\": \"...\", \"metadata\": "
        "{...}}; without a\nvector, one is made of the text.",
    .options = plain_options(),
    .run = import};

const Command index_export_command{
    .name = "index export",
    .arguments = "COLLECTION FILE",
    .summary = "Write documents to a .jsonl file, or vectors to .npy or .fvecs.",
    .details = "",
    .options = plain_options(),
    .run = export_all};

}  // namespace hearth::cli
