// ToolHost: the servers of the Model Context Protocol whose tools requests may use, by the policy
// of the settings: which servers, for whose keys, and what runs without asking.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "server/access/records.h"
#include "server/serve.h"
#include "server/tools/offer.h"
#include "server/tools/wish.h"

namespace hearth::server {

struct OfferRequest {
  const KeyRecord* key = nullptr;
  const std::vector<ToolWish>& wishes;
  bool can_ask = false;              // the interface has a way to ask the client before a call
  std::set<std::string> taken = {};  // names of the client's own functions
  std::stop_token stop = {};
};

// Thread-safe.  Servers are started when they are first wanted.
class ToolHost {
 public:
  explicit ToolHost(ToolSettings settings);
  ~ToolHost();
  void leave() { leaving_.request_stop(); }  // who waits for a server waits no longer

  // Blocks while servers start.  `warning`: what was left out.  Errors: 400 (a server that this
  // request may not use), 424 (one that does not answer).
  Checked<ToolOffer> offer(OfferRequest request, std::string& warning);
  // There is a server whose tools every request gets that may have them.
  bool has_standing() const { return has_standing_; }

 private:
  struct Place;
  using Box = std::shared_ptr<hearth::mcp::Toolbox>;

  Checked<Box> find(const OfferRequest& request, const ToolWish& wish);
  Checked<Box> open(Place& place);
  Checked<Box> visit(const ToolWish& wish, const std::stop_token& stop) const;

  const ToolSettings settings_;
  std::stop_source leaving_;
  bool has_standing_ = false;
  std::map<std::string, std::unique_ptr<Place>, std::less<>> places_;  // by label
};

}  // namespace hearth::server
