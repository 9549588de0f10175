#include <dlfcn.h>

#include "base/shared_library.h"

namespace hearth {

Result<SharedLibrary> SharedLibrary::open(std::initializer_list<const char*> names) {
  std::string words = "no such library";
  for (const char* name : names) {
    if (void* handle = ::dlopen(name, RTLD_NOW | RTLD_LOCAL)) return SharedLibrary(handle);
    if (const char* error = ::dlerror()) words = error;
  }
  return Error(ErrorKind::unsupported, words);
}

void* SharedLibrary::symbol(const char* name) const { return ::dlsym(handle_, name); }

}  // namespace hearth
