// Source: ExecuTorch, schema/program.fbs and "PTE file format".
#include "graphs/executorch/import.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "graphs/executorch/flow.h"

namespace hearth::graphs {
namespace executorch {
namespace {

// The method that is asked for; otherwise "forward", or the first one that takes a tensor.
Result<std::size_t> chosen(const File& file, const std::string& method) {
  const std::vector<std::string> names = file.methods();
  if (names.empty()) return corrupt("a program without methods");
  const auto found = std::ranges::find(names, method.empty() ? "forward" : method);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  if (method.empty()) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      const Plan plan = TRY(file.plan(i));
      if (!plan.instructions.empty()) return i;
    }
    return std::size_t{0};
  }
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return Error(ErrorKind::not_found, fmt::format("no method '{}'; there are {}", method, all));
}

std::string text_of(const Plan& plan, std::int64_t index) {
  if (index < 0 || static_cast<std::size_t>(index) >= plan.values.size()) return "";
  const EValue& v = plan.values[static_cast<std::size_t>(index)];
  switch (v.kind) {
    case EValue::Kind::integer:
      return fmt::format("{}", v.integer);
    case EValue::Kind::boolean:
      return v.integer != 0 ? "true" : "false";
    case EValue::Kind::real:
      return fmt::format("{}", v.real);
    case EValue::Kind::text:
      return v.text;
    default:
      return "";
  }
}

// Methods that do nothing but give numbers say how the program is to be used.
void add_constants(const File& file, Program& program) {
  constexpr std::size_t most = 256;
  const std::vector<std::string> names = file.methods();
  std::string methods;
  for (std::size_t i = 0; i < std::min(names.size(), most); ++i) {
    const auto plan = file.plan(i);
    if (!plan) continue;
    std::string given;
    bool is_constant = plan->inputs.empty() && plan->instructions.empty() &&
                       !plan->outputs.empty() && plan->outputs.size() <= most;
    for (const std::int32_t index : plan->outputs) {
      const std::string text = is_constant ? text_of(*plan, index) : "";
      is_constant = is_constant && !text.empty();
      given += (given.empty() ? "" : ", ") + text;
    }
    if (is_constant)
      program.metadata[names[i]] = given;
    else
      methods += (methods.empty() ? "" : ", ") + names[i];
  }
  if (names.size() > 1) program.metadata["methods"] = methods;
}

// Operators that are not known, all of them, before anything is made.
Status check_operators(const Plan& plan) {
  std::set<std::string> unknown;
  for (const Instruction& each : plan.instructions) {
    if (each.kind != Instruction::Kind::kernel || each.index < 0 ||
        static_cast<std::size_t>(each.index) >= plan.operators.size())
      continue;
    const std::string& name = plan.operators[static_cast<std::size_t>(each.index)];
    if (find_kernel(name) == nullptr) unknown.insert(name);
  }
  if (unknown.empty()) return Done{};
  std::string all;
  for (const std::string& name : unknown) all += (all.empty() ? "" : ", ") + name;
  return Error(ErrorKind::unsupported, fmt::format("operators that Hearth does not know: {}", all));
}

Result<Program> read_program(std::shared_ptr<const MappedFile> mapped, const std::string& folder,
                             const std::string& method) {
  const File file = TRY(File::open(std::move(mapped), folder));
  const Plan plan = TRY(file.plan(TRY(chosen(file, method))));
  TRY(check_operators(plan));
  const auto graph = std::make_shared<Graph>();
  graph->name = plan.name;
  for (const auto& each : file.files()) graph->storage.push_back(each);
  Flow flow(file, plan, *graph);
  TRY(flow.run());
  TRY(finish(*graph));
  Program program;
  program.format = "executorch";
  program.format_version = file.version();
  std::string states;
  for (const std::string& name : flow.states()) states += (states.empty() ? "" : ", ") + name;
  if (!states.empty()) program.metadata["states"] = states;
  add_constants(file, program);
  program.graph = graph;
  return program;
}

}  // namespace
}  // namespace executorch

Result<Program> import_executorch(std::shared_ptr<const MappedFile> file, const std::string& folder,
                                  const std::string& method) {
  return executorch::read_program(std::move(file), folder, method);
}

bool looks_like_executorch(std::span<const std::byte> bytes) {
  return bytes.size() > 8 && std::memcmp(bytes.data() + 4, "ET", 2) == 0 &&
         std::to_integer<char>(bytes[6]) >= '0' && std::to_integer<char>(bytes[6]) <= '9' &&
         std::to_integer<char>(bytes[7]) >= '0' && std::to_integer<char>(bytes[7]) <= '9';
}

}  // namespace hearth::graphs
