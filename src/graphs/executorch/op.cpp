// What a kernel call gives its operator.
#include <fmt/core.h>

#include "graphs/executorch/flow.h"

namespace hearth::graphs::executorch {
namespace {

bool is_number(EValue::Kind kind) {
  return kind == EValue::Kind::integer || kind == EValue::Kind::boolean ||
         kind == EValue::Kind::real;
}

}  // namespace

Result<std::int32_t> Op::arg(std::size_t i) const {
  if (i >= args.size()) return corrupt(fmt::format("{} arguments", args.size()));
  return args[i];
}

bool Op::is_null(std::size_t i) const {
  const auto v = i < args.size() ? flow.value(args[i]) : Result<const EValue*>(nullptr);
  if (!v || *v == nullptr || (*v)->kind == EValue::Kind::null) return true;
  // What stands for a tensor that is not given: empty bytes without a place.
  const TensorSpec& t = (*v)->tensor;
  return (*v)->kind == EValue::Kind::tensor && t.type == Element::u8 && t.byte_count == 0 &&
         t.data == 0 && t.dims.size() == 1;
}

bool Op::is_tensor(std::size_t i) const {
  const auto v = i < args.size() ? flow.value(args[i]) : Result<const EValue*>(nullptr);
  return v && *v != nullptr && (*v)->kind == EValue::Kind::tensor;
}

Result<ValueId> Op::in(std::size_t i) const {
  auto id = flow.read(TRY(arg(i)));
  if (!id) return std::move(id).error().within(fmt::format("argument {}", i));
  return id;
}

Result<ValueId> Op::in(std::size_t i, Element to) const {
  const ValueId id = TRY(in(i));
  return TRY(type(i)) == to ? id : b().cast(id, to);
}

Result<const TensorSpec*> Op::spec(std::size_t i) const { return flow.spec(TRY(arg(i))); }
Result<Element> Op::type(std::size_t i) const { return TRY(spec(i))->type; }
Result<std::size_t> Op::rank(std::size_t i) const { return TRY(spec(i))->dims.size(); }

Result<ValueId> Op::operand(std::size_t i, Element to) const {
  if (is_tensor(i)) return in(i, to);
  return flow.number(TRY(arg(i)), to);
}

Result<std::int64_t> Op::integer(std::size_t i) const {
  const Number number = TRY(flow.number_of(TRY(arg(i))));
  if (number.integer) return *number.integer;
  if (number.real) return static_cast<std::int64_t>(std::max(-9e18, std::min(9e18, *number.real)));
  return Error(ErrorKind::unsupported,
               fmt::format("argument {}: computed, where a known number is needed", i));
}

Result<std::int64_t> Op::integer(std::size_t i, std::int64_t fallback) const {
  return is_null(i) ? Result<std::int64_t>(fallback) : integer(i);
}

Result<double> Op::real(std::size_t i) const {
  const Number number = TRY(flow.number_of(TRY(arg(i))));
  if (number.real) return *number.real;
  return Error(ErrorKind::unsupported,
               fmt::format("argument {}: computed, where a known number is needed", i));
}

Result<double> Op::real(std::size_t i, double fallback) const {
  return is_null(i) ? Result<double>(fallback) : real(i);
}

Result<bool> Op::flag(std::size_t i) const { return TRY(integer(i)) != 0; }

Result<Ints> Op::list(std::size_t i) const {
  if (is_null(i)) return Ints();
  const EValue* v = TRY(flow.value(TRY(arg(i))));
  if (v->kind == EValue::Kind::booleans) return v->items;
  if (is_number(v->kind)) return Ints{TRY(integer(i))};
  if (v->kind != EValue::Kind::integers) return corrupt(fmt::format("argument {}: no list", i));
  if (v->items.size() > max_rank * 2) return corrupt(fmt::format("a list of {}", v->items.size()));
  Ints numbers;
  for (const std::int64_t place : v->items) {
    const Number number = TRY(flow.number_of(place));
    if (!number.integer)
      return Error(ErrorKind::unsupported,
                   fmt::format("argument {}: computed, where known numbers are needed", i));
    numbers.push_back(*number.integer);
  }
  return numbers;
}

Result<ValueId> Op::list_id(std::size_t i) const {
  const EValue* v = TRY(flow.value(TRY(arg(i))));
  if (v->kind != EValue::Kind::integers) return b().integers(TRY(list(i)));
  if (v->items.size() > max_rank * 2) return corrupt(fmt::format("a list of {}", v->items.size()));
  bool is_known = true;
  for (const std::int64_t place : v->items)
    is_known = is_known && TRY(flow.number_of(place)).integer.has_value();
  if (is_known) return b().integers(TRY(list(i)));
  std::vector<ValueId> parts;
  for (const std::int64_t place : v->items)
    parts.push_back(
        b().emit("Reshape", {TRY(flow.number(place, Element::i64)), b().integers({1})}));
  return b().emit("Concat", std::move(parts), {{"axis", std::int64_t{0}}});
}

Result<ValueId> Op::whole(std::size_t i) const {
  const Number number = TRY(flow.number_of(TRY(arg(i))));
  if (number.integer) return b().integers({*number.integer});
  return b().emit("Reshape", {TRY(flow.number(TRY(arg(i)), Element::i64)), b().integers({1})});
}

Result<std::vector<std::int64_t>> Op::tensors(std::size_t i) const {
  const EValue* v = TRY(flow.value(TRY(arg(i))));
  if (v->kind != EValue::Kind::tensors && v->kind != EValue::Kind::optional_tensors)
    return corrupt(fmt::format("argument {}: no list of tensors", i));
  return v->items;
}

Result<std::vector<double>> Op::reals(std::size_t i) const {
  if (is_null(i)) return std::vector<double>();
  const EValue* v = TRY(flow.value(TRY(arg(i))));
  if (v->kind != EValue::Kind::reals) return corrupt(fmt::format("argument {}: no reals", i));
  return v->reals;
}

Result<std::string> Op::text(std::size_t i, std::string fallback) const {
  if (is_null(i)) return fallback;
  return TRY(flow.value(TRY(arg(i))))->text;
}

Status Op::give(std::size_t i, ValueId id, Element from) const {
  const Element to = TRY(type(i));
  return flow.write(TRY(arg(i)), from == to ? id : b().cast(id, to));
}

Status Op::give(std::size_t i, ValueId id) const { return flow.write(TRY(arg(i)), id); }

}  // namespace hearth::graphs::executorch
