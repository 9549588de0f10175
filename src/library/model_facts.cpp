// Facts of model files, read from their headers once and remembered by the file's identity.
#include <fmt/core.h>

#include <charconv>
#include <map>

#include "base/files.h"
#include "base/utf8.h"
#include "engines/engines.h"
#include "formats/graph_folder.h"
#include "formats/package.h"
#include "graphs/open.h"
#include "library/builtin.h"
#include "library/local_models.h"
#include "library/speech_models.h"
#include "library/towers.h"
#include "models/model.h"
#include "text/answer/answer.h"
#include "text/chat_format.h"

namespace hearth {
namespace {

constexpr std::uint64_t max_cache_bytes = 64u << 20;
// Another number after a change of what is stored, or of what is read: old caches are passed over.
constexpr std::string_view cache_head = "hearth facts 3 " HEARTH_VERSION "\n";
constexpr std::size_t max_problem_bytes = 500;

std::string_view kind_name(ModelKind kind) {
  switch (kind) {
    case ModelKind::generator:
      return "generator";
    case ModelKind::embedder:
      return "embedder";
    case ModelKind::reranker:
      return "reranker";
  }
  return "";
}

// A field of a line: no tabs, no line ends.
std::string field(std::string_view text) {
  std::string clean = printable(text.substr(0, max_problem_bytes));
  for (char& c : clean)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return clean;
}

// What the chat template shows that the model can do.
std::string capabilities_of(const Package& package, const ModelInfo& info) {
  if (info.kind == ModelKind::reranker) return "rerank";
  if (info.kind == ModelKind::embedder) return "embedding";
  std::string list = "completion";
  if (!info.vision.empty()) list += ",vision";
  const auto source = chat_template_source(package);
  if (!source) return list;
  const AnswerForm form = find_answer_form(*source);
  const auto format =
      form.calls ? ChatFormat::parse(*source) : Result<ChatFormat>(Error(ErrorKind::not_found, ""));
  if (format && format->traits().tools) list += ",tools";
  if (form.thoughts) list += ",thinking";
  return list;
}

struct Line {
  std::string_view rest;
  std::string_view text() {
    const std::size_t tab = std::min(rest.find('\t'), rest.size());
    const std::string_view value = rest.substr(0, tab);
    rest.remove_prefix(std::min(rest.size(), tab + 1));
    return value;
  }
  template <typename T>
  T number() {
    T value{};
    const std::string_view digits = text();
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
  }
};

struct Known {
  FileIdentity identity;
  std::string_view facts;  // the rest of the line; points into the cache's text
};
using Cache = std::map<std::string_view, Known>;

Cache parse_cache(std::string_view text) {
  Cache cache;
  if (!text.starts_with(cache_head)) return cache;
  text.remove_prefix(cache_head.size());
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    Line line{text.substr(0, end)};
    text.remove_prefix(std::min(text.size(), end + 1));
    const std::string_view path = line.text();
    Known known;
    known.identity.device = line.number<std::uint64_t>();
    known.identity.inode = line.number<std::uint64_t>();
    known.identity.bytes = line.number<std::uint64_t>();
    known.identity.modified_ns = line.number<std::int64_t>();
    known.facts = line.rest;
    cache.emplace_hint(cache.end(), path, known);
  }
  return cache;
}

ModelFacts parse_facts(std::string_view text) {
  Line line{text};
  ModelFacts facts;
  facts.kind = line.text();
  facts.title = line.text();
  facts.capabilities = line.text();
  facts.architecture = line.text();
  facts.quantisation = line.text();
  facts.parameters = line.number<std::uint64_t>();
  facts.context_length = line.number<std::uint64_t>();
  facts.kv_bytes_per_token = line.number<std::uint64_t>();
  facts.dim = line.number<std::uint64_t>();
  facts.vocabulary = line.number<std::uint64_t>();
  facts.weight_bytes = line.number<std::uint64_t>();
  facts.problem = line.text();
  return facts;
}

void append_line(std::string& text, const LocalModel& model) {
  if (model.path.find_first_of("\t\n") != std::string::npos) return;
  const FileIdentity& id = model.identity;
  const ModelFacts& facts = model.facts;
  text += fmt::format("{}\t{}\t{}\t{}\t{}\t", model.path, id.device, id.inode, id.bytes,
                      id.modified_ns);
  text += fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", facts.kind, facts.title,
                      facts.capabilities, facts.architecture, facts.quantisation, facts.parameters,
                      facts.context_length, facts.kv_bytes_per_token, facts.dim, facts.vocabulary,
                      facts.weight_bytes, facts.problem);
}

}  // namespace

namespace {

// Of an operator graph.
ModelFacts graph_facts(const std::string& path) {
  ModelFacts facts;
  const auto program = graphs::open_graph(path);
  if (!program) {
    facts.problem = field(program.error().message());
    return facts;
  }
  facts.kind = "graph";
  facts.title = field(program->graph->name);
  facts.architecture = field(program->format);
  for (const graphs::Constant& constant : program->graph->constants) {
    facts.parameters += static_cast<std::uint64_t>(constant.value.tensor.count);
    facts.weight_bytes += constant.value.tensor.byte_count();
  }
  return facts;
}

}  // namespace

ModelFacts read_facts(const LocalModel& model) {
  if (graphs::is_graph(model.path) && !has_text_side(model.path)) return graph_facts(model.path);
  ModelFacts facts;
  const auto builtin = builtin_file(model.path);
  auto package = builtin ? open_package(model.path, MappedFile::of_program(*builtin))
                         : open_package(model.path);
  // A tower that cannot be read is told when the model is loaded.
  if (package && !builtin) (void)attach_tower(*package, model.tower).ok();
  if (!package) {
    facts.problem = field(package.error().message());
    return facts;
  }
  facts.architecture = field(package->metadata.string("general.architecture").value_or(""));
  const bool is_speech = speech::is_whisper(*package);
  const auto info = describe_any(*package);
  if (!info) {
    facts.problem = field(info.error().message());
    return facts;
  }
  facts.kind = is_speech ? speech_kind : kind_name(info->kind);
  facts.title = field(info->name);
  facts.capabilities = is_speech ? "transcription" : capabilities_of(*package, *info);
  facts.architecture = field(info->architecture);
  facts.quantisation = field(info->quantisation);
  facts.parameters = info->parameters;
  facts.context_length = info->context_length;
  facts.kv_bytes_per_token = info->kv_bytes_per_token;
  facts.dim = info->dim;
  facts.vocabulary = info->vocabulary;
  facts.weight_bytes = info->weight_bytes;
  return facts;
}

void describe_local_models(const LibraryFolders& folders, std::vector<LocalModel>& models) {
  const std::string path = join_path(folders.cache, "facts.tsv");
  const auto text = read_file(path, max_cache_bytes);
  const Cache cache = text ? parse_cache(*text) : Cache();
  std::size_t known = 0;
  for (LocalModel& model : models) {
    const auto found = cache.find(model.path);
    const bool is_held = found != cache.end() && found->second.identity == model.identity;
    if (is_held) model.facts = parse_facts(found->second.facts);
    // What could not be read may be by now: architectures are added.
    const std::string problem = model.facts.problem;
    if (!is_held || !problem.empty()) model.facts = read_facts(model);
    if (is_held && model.facts.problem == problem) ++known;
  }
  if (known == models.size() && known == cache.size()) return;
  std::string fresh(cache_head);
  for (const LocalModel& model : models) append_line(fresh, model);
  // Only a cache: without room for it everything still works, and the last of two writers wins.
  (void)replace_file(path, std::as_bytes(std::span(fresh))).ok();
}

}  // namespace hearth
