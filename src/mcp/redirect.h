// RedirectListener: where a browser comes back to after a person has signed in elsewhere.
// Source: RFC 8252, section 7.3.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

#include "base/result.h"

namespace hearth::mcp {

struct Redirected {
  std::string code, issuer, error, description;
};

class RedirectListener {
 public:
  // On 127.0.0.1.  What comes with another state is answered, and is not what is waited for.
  static Result<std::unique_ptr<RedirectListener>> open(std::uint16_t port,
                                                        const std::string& state);
  ~RedirectListener();

  std::string address() const;  // "http://127.0.0.1:40123/callback"
  // Errors: cancelled.
  Result<Redirected> wait(const std::stop_token& stop);

 private:
  struct State;
  explicit RedirectListener(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hearth::mcp
