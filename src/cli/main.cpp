// The program: `hearth COMMAND ...`.
#include <cstdio>
#include <string>
#include <vector>

#include "cli/dispatch.h"
#include "cli/interrupts.h"
#include "hardware/vulkan.h"

int main(int count, char** words) {
  // How this program asks drivers in a process of their own.
  if (count == 3 && words[1] == hearth::hardware::ask_vulkan_flag)
    return hearth::hardware::answer_vulkan(words[2]);
  hearth::cli::block_interrupts();
  return hearth::cli::dispatch(std::vector<std::string>(words + 1, words + count));
}
