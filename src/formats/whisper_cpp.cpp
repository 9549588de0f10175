// whisper.cpp's own files: the old GGML container with OpenAI's names, the vocabulary inside.
// Becomes a package like that of a Hugging Face folder.
// Source: ggml-org/whisper.cpp, models/convert-pt-to-ggml.py.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/format.h"
#include "formats/ggml_tensor.h"
#include "formats/limits.h"

namespace hearth {
namespace {

constexpr std::uint32_t audio_positions = 1500;  // of every Whisper; of no llama
constexpr std::int64_t timestamps = 1501;
constexpr std::string_view languages[] = {
    "en", "zh", "de", "es",  "ru", "ko", "fr", "ja", "pt", "tr", "pl", "ca", "nl", "ar", "sv",
    "it", "id", "hi", "fi",  "vi", "he", "uk", "el", "ms", "cs", "ro", "da", "hu", "ta", "no",
    "th", "ur", "hr", "bg",  "lt", "la", "mi", "ml", "cy", "sk", "te", "fa", "lv", "bn", "sr",
    "az", "sl", "kn", "et",  "mk", "br", "eu", "is", "hy", "ne", "mn", "bs", "kk", "sq", "sw",
    "gl", "mr", "pa", "si",  "km", "sn", "yo", "so", "af", "oc", "ka", "be", "tg", "sd", "gu",
    "am", "yi", "lo", "uz",  "fo", "ht", "ps", "tk", "nn", "mt", "sa", "lb", "my", "bo", "tl",
    "mg", "as", "tt", "haw", "ln", "ha", "ba", "jw", "su", "yue"};
constexpr std::int64_t newest_vocabulary = 51866, english_vocabulary = 51864;

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, std::move(what)); }

struct Header {
  std::uint32_t vocabulary, audio_context, audio_dim, audio_heads, audio_layers, text_context,
      text_dim, text_heads, text_layers, mels, type;
};

Result<Header> read_header(ByteReader& in) {
  TRY(in.skip(4));
  Header header{};
  for (std::uint32_t* field :
       {&header.vocabulary, &header.audio_context, &header.audio_dim, &header.audio_heads,
        &header.audio_layers, &header.text_context, &header.text_dim, &header.text_heads,
        &header.text_layers, &header.mels, &header.type})
    *field = TRY(in.value<std::uint32_t>());
  constexpr std::uint32_t most = 1 << 20;
  if (header.vocabulary < timestamps + 110 || header.vocabulary > most || header.audio_dim == 0 ||
      header.audio_dim > most || header.text_dim != header.audio_dim || header.mels == 0 ||
      header.mels > 512 || header.audio_layers > 1024 || header.text_layers > 1024)
    return corrupt("offset 4: the sizes are those of no Whisper");
  return header;
}

// Where the tokens that are no text lie follows from the size of the vocabulary alone.
Json generation_config(const Header& header) {
  const std::int64_t count = header.vocabulary;
  const std::int64_t spoken =
      count == newest_vocabulary ? std::ssize(languages) : std::ssize(languages) - 1;
  const std::int64_t no_timestamps = count - timestamps - 1, start = no_timestamps - 6 - spoken;
  Json ids = Json::object();
  for (std::int64_t i = 0; i < spoken; ++i)
    ids.set(fmt::format("<|{}|>", languages[i]), start + 1 + i);
  return Json::object({{"eos_token_id", start - 1},
                       {"decoder_start_token_id", start},
                       {"no_timestamps_token_id", no_timestamps},
                       {"prev_sot_token_id", no_timestamps - 2},
                       {"max_initial_timestamp_index", 50},
                       {"is_multilingual", count != english_vocabulary},
                       {"lang_to_id", std::move(ids)},
                       {"task_to_id", Json::object({{"translate", no_timestamps - 5},
                                                    {"transcribe", no_timestamps - 4}})}});
}

Json config(const Header& header) {
  return Json::object({{"model_type", "whisper"},
                       {"vocab_size", header.vocabulary},
                       {"d_model", header.audio_dim},
                       {"num_mel_bins", header.mels},
                       {"max_source_positions", header.audio_context},
                       {"max_target_positions", header.text_context},
                       {"encoder_layers", header.audio_layers},
                       {"encoder_attention_heads", header.audio_heads},
                       {"encoder_ffn_dim", 4 * std::uint64_t{header.audio_dim}},
                       {"decoder_layers", header.text_layers},
                       {"decoder_attention_heads", header.text_heads},
                       {"decoder_ffn_dim", 4 * std::uint64_t{header.text_dim}}});
}

// Six bits a character.  Source: RFC 4648, section 4.
void append_base64(std::string& out, std::string_view bytes) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    for (std::size_t k = 0; k < 3; ++k)
      three = three << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k)
      out += i + k > bytes.size() ? '=' : digits[three >> (18 - 6 * k) & 63];
  }
}

// The words as ranks in tiktoken's format: their order is that of the merges.
Result<std::string> read_words(ByteReader& in, std::int64_t first_special) {
  const auto mels = TRY(in.value<std::uint32_t>()), frequencies = TRY(in.value<std::uint32_t>());
  if (mels > 512 || frequencies > 8192) return corrupt("the filters' sizes");
  TRY(in.skip(std::uint64_t{4} * mels * frequencies));  // they follow from their number
  const auto count = TRY(in.value<std::uint32_t>());
  TRY(in.expect_records(count, 4));
  std::string ranks;
  constexpr std::uint32_t most_bytes = 1024;
  for (std::uint32_t id = 0; id < count; ++id) {
    const auto size = TRY(in.value<std::uint32_t>());
    if (size > most_bytes)
      return corrupt(fmt::format("offset {}: a word of {} bytes", in.position(), size));
    const std::string_view word = text_of(TRY(in.take(size)));
    if (word.empty() || id >= first_special) continue;
    append_base64(ranks, word);
    ranks += fmt::format(" {}\n", id);
  }
  return ranks;
}

Result<TensorEntry> read_tensor(ByteReader& in) {
  GgmlTensorHead head = TRY(read_ggml_tensor_head(in, 4));
  const auto dtype = dtype_from_gguf(head.type);
  if (!dtype || head.elements == 0) return head.unsupported();
  head.entry.dtype = *dtype;
  TRY(head.check_rows());
  const std::uint64_t bytes = TRY(byte_size(*dtype, head.elements));
  head.entry.data = TRY(in.take(bytes));
  return std::move(head.entry);
}

Result<Package> read_whisper_cpp(const Source& source) {
  ByteReader in(source.file->bytes());
  const Header header = TRY(read_header(in));
  Package package;
  package.format = "ggml";
  package.naming = Naming::huggingface;
  package.file_bytes = source.file->bytes().size();
  package.storage.push_back(source.file);
  package.config = config(header);
  package.generation_config = generation_config(header);
  const std::int64_t first_special = package.generation_config.find("eos_token_id")->as_integer();
  const auto words = std::make_shared<const std::string>(TRY(read_words(in, first_special)));
  package.files.emplace("whisper.tiktoken", bytes_of(*words));
  package.storage.push_back(words);
  std::vector<TensorEntry> tensors;
  while (in.remaining() > 0) {
    if (tensors.size() == limits::gguf_tensors)
      return corrupt(fmt::format("over {} tensors", limits::gguf_tensors));
    tensors.push_back(TRY(read_tensor(in)));
  }
  TRY(add_tensors(package, std::move(tensors), source.file.get()));
  return package;
}

bool is_whisper_cpp(const Source& source) {
  const std::string_view text = source.text();
  std::uint32_t context = 0;
  if (text.size() < 12 || !text.starts_with("lmgg")) return false;
  std::memcpy(&context, text.data() + 8, sizeof context);
  return context == audio_positions;
}

}  // namespace

extern const Format whisper_cpp_format;
const Format whisper_cpp_format{
    .name = "whisper.cpp", .recognises = is_whisper_cpp, .read = read_whisper_cpp};

}  // namespace hearth
