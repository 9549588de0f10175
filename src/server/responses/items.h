// Conversation: the items of the Responses interface, put together to messages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "server/errors.h"

namespace hearth::server::responses {

// The name that a tool of a namespace has for the model: at most 64 bytes.
std::string function_name(std::string_view space, std::string_view name);

// A call that an earlier answer asked about, and the client says yes to.
struct Approval {
  std::string request_id, server, tool, arguments;
  std::string call_id;
  std::size_t message_index = 0;  // of the message that is to hold its result
};

class Conversation {
 public:
  // content: a text or a list of parts.
  void add_system(const Json& content);
  // Errors: 400 naming the place.
  Check add(const Json& item, const std::string& place);
  // The messages in the form that templates know.  Once.
  Json take();
  bool has_left_out() const { return left_out_; }
  // Those whose calls have not been made yet.
  std::vector<Approval> take_approvals();

 private:
  void flush();
  Check add_message(const Json& item, const std::string& place);
  Check add_call(const Json& item, const std::string& place, std::string_view input);
  Check add_result(const Json& item, const std::string& place);
  Check add_served(const Json& item, const std::string& place);
  Check add_approval(const Json& item, const std::string& place);
  void add_pair(const std::string& id, std::string_view server, std::string_view tool,
                const Json& arguments, std::string_view result);

  Json messages_ = Json::array();
  // Of the answer that is being put together: items that follow one another are one message.
  std::string thought_;
  Json texts_ = Json::array(), calls_ = Json::array();
  std::vector<Approval> questions_, approvals_;
  bool left_out_ = false;
};

}  // namespace hearth::server::responses
