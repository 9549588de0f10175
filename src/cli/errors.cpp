#include "cli/errors.h"

namespace hearth::cli {

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid:
      return 2;
    case ErrorKind::not_found:
      return 3;
    case ErrorKind::unsupported:
      return 4;
    case ErrorKind::corrupt:
      return 5;
    case ErrorKind::too_long:
      return 6;
    case ErrorKind::exhausted:
    case ErrorKind::unavailable:
      return 7;
    case ErrorKind::io:
      return 8;
    case ErrorKind::cancelled:
      return 130;  // as a shell reports an interrupt
  }
  return 1;
}

}  // namespace hearth::cli
