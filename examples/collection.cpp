// Keeps a few texts in a folder, finds one by its meaning and all of a year: collection FOLDER TEXT
#include <cstdio>
#include <hearth/hearth.hpp>

int main(int count, char** words) try {
  if (count != 3) {
    std::fprintf(stderr, "usage: collection FOLDER TEXT\n");
    return 2;
  }
  hearth::Runtime runtime;
  const hearth::LocalModel model = runtime.load("builtin-embed");
  hearth::Collection collection(words[1], "{\"metric\": \"cosine\"}", &model);
  collection.upsert(R"([
    {"id": "cats", "text": "A cat sleeps on the warm sofa.", "metadata": {"year": 2021}},
    {"id": "taxes", "text": "The income tax is due in May.", "metadata": {"year": 2024}},
    {"id": "rain", "text": "It will rain in the mountains tomorrow."}])");
  std::string quoted = "\"";
  for (const char* c = words[2]; *c; ++c) {
    if (*c == '"' || *c == '\\') quoted += '\\';
    quoted += *c;
  }
  std::printf("%s\n", collection.search("{\"k\": 1, \"query\": " + quoted + "\"}").c_str());
  std::printf("%s\n", collection.scroll(R"({"filter": "year >= 2022", "include": []})").c_str());
  collection.reindex(R"({"kind": "hnsw"})");
  const auto removed = collection.remove_where("year < 2022");
  std::printf("%d removed, %d left\n", static_cast<int>(removed),
              static_cast<int>(collection.count()));
} catch (const hearth::Failure& failure) {
  std::fprintf(stderr, "%s\n", failure.what());
  return 1;
}
