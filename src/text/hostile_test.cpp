// Texts and files that mean harm.  The numbers T01 to T13 are those of the catalogue of bad inputs.
#include <doctest/doctest.h>
#include <time.h>

#include <algorithm>
#include <limits>

#include "base/utf8.h"
#include "text/test_data.h"

using namespace hearth;

namespace {

const std::string folder = "tests/golden/text/";

std::unique_ptr<Tokenizer> golden(const std::string& name) {
  const auto file = parse_json(test::read_all(folder + name + ".json"));
  REQUIRE(file);
  const std::string json = write_json(*file->find("tokenizer"));
  auto tokenizer = make_tokenizer(TokenizerFiles{.tokenizer_json = json});
  REQUIRE(tokenizer);
  return *std::move(tokenizer);
}

std::unique_ptr<Tokenizer> golden_model(const std::string& name) {
  const std::string bytes = test::read_all(folder + "spm_" + name + ".model");
  auto tokenizer = make_tokenizer(TokenizerFiles{.sentencepiece_model = bytes});
  REQUIRE(tokenizer);
  return *std::move(tokenizer);
}

std::vector<std::unique_ptr<Tokenizer>> one_of_each() {
  std::vector<std::unique_ptr<Tokenizer>> all;
  for (const char* name : {"gpt2", "llama3", "llama2", "mistral", "falcon", "bert", "unigram", "t5",
                           "clip", "wordlevel"})
    all.push_back(golden(name));
  for (const char* name : {"bpe", "bpe_bytes", "unigram", "unigram_bytes"})
    all.push_back(golden_model(name));
  return all;
}

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

std::string repeat(std::string_view text, std::size_t bytes) {
  std::string out;
  while (out.size() < bytes) out += text;
  return out;
}

std::vector<Token> encode(const Tokenizer& tokenizer, std::string_view text,
                          EncodeOptions options = {}) {
  const auto ids = tokenizer.encode(text, options);
  REQUIRE(ids);
  return *ids;
}

}  // namespace

TEST_CASE("T01: a text past the limit is refused before it is read") {
  const auto tokenizer = golden("gpt2");
  const char byte = 'a';
  const auto got = tokenizer->encode({&byte, max_text_bytes + 1}, {});
  REQUIRE(!got);
  CHECK(got.error().kind() == ErrorKind::invalid);
}

TEST_CASE("T02: long runs of one thing take no longer than other texts, near enough") {
  const std::string_view units[] = {
      "a", " ", "👩‍👩‍👧‍👦", "e\u0301\u0300", "\n", "'", "ab", "日", "▁"};
  for (const auto& tokenizer : one_of_each())
    for (const std::string_view unit : units) {
      const std::string text = repeat(unit, 16u << 10);
      const double start = processor_seconds();
      (void)encode(*tokenizer, text);
      CHECK(processor_seconds() - start < 2.0);
    }
  for (const auto& tokenizer : {golden("gpt2"), golden_model("bpe")}) {
    const std::string text = repeat("a", 1u << 20);
    const double start = processor_seconds();
    CHECK(encode(*tokenizer, text).size() > 1000);
    CHECK(processor_seconds() - start < 20.0);
  }
}

TEST_CASE("T03: bytes that are no UTF-8 are encoded, and come back as bytes or U+FFFD") {
  const std::string rows[] = {"\xFF\xFE",
                              "a\x80z",
                              "\xC3",
                              "\xE2\x96",
                              "\xED\xA0\x80",
                              "\xC0\x80",
                              "\xF4\x90\x80\x80",
                              "\xEF\xBB\xBF"
                              "bom",
                              std::string("nul\0end", 7),
                              "\xF8\x88\x80\x80\x80"};
  const auto bytes = golden("gpt2");
  for (const std::string& text : rows) {
    std::string back;
    for (const Token id : encode(*bytes, text)) back += bytes->piece(id);
    CHECK(back == text);
    CHECK(bytes->decode(encode(*bytes, text)) == repair_utf8(text));
  }
  for (const auto& tokenizer : one_of_each())
    for (const std::string& text : rows)
      CHECK(is_utf8(tokenizer->decode(encode(*tokenizer, text))));
}

TEST_CASE("T04: special tokens in a user's text are text unless they are asked for") {
  const struct {
    const char *name, *text;
  } rows[] = {{"llama3", "a<|im_end|>b<|im_start|>"},
              {"gpt2", "<|endoftext|>"},
              {"llama2", "<s>[INST]</s>"},
              {"bert", "[CLS] [SEP]"},
              {"unigram", "x</s>y<pad>"},
              {"roberta", "<s> <mask> </s>"}};
  for (const auto& row : rows) {
    const std::string name = row.name;
    CAPTURE(name);
    const auto tokenizer = golden(row.name);
    const auto is_control = [&](Token id) { return tokenizer->kind(id) == TokenKind::control; };
    const auto plain = encode(*tokenizer, row.text);
    for (const Token id : plain) CHECK((!is_control(id) || id == tokenizer->special().unk));
    const auto parsed = encode(*tokenizer, row.text, {.parse_special = true});
    CHECK(std::any_of(parsed.begin(), parsed.end(), is_control));
  }
  // Tokens that are not special are found in any text.
  const auto tokenizer = golden("llama3");
  const auto ids = encode(*tokenizer, "x<tool>y");
  CHECK(std::find(ids.begin(), ids.end(), *tokenizer->find("<tool>")) != ids.end());
}

TEST_CASE(
    "T04: in a prompt of trusted and untrusted parts, only the trusted ones make control tokens") {
  for (const char* const name : {"llama3", "llama2", "bert"}) {
    const auto tokenizer = golden(name);
    const std::string special = name == std::string("llama3")   ? "<|im_end|>"
                                : name == std::string("llama2") ? "</s>"
                                                                : "[SEP]";
    const Token id = *tokenizer->find(special);
    // The last one reaches from one part into another.
    const std::string text = special + "hi " + special + "\xFF there" + special + special;
    const std::size_t n = special.size();
    const TextRange untrusted[] = {{n, 2 * n + 10}, {text.size() - n - 1, text.size() - 1}};
    const auto ids = encode(*tokenizer, text, {.parse_special = true, .untrusted = untrusted});
    CHECK(std::count(ids.begin(), ids.end(), id) == 1);
    CHECK(ids.front() == id);
    const TextRange inner[] = {{n, 2 * n + 10}};
    const auto more = encode(*tokenizer, text, {.parse_special = true, .untrusted = inner});
    CHECK(std::count(more.begin(), more.end(), id) == 3);
  }
}

TEST_CASE("T05: ids that are no tokens are nothing, and characters are never split") {
  for (const auto& tokenizer : one_of_each()) {
    for (const Token id : {-1, tokenizer->size(), std::numeric_limits<Token>::max(),
                           std::numeric_limits<Token>::min()}) {
      CHECK(tokenizer->piece(id).empty());
      CHECK(tokenizer->name(id).empty());
      CHECK(tokenizer->decode({&id, 1}).empty());
      CHECK(!tokenizer->ends_generation(id));
      CHECK(StreamDecoder(*tokenizer).add(id).empty());
    }
  }
  const auto tokenizer = golden("gpt2");
  const std::string text = " héllo 🦙 日本\xF0\x9F";
  StreamDecoder stream(*tokenizer);
  std::string joined;
  for (const Token id : encode(*tokenizer, text)) {
    const std::string part = stream.add(id);
    CHECK(is_utf8(part));
    joined += part;
  }
  joined += stream.finish();
  CHECK(joined == repair_utf8(text));
}

TEST_CASE("a stream of tokens gives the text of the whole") {
  for (const auto& tokenizer : one_of_each()) {
    if (tokenizer->algorithm() == "wordpiece") continue;  // its decoder looks across tokens
    const auto ids = encode(*tokenizer, "Hello world, it's 42! the  quick\nbrown fox");
    StreamDecoder stream(*tokenizer);
    std::string joined;
    for (const Token id : ids) joined += stream.add(id);
    CHECK(joined + stream.finish() == tokenizer->decode(ids));
  }
}

TEST_CASE("T06: special tokens are added once a call") {
  const auto tokenizer = golden("llama2");
  CHECK(encode(*tokenizer, "", {.add_special = true}) == std::vector<Token>{1});
  const auto twice = encode(*tokenizer, "<s>", {.add_special = true, .parse_special = true});
  CHECK(twice == std::vector<Token>{1, 1});
}

TEST_CASE("T07: a tokenizer.json that lies is refused, and the message says how") {
  const std::string vocab = R"("vocab":{"a":0,"b":1,"ab":2})";
  const auto bpe = [&](const std::string& more) {
    return R"({"model":{"type":"BPE",)" + vocab + R"(,"merges":["a b"]})" + more + "}";
  };
  const auto pre = [&](const std::string& part) { return bpe(",\"pre_tokenizer\":" + part); };
  const auto norm = [&](const std::string& part) { return bpe(",\"normalizer\":" + part); };
  std::string deep = "null";
  for (int i = 0; i < 20; ++i) deep = R"({"type":"Sequence","normalizers":[)" + deep + "]}";
  std::string nested = R"({"type":"Lowercase"})";
  for (int i = 0; i < 20; ++i) nested = R"({"type":"Sequence","normalizers":[)" + nested + "]}";
  const struct {
    std::string what, json;
    ErrorKind kind;
    std::string says;
  } rows[] = {
      {"no JSON", "{", ErrorKind::invalid, ""},
      {"no model", "{}", ErrorKind::corrupt, "'model'"},
      {"empty vocab", R"({"model":{"type":"BPE","vocab":{},"merges":[]}})", ErrorKind::corrupt,
       "empty"},
      {"id past 2^32", R"({"model":{"type":"WordLevel","vocab":{"a":4294967295}}})",
       ErrorKind::corrupt, "id"},
      {"id far away", R"({"model":{"type":"WordLevel","vocab":{"a":9999999}}})", ErrorKind::corrupt,
       "9999999"},
      {"negative id", R"({"model":{"type":"WordLevel","vocab":{"a":-1}}})", ErrorKind::corrupt, ""},
      {"key twice", R"({"model":{"type":"WordLevel","vocab":{"a":0,"a":1}}})", ErrorKind::invalid,
       "twice"},
      {"unknown model", R"({"model":{"type":"Oracle","vocab":{"a":0}}})", ErrorKind::unsupported,
       "Oracle"},
      {"merge of strangers", R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a c"]}})",
       ErrorKind::corrupt, "merge 0"},
      {"merge of one", R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a"]}})",
       ErrorKind::corrupt, "pair"},
      {"unigram without scores", R"({"model":{"type":"Unigram","vocab":[["a"]]}})",
       ErrorKind::corrupt, "score"},
      {"unigram as an object", R"({"model":{"type":"Unigram","vocab":{"a":0}}})",
       ErrorKind::corrupt, "object"},
      {"sequences too deep", norm(nested), ErrorKind::corrupt, "deep"},
      {"unknown normalizer", norm(R"({"type":"Rot13"})"), ErrorKind::unsupported, "Rot13"},
      {"charsmap that is no base64", norm(R"({"type":"Precompiled","precompiled_charsmap":"*"})"),
       ErrorKind::corrupt, "base64"},
      {"charsmap cut short", norm(R"({"type":"Precompiled","precompiled_charsmap":"/////w=="})"),
       ErrorKind::corrupt, ""},
      {"unknown pre-tokenizer", pre(R"({"type":"Guess"})"), ErrorKind::unsupported, "Guess"},
      {"pattern that is none", pre(R"({"type":"Split","pattern":{"Regex":"("}})"),
       ErrorKind::unsupported, "pattern"},
      {"length zero", pre(R"({"type":"FixedLength","length":0})"), ErrorKind::corrupt, "zero"},
      {"added token without id", bpe(R"(,"added_tokens":[{"content":"x"}])"), ErrorKind::corrupt,
       "id"},
      {"added token of 2 KiB",
       bpe(R"(,"added_tokens":[{"id":3,"content":")" + std::string(2048, 'x') + "\"}]"),
       ErrorKind::corrupt, "2048"},
      {"template of a stranger",
       bpe(R"(,"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[X]"}},)"
           R"({"Sequence":{"id":"A"}}],"special_tokens":{}})"),
       ErrorKind::corrupt, "[X]"},
      {"frame past the vocabulary",
       bpe(R"(,"post_processor":{"type":"BertProcessing","sep":["x",77],"cls":["y",78]})"),
       ErrorKind::corrupt, "past"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto got = make_tokenizer(TokenizerFiles{.tokenizer_json = row.json});
    REQUIRE(!got);
    CHECK(got.error().kind() == row.kind);
    CAPTURE(got.error().message());
    CHECK(got.error().message().find(row.says) != std::string::npos);
    CHECK(got.error().message().starts_with("tokenizer.json: "));
  }
  CHECK(make_tokenizer(TokenizerFiles{.tokenizer_json = norm(deep.substr(0, 0) + "null")}));
}

TEST_CASE("T07: odd but honest files work") {
  const auto make = [](const std::string& json) {
    auto got = make_tokenizer(TokenizerFiles{.tokenizer_json = json});
    if (!got) MESSAGE(got.error().message());
    REQUIRE(got);
    return *std::move(got);
  };
  // Gaps in the ids, merges as pairs, no bytes to fall back to, added tokens within one another.
  const auto tokenizer =
      make(R"({"model":{"type":"BPE","vocab":{"a":0,"b":7,"ab":9},"merges":[["a","b"]],)"
           R"("byte_fallback":true},"added_tokens":[{"id":20,"content":"xx"},)"
           R"({"id":21,"content":"xxx"},{"id":22,"content":"xx"}]})");
  CHECK(tokenizer->size() == 23);
  CHECK(encode(*tokenizer, "ab?axxxxx") == std::vector<Token>{9, 0, 21, 20});
  CHECK(tokenizer->name(5).empty());
  // Two names of one id.
  CHECK(encode(*make(R"({"model":{"type":"WordLevel","vocab":{"a":0,"b":0}}})"), "b") ==
        std::vector<Token>{0});
  // A pattern that PCRE2 would look at forever gives up with an error.
  const auto slow =
      make(R"({"model":{"type":"WordLevel","vocab":{"a":0}},"pre_tokenizer":{"type":"Split",)"
           R"("pattern":{"Regex":"(a|aa|a*b?)*[cd]$"},"behavior":"Isolated"}})");
  const auto got = slow->encode(repeat("a", 2000) + "!", {});
  REQUIRE(!got);
  CHECK(got.error().kind() == ErrorKind::exhausted);
}

TEST_CASE("T07: many added tokens") {
  std::string json = R"({"model":{"type":"WordLevel","vocab":{"a":0}},"added_tokens":[)";
  for (int i = 1; i <= 20000; ++i) {
    if (i > 1) json += ',';
    json += R"({"id":)" + std::to_string(i) + R"(,"content":"<extra_)" + std::to_string(i) + ">\"}";
  }
  const auto tokenizer = make_tokenizer(TokenizerFiles{.tokenizer_json = json + "]}"});
  REQUIRE(tokenizer);
  CHECK(encode(**tokenizer, "<extra_20000><extra_7>") == std::vector<Token>{20000, 7});
}

TEST_CASE("T08: every beginning of a SentencePiece model is an error or a model, never a crash") {
  const std::string bytes = test::read_all(folder + "spm_bpe.model");
  for (std::size_t size = 0; size < bytes.size(); size += size < 64 ? 1 : 7) {
    const std::string part = bytes.substr(0, size);
    const auto got = make_tokenizer(TokenizerFiles{.sentencepiece_model = part});
    if (got) (void)encode(**got, "hello world");
  }
  const struct {
    std::string what, bytes;
  } rows[] = {
      {"varint of 11 bytes", "\x0A" + std::string(11, '\xFF')},
      {"length past the end",
       "\x0A\x7F"
       "abc"},
      {"field number 0", std::string("\x02\x01\x00", 3)},
      {"group", "\x0B\x0C"},
      {"wire type 7", "\x0F"},
      {"type 7 of a piece",
       "\x0A\x05\x0A\x01"
       "a\x18\x07"},
      {"unknown model type",
       "\x0A\x03\x0A\x01"
       "a\x12\x02\x18\x09"},
      {"score that is no number",
       "\x0A\x08\x0A\x01"
       "a\x15" +
           std::string("\x00\x00\xC0\x7F", 4)},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    CHECK(!make_tokenizer(TokenizerFiles{.sentencepiece_model = row.bytes}));
  }
  // One piece and no unknown token: what is not known is left out.
  const std::string one =
      "\x0A\x03\x0A\x01"
      "a";
  const auto tokenizer = make_tokenizer(TokenizerFiles{.sentencepiece_model = one});
  REQUIRE(tokenizer);
  (void)encode(**tokenizer, "xyz a");
}

TEST_CASE("T09: WordPiece with no room for characters, or no mark of continuation") {
  const std::string none =
      R"({"model":{"type":"WordPiece","vocab":{"[UNK]":0,"a":1},"max_input_chars_per_word":0}})";
  const auto limited = make_tokenizer(TokenizerFiles{.tokenizer_json = none});
  REQUIRE(limited);
  CHECK(encode(**limited, "a") == std::vector<Token>{0});
  const std::string bare =
      R"({"model":{"type":"WordPiece","vocab":{"[UNK]":0,"a":1},"continuing_subword_prefix":""}})";
  const auto unmarked = make_tokenizer(TokenizerFiles{.tokenizer_json = bare});
  REQUIRE(unmarked);
  CHECK(encode(**unmarked, "aaa") == std::vector<Token>{1, 1, 1});
}

TEST_CASE("T10: vocab.txt with CRLF, equal lines and empty lines") {
  const std::string text = "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n\r\nhello\r\nhello\r\n##x\r\n";
  const auto tokenizer = make_tokenizer(TokenizerFiles{.vocab_txt = text});
  REQUIRE(tokenizer);
  CHECK(encode(**tokenizer, "Hello hellox", {.add_special = true}) ==
        std::vector<Token>{2, 6, 6, 7, 3});
  CHECK((*tokenizer)->decode(encode(**tokenizer, "hellox")) == "hellox");
}

TEST_CASE("T11, T12: configuration that is code or nonsense is not believed") {
  const std::string json = R"({"model":{"type":"WordLevel","vocab":{"a":0,"</s>":1}}})";
  const auto config = parse_json(
      R"({"auto_map":{"AutoTokenizer":["x--evil.Tokenizer",null]},"bos_token":7,"eos_token":{},)"
      R"("eos_token_id":"one","torch_dtype":{},"tokenizer_class":[],"added_tokens_decoder":3})");
  REQUIRE(config);
  const auto tokenizer = make_tokenizer(TokenizerFiles{.tokenizer_json = json,
                                                       .tokenizer_config = *config,
                                                       .special_tokens_map = Json("x"),
                                                       .config = *config,
                                                       .generation_config = Json::array()});
  REQUIRE(tokenizer);
  CHECK(!(*tokenizer)->special().eos);
  const auto ends = parse_json(R"({"eos_token_id":[1,99,-5,2e300,"x"]})");
  REQUIRE(ends);
  const auto ended =
      make_tokenizer(TokenizerFiles{.tokenizer_json = json, .generation_config = *ends});
  REQUIRE(ended);
  CHECK((*ended)->special().end_of_generation == std::vector<Token>{1});
}

TEST_CASE("T13: vocabularies of no token and of one, and GGUF ones that lie") {
  const auto make = [](auto change) {
    GgufVocabulary v;
    v.model = "gpt2";
    v.tokens = {"a"};
    change(v);
    return make_tokenizer(v);
  };
  CHECK(make([](GgufVocabulary&) {}));
  CHECK(make([](GgufVocabulary& v) { v.model = "llama"; }));
  CHECK(make([](GgufVocabulary& v) { v.model = "bert"; }));
  CHECK(make([](GgufVocabulary& v) { v.model = "t5"; }));
  CHECK(make([](GgufVocabulary& v) { v.model = "rwkv"; }));
  const struct {
    std::string what;
    void (*change)(GgufVocabulary&);
    ErrorKind kind;
  } rows[] = {
      {"no token", [](GgufVocabulary& v) { v.tokens.clear(); }, ErrorKind::corrupt},
      {"model", [](GgufVocabulary& v) { v.model = "oracle"; }, ErrorKind::unsupported},
      {"pre", [](GgufVocabulary& v) { v.pre = "oracle"; }, ErrorKind::unsupported},
      {"scores", [](GgufVocabulary& v) { v.scores = {1, 2}; }, ErrorKind::corrupt},
      {"kinds", [](GgufVocabulary& v) { v.kinds = {1, 2}; }, ErrorKind::corrupt},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto got = make(row.change);
    REQUIRE(!got);
    CHECK(got.error().kind() == row.kind);
  }
  // Ids that are no tokens, kinds that do not exist, equal and empty names, merges of nothing.
  const auto odd = make([](GgufVocabulary& v) {
    v.tokens = {"a", "a", "", "<0x-1>", "b", "ab", "<|im_end|>"};
    v.kinds = {1, -7, 99, 6, 1, 1, 1};
    v.merges = {"a b", "", " ", "a", "x y", "a  b"};
    v.bos = 1u << 31;
    v.eos = ~0ull;
  });
  REQUIRE(odd);
  CHECK(encode(**odd, "ab") == std::vector<Token>{5});
  CHECK(!(*odd)->special().eos);
  CHECK((*odd)->special().eot == 6);
  CHECK((*odd)->ends_generation(6));
}
