// Where models lie on this machine: our own store, and the folders of other programs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hearth {

// One folder that some program keeps models in.
struct Shelf {
  std::string_view tool;  // a name of discover.cpp's table: "huggingface", "ollama", ...
  std::string folder;
};

struct LibraryFolders {
  std::string models;          // our store: $XDG_DATA_HOME/hearth/models
  std::string cache;           // what can be made again: $XDG_CACHE_HOME/hearth
  std::string catalog;         // the user's own catalog: $XDG_CONFIG_HOME/hearth/catalog.json
  std::string aliases;         // names of the user's own: $XDG_DATA_HOME/hearth/aliases.json
  std::string lifecycle;       // what became of models: $XDG_DATA_HOME/hearth/lifecycle.json
  std::string downloads;       // a server's that are not done: $XDG_DATA_HOME/hearth/downloads.json
  std::vector<Shelf> shelves;  // other programs', and the user's own; never written to
};

// Of this process's environment; `extra`: the setting library.folders.  Folders need not exist.
LibraryFolders standard_folders(const std::vector<std::string>& extra = {});

}  // namespace hearth
