#include "library/addresses.h"

namespace hearth {

Addresses::Addresses(const std::string& url, const std::string& bearer, const Network& network)
    : urls_{url}, bearer_(bearer) {
  if (!url.starts_with(network.hub + "/")) return;
  for (const std::string& mirror : network.mirrors)
    urls_.push_back(mirror + url.substr(network.hub.size()));
}

Status Addresses::try_again(Retries& retries, const Error& error, double retry_after) {
  if (!is_mirror()) first_error_ = error;
  const bool counts = !is_mirror() && error.kind() != ErrorKind::unavailable;
  if (error.kind() == ErrorKind::cancelled) return retries.wait(error, retry_after);
  if (!counts && at_ + 1 < urls_.size()) {
    ++at_;
    return Done{};
  }
  at_ = 0;
  return retries.wait(*first_error_, retry_after);
}

void Addresses::drop_mirror() {
  urls_.erase(urls_.begin() + static_cast<std::ptrdiff_t>(at_));
  at_ = 0;
}

}  // namespace hearth
