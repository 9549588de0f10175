// ONNX Runtime, where its library is installed: it is loaded when a graph is to be run, and called
// by its C interface of version 13, which every release since 1.13 has.
// Source: onnxruntime_c_api.h, "struct OrtApi" (a table of functions, only ever added to).
#include <dlfcn.h>
#include <fmt/core.h>

#include <cstdlib>
#include <map>

#include "base/utf8.h"
#include "engines/graph_run.h"
#include "formats/graph_folder.h"

namespace hearth {
namespace {

using adapters::GraphInputs;
using adapters::GraphRun;
using graphs::Element;
using graphs::Value;

constexpr std::uint32_t interface_version = 13;

// Places in the table of functions.
enum class Entry : std::size_t {
  error_message = 2,
  create_env = 3,
  disable_telemetry = 6,
  create_session = 7,
  run = 9,
  create_session_options = 10,
  set_threads = 24,
  create_run_options = 39,
  set_terminate = 46,
  create_tensor_with_data = 49,
  tensor_data = 51,
  tensor_type = 60,
  dims_count = 61,
  dims = 62,
  type_and_shape = 65,
  create_cpu_memory_info = 69,
  release_env = 92,
  release_status = 93,
  release_memory_info = 94,
  release_session = 95,
  release_value = 96,
  release_run_options = 97,
  release_type_and_shape = 99,
  release_session_options = 100,
};

// The numbers of TensorProto.DataType.
constexpr std::pair<Element, int> types[] = {
    {Element::f32, 1},  {Element::u8, 2},   {Element::i8, 3},   {Element::u16, 4},
    {Element::i16, 5},  {Element::i32, 6},  {Element::i64, 7},  {Element::boolean, 9},
    {Element::f16, 10}, {Element::f64, 11}, {Element::u32, 12}, {Element::u64, 13},
    {Element::bf16, 16}};

struct ApiBase {
  const void* (*api)(std::uint32_t version);
  const char* (*version)();
};

Error unsupported(std::string what) { return Error(ErrorKind::unsupported, std::move(what)); }

// The library; once loaded it stays, as its threads may outlive whoever asked for it.
class Runtime {
 public:
  // Errors: unsupported (not installed, too old).
  static Result<std::shared_ptr<const Runtime>> open() {
    const char* named = std::getenv("ORT_DYLIB_PATH");
    void* handle = nullptr;
    for (const char* name : {named, "libonnxruntime.so.1", "libonnxruntime.so"})
      if (handle == nullptr && name != nullptr && *name != '\0')
        handle = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == nullptr)
      return unsupported(
          "libonnxruntime.so is not installed here (ORT_DYLIB_PATH may name its file)");
    std::shared_ptr<Runtime> library(new Runtime(handle));
    using GetBase = const ApiBase* (*)();
    const auto get = reinterpret_cast<GetBase>(dlsym(handle, "OrtGetApiBase"));
    const ApiBase* base = get == nullptr ? nullptr : get();
    if (base == nullptr) return unsupported("libonnxruntime.so has no OrtGetApiBase");
    library->version_ = base->version();
    library->table_ = static_cast<void* const*>(base->api(interface_version));
    if (library->table_ == nullptr)
      return unsupported(fmt::format("ONNX Runtime {}: needs 1.13 or later", library->version_));
    return std::shared_ptr<const Runtime>(library);
  }
  ~Runtime() { dlclose(handle_); }

  const std::string& version() const { return version_; }
  template <typename... Arguments>
  Status call(Entry entry, Arguments... arguments) const {
    void* status = reinterpret_cast<void* (*)(Arguments...)>(at(entry))(arguments...);
    if (status == nullptr) return Done{};
    const auto message = reinterpret_cast<const char* (*)(void*)>(at(Entry::error_message));
    Error error(ErrorKind::invalid,
                fmt::format("ONNX Runtime: {}", printable(message(status), 500)));
    release(Entry::release_status, status);
    return error;
  }
  void release(Entry entry, void* object) const {
    reinterpret_cast<void (*)(void*)>(at(entry))(object);
  }

 private:
  explicit Runtime(void* handle) : handle_(handle) {}
  void* at(Entry entry) const { return table_[static_cast<std::size_t>(entry)]; }
  void* handle_;
  void* const* table_ = nullptr;
  std::string version_;
};

// One of the library's objects, let go by its own function.
class Object {
 public:
  Object(std::shared_ptr<const Runtime> library, Entry release)
      : library_(std::move(library)), release_(release) {}
  ~Object() {
    if (object_ != nullptr) library_->release(release_, object_);
  }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  void* get() const { return object_; }
  void** place() { return &object_; }

 private:
  std::shared_ptr<const Runtime> library_;
  Entry release_;
  void* object_ = nullptr;
};

class OnnxRun final : public GraphRun {
 public:
  static Result<std::unique_ptr<const GraphRun>> open(const std::shared_ptr<const Runtime>& library,
                                                      graphs::Program program, int threads) {
    auto made = std::unique_ptr<OnnxRun>(new OnnxRun(library, std::move(program)));
    constexpr int warnings_and_worse = 3;
    TRY(library->call(Entry::create_env, warnings_and_worse, "hearth", made->env_.place()));
    TRY(library->call(Entry::disable_telemetry, static_cast<const void*>(made->env_.get())));
    Object options(library, Entry::release_session_options);
    TRY(library->call(Entry::create_session_options, options.place()));
    TRY(library->call(Entry::set_threads, options.get(), threads));
    TRY(library->call(Entry::create_session, static_cast<const void*>(made->env_.get()),
                      made->program_.path.c_str(), static_cast<const void*>(options.get()),
                      made->session_.place()));
    constexpr int arena = 1, usual_memory = 0;
    TRY(library->call(Entry::create_cpu_memory_info, arena, usual_memory, made->memory_.place()));
    return std::unique_ptr<const GraphRun>(std::move(made));
  }

  const graphs::Graph& graph() const override { return *program_.graph; }
  Result<std::vector<Value>> run(ops::Context& ctx, const GraphInputs& inputs,
                                 std::stop_token stop) const override;

 private:
  OnnxRun(const std::shared_ptr<const Runtime>& library, graphs::Program program)
      : library_(library),
        program_(std::move(program)),
        env_(library, Entry::release_env),
        memory_(library, Entry::release_memory_info),
        session_(library, Entry::release_session) {}
  Status give(const graphs::Tensor& tensor, Object& value) const;
  Result<graphs::Tensor> take(std::shared_ptr<Object> value) const;

  std::shared_ptr<const Runtime> library_;
  graphs::Program program_;
  Object env_, memory_, session_;  // the session goes first
};

Status OnnxRun::give(const graphs::Tensor& tensor, Object& value) const {
  for (const auto& [element, number] : types)
    if (element == tensor.type)
      return library_->call(Entry::create_tensor_with_data, static_cast<const void*>(memory_.get()),
                            static_cast<void*>(tensor.bytes), tensor.byte_count(),
                            tensor.dims.data(), tensor.dims.size(), number, value.place());
  return unsupported(fmt::format("an input of {} for ONNX Runtime", graphs::name_of(tensor.type)));
}

// The library's own memory, kept as long as the tensor.
Result<graphs::Tensor> OnnxRun::take(std::shared_ptr<Object> value) const {
  const void* held = value->get();
  Object shape(library_, Entry::release_type_and_shape);
  TRY(library_->call(Entry::type_and_shape, held, shape.place()));
  int type = 0;
  std::size_t rank = 0;
  TRY(library_->call(Entry::tensor_type, static_cast<const void*>(shape.get()), &type));
  TRY(library_->call(Entry::dims_count, static_cast<const void*>(shape.get()), &rank));
  graphs::Tensor tensor;
  tensor.dims.resize(rank);
  TRY(library_->call(Entry::dims, static_cast<const void*>(shape.get()), tensor.dims.data(), rank));
  for (const auto& [element, number] : types)
    if (number == type) tensor.type = element;
  if (tensor.type == Element::none)
    return unsupported(fmt::format("a result of ONNX Runtime's type {}", type));
  tensor.count = TRY(graphs::count_of(tensor.dims));
  void* bytes = nullptr;
  TRY(library_->call(Entry::tensor_data, value->get(), &bytes));
  tensor.bytes = static_cast<std::byte*>(bytes);
  tensor.owner = std::move(value);
  return tensor;
}

Result<std::vector<Value>> OnnxRun::run(ops::Context&, const GraphInputs& inputs,
                                        std::stop_token stop) const {
  std::vector<std::unique_ptr<Object>> given;
  std::vector<const char*> input_names, output_names;
  std::vector<const void*> input_values;
  for (const auto& [name, value] : inputs) {
    given.push_back(std::make_unique<Object>(library_, Entry::release_value));
    TRY(give(value.tensor, *given.back()));
    input_names.push_back(name.c_str());
    input_values.push_back(given.back()->get());
  }
  std::vector<void*> outputs(graph().outputs.size(), nullptr);
  for (const graphs::ValueId id : graph().outputs)
    output_names.push_back(graph().values[static_cast<std::size_t>(id)].name.c_str());
  Object options(library_, Entry::release_run_options);
  TRY(library_->call(Entry::create_run_options, options.place()));
  const std::stop_callback on_stop(
      stop, [&] { (void)library_->call(Entry::set_terminate, options.get()).ok(); });
  auto status = library_->call(Entry::run, session_.get(), static_cast<const void*>(options.get()),
                               input_names.data(), input_values.data(), input_values.size(),
                               output_names.data(), output_names.size(), outputs.data());
  if (stop.stop_requested()) status = Error(ErrorKind::cancelled, "stopped");
  std::vector<std::shared_ptr<Object>> held;
  for (void* output : outputs) {
    held.push_back(std::make_shared<Object>(library_, Entry::release_value));
    *held.back()->place() = output;
  }
  TRY(status);
  std::vector<Value> values;
  for (auto& value : held) values.emplace_back(TRY(take(std::move(value))));
  return values;
}

Result<EngineFit> fit(const ops::Context&, const Package& package) {
  if (package.format != "onnx") return unsupported("no ONNX graph");
  const auto library = TRY(Runtime::open());
  const ModelInfo info = TRY(adapters::describe_graph_model(package));
  return EngineFit{.score = 0.6,
                   .why = fmt::format("ONNX Runtime {} is installed", library->version()),
                   .bytes = info.weight_bytes};
}

Result<std::shared_ptr<const Model>> load(ops::Context& ctx, const Package& package,
                                          const LoadOptions& options) {
  const auto library = TRY(Runtime::open());
  const int threads = ctx.pool == nullptr ? 1 : ctx.pool->threads();
  return adapters::load_graph_model(package, options, [&](graphs::Program program) {
    return OnnxRun::open(library, std::move(program), threads);
  });
}

bool reads(const Package&) { return false; }

Result<ModelInfo> describe_onnx(const Package& package, std::optional<Dtype>) {
  if (package.format != "onnx") return unsupported("no ONNX graph");
  return adapters::describe_graph_model(package);
}

}  // namespace

extern const Engine onnxruntime_engine;
const Engine onnxruntime_engine{.name = "onnxruntime",
                                .summary = "the same graphs, by ONNX Runtime where it is installed",
                                .reads = reads,
                                .fit = fit,
                                .describe = describe_onnx,
                                .load = load};

}  // namespace hearth
