#include "library/fitting.h"

#include <fmt/core.h>

#include "base/files.h"
#include "base/store_files.h"
#include "formats/lora.h"
#include "library/library.h"
#include "library/resolve.h"
#include "models/adapter.h"

namespace hearth {

Status check_adapters(const std::string& reference, const std::vector<std::string>& paths,
                      const LibraryFolders& folders) {
  if (paths.empty()) return Done{};
  if (const LocalModel model = TRY(find_model(reference, folders)); model.tool == "remote")
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: adapters do not change a model of another server", reference));
  const Package base = TRY(open_reference(reference, folders));
  for (const std::string& path : paths) {
    LoraFile file = TRY(open_lora(path));
    file.path = file_name(path);
    if (Status fits = check_adapter(base, file); !fits.ok())
      return std::move(fits).error().within("an adapter that does not fit the model");
  }
  return Done{};
}

}  // namespace hearth
