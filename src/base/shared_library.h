// A shared library that is loaded when it is first needed: what few runs need costs the others no
// time to start.
#pragma once

#include <initializer_list>
#include <string>

#include "base/result.h"

namespace hearth {

// Stays loaded as long as the process runs.
class SharedLibrary {
 public:
  // The first of `names` that there is.  Errors: unsupported, with the loader's own words.
  static Result<SharedLibrary> open(std::initializer_list<const char*> names);

  // Sets `function` to the symbol; false: it is not there.
  template <typename Function>
  bool find(const char* name, Function*& function) const {
    function = reinterpret_cast<Function*>(symbol(name));
    return function != nullptr;
  }

 private:
  explicit SharedLibrary(void* handle) : handle_(handle) {}
  void* symbol(const char* name) const;

  void* handle_;
};

}  // namespace hearth
