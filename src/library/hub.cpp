#include "library/hub.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "base/ascii.h"
#include "base/files.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/user_folders.h"
#include "base/utf8.h"
#include "library/json_members.h"
#include "library/local_models.h"
#include "library/towers.h"
#include "library/transfer.h"

namespace hearth {
namespace {

constexpr std::size_t max_repository_files = 100'000, max_listed = 12;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string without_slash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

std::string stored_token() {
  if (const std::string token = variable("HF_TOKEN"); !token.empty()) return token;
  std::string path = variable("HF_TOKEN_PATH");
  if (path.empty()) {
    const std::string root = variable("HF_HOME");
    path = root.empty() ? in_user_folder(UserFolder::cache, "huggingface/token")
                        : join_path(root, "token");
  }
  std::string token = read_file(path, 4096).value_or("");
  while (!token.empty() && static_cast<unsigned char>(token.back()) <= ' ') token.pop_back();
  return token;
}

// ---- Hugging Face.  Source: "Hub API Endpoints", GET /api/models/{repo}/revision/{revision}. ----

struct RepositoryFile {
  std::string name;
  std::uint64_t bytes = 0;
  std::string sha256, git_blob;
};

struct Repository {
  std::string commit;
  std::vector<RepositoryFile> files;
};

std::optional<Error> hub_refusal(const Reference& reference, bool has_token, int status,
                                 const std::string& code) {
  const std::string repo = reference.name;
  if (code == "GatedRepo" || (status == 403 && code.empty()))
    return Error(ErrorKind::invalid,
                 fmt::format("{}: this model is given out on conditions. Accept them at "
                             "https://huggingface.co/{}, then set HF_TOKEN to a token of your "
                             "account (https://huggingface.co/settings/tokens)",
                             repo, repo));
  if (code == "RevisionNotFound")
    return Error(ErrorKind::not_found,
                 fmt::format("{}: has no revision '{}'", repo, reference.revision));
  if (status == 401 && has_token)
    return Error(
        ErrorKind::invalid,
        fmt::format("{}: does not exist, or the token (HF_TOKEN, or the one `hf auth login` "
                    "stored) is not valid for it",
                    repo));
  if (status == 401)
    return Error(ErrorKind::not_found,
                 fmt::format("{}: there is no such public model on Hugging Face; if it is private, "
                             "set HF_TOKEN",
                             repo));
  if (status == 404)
    return Error(ErrorKind::not_found,
                 fmt::format("{}: there is no such model on Hugging Face", repo));
  return std::nullopt;
}

bool is_hex(std::string_view text, std::size_t digits) {
  return text.size() == digits && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<Repository> read_repository(const Json& json) {
  Repository repository;
  repository.commit = text_member(json, "sha");
  const Json* files = json.find("siblings");
  if (!files || !files->is_array() || files->size() > max_repository_files ||
      !is_hex(repository.commit, 40))
    return Error(ErrorKind::corrupt, "the hub's answer is not a description of a model");
  for (const Json& entry : files->as_array()) {
    RepositoryFile file;
    file.name = text_member(entry, "rfilename");
    if (!is_safe_path(file.name)) continue;
    file.bytes = count_member(entry, "size");
    file.git_blob = text_member(entry, "blobId");
    if (!is_hex(file.git_blob, 40)) file.git_blob.clear();
    if (const Json* lfs = entry.find("lfs"); lfs && lfs->is_object()) {
      file.sha256 = text_member(*lfs, "sha256");
      if (file.sha256.empty()) file.sha256 = text_member(*lfs, "oid");
      if (!is_hex(file.sha256, 64)) file.sha256.clear();
      if (const auto bytes = count_member(*lfs, "size")) file.bytes = bytes;
      file.git_blob.clear();  // that of the pointer
    }
    repository.files.push_back(std::move(file));
  }
  return repository;
}

// One model among the GGUF (or GGML) files of a repository: a file, or all parts of a split one.
struct Variant {
  std::string label, stem;
  std::vector<const RepositoryFile*> files;  // parts in order
  std::uint64_t bytes = 0;
};

// whisper.cpp's files are older in form; repositories that have both mean the newer one.
std::vector<Variant> gguf_variants(const Repository& repository) {
  const auto is_gguf = [](const RepositoryFile& file) {
    return file.name.ends_with(".gguf") && !file_name(file.name).starts_with("mmproj");
  };
  const bool has_gguf = std::ranges::any_of(repository.files, is_gguf);
  std::map<std::string, Variant> by_stem;
  for (const RepositoryFile& file : repository.files) {
    const std::string name = file_name(file.name);
    const bool is_older = name.starts_with("ggml-") && name.ends_with(".bin");
    if (has_gguf ? !is_gguf(file) : !is_older) continue;
    if (is_tower_file(name)) continue;
    const int parts = split_place(file.name).parts;  // some hold a model whole and in parts
    Variant& variant =
        by_stem[fmt::format("{}/{}/{}", parent_folder(file.name), model_stem(file.name), parts)];
    variant.label = quantisation_label(file.name);
    variant.stem = model_stem(file.name);
    variant.files.push_back(&file);
    variant.bytes += file.bytes;
  }
  std::vector<Variant> variants;
  for (auto& [stem, variant] : by_stem) {
    std::ranges::sort(variant.files, {}, [](const RepositoryFile* file) { return file->name; });
    if (variant.files.size() == static_cast<std::size_t>(split_place(variant.files[0]->name).parts))
      variants.push_back(std::move(variant));
  }
  std::ranges::stable_sort(variants, {}, [](const Variant& variant) {
    return std::pair(quantisation_rank(variant.label), variant.files.size());
  });
  return variants;
}

// The vision tower in the folder of the weights: of halves where there are several.
const RepositoryFile* tower_of(const Repository& repository, const std::string& main) {
  const RepositoryFile* best = nullptr;
  const auto rank = [](const RepositoryFile& file) {
    const std::string label = quantisation_label(file.name);
    return label == "F16" ? 0 : label == "BF16" ? 1 : label == "Q8_0" ? 2 : 3;
  };
  for (const RepositoryFile& file : repository.files)
    if (is_tower_file(file.name) && parent_folder(file.name) == parent_folder(main) &&
        (best == nullptr || rank(file) < rank(*best)))
      best = &file;
  return best;
}

// "Q4_K_M (2.50 GB), Q8_0 (4.28 GB)"
std::string listed(const std::vector<Variant>& variants) {
  std::string text;
  for (std::size_t i = 0; i < variants.size() && i < max_listed; ++i)
    text += fmt::format("{}{} ({:.2f} GB)", i == 0 ? "" : ", ",
                        variants[i].label.empty() ? variants[i].stem : variants[i].label,
                        static_cast<double>(variants[i].bytes) / 1e9);
  if (variants.size() > max_listed)
    text += fmt::format(" and {} more", variants.size() - max_listed);
  return text;
}

Result<Variant> choose_variant(const Reference& reference, const std::vector<Variant>& variants,
                               const Network& network) {
  if (reference.file.empty()) {
    for (const Variant& variant : variants)
      if (equal_ignoring_case(variant.label, network.quantisation) && !variant.label.empty() &&
          variant.bytes <= network.quantisation_bytes)
        return variant;
    return variants.front();
  }
  for (const Variant& variant : variants) {
    if (equal_ignoring_case(variant.label, reference.file)) return variant;
    for (const RepositoryFile* file : variant.files)
      if (equal_ignoring_case(file->name, reference.file) ||
          equal_ignoring_case(file_name(file->name), reference.file))
        return variant;
  }
  return Error(ErrorKind::not_found, fmt::format("{}: has no '{}'; there is: {}", reference.name,
                                                 reference.file, listed(variants)));
}

// What a folder of safetensors needs beside its weights.
bool is_companion(std::string_view name) {
  for (const std::string_view whole : {"config.json",
                                       "generation_config.json",
                                       "tokenizer.json",
                                       "tokenizer_config.json",
                                       "special_tokens_map.json",
                                       "added_tokens.json",
                                       "tokenizer.model",
                                       "tekken.json",
                                       "vocab.txt",
                                       "preprocessor_config.json",
                                       "processor_config.json",
                                       "vocab.json",
                                       "vocabulary.json",
                                       "vocabulary.txt",
                                       "merges.txt",
                                       "chat_template.jinja",
                                       "chat_template.json",
                                       "1_Pooling/config.json",
                                       "modules.json",
                                       "0_StaticEmbedding/tokenizer.json",
                                       "2_Dense/config.json",
                                       "2_Dense/model.safetensors",
                                       "3_Dense/config.json",
                                       "3_Dense/model.safetensors",
                                       "sentence_bert_config.json",
                                       "config_sentence_transformers.json",
                                       "model.safetensors.index.json",
                                       "LICENSE"})
    if (name == whole) return true;
  return name.ends_with(".tiktoken") && !name.contains('/');
}

bool is_weights(const Repository& repository, std::string_view name) {
  if (name == "0_StaticEmbedding/model.safetensors") return true;
  if (name == "model.bin")  // CTranslate2's
    return std::ranges::any_of(repository.files, [](const RepositoryFile& file) {
      return file.name.starts_with("vocabulary.");
    });
  if (!name.ends_with(".safetensors") || name.contains('/') || name.starts_with("adapter"))
    return false;
  if (name.starts_with("model.fp32-")) return false;  // Whisper's hold them twice, too
  const bool has_model = std::ranges::any_of(repository.files, [](const RepositoryFile& file) {
    return file.name.starts_with("model") && file.name.ends_with(".safetensors");
  });
  return !has_model || name.starts_with("model");  // Mistral's repositories hold the weights twice
}

RemoteFile remote_file(const Reference& reference, const Network& network,
                       const std::string& commit, const RepositoryFile& file) {
  return {.name = file.name,
          .url = fmt::format("{}/{}/resolve/{}/{}", network.hub, reference.name, commit,
                             percent_encoded(file.name)),
          .bearer = network.hub_token,
          .bytes = file.bytes,
          .sha256 = file.sha256,
          .git_blob = file.git_blob};
}

Result<DownloadPlan> plan_hub(const Reference& reference, const Network& network,
                              const DownloadHooks& hooks) {
  const std::string revision = reference.revision.empty() ? "main" : reference.revision;
  std::string encoded = percent_encoded(revision);
  for (std::size_t at = 0; (at = encoded.find('/', at)) != encoded.npos;)
    encoded.replace(at, 1, "%2F");
  const std::string answer =
      TRY(fetch_text({.url = fmt::format("{}/api/models/{}/revision/{}?blobs=true", network.hub,
                                         reference.name, encoded),
                      .bearer = network.hub_token,
                      .headers = {"Accept: application/json"},
                      .refusal =
                          [&](int status, const std::string& code) {
                            return hub_refusal(reference, !network.hub_token.empty(), status, code);
                          }},
                     network, hooks));
  const auto json = parse_json(answer);
  if (!json)
    return Error(ErrorKind::corrupt, fmt::format("{}: the hub's answer is no JSON", network.hub));
  const Repository repository = TRY(read_repository(*json));

  DownloadPlan plan;
  plan.revision = repository.commit;
  Reference chosen = reference;
  if (const auto variants = gguf_variants(repository); !variants.empty()) {
    const Variant variant = TRY(choose_variant(reference, variants, network));
    const auto of_label = std::ranges::find(variants, variant.label, &Variant::label);
    const bool is_plain = !variant.label.empty() && of_label->files[0] == variant.files[0];
    chosen.file = is_plain ? variant.label : variant.files[0]->name;
    for (const RepositoryFile* file : variant.files)
      plan.files.push_back(remote_file(reference, network, repository.commit, *file));
    plan.main = variant.files[0]->name;
    if (const RepositoryFile* tower = tower_of(repository, plan.main))
      plan.files.push_back(remote_file(reference, network, repository.commit, *tower));
  } else {
    bool has_weights = false;
    for (const RepositoryFile& file : repository.files) {
      const bool weights = is_weights(repository, file.name);
      has_weights = has_weights || weights;
      if (weights || is_companion(file.name))
        plan.files.push_back(remote_file(reference, network, repository.commit, file));
    }
    if (!has_weights)
      return Error(ErrorKind::unsupported,
                   fmt::format("{}: holds no GGUF and no safetensors files; Hearth reads those. A "
                               "repository of the same name with GGUF at its end often does",
                               reference.name));
    if (!reference.file.empty())
      return Error(ErrorKind::not_found,
                   fmt::format("{}: holds safetensors, no quantisations such as '{}': leave it out",
                               reference.name, reference.file));
    plan.main = ".";
  }
  plan.reference = chosen.text();
  return plan;
}

// ---- Ollama's registry.  Source: Open Container Initiative, "Distribution Specification". ----

Result<DownloadPlan> plan_ollama(const Reference& reference, const Network& network,
                                 const DownloadHooks& hooks) {
  const std::string name =
      reference.name.contains('/') ? reference.name : "library/" + reference.name;
  const std::string base = fmt::format("{}/v2/{}", network.ollama, name);
  const std::string answer =
      TRY(fetch_text({.url = fmt::format("{}/manifests/{}", base, reference.tag),
                      .bearer = "",
                      .headers = {"Accept: application/vnd.docker.distribution.manifest.v2+json"},
                      .max_bytes = 1u << 20,
                      .refusal = [&](int status, const std::string&) -> std::optional<Error> {
                        if (status != 404 && status != 401) return std::nullopt;
                        return Error(ErrorKind::not_found,
                                     fmt::format("{}: there is no such model in Ollama's library",
                                                 reference.text()));
                      }},
                     network, hooks));
  const auto json = parse_json(answer);
  const Json* layers = json ? json->find("layers") : nullptr;
  if (!layers || !layers->is_array())
    return Error(ErrorKind::corrupt, "the registry's answer is not a description of a model");

  DownloadPlan plan;
  plan.reference = reference.text();
  plan.main = "model.gguf";
  const struct {
    std::string_view type, name;
  } kinds[] = {{"application/vnd.ollama.image.model", "model.gguf"},
               {"application/vnd.ollama.image.projector", "mmproj.gguf"},
               {"application/vnd.ollama.image.license", "LICENSE"},
               {"application/vnd.ollama.image.params", "params.json"}};
  for (const Json& layer : layers->as_array()) {
    const std::string type = text_member(layer, "mediaType");
    const std::string digest = text_member(layer, "digest");
    for (const auto& kind : kinds) {
      const bool is_new = std::ranges::none_of(
          plan.files, [&](const RemoteFile& file) { return file.name == kind.name; });
      if (type != kind.type || !is_new) continue;
      if (!digest.starts_with("sha256:") || !is_hex(digest.substr(7), 64))
        return Error(ErrorKind::corrupt, "the registry names a file without its SHA-256");
      plan.files.push_back({.name = std::string(kind.name),
                            .url = fmt::format("{}/blobs/{}", base, digest),
                            .bearer = "",
                            .bytes = count_member(layer, "size"),
                            .sha256 = digest.substr(7),
                            .git_blob = ""});
    }
  }
  if (plan.files.empty() || std::ranges::none_of(plan.files, [&](const RemoteFile& file) {
        return file.name == plan.main;
      }))
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: has no GGUF file in Ollama's library", reference.text()));
  return plan;
}

// ---- An address. ----

Result<DownloadPlan> plan_url(const Reference& reference) {
  const std::string_view url = reference.name;
  const std::string path(url.substr(0, url.find_first_of("?#")));
  const std::string name = file_name(path);
  if (!is_safe_path(name) || !(name.ends_with(".gguf") || name.ends_with(".safetensors")))
    return Error(
        ErrorKind::invalid,
        fmt::format("'{}': needs the address of a .gguf or .safetensors file", printable(url)));
  DownloadPlan plan;
  plan.reference = url;
  plan.main = name;
  RemoteFile file;
  file.name = name;
  file.url = url;
  plan.files.push_back(std::move(file));
  return plan;
}

}  // namespace

std::uint64_t DownloadPlan::bytes() const {
  std::uint64_t sum = 0;
  for (const RemoteFile& file : files) sum += file.bytes;
  return sum;
}

bool is_safe_path(std::string_view path) {
  constexpr std::size_t max_path_bytes = 1024, max_part_bytes = 200;
  if (path.empty() || path.size() > max_path_bytes) return false;
  for (const char c : path)
    if (static_cast<unsigned char>(c) < ' ' || c == '\\' || c == '\x7f') return false;
  for (;;) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part[0] == '.' || part.size() > max_part_bytes) return false;
    if (slash == path.npos) return true;
    path.remove_prefix(slash + 1);
  }
}

Result<DownloadPlan> plan_download(const Reference& reference, const Network& network,
                                   const DownloadHooks& hooks) {
  switch (reference.kind) {
    case Reference::Kind::hub:
      return plan_hub(reference, network, hooks);
    case Reference::Kind::ollama:
      return plan_ollama(reference, network, hooks);
    case Reference::Kind::url:
      return plan_url(reference);
    default:
      return Error(ErrorKind::invalid, fmt::format("'{}': nothing to download", reference.text()));
  }
}

Network standard_network(const std::string& hub, const std::string& ollama, bool offline) {
  Network network;
  const std::string endpoint = hub.empty() ? variable("HF_ENDPOINT") : hub;
  if (!endpoint.empty()) network.hub = without_slash(endpoint);
  if (!ollama.empty()) network.ollama = without_slash(ollama);
  network.hub_token = stored_token();
  const std::string hub_offline = variable("HF_HUB_OFFLINE");
  if (offline)
    network.offline = "library.offline is set";
  else if (!hub_offline.empty() && hub_offline != "0" && !equal_ignoring_case(hub_offline, "false"))
    network.offline = "HF_HUB_OFFLINE is set";
  return network;
}

}  // namespace hearth
