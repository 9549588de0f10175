// Matcher: follows one text through a grammar and says which tokens may come next.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "text/grammar/masks.h"

namespace hearth::grammar {

// Used by one thread at a time.
class Matcher {
 public:
  explicit Matcher(std::shared_ptr<Masks> masks);

  // Adds the tokens that may come next to `set` ([TokenTrie::words]): those after whose bytes the
  // text can still be completed, and every end of generation exactly when the text is complete.
  void allow(std::span<std::uint64_t> set);
  // Whether `token` is among them; without making the whole set.
  bool allows(Token token) const;

  // Takes the token; false, and nothing changes, when it may not come.
  bool accept(Token token);
  bool accept_text(std::string_view bytes);

  // Where in `bytes`, if they come next, a value may begin whose lists are held to more.  Points
  // into the program.
  struct ListBegin {
    std::size_t at;
    const ListRules* rules;
  };
  std::vector<ListBegin> lists_in(std::string_view bytes) const;

  bool may_end() const { return reading_.may_end(at_); }  // the text is complete as it stands
  bool must_end() const { return reading_.places(at_).empty(); }  // nothing more may come

 private:
  SituationId after(Token token) const;
  void allow_rest(SituationId from, std::uint32_t node, std::span<std::uint64_t> set);
  void make(std::span<std::uint64_t> set);

  std::shared_ptr<Masks> masks_;
  mutable Reading reading_;
  SituationId at_;
  // The last few sets, which a text goes back to again and again.
  struct Recent {
    SituationId at = unknown;
    std::vector<std::uint64_t> set;
  };
  std::array<Recent, 8> recent_;
  std::size_t next_recent_ = 0;
  std::vector<SituationId> path_;
};

}  // namespace hearth::grammar
