#include "cli/collections.h"

#include <fmt/core.h>

#include "base/nearest.h"
#include "base/utf8.h"
#include "cli/settings.h"

namespace hearth::cli {

Result<CollectionPlace> collection_place(const Arguments& arguments) {
  const Config config = TRY(read_tuned_config(arguments));
  CollectionPlace place;
  place.root = collections_folder(config);
  place.options.is_synced = !config.collections.relaxed;
  place.options.hot_bytes = static_cast<std::uint64_t>(config.collections.hot_mb) << 20;
  place.options.warm_bytes = static_cast<std::uint64_t>(config.collections.warm_mb) << 20;
  return place;
}

Result<std::unique_ptr<vectors::Collection>> open_collection(const CollectionPlace& place,
                                                             const std::string& name,
                                                             vectors::Access access) {
  TRY(vectors::check_name(name));
  if (!vectors::is_collection(place.folder(name))) {
    const std::vector<std::string> names = vectors::list_collections(place.root);
    if (names.empty())
      return Error(ErrorKind::not_found,
                   fmt::format("no collection '{}', nor any other; `hearth index add FOLDER` makes "
                               "one of your files",
                               name));
    const std::vector<std::string_view> views(names.begin(), names.end());
    return Error(ErrorKind::not_found,
                 fmt::format("no collection '{}'; did you mean '{}'? `hearth index list` lists "
                             "them",
                             name, nearest(name, views)));
  }
  auto opened = vectors::open_collection(place.folder(name), access, place.options);
  if (!opened.ok() && opened.error().kind() == ErrorKind::unavailable)
    return Error(ErrorKind::unavailable, opened.error().message() +
                                             "; `hearth serve` lets go of a collection a few "
                                             "seconds after the last request, or ask it over HTTP");
  return opened;
}

Status Embedder::load() {
  if (open_) return Done{};
  if (reference_.empty())
    return Error(ErrorKind::invalid,
                 "the collection has no model for texts: give vectors, or make it with --model");
  open_ = TRY(open_model(app_, arguments_, reference_));
  return Done{};
}

Result<std::vector<std::vector<float>>> Embedder::embed(const std::vector<std::string>& texts,
                                                        std::stop_token stop) {
  TRY(load());
  return embed_texts(*open_->lease, texts, std::move(stop));
}

Result<std::size_t> Embedder::dim() {
  TRY(load());
  return static_cast<std::size_t>(open_->lease->model().embedding_dim());
}

std::vector<Option> with_collection_options(std::vector<Option> own) {
  for (const Option& option : setting_options("collections.")) own.push_back(option);
  return own;
}

}  // namespace hearth::cli
