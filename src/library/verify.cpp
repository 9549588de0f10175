#include "library/verify.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <utility>

#include "base/files.h"
#include "engines/engines.h"
#include "kernels/select.h"
#include "library/checksum.h"
#include "library/download.h"
#include "library/known_sums.h"
#include "library/split_files.h"
#include "library/store.h"
#include "library/transcriber.h"
#include "speech/mel.h"

namespace hearth {
namespace {

namespace fs = std::filesystem;

using Promise = VerifiedFile::Promise;

std::vector<VerifiedFile> files_in_store(const LocalModel& model) {
  const auto manifest = read_manifest(model.folder);
  if (!manifest) return {{model.folder, "", manifest.error().message()}};
  std::vector<VerifiedFile> files;
  for (const StoredFile& file : manifest->files)
    if (is_sha256(file.sha256))
      files.push_back({join_path(model.folder, file.name), file.sha256, ""});
  return files;
}

// All parts of a split file, all files of a folder.
std::vector<std::string> paths_of(const LocalModel& model) {
  std::vector<std::string> paths;
  std::error_code error;
  const std::string own = fs::absolute(model.path, error).string();
  if (is_folder(own)) {
    for (const std::string& name : list_folder(own).value_or({}))
      if (const std::string path = join_path(own, name); is_file(path)) paths.push_back(path);
    return paths;
  }
  const int parts = split_place(own).parts;
  for (int part = 1; part <= parts; ++part) paths.push_back(part_path(own, part));
  return paths;
}

// What is to be read of a model, and what it needs to be.
std::vector<VerifiedFile> files_of(const LocalModel& model, const KnownSums& known) {
  if (model.tool == "hearth") return files_in_store(model);
  if (model.tool == "program" || model.tool == "remote") return {};  // no files here
  std::vector<VerifiedFile> files;
  for (const std::string& path : paths_of(model)) {
    VerifiedFile file{path, promised_by_name(path), ""};
    if (file.sha256.empty()) {
      const auto before = known.find(path);
      const bool is_same = before != known.end() && !before->second.sha256.empty() &&
                           before->second.identity == file_identity(path);
      if (is_same) file.sha256 = before->second.sha256;
      file.promise = is_same ? Promise::memory : Promise::none;
    }
    files.push_back(std::move(file));
  }
  return files;
}

constexpr std::string_view level_names[] = {"header", "tensors", "checksum", "run"};

Status check_header(const LocalModel& model) {
  const Package package = TRY(open_reference(model.path));
  TRY(describe_package(package));
  return Done{};
}

// The plain path repacks nothing: it finds every tensor, its shape and its type, and the text side.
Status check_tensors(const LocalModel& model) {
  const Package package = TRY(open_reference(model.path));
  ThreadPool pool(1);
  ops::Context ctx{.kernels = TRY(kernels::choose("")), .pool = &pool};
  LoadOptions options;
  options.reference = true;
  TRY(load_with_best_engine(ctx, package, options));
  return Done{};
}

Error no_number(std::string_view what) {
  return Error(ErrorKind::corrupt, fmt::format("{} is no number: its weights are damaged", what));
}

// One number that is none among all logits makes every probability one that is none.
Status check_token(const LoadedModel& loaded, const std::stop_token& stop) {
  GenerateRequest request;
  const auto prompt = loaded.model().tokenizer().encode("Hello", {});
  request.prompt = prompt && !prompt->empty() ? *prompt : std::vector<Token>{0};
  request.sampling.temperature = 0;
  request.max_tokens = 1;
  request.ignore_end = true;
  request.logprobs = true;
  request.stop_token = stop;
  const Answer answer = TRY(generate(*loaded.runner, std::move(request)));
  if (answer.finish == FinishReason::cancelled) return Error(ErrorKind::cancelled, "stopped");
  if (answer.tokens.empty()) return Error(ErrorKind::corrupt, "it wrote no token");
  for (const TokenInfo& token : answer.tokens)
    if (!std::isfinite(token.logprob)) return no_number("the probability of its first token");
  return Done{};
}

// A second of silence.
Status check_hearing(const LoadedModel& loaded, const std::stop_token& stop) {
  const std::vector<float> silence(speech::sample_rate);
  speech::TranscribeOptions options;
  options.temperatures = {0};
  speech::TranscribeHooks hooks;
  hooks.stop = stop;
  const auto transcript = TRY(transcribe(loaded, silence, options, hooks));
  for (const speech::Segment& segment : transcript.segments)
    if (!std::isfinite(segment.log_probability)) return no_number("the probability of a word");
  return Done{};
}

Status check_run(const LoadedModel& loaded, const std::stop_token& stop) {
  switch (loaded.model().info().kind) {
    case ModelKind::generator:
      return check_token(loaded, stop);
    case ModelKind::embedder:
      for (const auto& vector : TRY(embed_texts(loaded, {"Hello"}, stop)))
        if (!std::ranges::all_of(vector, [](float value) { return std::isfinite(value); }))
          return no_number("its vector of a text");
      return Done{};
    case ModelKind::reranker:
      for (const float score : TRY(rerank_texts(loaded, "Hello", {"Hello"}, stop)).scores)
        if (!std::isfinite(score)) return no_number("its score of a text");
      return Done{};
    case ModelKind::transcriber:
      return check_hearing(loaded, stop);
  }
  return Done{};
}

}  // namespace

std::string_view name_of(VerifyLevel level) { return level_names[std::to_underlying(level)]; }

Result<VerifyLevel> verify_level(std::string_view name) {
  const auto found = std::ranges::find(level_names, name);
  if (found == std::end(level_names))
    return Error(ErrorKind::invalid,
                 fmt::format("level '{}': needs header, tensors, checksum or run", name));
  return static_cast<VerifyLevel>(found - std::begin(level_names));
}

bool Verdict::has_wrong_files() const {
  return std::ranges::any_of(files, [](const VerifiedFile& file) { return !file.problem.empty(); });
}

bool Verdict::has_promise() const {
  return std::ranges::any_of(
      files, [](const VerifiedFile& file) { return file.promise != Promise::none; });
}

std::string Verdict::advice(const LocalModel& model) const {
  if (is_right()) return "";
  const bool is_ours = model.tool == "hearth";
  if (has_wrong_files() && is_ours)
    return fmt::format("`hearth verify --repair {}` fetches what is wrong again", model.name);
  if (has_wrong_files() && model.tool == "path") return "fetch it again from where it came";
  if (has_wrong_files())
    return fmt::format("it belongs to another program ({}), which has to fetch it again",
                       model.tool);
  if (has_promise())
    return "its files are those that were promised: what was published does not run here";
  if (is_ours && failed_at != VerifyLevel::run)
    return fmt::format("`hearth verify {}` tells whether its files are what was promised",
                       model.name);
  return "no checksum of it is known: fetch it again from where it came";
}

Result<Verdict> verify(const LocalModel& model, VerifyLevel level, const LibraryFolders& folders,
                       const VerifyHooks& hooks, const std::function<Result<Lease>()>& load) {
  Verdict verdict;
  const auto check = [&](VerifyLevel at, auto&& passes) -> Status {
    if (!verdict.problem.empty()) return Done{};
    const Status status = passes();
    if (hooks.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    if (status.ok()) return Done{};
    const ErrorKind kind = status.error().kind();  // of these the model is innocent
    if (kind == ErrorKind::exhausted || kind == ErrorKind::unavailable) return status;
    verdict.problem = status.error().message();
    verdict.failed_at = at;
    return Done{};
  };
  if (level == VerifyLevel::checksum || level == VerifyLevel::run)
    verdict.files = TRY(verify(model, folders, hooks));
  if (level == VerifyLevel::checksum) return verdict;
  TRY(check(VerifyLevel::header, [&] { return check_header(model); }));
  if (level == VerifyLevel::header) return verdict;
  TRY(check(VerifyLevel::tensors, [&] { return check_tensors(model); }));
  if (level == VerifyLevel::tensors || verdict.has_wrong_files()) return verdict;
  const auto runs = [&]() -> Status {
    const Lease lease = TRY(load());
    return check_run(*lease, hooks.stop);
  };
  TRY(check(VerifyLevel::run, runs));
  return verdict;
}

namespace {

// Reads it.  Errors: cancelled.
Status check_bytes(VerifiedFile& file, const VerifyHooks& hooks) {
  Checksum checksum(~0ull);
  const Status status = add_file(checksum, file.path, [&](std::uint64_t bytes) {
    if (hooks.read) hooks.read(bytes);
    return !hooks.stop.stop_requested();
  });
  if (hooks.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
  if (!status) {
    file.problem = status.error().message();
    return Done{};
  }
  const std::string sum = checksum.sha256();
  if (file.promise == Promise::none)
    file.sha256 = sum;
  else if (sum != file.sha256 && file.promise == Promise::memory)
    file.problem = fmt::format(
        "SHA-256 is {}, was {}, though nothing has written it since: the "
        "disk may be failing",
        sum, file.sha256);
  else if (sum != file.sha256)
    file.problem = fmt::format("SHA-256 is {}, needs {}", sum, file.sha256);
  return Done{};
}

}  // namespace

Result<std::vector<VerifiedFile>> verify(const LocalModel& model, const LibraryFolders& folders,
                                         const VerifyHooks& hooks) {
  std::vector<VerifiedFile> files = files_of(model, read_known_sums(folders));
  KnownSums read;
  for (VerifiedFile& file : files) {
    if (!file.problem.empty()) continue;
    const auto identity = file_identity(file.path);
    if (!identity) {
      file.problem = "is missing";
      continue;
    }
    TRY(check_bytes(file, hooks));
    read[file.path] = {.identity = *identity, .sha256 = file.sha256, .problem = file.problem};
  }
  // Without room for it the verdict is as good, and only not remembered.
  (void)remember_sums(folders, read).ok();
  return files;
}

Result<Manifest> prepare_repair(const LibraryFolders& folders, const Network& network,
                                const LocalModel& model, const std::vector<VerifiedFile>& files) {
  if (model.tool != "hearth")
    return Error(ErrorKind::invalid,
                 fmt::format("'{}' belongs to another program ({}), which has to fetch it again",
                             model.name, model.tool));
  if (!network.offline.empty())
    return Error(ErrorKind::unavailable,
                 fmt::format("'{}': not fetched again, since {}", model.name, network.offline));
  Manifest manifest = TRY(read_manifest(model.folder));
  const std::string partial = partial_folder(folders.models, model.reference);
  const auto lock = TRY(FileLock::try_take(partial + ".lock"));
  if (!lock)
    return Error(ErrorKind::unavailable, fmt::format("'{}' is being downloaded now", model.name));
  TRY(remove_all(partial));
  TRY(move_path(model.folder, partial));
  TRY(remove_all(join_path(partial, manifest_file)));
  for (const VerifiedFile& file : files) {
    const std::string name = file.path.substr(model.folder.size() + 1);
    if (file.problem.empty())
      TRY(keep_for_download(partial, name, file.sha256));
    else
      TRY(remove_all(join_path(partial, name)));
  }
  return manifest;
}

}  // namespace hearth
