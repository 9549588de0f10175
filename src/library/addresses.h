// Addresses: where a file of the hub may be had, the hub first, its mirrors after it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "library/download.h"
#include "library/retry.h"

namespace hearth {

// One caller.  What a mirror says is never the last word: it may be behind the hub, or lie.
class Addresses {
 public:
  Addresses(const std::string& url, const std::string& bearer, const Network& network);

  const std::string& url() const { return urls_[at_]; }
  std::string bearer() const { return is_mirror() ? std::string() : bearer_; }
  bool is_mirror() const { return at_ > 0; }

  // After a failure: goes to the next address at once.  When all have failed, or the first one gave
  // an answer that counts, begins anew with it, waiting first, or says why there is no use.
  Status try_again(Retries& retries, const Error& error, double retry_after = 0);
  // The mirror asked last sent what the hub did not promise: it is not asked again.
  void drop_mirror();

 private:
  std::vector<std::string> urls_;
  std::string bearer_;
  std::size_t at_ = 0;
  std::optional<Error> first_error_;
};

}  // namespace hearth
