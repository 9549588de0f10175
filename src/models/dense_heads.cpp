#include "models/dense_heads.h"

#include <fmt/core.h>

#include <array>
#include <cmath>

#include "base/utf8.h"
#include "models/hyper_source.h"
#include "models/tensors.h"
#include "models/values.h"

namespace hearth::models {
namespace {

Result<DenseHead> read_head(const Package& package, const std::string& path, std::size_t columns) {
  const Json config = TRY(json_file(package, path + "/config.json"));
  const Json* function = config.is_object() ? config.find("activation_function") : nullptr;
  const std::string name =
      function != nullptr && function->is_string() ? function->as_string() : std::string();
  DenseHead head;
  head.tanh = name.ends_with(".Tanh");
  if (!head.tanh && !name.ends_with(".Identity"))
    return Error(
        ErrorKind::unsupported,
        fmt::format("{}/config.json: activation_function = '{}': we know Identity and Tanh", path,
                    printable(name)));
  const TensorEntry* weights = package.find(path + ".linear.weight");
  if (weights == nullptr)
    return Error(ErrorKind::corrupt, fmt::format("{}: linear.weight is missing", path));
  TRY(check_shape(*weights, std::array<std::uint64_t, 2>{0, columns}));
  head.rows = weights->shape.front();
  head.columns = columns;
  head.weights = TRY(read_floats(*weights));
  if (const TensorEntry* bias = package.find(path + ".linear.bias")) {
    TRY(check_shape(*bias, std::array<std::uint64_t, 1>{head.rows}));
    head.bias = TRY(read_floats(*bias));
  }
  return head;
}

}  // namespace

Result<std::vector<DenseHead>> read_dense_heads(const Package& package, std::size_t dim) {
  std::vector<DenseHead> heads;
  if (package.naming == Naming::gguf) return heads;
  for (const std::string& path : TRY(dense_modules(package))) {
    heads.push_back(TRY(read_head(package, path, dim)));
    dim = heads.back().rows;
  }
  return heads;
}

void apply_dense_heads(std::span<const DenseHead> heads, std::vector<float>& vector) {
  for (const DenseHead& head : heads) {
    std::vector<float> out(head.rows);
    for (std::size_t r = 0; r < head.rows; ++r) {
      double sum = head.bias.empty() ? 0.0 : static_cast<double>(head.bias[r]);
      for (std::size_t c = 0; c < head.columns; ++c)
        sum += static_cast<double>(head.weights[r * head.columns + c]) *
               static_cast<double>(vector[c]);
      out[r] = static_cast<float>(head.tanh ? std::tanh(sum) : sum);
    }
    vector = std::move(out);
  }
}

}  // namespace hearth::models
