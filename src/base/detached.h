// A process that outlives whoever asked for it, but not for long.
#pragma once

namespace hearth {

// Called in a process of one thread: false in it, true in a new one behind it, which belongs to no
// terminal, leaves no core file, and is ended after `seconds`, or as much time on a processor.
bool detach(int seconds);

}  // namespace hearth
