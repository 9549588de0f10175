#include "library/import.h"

#include <fmt/core.h>

#include <ctime>
#include <filesystem>
#include <optional>

#include "base/files.h"
#include "base/store_files.h"
#include "base/utf8.h"
#include "engines/engines.h"
#include "formats/graph_folder.h"
#include "formats/package.h"
#include "graphs/open.h"
#include "library/archive.h"
#include "library/checksum.h"
#include "library/towers.h"
#include "models/model.h"

namespace hearth {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t piece_bytes = 4u << 20;
constexpr std::uint64_t reserve_bytes = 256u << 20;  // stays free
constexpr std::size_t max_files = 10'000;
constexpr std::string_view package_ending = ".mlpackage";
constexpr std::string_view graph_endings[] = {".onnx", ".ort", ".tflite",  ".litertlm",
                                              ".task", ".pte", ".mlmodel", package_ending};

// A file to copy: from where, and its path in the model's folder.
struct Item {
  std::string path, name;
  std::uint64_t bytes = 0;
};

class Copying {
 public:
  Copying(std::uint64_t total, std::stop_token stop,
          const std::function<void(double share)>& progress)
      : total_(total), stop_(std::move(stop)), progress_(progress) {}

  Result<StoredFile> copy(const Item& item, const std::string& folder) {
    const std::string target = join_path(folder, item.name);
    TRY(make_folders(parent_folder(target)));
    auto out = TRY(GrowingFile::open(target));
    TRY(out.truncate(0));
    Checksum checksum(item.bytes);
    if (item.bytes > 0) {
      const auto file = TRY(MappedFile::open(item.path));
      std::span<const std::byte> rest = file->bytes();
      while (!rest.empty()) {
        if (stop_.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
        const auto piece = rest.first(std::min(rest.size(), piece_bytes));
        TRY(out.append(piece));
        checksum.add(piece);
        rest = rest.subspan(piece.size());
        done_ += piece.size();
        if (progress_ && total_ > 0)
          progress_(static_cast<double>(done_) / static_cast<double>(total_));
      }
    }
    TRY(out.sync());
    return StoredFile{item.name, out.size(), checksum.sha256()};
  }

 private:
  const std::uint64_t total_;
  const std::stop_token stop_;
  const std::function<void(double share)>& progress_;
  std::uint64_t done_ = 0;
};

Result<std::vector<Item>> items_of(const std::string& path) {
  std::vector<Item> items;
  const auto add = [&](const std::string& from, const std::string& name) {
    if (const auto identity = file_identity(from)) items.push_back({from, name, identity->bytes});
  };
  if (!is_folder(path)) {
    const SplitPlace split = split_place(path);
    if (split.parts == 1) {
      add(path, file_name(path));
      return items;
    }
    for (int part = 1; part <= split.parts; ++part) {
      const std::string name =
          fmt::format("{}-{:05}-of-{:05}.gguf", model_stem(path), part, split.parts);
      const std::string from = join_path(parent_folder(path), name);
      if (!is_file(from)) return Error(ErrorKind::not_found, fmt::format("{}: is missing", from));
      add(from, name);
    }
    return items;
  }
  std::error_code error;
  for (fs::recursive_directory_iterator at(path, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().lexically_relative(path).string();
    if (name.starts_with('.') || !at->is_regular_file(error)) continue;
    if (items.size() >= max_files)
      return Error(ErrorKind::exhausted,
                   fmt::format("{}: holds more than {} files", path, max_files));
    add(at->path().string(), name);
  }
  return items;
}

// The file to open of a model's folder, or "." for the folder itself.
Result<std::string> main_of(const std::string& folder) {
  std::string gguf, safetensors, graph, bin;
  bool has_config = false;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().lexically_relative(folder).string();
    if (name.ends_with(".gguf") && split_place(name).part == 1 && !is_tower_file(name) &&
        (gguf.empty() || name < gguf))
      gguf = name;
    if (name.ends_with(".safetensors")) safetensors = name;
    if (name.ends_with(".bin") && (bin.empty() || name < bin)) bin = name;
    // What lies within a package is a part of it.
    if (has_graph_name(name) && (graph.empty() || name < graph) &&
        name.find(std::string(package_ending) + '/') == name.npos)
      graph = name;
    has_config = has_config || name == "config.json";
  }
  if (has_config && !safetensors.empty()) return std::string(".");
  if (!graph.empty() && has_text_side(join_path(folder, graph))) return std::string(".");
  if (!gguf.empty()) return gguf;
  if (!safetensors.empty()) return safetensors;
  if (!graph.empty()) return graph;
  if (!bin.empty()) return bin;  // of GGML, as whisper.cpp's are
  return Error(
      ErrorKind::unsupported,
      "holds no GGUF file, no Hugging Face folder and no graph (.onnx, .ort, .tflite, .pte, "
      ".mlmodel, .mlpackage)");
}

// A folder that an archive is unpacked in; gone at the brace.
struct Unpacked {
  explicit Unpacked(std::string path) : folder(std::move(path)) {}
  ~Unpacked() { (void)remove_all(folder).ok(); }
  Unpacked(const Unpacked&) = delete;
  Unpacked& operator=(const Unpacked&) = delete;
  const std::string folder;
};

// Where the model lies in what an archive held: often in one folder of its own.
std::string inner_folder(std::string folder) {
  for (int depth = 0; depth < 4; ++depth) {
    const auto names = list_folder(folder);
    if (!names || names->size() != 1 || !is_folder(join_path(folder, names->front()))) break;
    folder = join_path(folder, names->front());
  }
  return folder;
}

// The file or folder `main` can be read as a model.
Status check_model(const std::string& main) {
  if (graphs::is_graph(main) && !has_text_side(main)) {
    auto program = graphs::open_graph(main);
    if (!program) return std::move(program).error();
    return Done{};
  }
  const Package package = TRY(open_package(main));
  if (const auto info = describe_package(package); !info) return info.error();
  return Done{};
}

// The model in what is to be imported can be read; `path` is what the user calls it.
Status check_source(const std::string& from, const std::string& path) {
  const bool is_itself = !is_folder(from) || graphs::is_graph(from);
  auto main = is_itself ? Result<std::string>(".") : main_of(from);
  if (!main) return std::move(main).error().within(path);
  const Status readable = check_model(*main == "." ? from : join_path(from, *main));
  if (readable.ok()) return Done{};
  const std::string& message = readable.error().message();
  if (!message.starts_with(from)) return Error(readable.error()).within(path);
  return Error(readable.error().kind(), path + message.substr(from.size()));
}

std::string name_after(const std::string& path) {
  std::string name = model_stem(path);
  for (const std::string_view ending :
       {".zip", ".tgz", ".tar", ".gz", ".bz2", ".xz", ".zst", ".tar", ".gguf", ".safetensors",
        ".onnx", ".ort", ".tflite", ".litertlm", ".task", ".pte", ".mlmodel", ".mlpackage", ".bin"})
    if (name.ends_with(ending)) name = name.substr(0, name.size() - ending.size());
  for (char& c : name)
    if (c == ' ') c = '-';
  return name;
}

}  // namespace

Status check_model_name(const std::string& name) {
  const auto parsed = parse_reference(name);
  if (parsed && parsed->kind == Reference::Kind::name) return Done{};
  return Error(
      ErrorKind::invalid,
      fmt::format("'{}': a model's name is like my-model or my-model:7b", printable(name)));
}

bool has_graph_name(std::string_view file) {
  for (const std::string_view ending : graph_endings)
    if (file.ends_with(ending)) return true;
  return false;
}

Result<Manifest> import_model(const std::string& path, const LibraryFolders& folders,
                              const ImportOptions& options) {
  if (!file_identity(path))
    return Error(ErrorKind::not_found, fmt::format("{}: no such file or folder", path));
  const std::string name = options.name.empty() ? name_after(path) : options.name;
  TRY(check_model_name(name));
  const std::string folder = join_path(folders.models, store_name(name));
  if (is_folder(folder) && !options.is_replacing)
    return Error(ErrorKind::invalid, fmt::format("'{}' is here already", name));
  const std::string partial = partial_folder(folders.models, name);
  TRY(make_folders(parent_folder(partial)));
  const auto lock = TRY(FileLock::try_take(partial + ".lock"));
  if (!lock) return Error(ErrorKind::unavailable, fmt::format("'{}' is being imported now", name));
  const Unpacked made(partial);
  TRY(remove_all(partial));
  TRY(make_folders(partial));

  std::optional<Unpacked> unpacked;
  std::string from = path;
  if (is_archive(path)) {
    unpacked.emplace(partial + ".unpacked");
    TRY(remove_all(unpacked->folder));
    ArchiveLimits limits;
    limits.stop = options.stop;
    TRY(unpack(path, unpacked->folder, limits));
    from = inner_folder(unpacked->folder);
  }
  TRY(check_source(from, path));  // before much is copied
  std::vector<Item> items = TRY(items_of(from));
  // A package stays a folder of its own within the model's.
  if (is_folder(from) && graphs::is_graph(from))
    for (Item& item : items) item.name = fmt::format("model{}/{}", package_ending, item.name);
  std::uint64_t total = 0;
  for (const Item& item : items) total += item.bytes;
  if (free_disk_bytes(partial) < total + reserve_bytes)
    return Error(ErrorKind::exhausted,
                 fmt::format("{}: {:.2f} GB to copy, {:.2f} GB are free on the disk of {}", path,
                             static_cast<double>(total) / 1e9,
                             static_cast<double>(free_disk_bytes(partial)) / 1e9, folders.models));
  Copying copying(total, options.stop, options.progress);
  Manifest manifest{.reference = "",
                    .name = name,
                    .revision = "",
                    .main = "",
                    .pulled_seconds = std::time(nullptr),
                    .files = {}};
  for (const Item& item : items) manifest.files.push_back(TRY(copying.copy(item, partial)));
  auto main = main_of(partial);
  if (!main) return std::move(main).error().within(path);
  manifest.main = *std::move(main);
  TRY(write_manifest(partial, manifest));
  TRY(move_path(partial, folder));
  return manifest;
}

Status export_model(const LocalModel& model, const std::string& target, bool is_replacing,
                    std::stop_token stop, const std::function<void(double share)>& progress) {
  const bool is_whole_folder = is_folder(model.path);
  std::vector<Item> items = TRY(items_of(model.path));
  if (!is_whole_folder && items.size() == 1 && !is_folder(target)) {
    items.front().name = file_name(target);
    if (is_file(target) && !is_replacing)
      return Error(ErrorKind::invalid, fmt::format("{}: is there already", target));
  }
  const bool is_one_file = items.size() == 1 && !is_whole_folder;
  const std::string folder = is_one_file && !is_folder(target) ? parent_folder(target) : target;
  std::uint64_t total = 0;
  for (const Item& item : items) {
    total += item.bytes;
    if (!is_replacing && is_file(join_path(folder, item.name)))
      return Error(ErrorKind::invalid,
                   fmt::format("{}: is there already", join_path(folder, item.name)));
  }
  Copying copying(total, std::move(stop), progress);
  for (const Item& item : items) {
    Item part = item;
    part.name += ".part";
    TRY(copying.copy(part, folder));
    TRY(move_path(join_path(folder, part.name), join_path(folder, item.name)));
  }
  return Done{};
}

}  // namespace hearth
