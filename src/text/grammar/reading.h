// Reading: what a grammar makes of a text, byte by byte.
//
// A frame is a rule to go on with, a stack is a chain of frames, and a situation is everywhere the
// grammar may be: each place a state, a count and a stack.  Frames and situations are found once
// and then known by number, so that a byte costs a look into a table.
#pragma once

#include <algorithm>
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
  // `free_loop`: a counted repeat that may come any number of times, whatever the program says of
  // it, so that its counts only tell how many have been read; 0: none.
  explicit Reading(std::shared_ptr<const Program> program, std::uint32_t free_loop = 0);

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
  // What after() has found before for the bytes of a class, or `unknown`.
  SituationId known_after(SituationId from, std::uint32_t byte_class) const {
    return rows_[std::size_t{from} * program_->class_count + byte_class];
  }

  std::span<const Place> places(SituationId id) const {
    const Situation& s = situations_[id];
    return std::span(places_).subspan(s.first, s.count);
  }
  bool may_end(SituationId id) const { return situations_[id].may_end; }
  // The greatest count of its places, and of the rules that they are to go on with.
  std::uint32_t greatest_count(SituationId id) const { return situations_[id].greatest_count; }
  const Program& program() const { return *program_; }
  // How often the repeat that a state is in may come.
  const Program::Loop& loop_of(StateId state) const {
    static constexpr Program::Loop any_number = {0, max_repeat};
    const std::uint32_t loop = program_->states[state].loop;
    return loop != 0 && loop == free_loop_ ? any_number : program_->loops[loop];
  }
  std::size_t situations() const { return situations_.size(); }  // ids are below
  std::size_t bytes() const;                                     // of memory, about

  // When there are too many situations, forgets all but one, which gets a new number: true.
  bool tidy(SituationId& keep);

 private:
  struct Frame {
    StateId state;
    std::uint32_t count;
    FrameId below;
    std::uint32_t depth, greatest_count;
  };
  struct Situation {
    std::uint32_t first, count;
    std::uint32_t greatest_count;
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
  std::uint32_t greatest_count(const Place& place) const {
    return std::max(place.count, frames_[place.stack].greatest_count);
  }
  SituationId intern();
  FrameId push(const Place& place);
  std::uint32_t counted(const Place& from, Action action) const;

  std::shared_ptr<const Program> program_;
  std::uint32_t free_loop_;
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
