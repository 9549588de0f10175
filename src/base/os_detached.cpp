#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/detached.h"

namespace hearth {

bool detach(int seconds) {
  if (::fork() != 0) return false;  // where there is no new one, nothing is done
  ::setsid();
  if (const int nowhere = ::open("/dev/null", O_RDWR); nowhere >= 0) {
    ::dup2(nowhere, STDIN_FILENO);
    ::dup2(nowhere, STDERR_FILENO);
  }
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  const rlimit time{static_cast<rlim_t>(seconds), static_cast<rlim_t>(seconds)};
  ::setrlimit(RLIMIT_CPU, &time);
  ::alarm(static_cast<unsigned>(seconds));
  return true;
}

}  // namespace hearth
