// Facts of model files, read from their headers once and remembered by the file's identity.
#include <fmt/core.h>

#include <charconv>
#include <map>

#include "base/ascii.h"
#include "base/files.h"
#include "base/utf8.h"
#include "engines/engines.h"
#include "formats/graph_folder.h"
#include "formats/package.h"
#include "graphs/open.h"
#include "library/builtin.h"
#include "library/known_sums.h"
#include "library/local_models.h"
#include "library/towers.h"
#include "models/model.h"
#include "models/user_spec.h"
#include "text/answer/answer.h"
#include "text/chat_format.h"

namespace hearth {
namespace {

constexpr std::uint64_t max_cache_bytes = 64u << 20;
constexpr std::size_t max_problem_bytes = 500;

// A field of a line: no tabs, no line ends.
std::string field(std::string_view text) {
  std::string clean = printable(text.substr(0, max_problem_bytes));
  for (char& c : clean)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return clean;
}

// What the chat template shows that the model can do.
std::string capabilities_of(const Package& package, const ModelInfo& info) {
  std::string list(capability_of(info.kind));
  if (info.kind != ModelKind::generator) return list;
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

// Another number after a change of what is stored, or of what is read: old caches are passed over,
// and those of a Hearth that knows other architectures.
std::string cache_head() {
  return fmt::format("hearth facts 5 {} {:08x}\n", HEARTH_VERSION, added_architectures_mark());
}

// Another program, even of the same version, may run what this one cannot.
std::string program_line() {
  const auto program = file_identity("/proc/self/exe").value_or(FileIdentity{});
  return fmt::format("{} {}\n", program.bytes, program.modified_ns);
}

Cache parse_cache(std::string_view text) {
  Cache cache;
  const std::string head = cache_head(), program = program_line();
  if (!text.starts_with(head)) return cache;
  text.remove_prefix(head.size());
  const bool is_ours = text.starts_with(program);
  text.remove_prefix(text.find('\n') + 1);  // of npos: 0
  while (!text.empty()) {
    Line line{take_line(text)};
    const std::string_view path = line.text();
    Known known;
    known.identity.device = line.number<std::uint64_t>();
    known.identity.inode = line.number<std::uint64_t>();
    known.identity.bytes = line.number<std::uint64_t>();
    known.identity.modified_ns = line.number<std::int64_t>();
    known.facts = line.rest;
    const bool has_problem = !known.facts.ends_with('\t');
    if (has_problem && !is_ours) continue;
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

// What was read of a model, and whether it may read otherwise though its main file stays the same.
struct Reading {
  ModelFacts facts;
  bool may_change = false;
};

// What is wrong with a single file stays wrong; what is missing beside one may come.
Reading with_problem(ModelFacts facts, const std::string& path, const Error& error) {
  const bool stands_alone = path.ends_with(".gguf") && split_place(path).parts == 1;
  const bool is_in_file =
      error.kind() == ErrorKind::corrupt || error.kind() == ErrorKind::unsupported;
  facts.problem = field(error.message());
  return {std::move(facts), !stands_alone || !is_in_file};
}

// Of an operator graph.
Reading read_graph(const std::string& path) {
  ModelFacts facts;
  const auto program = graphs::open_graph(path);
  if (!program) return with_problem(std::move(facts), path, program.error());
  facts.kind = "graph";
  facts.title = field(program->graph->name);
  facts.architecture = field(program->format);
  for (const graphs::Constant& constant : program->graph->constants) {
    facts.parameters += static_cast<std::uint64_t>(constant.value.tensor.count);
    facts.weight_bytes += constant.value.tensor.byte_count();
  }
  return {std::move(facts)};
}

Reading read_header(const LocalModel& model) {
  if (graphs::is_graph(model.path) && !has_text_side(model.path)) return read_graph(model.path);
  ModelFacts facts;
  const auto builtin = builtin_file(model.path);
  auto package = builtin ? open_package(model.path, MappedFile::of_program(*builtin))
                         : open_package(model.path);
  // A tower that cannot be read is told when the model is loaded.
  if (package && !builtin) (void)attach_tower(*package, model.tower).ok();
  if (!package) return with_problem(std::move(facts), model.path, package.error());
  facts.architecture = field(package->metadata.string("general.architecture").value_or(""));
  const auto info = describe_package(*package);
  if (!info) return with_problem(std::move(facts), model.path, info.error());
  facts.kind = name_of(info->kind);
  facts.title = field(info->name);
  facts.capabilities = capabilities_of(*package, *info);
  facts.architecture = field(info->architecture);
  facts.quantisation = field(info->quantisation);
  facts.parameters = info->parameters;
  facts.context_length = info->context_length;
  facts.kv_bytes_per_token = info->kv_bytes_per_token;
  facts.dim = info->dim;
  facts.vocabulary = info->vocabulary;
  facts.weight_bytes = info->weight_bytes;
  return {std::move(facts)};
}

// Files that were found wrong tell less of themselves than that.
void mark_damaged(const LibraryFolders& folders, std::vector<LocalModel>& models) {
  KnownSums sums = read_known_sums(folders);
  std::erase_if(sums, [](const auto& known) { return known.second.problem.empty(); });
  if (sums.empty()) return;
  for (LocalModel& model : models)
    if (const auto damage = damage_of(model, sums)) model.facts.problem = damage->message();
}

// From the cache where the file is the same, otherwise from the header.
void describe(const LibraryFolders& folders, std::vector<LocalModel>& models) {
  const std::string path = join_path(folders.cache, "facts.tsv");
  const auto text = read_file(path, max_cache_bytes);
  const Cache cache = text ? parse_cache(*text) : Cache();
  std::size_t known = 0, kept = 0;
  std::string fresh = cache_head() + program_line();
  for (LocalModel& model : models) {
    const auto found = cache.find(model.path);
    const bool is_known = found != cache.end() && found->second.identity == model.identity;
    auto [facts, may_change] =
        is_known ? Reading{parse_facts(found->second.facts)} : read_header(model);
    model.facts = std::move(facts);
    known += is_known;
    if (may_change) continue;
    append_line(fresh, model);
    ++kept;
  }
  if (known == kept && known == cache.size()) return;
  // Only a cache: without room for it everything still works, and the last of two writers wins.
  (void)replace_file(path, std::as_bytes(std::span(fresh))).ok();
}

}  // namespace

ModelFacts read_facts(const LocalModel& model) { return read_header(model).facts; }

void describe_local_models(const LibraryFolders& folders, std::vector<LocalModel>& models) {
  describe(folders, models);
  mark_damaged(folders, models);
}

}  // namespace hearth
