#include "cli/serving.h"

#include "base/files.h"
#include "cli/open_model.h"
#include "cli/pulling.h"
#include "server/manage/tuning.h"

namespace hearth::cli {

Result<std::unique_ptr<LiveLibrary>> open_library(const Arguments& arguments,
                                                  const Config& config) {
  LibraryOptions options = TRY(library_options(arguments));
  if (config.runtime.prefix_disk_mb > 0)
    options.runner.prefixes = {
        .folder = join_path(options.folders.cache, "prefixes"),
        .model = "",
        .max_bytes = static_cast<std::uint64_t>(config.runtime.prefix_disk_mb) << 20};
  const PoolLimits limits = server::tuning_of(config).pool;
  options.pool.keep_alive = limits.keep_alive;
  options.pool.max_models = limits.max_models;
  options.pool.memory_bytes = limits.memory_bytes;
  options.pool.min_free_bytes = limits.min_free_bytes;
  options.adapters = TRY(adapter_wishes(arguments));
  const LibraryContext context = TRY(download_context(arguments));
  return LiveLibrary::create(options, context.network);
}

server::ApiServerOptions api_options(const Config& config) {
  server::ApiServerOptions options;
  options.collections = config.collections;
  options.collections.folder = collections_folder(config);
  options.standard_model =
      config.models.standard.empty() ? std::string(builtin_chat) : config.models.standard;
  options.access = {.key_store = key_store_path(config),
                    .usage_file = key_usage_path(),
                    .audit_log = audit_log_path(config),
                    .always_audits = !config.server.audit_log.empty()};
  return options;
}

}  // namespace hearth::cli
