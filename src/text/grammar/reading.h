// Reading: what a grammar makes of a text, byte by byte.
//
// A frame is a rule to go on with, a stack is a chain of frames, and a situation is everywhere the
// grammar may be: each place a state, a count and a stack.  Frames and situations are found once
// and then known by number, so that a byte costs a look into a table.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "text/grammar/program.h"

namespace hearth::grammar {

using FrameId = std::uint32_t;
using SituationId = std::uint32_t;
constexpr FrameId bottom = 0;  // of a stack: the grammar ends, or what is not looked at begins
constexpr SituationId unknown = 0, dead = 1;

struct Place {
  StateId state;
  std::uint32_t count;
  FrameId stack;
  auto operator<=>(const Place&) const = default;
};

// Used by one thread.  More places at once than max_parallel, and stacks deeper than max_depth, are
// left out: the text cannot go on there.
class Reading {
 public:
  explicit Reading(std::shared_ptr<const Program> program);

  SituationId begin();          // of the whole grammar
  SituationId at(Place place);  // just there
  SituationId at(std::span<const Place> places);
  SituationId on_return(FrameId stack);  // after the rule on top of the stack has ended
  SituationId after(SituationId from, std::uint8_t byte) {
    const SituationId next =
        rows_[std::size_t{from} * program_->class_count + program_->classes[byte]];
    return next != unknown ? next : find_after(from, byte);
  }
  SituationId after_token(SituationId from, Token token);

  std::span<const Place> places(SituationId id) const {
    const Situation& s = situations_[id];
    return std::span(places_).subspan(s.first, s.count);
  }
  bool may_end(SituationId id) const { return situations_[id].may_end; }
  const Program& program() const { return *program_; }

  // When there are too many situations, forgets all but one, which gets a new number: true.
  bool tidy(SituationId& keep);

 private:
  struct Frame {
    StateId state;
    std::uint32_t count;
    FrameId below;
    std::uint32_t depth;
  };
  struct Situation {
    std::uint32_t first, count;
    bool may_end;
  };

  void clear();
  SituationId find_after(SituationId from, std::uint8_t byte);
  void move(const Place& from, StateId target, Action action);
  void close();  // adds what can be reached without reading
  void add(const Place& place);
  void call(const Place& from, const Program::Call& call);
  void leave(const Place& from);
  bool is_full(const Place& place) const;
  SituationId intern();
  FrameId push(const Place& place);
  std::uint32_t counted(const Place& from, Action action) const;

  std::shared_ptr<const Program> program_;
  std::vector<Frame> frames_;
  std::vector<std::uint32_t> frame_table_, situation_table_;  // open addressing; 0: free
  std::vector<Situation> situations_;
  std::vector<Place> places_;
  std::vector<SituationId> rows_;     // [situations, class_count]
  std::vector<SituationId> returns_;  // by frame

  // Of the situation that is being found.
  std::vector<Place> open_;
  std::vector<std::uint32_t> open_table_;
  bool may_end_ = false;
};

}  // namespace hearth::grammar
