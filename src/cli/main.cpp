// The program: `hearth COMMAND ...`.
#include <cstdio>
#include <string>
#include <vector>

#include "cli/dispatch.h"
#include "cli/interrupts.h"

int main(int count, char** words) {
  hearth::cli::block_interrupts();
  return hearth::cli::dispatch(std::vector<std::string>(words + 1, words + count));
}
