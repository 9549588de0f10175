// What the hubs have: which files make up the model that a reference names.
#pragma once

#include <string>
#include <vector>

#include "library/download.h"
#include "library/reference.h"

namespace hearth {

// Everything that has to be fetched for one model.
struct DownloadPlan {
  std::string reference;  // the one way to write it: with the quantisation that was chosen
  std::string revision;   // the commit, pinned: files of two commits never mix
  std::string main;       // file to open, or "." for the folder
  std::vector<RemoteFile> files;

  std::uint64_t bytes() const;
};

// For Kind::hub, ollama and url.  Errors: those of the network; not_found and invalid in the words
// of the hub's own rules (private, gated, no such revision, file or quantisation: with what there
// is).
Result<DownloadPlan> plan_download(const Reference& reference, const Network& network,
                                   const DownloadHooks& hooks);

// HF_ENDPOINT, HF_TOKEN (or the file that `hf auth login` writes), HF_HUB_OFFLINE.  The settings,
// where they are not empty, come first.
Network standard_network(const std::string& hub = "", const std::string& ollama = "",
                         bool offline = false);

// A path that stays in its folder.
bool is_safe_path(std::string_view path);

}  // namespace hearth
