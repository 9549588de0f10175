#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/files.h"
#include "text/test_data.h"

namespace hearth::test {
namespace {

struct Value {
  std::uint32_t type = 0;
  std::uint64_t number = 0;
  std::string_view text;
  std::vector<Value> items;
};

Result<Value> read_value(ByteReader& in, std::uint32_t type) {
  constexpr std::uint64_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  Value value{.type = type, .text = {}, .items = {}};
  if (type == 8) {
    value.text = TRY(in.text(1u << 24));
  } else if (type == 9) {
    const auto item = TRY(in.value<std::uint32_t>());
    const auto count = TRY(in.value<std::uint64_t>());
    for (std::uint64_t i = 0; i < count; ++i) value.items.push_back(TRY(read_value(in, item)));
  } else if (type < std::size(sizes)) {
    value.text = text_of(TRY(in.take(sizes[type])));
    std::memcpy(&value.number, value.text.data(), value.text.size());
  } else {
    return Error(ErrorKind::corrupt, "type");
  }
  return value;
}

Result<std::map<std::string, Value, std::less<>>> read_keys(std::string_view bytes) {
  ByteReader in(bytes_of(bytes));
  TRY(in.skip(16));
  std::map<std::string, Value, std::less<>> keys;
  const auto count = TRY(in.value<std::uint64_t>());
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto key = TRY(in.text(65535));
    const auto type = TRY(in.value<std::uint32_t>());
    keys[std::string(key)] = TRY(read_value(in, type));
  }
  return keys;
}

}  // namespace

std::string data_file(const std::string& name) {
  const char* const folder = std::getenv("HEARTH_DATA");
  std::string path = join_path(folder != nullptr ? folder : "../shared/data", name);
  if (is_file(path)) return path;
  std::printf("skipped: %s is absent\n", path.c_str());
  return {};
}

std::string read_all(const std::string& path) {
  auto text = read_file(path, 64u << 20);
  return text ? std::move(*text) : std::string();
}

bool read_gguf(const std::string& path, GgufFile& file) {
  file.bytes = read_all(path);
  auto keys = read_keys(file.bytes);
  if (!keys) return false;
  const auto at = [&](std::string_view key) -> const Value* {
    const auto it = keys->find("tokenizer.ggml." + std::string(key));
    return it == keys->end() ? nullptr : &it->second;
  };
  GgufVocabulary& v = file.vocabulary;
  const auto text = [&](std::string_view key) {
    return at(key) != nullptr ? std::string(at(key)->text) : std::string();
  };
  const auto number = [&](std::string_view key) {
    return at(key) != nullptr ? std::optional(at(key)->number) : std::nullopt;
  };
  const auto flag = [&](std::string_view key) {
    return at(key) != nullptr ? std::optional(at(key)->number != 0) : std::nullopt;
  };
  const auto for_each = [&](std::string_view key, auto&& use) {
    if (at(key) == nullptr) return;
    for (const Value& item : at(key)->items) use(item);
  };
  v.model = text("model");
  v.pre = text("pre");
  for_each("tokens", [&](const Value& i) { v.tokens.push_back(i.text); });
  for_each("merges", [&](const Value& i) { v.merges.push_back(i.text); });
  for_each("token_type",
           [&](const Value& i) { v.kinds.push_back(static_cast<std::int64_t>(i.number)); });
  for_each("scores", [&](const Value& i) {
    v.scores.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(i.number)));
  });
  v.add_bos = flag("add_bos_token");
  v.add_eos = flag("add_eos_token");
  v.add_space_prefix = flag("add_space_prefix");
  v.bos = number("bos_token_id");
  v.eos = number("eos_token_id");
  v.unk = number("unknown_token_id");
  v.pad = number("padding_token_id");
  v.sep = number("seperator_token_id");
  v.cls = number("cls_token_id");
  v.mask = number("mask_token_id");
  v.chat_template = text("chat_template");
  return true;
}

std::vector<std::string> read_texts(const std::string& path) {
  constexpr std::string_view mark = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  const std::string all = read_all(path);
  for (std::size_t at = 0;;) {
    const std::size_t hit = all.find(mark, at);
    if (hit == std::string::npos) break;
    texts.push_back(all.substr(at, hit - at));
    at = hit + mark.size();
  }
  return texts;
}

std::vector<std::vector<Token>> read_ids(const std::string& path) {
  std::vector<std::vector<Token>> lines(1);
  const std::string all = read_all(path);
  for (std::size_t i = 0; i < all.size();) {
    if (all[i] == '\n') {
      lines.emplace_back();
      ++i;
    } else if (all[i] == ' ') {
      ++i;
    } else {
      Token id = 0;
      for (; i < all.size() && all[i] >= '0' && all[i] <= '9'; ++i) id = id * 10 + (all[i] - '0');
      lines.back().push_back(id);
    }
  }
  lines.pop_back();
  return lines;
}

}  // namespace hearth::test
