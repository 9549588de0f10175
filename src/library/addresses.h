// Addresses: where a file of the hub may be had, the hub first, its mirrors after it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "library/download.h"

namespace hearth {

// One caller.  What a mirror says is never the last word: it may be behind the hub, or lie.
class Addresses {
 public:
  Addresses(const std::string& url, const std::string& bearer, const Network& network);

  const std::string& url() const { return urls_[at_]; }
  std::string bearer() const { return is_mirror() ? std::string() : bearer_; }
  bool is_mirror() const { return at_ > 0; }

  // After a failure: goes to the next address and returns nothing, or, when all have failed or the
  // first one gave an answer that counts, begins anew and returns what the first one said.
  std::optional<Error> failed(const Error& error);
  // The mirror asked last sent what the hub did not promise: it is not asked again.
  void drop_mirror();

 private:
  std::vector<std::string> urls_;
  std::string bearer_;
  std::size_t at_ = 0;
  std::optional<Error> first_error_;
};

}  // namespace hearth
