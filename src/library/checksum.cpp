#include "library/checksum.h"

#include <fmt/core.h>
#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/check.h"
#include "base/digest.h"

namespace hearth {
namespace {

struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

}  // namespace

struct Checksum::State {
  std::uint64_t git_bytes;
  Sha256Stream sha256 = {};
  std::unique_ptr<EVP_MD_CTX, ContextDeleter> git{EVP_MD_CTX_new()};
};

Checksum::Checksum(std::uint64_t git_bytes) : state_(new State{.git_bytes = git_bytes}) {
  restart();
}
Checksum::~Checksum() = default;

void Checksum::restart() {
  state_->sha256.restart();
  HEARTH_CHECK(EVP_DigestInit_ex(state_->git.get(), EVP_sha1(), nullptr) == 1);
  const std::string head = fmt::format("blob {}", state_->git_bytes);
  EVP_DigestUpdate(state_->git.get(), head.c_str(), head.size() + 1);  // its zero byte too
}

void Checksum::add(std::span<const std::byte> bytes) {
  constexpr std::uint64_t largest_git_file = 64u << 20;  // larger ones are not kept in Git itself
  state_->sha256.add(bytes);
  if (state_->git_bytes <= largest_git_file)
    EVP_DigestUpdate(state_->git.get(), bytes.data(), bytes.size());
}

std::string Checksum::sha256() { return hex_text(state_->sha256.finish()); }
std::string Checksum::git_blob() {
  std::array<std::uint8_t, 20> id{};
  HEARTH_CHECK(EVP_DigestFinal_ex(state_->git.get(), id.data(), nullptr) == 1);
  return hex_text(id);
}

Status add_file(Checksum& checksum, const std::string& path,
                const std::function<bool(std::uint64_t bytes)>& read) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                             std::fclose);
  if (!file) return Error(ErrorKind::io, fmt::format("{}: {}", path, std::strerror(errno)));
  std::vector<std::byte> buffer(1 << 20);
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
    checksum.add(std::span(buffer).first(got));
    if (read && !read(got)) return Error(ErrorKind::cancelled, "stopped");
  }
  if (std::ferror(file.get())) return Error(ErrorKind::io, fmt::format("{}: cannot be read", path));
  return Done{};
}

}  // namespace hearth
