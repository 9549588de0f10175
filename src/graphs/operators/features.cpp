// Features: encoding, scaling and picking columns of data.
// Source: ONNX operator specification, ai.onnx.ml.
#include <algorithm>
#include <cmath>
#include <map>

#include "graphs/operators/families.h"
#include "graphs/operators/move.h"
#include "graphs/operators/scores.h"

namespace hearth::graphs {
namespace {

Status array_feature_extractor(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto columns = TRY(call.integers(1));
  if (x->rank() == 0) return invalid("needs at least one axis");
  const std::int64_t n = x->dims.back(), rows = n == 0 ? 0 : x->count / n;
  Dims dims(x->dims.begin(), x->dims.end() - 1);
  dims.push_back(static_cast<std::int64_t>(columns.size()));
  if (x->rank() == 1) dims.insert(dims.begin(), 1);
  Tensor* y = TRY(call.make(0, x->type, std::move(dims)));
  const std::size_t size = size_of(x->type);
  std::byte* to = y->bytes;
  for (std::int64_t row = 0; row < rows; ++row)
    for (const std::int64_t column : columns) {
      if (column < 0 || column >= n) return invalid(fmt::format("column {} of {}", column, n));
      std::memcpy(to, x->bytes + static_cast<std::size_t>(row * n + column) * size, size);
      to += size;
    }
  return Done{};
}

// The keys or values of a LabelEncoder as a tensor, from whichever attribute holds them.
Result<Tensor> labels(Call& call, std::string_view what) {
  const auto name = [&](std::string_view kind) { return fmt::format("{}_{}", what, kind); };
  if (const Tensor* t = call.tensor_of(name("tensor"))) return *t;
  if (call.has_attribute(name("strings"))) {
    const auto& texts = call.texts_of(name("strings"));
    Tensor t = TRY(call.scratch(Element::text, {static_cast<std::int64_t>(texts.size())}));
    for (std::size_t i = 0; i < texts.size(); ++i)
      t.data<const std::string*>()[i] = call.keep(texts[i]);
    return t;
  }
  if (call.has_attribute(name("int64s"))) {
    const auto& numbers = call.list(name("int64s"));
    Tensor t = TRY(call.scratch(Element::i64, {static_cast<std::int64_t>(numbers.size())}));
    put(t, std::span<const std::int64_t>(numbers));
    return t;
  }
  const auto& reals = call.reals_of(name("floats"));
  Tensor t = TRY(call.scratch(Element::f32, {static_cast<std::int64_t>(reals.size())}));
  put(t, std::span<const double>(reals));
  return t;
}

// What tells elements apart: their text, or their bytes; all NaNs are one.
std::string key_at(const Tensor& t, std::int64_t i) {
  if (t.type == Element::text) return std::string(t.text(i));
  if (is_float(t.type)) {
    double number;
    load(Work::f64, &number, t.type, t.bytes + i * static_cast<std::int64_t>(size_of(t.type)), 1);
    return number != number ? "NaN" : fmt::format("{}", number);
  }
  std::int64_t number;
  load(Work::i64, &number, t.type, t.bytes + i * static_cast<std::int64_t>(size_of(t.type)), 1);
  return fmt::format("{}", number);
}

Status label_encoder(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  if (call.has_attribute("classes_strings")) {  // version 1: strings to their places, or back
    const auto& names = call.texts_of("classes_strings");
    const bool to_numbers = x->type == Element::text;
    Tensor* y = TRY(call.make(0, to_numbers ? Element::i64 : Element::text, x->dims));
    const auto ids = to_numbers ? std::vector<std::int64_t>() : TRY(call.integers(0));
    for (std::int64_t i = 0; i < x->count; ++i) {
      if (to_numbers) {
        const auto found = std::ranges::find(names, x->text(i));
        y->data<std::int64_t>()[i] =
            found == names.end() ? call.integer("default_int64", -1) : found - names.begin();
      } else {
        const auto id = static_cast<std::size_t>(ids[static_cast<std::size_t>(i)]);
        y->data<const std::string*>()[i] = call.keep(
            id < names.size() ? names[id] : std::string(call.text("default_string", "_Unused")));
      }
    }
    return Done{};
  }
  const Tensor keys = TRY(labels(call, "keys")), values = TRY(labels(call, "values"));
  if (keys.count != values.count)
    return invalid(fmt::format("{} keys and {} values", keys.count, values.count));
  std::map<std::string, std::int64_t> places;
  for (std::int64_t i = 0; i < keys.count; ++i) places[key_at(keys, i)] = i;
  Tensor fallback;
  if (const Tensor* given = call.tensor_of("default_tensor");
      given != nullptr && given->count == 1 && given->type == values.type) {
    fallback = *given;
  } else {
    fallback = TRY(call.scratch(values.type, {}));
    const double real = call.real("default_float", -0.0),
                 whole = static_cast<double>(call.integer("default_int64", -1));
    if (values.type == Element::text)
      fallback.data<const std::string*>()[0] =
          call.keep(std::string(call.text("default_string", "_Unused")));
    else
      put(fallback, std::span<const double>(is_float(values.type) ? &real : &whole, 1));
  }
  Tensor* y = TRY(call.make(0, values.type, x->dims));
  const auto size = static_cast<std::int64_t>(size_of(values.type));
  for (std::int64_t i = 0; i < x->count; ++i) {
    const auto found = places.find(key_at(*x, i));
    std::memcpy(y->bytes + i * size,
                found == places.end() ? fallback.bytes : values.bytes + found->second * size,
                static_cast<std::size_t>(size));
  }
  if (values.strings) y->strings = values.strings;
  return Done{};
}

Status category_mapper(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto& names = call.texts_of("cats_strings");
  const auto& ids = call.list("cats_int64s");
  if (names.size() != ids.size())
    return invalid("cats_strings and cats_int64s of different lengths");
  const bool to_numbers = x->type == Element::text;
  const auto given = to_numbers ? std::vector<std::int64_t>() : TRY(call.integers(0));
  Tensor* y = TRY(call.make(0, to_numbers ? Element::i64 : Element::text, x->dims));
  for (std::int64_t i = 0; i < x->count; ++i) {
    if (to_numbers) {
      const auto found = std::ranges::find(names, x->text(i));
      y->data<std::int64_t>()[i] = found == names.end()
                                       ? call.integer("default_int64", -1)
                                       : ids[static_cast<std::size_t>(found - names.begin())];
    } else {
      const auto found = std::ranges::find(ids, given[static_cast<std::size_t>(i)]);
      y->data<const std::string*>()[i] =
          call.keep(found == ids.end() ? std::string(call.text("default_string", "_Unused"))
                                       : names[static_cast<std::size_t>(found - ids.begin())]);
    }
  }
  return Done{};
}

Status scaler(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto &offset = call.reals_of("offset"), &scale = call.reals_of("scale");
  const auto n = static_cast<std::size_t>(x->rank() == 0 ? 1 : x->dims.back());
  if ((offset.size() != n && offset.size() != 1) || (scale.size() != n && scale.size() != 1))
    return invalid("offset or scale of another size");
  const Numbers<double> numbers(*x);
  std::vector<double> result;
  for (std::size_t i = 0; i < numbers.size(); ++i)
    result.push_back((numbers[i] - offset[offset.size() == 1 ? 0 : i % n]) *
                     scale[scale.size() == 1 ? 0 : i % n]);
  put(*TRY(call.make(0, Element::f32, x->dims)), std::span<const double>(result));
  return Done{};
}

Status imputer(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const bool real = is_float(x->type);
  std::vector<double> values = call.reals_of("imputed_value_floats");
  if (!real)
    values.assign(call.list("imputed_value_int64s").begin(),
                  call.list("imputed_value_int64s").end());
  const double replaced = real ? call.real("replaced_value_float", 0)
                               : static_cast<double>(call.integer("replaced_value_int64", 0));
  const auto n = static_cast<std::size_t>(x->rank() == 0 ? 1 : x->dims.back());
  if (values.size() != 1 && values.size() != n) return invalid("imputed values of another size");
  const Numbers<double> numbers(*x);
  std::vector<double> result(numbers.begin(), numbers.end());
  for (std::size_t i = 0; i < result.size(); ++i)
    if (result[i] == replaced || (replaced != replaced && result[i] != result[i]))
      result[i] = values[values.size() == 1 ? 0 : i % n];
  put(*TRY(call.make(0, x->type, x->dims)), std::span<const double>(result));
  return Done{};
}

Status normalizer(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Table table = TRY(table_of(*x));
  const std::string_view norm = call.text("norm", "MAX");
  const Numbers<double> numbers(*x);
  std::vector<double> result(numbers.begin(), numbers.end());
  for (std::int64_t row = 0; row < table.rows; ++row) {
    double* at = result.data() + row * table.columns;
    double size = 0;
    for (std::int64_t i = 0; i < table.columns; ++i)
      size = norm == "MAX" ? std::max(size, std::fabs(at[i]))
                           : size + (norm == "L1" ? std::fabs(at[i]) : at[i] * at[i]);
    if (norm == "L2") size = std::sqrt(size);
    for (std::int64_t i = 0; i < table.columns && size != 0; ++i) at[i] /= size;
  }
  put(*TRY(call.make(0, Element::f32, x->dims)), std::span<const double>(result));
  return Done{};
}

Status one_hot_encoder(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto& names = call.texts_of("cats_strings");
  const auto& ids = call.list("cats_int64s");
  const bool texts = x->type == Element::text;
  const std::size_t n = texts ? names.size() : ids.size();
  Dims dims = x->dims;
  dims.push_back(static_cast<std::int64_t>(n));
  Tensor* y = TRY(call.make(0, Element::f32, std::move(dims)));
  std::fill_n(y->data<float>(), y->count, 0.0f);
  std::vector<std::int64_t> numbers(texts ? 0 : static_cast<std::size_t>(x->count));
  if (!texts) load(Work::i64, numbers.data(), x->type, x->bytes, numbers.size());
  for (std::int64_t i = 0; i < x->count; ++i) {
    const std::size_t at =
        texts ? static_cast<std::size_t>(std::ranges::find(names, x->text(i)) - names.begin())
              : static_cast<std::size_t>(
                    std::ranges::find(ids, numbers[static_cast<std::size_t>(i)]) - ids.begin());
    if (at < n)
      y->data<float>()[static_cast<std::size_t>(i) * n + at] = 1;
    else if (call.integer("zeros", 1) == 0)
      return invalid("a category that is none of the known");
  }
  return Done{};
}

Status feature_vectorizer(Call& call) {
  const auto& sizes = call.list("inputdimensions");
  std::vector<Tensor> parts;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    const Tensor* x = TRY(call.tensor(i));
    const Table table = TRY(table_of(*x));
    const std::int64_t kept = i < sizes.size() ? sizes[i] : table.columns;
    Tensor part_of = TRY(cast(call, reshaped(*x, {table.rows, table.columns}), Element::f32));
    if (kept < 0) return invalid("inputdimensions");
    if (kept < table.columns) part_of = TRY(part(call, part_of, 1, 0, kept));
    parts.push_back(std::move(part_of));
  }
  std::vector<const Tensor*> at;
  for (const Tensor& each : parts) at.push_back(&each);
  call.give(0, TRY(joined(call, at, 1)));
  return Done{};
}

Result<const Value*> map_of(Call& call) {
  if (!call.has(0) || call.inputs[0]->kind != Value::Kind::map)
    return invalid("input 0: needs a map");
  return call.inputs[0];
}

Status dict_vectorizer(Call& call) {
  const Value* map = TRY(map_of(call));
  const Tensor &keys = (*map->items)[0].tensor, &values = (*map->items)[1].tensor;
  std::vector<std::string> words = call.texts_of("string_vocabulary");
  for (const std::int64_t id : call.list("int64_vocabulary"))
    words.push_back(fmt::format("{}", id));
  Tensor* y = TRY(call.make(0, values.type, {1, static_cast<std::int64_t>(words.size())}));
  fill_zero(*y);
  const auto size = static_cast<std::int64_t>(size_of(values.type));
  for (std::int64_t i = 0; i < keys.count; ++i) {
    const auto at = std::ranges::find(words, key_at(keys, i)) - words.begin();
    if (at < static_cast<std::ptrdiff_t>(words.size()))
      std::memcpy(y->bytes + at * size, values.bytes + i * size, static_cast<std::size_t>(size));
  }
  return Done{};
}

Status cast_map(Call& call) {
  const Value* map = TRY(map_of(call));
  const Tensor &keys = (*map->items)[0].tensor, &values = (*map->items)[1].tensor;
  const std::string_view to = call.text("cast_to", "TO_FLOAT");
  const Element type = to == "TO_INT64"    ? Element::i64
                       : to == "TO_STRING" ? Element::text
                                           : Element::f32;
  Tensor numbers = TRY(cast(call, values, type));
  if (call.text("map_form", "DENSE") == "DENSE") {
    call.give(0, reshaped(numbers, {1, numbers.count}));
    return Done{};
  }
  const std::int64_t most = call.integer("max_map", 1);
  if (most < 0 || most > (1 << 28) || keys.type != Element::i64) return invalid("max_map");
  Tensor* y = TRY(call.make(0, type, {1, most}));
  fill_zero(*y);
  const auto size = static_cast<std::int64_t>(size_of(type));
  for (std::int64_t i = 0; i < keys.count; ++i) {
    const std::int64_t at = keys.data<std::int64_t>()[i];
    if (at >= 0 && at < most)
      std::memcpy(y->bytes + at * size, numbers.bytes + i * size, static_cast<std::size_t>(size));
  }
  return Done{};
}

Status zip_map(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Table table = TRY(table_of(*x));
  const auto& names = call.texts_of("classlabels_strings");
  const auto& ids = call.list("classlabels_int64s");
  const std::size_t n = names.empty() ? ids.size() : names.size();
  if (static_cast<std::int64_t>(n) != table.columns)
    return invalid(fmt::format("{} labels for {} columns", n, table.columns));
  std::vector<Value> maps;
  const Tensor rows = reshaped(*x, {table.rows, table.columns});
  for (std::int64_t row = 0; row < table.rows; ++row) {
    Tensor keys = TRY(call.scratch(names.empty() ? Element::i64 : Element::text, {table.columns}));
    for (std::size_t i = 0; i < n; ++i) {
      if (names.empty())
        keys.data<std::int64_t>()[i] = ids[i];
      else
        keys.data<const std::string*>()[i] = call.keep(names[i]);
    }
    maps.push_back(
        Value::map(std::move(keys), reshaped(TRY(part(call, rows, 0, row, 1)), {table.columns})));
  }
  call.give(0, Value::sequence(std::move(maps)));
  return Done{};
}

constexpr Operator rows[] = {
    {"ai.onnx.ml.ArrayFeatureExtractor", array_feature_extractor, nullptr, 2, 2},
    {"ai.onnx.ml.LabelEncoder", label_encoder, nullptr, 1, 1},
    {"ai.onnx.ml.CategoryMapper", category_mapper, nullptr, 1, 1},
    {"ai.onnx.ml.Scaler", scaler, nullptr, 1, 1},
    {"ai.onnx.ml.Imputer", imputer, nullptr, 1, 1},
    {"ai.onnx.ml.Normalizer", normalizer, nullptr, 1, 1},
    {"ai.onnx.ml.OneHotEncoder", one_hot_encoder, nullptr, 1, 1},
    {"ai.onnx.ml.FeatureVectorizer", feature_vectorizer, nullptr, 1},
    {"ai.onnx.ml.DictVectorizer", dict_vectorizer, nullptr, 1, 1},
    {"ai.onnx.ml.CastMap", cast_map, nullptr, 1, 1},
    {"ai.onnx.ml.ZipMap", zip_map, nullptr, 1, 1},
};

}  // namespace

std::span<const Operator> feature_operators() { return rows; }

}  // namespace hearth::graphs
