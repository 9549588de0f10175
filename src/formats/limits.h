// What a model file may claim.  Far above any real file: they bound memory and time before a
// length is believed.
#pragma once

#include <cstdint>

namespace hearth::limits {

constexpr std::uint64_t gguf_pairs = 65536;            // key/value pairs
constexpr std::uint64_t gguf_tensors = 65536;          // of all shards together
constexpr std::uint64_t gguf_key_bytes = 65535;        // the specification's
constexpr std::uint64_t gguf_string_bytes = 16 << 20;  // a chat template is below 1 MiB
constexpr std::uint64_t gguf_array_elements = 1 << 24;
constexpr std::uint64_t gguf_name_bytes = 63;  // of a tensor; the specification's 64 with its NUL
constexpr std::uint32_t gguf_rank = 4;
constexpr std::uint32_t gguf_min_alignment = 8, gguf_max_alignment = 4096;

constexpr std::uint64_t safetensors_header_bytes = 100'000'000;  // the reference reader's
constexpr std::uint64_t safetensors_tensors = 262144;
constexpr std::uint64_t safetensors_rank = 8;
constexpr std::uint64_t safetensors_name_bytes = 4096;
constexpr std::uint64_t safetensors_metadata_bytes = 16 << 20;  // one string

constexpr std::uint64_t config_bytes = 16 << 20;  // config.json and its like
constexpr std::uint64_t config_members = 262144;
constexpr std::uint64_t static_table_bytes = 4ull << 30;  // one vector of f32 for each token
// Tokens of one text of such a model, which has no limit of its own.
constexpr std::uint32_t static_table_context = 131072;
constexpr std::uint64_t index_bytes = 64 << 20;  // *.safetensors.index.json
constexpr std::uint64_t shards = 1024;

constexpr std::uint64_t zip_entries = 262144;
constexpr std::uint64_t zip_name_bytes = 1024;

constexpr std::uint64_t pickle_bytes = 64 << 20;   // without the tensors' data
constexpr std::uint64_t pickle_objects = 2 << 20;  // a model of 1,000 tensors has 50,000
constexpr std::uint64_t pickle_string_bytes = 1 << 20;
constexpr std::uint64_t pickle_depth = 64;  // of what is searched for tensors
constexpr std::uint64_t torch_tensors = 262144;
constexpr std::uint64_t torch_rank = 8;

}  // namespace hearth::limits
