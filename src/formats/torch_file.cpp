// Source: torch/serialization.py, _save and _legacy_save; torch/csrc/jit/serialization for
// archives.
#include "formats/torch_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/limits.h"
#include "formats/pickle.h"
#include "formats/strided.h"
#include "formats/torch_names.h"
#include "formats/zip.h"

namespace hearth {
namespace {

using Kind = PickleNode::Kind;

constexpr std::string_view legacy_magic =
    "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, std::move(what)); }

using Storages = std::map<std::string_view, std::span<const std::byte>>;

// The tensors of one pickle whose storages are known.
class Reader {
 public:
  Reader(const Pickle& pickle, const Storages& storages) : pickle_(pickle), storages_(storages) {}

  Result<TorchFile> read();

 private:
  const PickleNode& at(std::uint32_t index) const { return pickle_[index]; }
  bool is_tensor(const PickleNode& node) const {
    return node.kind == Kind::call && node.number >= torch::tensor_v1 &&
           node.number <= torch::tensor_v3;
  }
  const PickleNode& state_of(const PickleNode& root);
  bool holds_tensors(const PickleNode& node) const;
  Status collect(const PickleNode& node, const std::string& name, std::size_t depth);
  Result<TensorEntry> tensor(const PickleNode& call, const std::string& name);
  Result<std::vector<std::uint64_t>> extents(std::uint32_t index) const;
  struct Storage {
    Dtype dtype;
    bool untyped;
    std::span<const std::byte> data;
  };
  Result<Storage> storage(std::uint32_t index);
  Json plain(const PickleNode& dict) const;

  const Pickle& pickle_;
  const Storages& storages_;
  TorchFile file_;
  std::set<std::string, std::less<>> names_;
  std::map<std::string_view, std::int64_t> types_;  // of storages, by key: one type each
  std::uint64_t visited_ = 0;
};

// An id: ("storage", type, key, location, elements[, view]).
Result<Reader::Storage> Reader::storage(std::uint32_t index) {
  const PickleNode& node = at(index);
  if (node.kind != Kind::persistent || at(node.items[0]).kind != Kind::tuple)
    return corrupt("a storage that is none");
  const auto& id = at(node.items[0]).items;
  if ((id.size() != 5 && id.size() != 6) || at(id[0]).text != "storage" ||
      at(id[1]).kind != Kind::symbol || at(id[2]).kind != Kind::text ||
      at(id[3]).kind != Kind::text || at(id[4]).kind != Kind::integer || at(id[4]).number < 0)
    return corrupt("the id of a storage is not (storage, type, key, location, elements)");
  if (id.size() == 6 && at(id[5]).kind != Kind::none)
    return Error(ErrorKind::unsupported, "a storage that is a view of another");
  const std::int64_t type = at(id[1]).number;
  const auto dtype = torch::dtype_of(type);
  if (!dtype && type != torch::untyped)
    return corrupt(fmt::format("a storage of type '{}'", printable(at(id[1]).text)));
  const std::string_view key = at(id[2]).text;
  const auto found = storages_.find(key);
  if (found == storages_.end())
    return corrupt(fmt::format("storage '{}' is not in the file", printable(key)));
  const std::uint64_t each = dtype ? info(*dtype).block_bytes : 1;
  const std::uint64_t bytes = TRY(checked_mul(static_cast<std::uint64_t>(at(id[4]).number), each));
  if (bytes != found->second.size())
    return corrupt(
        fmt::format("storage '{}' has {} bytes, its id says {}", key, found->second.size(), bytes));
  if (types_.emplace(key, type).first->second != type)
    return corrupt(fmt::format("storage '{}' has two types", key));
  return Storage{dtype.value_or(Dtype::u8), !dtype, found->second};
}

Result<std::vector<std::uint64_t>> Reader::extents(std::uint32_t index) const {
  const PickleNode& node = at(index);
  if (node.kind != Kind::tuple && node.kind != Kind::list)
    return corrupt("a size that is no tuple");
  if (node.items.size() > limits::torch_rank)
    return corrupt(fmt::format("rank {}, at most {}", node.items.size(), limits::torch_rank));
  std::vector<std::uint64_t> extents;
  for (const std::uint32_t item : node.items) {
    if (at(item).kind != Kind::integer || at(item).number < 0)
      return corrupt("a size or stride that is no number from 0");
    extents.push_back(static_cast<std::uint64_t>(at(item).number));
  }
  return extents;
}

Result<TensorEntry> Reader::tensor(const PickleNode& call, const std::string& name) {
  const auto& arguments = at(call.items[1]).items;
  const bool has_dtype = call.number == torch::tensor_v3;
  const std::size_t least = has_dtype ? 7 : call.number == torch::tensor_v2 ? 6 : 4;
  if (call.items.size() != 2) return corrupt("a tensor with a state of its own");
  if (arguments.size() < least || arguments.size() > least + 1)
    return corrupt(fmt::format("a tensor of {} arguments", arguments.size()));
  Storage held = TRY(storage(arguments[0]));
  if (held.untyped != has_dtype) return corrupt("a tensor and a storage that disagree on the type");
  if (has_dtype) {
    const auto dtype = torch::dtype_of(at(arguments[6]).number);
    if (at(arguments[6]).kind != Kind::symbol || !dtype)
      return corrupt("an element type that is none");
    held.dtype = *dtype;
  }
  if (at(arguments[1]).kind != Kind::integer || at(arguments[1]).number < 0)
    return corrupt("a storage offset that is no number from 0");
  if (least > 4) {
    const PickleNode& hooks = at(arguments[5]);
    if (at(arguments[4]).kind != Kind::boolean || !hooks.items.empty() ||
        (hooks.kind != Kind::dict && hooks.kind != Kind::none))
      return corrupt("a tensor with hooks");
  }
  auto shape = TRY(extents(arguments[2]));
  auto strides = TRY(extents(arguments[3]));
  Strides view{.dtype = held.dtype,
               .offset = static_cast<std::uint64_t>(at(arguments[1]).number),
               .shape = std::move(shape),
               .strides = std::move(strides)};
  return strided_tensor(name, held.data, std::move(view));
}

// Files and lists may name the same thing many times: what is visited is counted.
Status Reader::collect(const PickleNode& node, const std::string& name, std::size_t depth) {
  if (++visited_ > limits::pickle_objects || depth > limits::pickle_depth)
    return corrupt("nested too deep, or in itself");
  if (is_tensor(node)) {
    const std::string own = name.empty() ? "tensor" : name;
    auto entry = tensor(node, own);
    if (!entry) return std::move(entry).error().within(fmt::format("tensor '{}'", printable(own)));
    if (!names_.insert(own).second)
      return corrupt(fmt::format("tensor '{}': twice", printable(own)));
    if (names_.size() > limits::torch_tensors) return corrupt("too many tensors");
    file_.tensors.push_back(std::move(*entry));
    return Done{};
  }
  const auto inner = [&](std::string_view part) {
    return name.empty() ? std::string(part) : fmt::format("{}.{}", name, part);
  };
  if (node.kind == Kind::dict) {
    for (std::size_t i = 0; i + 1 < node.items.size(); i += 2)
      if (at(node.items[i]).kind == Kind::text)
        TRY(collect(at(node.items[i + 1]), inner(at(node.items[i]).text), depth + 1));
  } else if (node.kind == Kind::list || node.kind == Kind::tuple) {
    for (std::size_t i = 0; i < node.items.size(); ++i)
      TRY(collect(at(node.items[i]), inner(std::to_string(i)), depth + 1));
  } else if (node.kind == Kind::call) {
    for (std::size_t i = 2; i < node.items.size(); ++i)
      TRY(collect(at(node.items[i]), name, depth + 1));
  }
  return Done{};
}

bool Reader::holds_tensors(const PickleNode& node) const {
  if (node.kind != Kind::dict) return false;
  for (std::size_t i = 1; i < node.items.size(); i += 2)
    if (is_tensor(at(node.items[i]))) return true;
  return false;
}

// What to take the tensors from: training scripts save the optimiser and the best loss beside the
// model.
const PickleNode& Reader::state_of(const PickleNode& root) {
  if (root.kind != Kind::dict) return root;
  for (const std::string_view key : {"model_args", "hyper_parameters", "config", "args"})
    if (const PickleNode* held = pickle_.find(root, key); held && file_.arguments.is_null())
      file_.arguments = plain(*held);
  for (const std::string_view key :
       {"state_dict", "model_state_dict", "model", "module", "ema", "params", "weights", "net"})
    if (const PickleNode* held = pickle_.find(root, key); held && holds_tensors(*held))
      return *held;
  return root;
}

Json Reader::plain(const PickleNode& dict) const {
  if (dict.kind != Kind::dict) return {};
  Json out = Json::object();
  for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleNode &key = at(dict.items[i]), &value = at(dict.items[i + 1]);
    if (key.kind != Kind::text || out.size() > 1000) continue;
    if (value.kind == Kind::integer) out.set(std::string(key.text), value.number);
    if (value.kind == Kind::boolean) out.set(std::string(key.text), value.number != 0);
    if (value.kind == Kind::real) out.set(std::string(key.text), value.real);
    if (value.kind == Kind::text) out.set(std::string(key.text), value.text);
  }
  return out;
}

// Wrappers (data parallel, compiled) put their own names before all others.
void strip_wrappers(std::vector<TensorEntry>& tensors) {
  for (int rounds = 0; rounds < 4; ++rounds)
    for (const std::string_view prefix : {"module.", "_orig_mod."}) {
      const bool all = !tensors.empty() && std::ranges::all_of(tensors, [&](const TensorEntry& t) {
        return t.name.size() > prefix.size() && t.name.starts_with(prefix);
      });
      if (all)
        for (TensorEntry& tensor : tensors) tensor.name.erase(0, prefix.size());
    }
}

Result<TorchFile> Reader::read() {
  TRY(collect(state_of(at(pickle_.root)), "", 0));
  for (const TensorEntry& tensor : file_.tensors)
    if (printable(tensor.name, tensor.name.size()) != tensor.name ||
        tensor.name.size() > limits::safetensors_name_bytes)
      return corrupt(fmt::format("tensor name '{}'", printable(tensor.name)));
  if (file_.tensors.empty()) return corrupt("holds no tensors");
  strip_wrappers(file_.tensors);
  return std::move(file_);
}

// The entries under the archive's one root folder, by the name below it.
Result<std::map<std::string_view, ZipEntry>> entries_by_name(std::span<const std::byte> file) {
  const auto all = TRY(read_zip(file));
  constexpr std::string_view pickle_name = "data.pkl";
  std::string_view root;
  for (const ZipEntry& entry : all) {
    const auto slash = entry.name.find('/');
    if (slash != entry.name.npos && entry.name.substr(slash + 1) == pickle_name)
      root = entry.name.substr(0, slash + 1);
  }
  if (root.empty()) {
    const bool exported = std::ranges::any_of(
        all, [](const ZipEntry& entry) { return entry.name.ends_with("archive_format"); });
    return Error(ErrorKind::unsupported,
                 exported ? "a torch.export archive (.pt2), which is a program, not weights"
                          : "a ZIP archive without data.pkl");
  }
  std::map<std::string_view, ZipEntry> entries;
  for (const ZipEntry& entry : all) {
    if (!entry.name.starts_with(root))
      return corrupt(fmt::format("{}: beside {}", entry.name, root));
    entries.emplace(entry.name.substr(root.size()), entry);
  }
  return entries;
}

Status check_surroundings(const std::map<std::string_view, ZipEntry>& entries) {
  constexpr std::uint64_t newest_version = 99;  // 10 in 2026
  if (const auto order = entries.find("byteorder"); order != entries.end()) {
    TRY(check_zip_content(order->second));
    if (text_of(order->second.data) != "little")
      return Error(ErrorKind::unsupported, "byteorder: only 'little' is read");
  }
  for (const std::string_view name : {"version", ".format_version"}) {
    const auto version = entries.find(name);
    if (version == entries.end()) continue;
    TRY(check_zip_content(version->second));
    std::uint64_t number = 0;
    for (const char c : text_of(version->second.data)) {
      if (c == '\n') break;
      if (c < '0' || c > '9' || number > newest_version)
        return Error(ErrorKind::unsupported, fmt::format("{}: not one that is known", name));
      number = number * 10 + static_cast<std::uint64_t>(c - '0');
    }
    if (number > newest_version)
      return Error(ErrorKind::unsupported, fmt::format("{}: {}", name, number));
  }
  return Done{};
}

Result<TorchFile> read_archive(std::span<const std::byte> file) {
  const auto entries = TRY(entries_by_name(file));
  TRY(check_surroundings(entries));
  const ZipEntry& data = entries.at("data.pkl");
  TRY(check_zip_content(data));
  const bool script = std::ranges::any_of(
      entries, [](const auto& entry) { return entry.first.starts_with("code/"); });
  const Pickle pickle =
      TRY(read_pickle(data.data, script ? torch::meaning_in_script : torch::meaning_of));
  if (pickle.bytes != data.data.size())
    return corrupt(fmt::format("data.pkl: {} bytes after STOP at offset {}",
                               data.data.size() - pickle.bytes, pickle.bytes - 1));
  Storages storages;
  constexpr std::string_view folder = "data/";
  for (const auto& [name, entry] : entries) {
    if (!name.starts_with(folder) || name.size() == folder.size()) continue;
    if (!entry.stored)
      return Error(ErrorKind::unsupported, fmt::format("{}: compressed", printable(name)));
    storages.emplace(name.substr(folder.size()), entry.data);
  }
  return Reader(pickle, storages).read();
}

// Magic, protocol, system, object, list of keys; then for each key its count and elements.
Result<TorchFile> read_legacy(std::span<const std::byte> file) {
  std::size_t position = 0;
  const auto next = [&]() -> Result<Pickle> {
    auto pickle = read_pickle(file.subspan(position), torch::meaning_of);
    if (!pickle) return std::move(pickle).error().within(fmt::format("pickle at {}", position));
    position += pickle->bytes;
    return pickle;
  };
  position = legacy_magic.size();
  const Pickle protocol = TRY(next()), system = TRY(next());
  constexpr std::int64_t known_protocol = 1001;
  if (protocol[protocol.root].number != known_protocol) return corrupt("not protocol 1001");
  const PickleNode* little = system.find(system[system.root], "little_endian");
  if (little == nullptr || little->number != 1)
    return Error(ErrorKind::unsupported, "saved on a big-endian machine");
  const Pickle object = TRY(next()), keys = TRY(next());

  std::map<std::string_view, std::uint64_t> element_bytes;
  for (const PickleNode& node : object.nodes) {
    if (node.kind != Kind::persistent || object[node.items[0]].items.size() < 3) continue;
    const auto& id = object[node.items[0]].items;
    const auto dtype = torch::dtype_of(object[id[1]].number);
    element_bytes[object[id[2]].text] = dtype ? info(*dtype).block_bytes : 1;
  }
  ByteReader in(file);
  TRY(in.skip(position));
  Storages storages;
  for (const std::uint32_t item : keys[keys.root].items) {
    const PickleNode& key = keys[item];
    const auto found = element_bytes.find(key.text);
    if (key.kind != Kind::text || found == element_bytes.end())
      return corrupt(fmt::format("a storage '{}' that no tensor names", printable(key.text)));
    const auto count = TRY(in.value<std::int64_t>());
    const std::uint64_t bytes = TRY(checked_mul(static_cast<std::uint64_t>(count), found->second));
    if (!storages.emplace(found->first, TRY(in.take(bytes))).second)
      return corrupt(fmt::format("storage '{}': twice", printable(key.text)));
  }
  if (in.remaining() > 0)
    return corrupt(fmt::format("offset {}: bytes after the last storage", in.position()));
  return Reader(object, storages).read();
}

}  // namespace

bool is_torch_file(std::string_view file) {
  return file.starts_with("PK\x03\x04") || file.starts_with(legacy_magic.substr(0, 14));
}

Result<TorchFile> read_torch(std::span<const std::byte> file) {
  if (text_of(file).starts_with(legacy_magic)) return read_legacy(file);
  return read_archive(file);
}

}  // namespace hearth
