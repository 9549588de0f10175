#include "library/addresses.h"

namespace hearth {

Addresses::Addresses(const std::string& url, const std::string& bearer, const Network& network)
    : urls_{url}, bearer_(bearer) {
  if (!url.starts_with(network.hub + "/")) return;
  for (const std::string& mirror : network.mirrors)
    urls_.push_back(mirror + url.substr(network.hub.size()));
}

std::optional<Error> Addresses::failed(const Error& error) {
  if (!is_mirror()) first_error_ = error;
  const bool counts = !is_mirror() && error.kind() != ErrorKind::unavailable;
  if (error.kind() == ErrorKind::cancelled) return error;
  if (!counts && at_ + 1 < urls_.size()) {
    ++at_;
    return std::nullopt;
  }
  at_ = 0;
  return first_error_;
}

void Addresses::drop_mirror() {
  urls_.erase(urls_.begin() + static_cast<std::ptrdiff_t>(at_));
  at_ = 0;
}

}  // namespace hearth
