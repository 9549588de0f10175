#include "library/reference.h"

#include <fmt/core.h>

#include <array>

#include "base/files.h"
#include "base/nearest.h"
#include "base/user_folders.h"
#include "base/utf8.h"

namespace hearth {
namespace {

constexpr std::size_t max_reference_bytes = 4096, max_part_bytes = 128;

Error wrong(std::string_view text, std::string_view what) {
  return Error(ErrorKind::invalid, fmt::format("'{}': {}", printable(text), what));
}

Reference of(Reference::Kind kind, std::string_view name) {
  Reference reference;
  reference.kind = kind;
  reference.name = name;
  return reference;
}

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}

// One part of a name: no slash, and nothing that could leave a folder or look like an option.
bool is_part(std::string_view part) {
  if (part.empty() || part.size() > max_part_bytes) return false;
  if (part[0] == '.' || part[0] == '-') return false;
  for (const char c : part)
    if (!is_word(c)) return false;
  return part.find("..") == part.npos;
}

// "a/b/c": every part between slashes.
bool are_parts(std::string_view text, std::size_t least, std::size_t most) {
  std::size_t parts = 0;
  for (;;) {
    const std::size_t slash = text.find('/');
    if (!is_part(text.substr(0, slash))) return false;
    ++parts;
    if (slash == text.npos) return parts >= least && parts <= most;
    text.remove_prefix(slash + 1);
  }
}

// Cuts `text` at the first `mark`; what follows it is returned.
std::string cut(std::string_view& text, char mark) {
  const std::size_t at = text.find(mark);
  if (at == text.npos) return "";
  std::string rest(text.substr(at + 1));
  text = text.substr(0, at);
  return rest;
}

Result<Reference> parse_hub(std::string_view whole, std::string_view text) {
  Reference reference = of(Reference::Kind::hub, "");
  const bool has_file = text.contains(':');
  reference.file = cut(text, ':');
  const bool has_revision = text.contains('@');
  reference.revision = cut(text, '@');
  reference.name = text;
  if (!are_parts(text, 2, 2))
    return wrong(whole, "needs hf:org/repo, as in hf:Qwen/Qwen3-0.6B-GGUF:Q8_0");
  if (has_file && !are_parts(reference.file, 1, 8))
    return wrong(whole,
                 "after the colon stands a file of the repository or a quantisation, as in "
                 "hf:Qwen/Qwen3-0.6B-GGUF:Q8_0");
  if (has_revision && !are_parts(reference.revision, 1, 8))
    return wrong(whole, "after the @ stands a branch, tag or commit");
  if (reference.revision == "main") reference.revision.clear();
  return reference;
}

Result<Reference> parse_ollama(std::string_view whole, std::string_view text) {
  Reference reference = of(Reference::Kind::ollama, "");
  const bool has_tag = text.contains(':');
  reference.tag = cut(text, ':');
  reference.name = text;
  if (!are_parts(text, 1, 4) || (has_tag && !is_part(reference.tag)))
    return wrong(whole, "needs ollama:name[:tag], as in ollama:qwen3:0.6b");
  if (reference.name.starts_with("library/")) reference.name.erase(0, 8);
  if (reference.tag.empty()) reference.tag = "latest";
  return reference;
}

// A page or a file of huggingface.co: org/repo[/resolve|blob|tree/revision[/file]].
Result<Reference> parse_hub_page(std::string_view whole, std::string_view path) {
  path = path.substr(0, path.find_first_of("?#"));
  while (path.ends_with('/')) path.remove_suffix(1);
  std::array<std::string, 2> repo;
  for (std::string& part : repo) {
    const std::size_t slash = path.find('/');
    part = path.substr(0, slash);
    path = slash == path.npos ? "" : path.substr(slash + 1);
  }
  std::string text = repo[0] + "/" + repo[1];
  if (!path.empty()) {
    const std::string rest = cut(path, '/');
    std::string_view revision = rest;
    const std::string file = cut(revision, '/');
    if (path != "resolve" && path != "blob" && path != "tree")
      return wrong(whole, "not the address of a model on Hugging Face");
    text += fmt::format("@{}", revision);
    if (!file.empty() && path != "tree") text += ":" + file;
  }
  return parse_hub(whole, text);
}

Result<Reference> parse_url(std::string_view whole) {
  std::string_view rest = whole.substr(whole.find("://") + 3);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  for (const char c : whole)
    if (static_cast<unsigned char>(c) <= ' ' || c == '\\' || c == '\x7f')
      return wrong(whole, "an address holds no white space");
  if (authority.empty()) return wrong(whole, "the address names no host");
  if (authority.contains('@'))
    return wrong(whole, "names and passwords do not belong in an address");
  rest.remove_prefix(authority.size());
  if (!rest.empty()) rest.remove_prefix(1);
  for (const std::string_view host : {"huggingface.co", "www.huggingface.co", "hf.co"})
    if (authority == host) return parse_hub_page(whole, rest);
  for (const std::string_view host : {"ollama.com", "www.ollama.com"})
    if (authority == host) return parse_ollama(whole, rest);
  return of(Reference::Kind::url, whole);
}

Reference path_reference(std::string_view text) {
  std::string path(text);
  if (path.starts_with("~/")) path = join_path(home_folder(), path.substr(2));
  return of(Reference::Kind::path, path);
}

bool looks_like_path(std::string_view text) {
  for (const std::string_view begin : {"/", "./", "../", "~/"})
    if (text.starts_with(begin)) return true;
  for (const std::string_view end : {".gguf", ".safetensors", "/"})
    if (text.ends_with(end)) return true;
  return text == "." || text == "..";
}

Result<Reference> parse_name(std::string_view whole) {
  Reference reference;
  std::string_view name = whole;
  const bool has_tag = name.contains(':');
  reference.tag = cut(name, ':');
  reference.name = name;
  if (reference.tag.contains('/')) {
    constexpr std::array<std::string_view, 2> schemes{"hf", "ollama"};
    return wrong(whole, fmt::format("did you mean {}:{}?", nearest(name, schemes), reference.tag));
  }
  if (!are_parts(name, 1, 8) || (has_tag && !is_part(reference.tag)))
    return wrong(whole,
                 "not a model's name: needs name[:tag], hf:org/repo[:quantisation], "
                 "ollama:name[:tag], an address, a path or `builtin`");
  return reference;
}

}  // namespace

std::string Reference::text() const {
  switch (kind) {
    case Kind::hub:
      return fmt::format("hf:{}{}{}", name, revision.empty() ? "" : "@" + revision,
                         file.empty() ? "" : ":" + file);
    case Kind::ollama:
      return fmt::format("ollama:{}:{}", name, tag);
    case Kind::service:
      return fmt::format("remote:{}", name);
    case Kind::name:
      return tag.empty() ? name : fmt::format("{}:{}", name, tag);
    default:
      return name;
  }
}

Result<Reference> parse_reference(std::string_view text) {
  if (text.empty()) return Error(ErrorKind::invalid, "a model's name is empty");
  if (text.size() > max_reference_bytes) return wrong(text.substr(0, 64), "is too long for a name");
  if (text == builtin_chat || text == builtin_embedder) return of(Reference::Kind::builtin, text);
  if (text.starts_with("http://") || text.starts_with("https://")) return parse_url(text);
  if (text.starts_with("file://")) return path_reference(text.substr(7));
  const std::string path(text);
  if (is_file(path) || is_folder(path)) return path_reference(text);
  for (const std::string_view scheme : {"hf:", "hf.co/", "huggingface.co/"})
    if (text.starts_with(scheme)) return parse_hub(text, text.substr(scheme.size()));
  if (text.starts_with("ollama:")) return parse_ollama(text, text.substr(7));
  if (text.starts_with("remote:")) {
    if (!is_part(text.substr(7))) return wrong(text, "needs remote:name, as in remote:lab");
    return of(Reference::Kind::service, text.substr(7));
  }
  if (text.contains("://")) return wrong(text, "only http:// and https:// addresses are fetched");
  if (looks_like_path(text)) return path_reference(text);
  return parse_name(text);
}

}  // namespace hearth
