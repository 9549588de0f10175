// The files of a learned index and of its model.  Described in docs/formats/vectors-learned.md.
#include <fmt/core.h>

#include <cmath>

#include "vectors/checked_file.h"
#include "vectors/learned/learned_view.h"

namespace hearth::vectors {
namespace {

constexpr std::uint32_t version = 1;

Error bad(std::string_view what) { return Error(ErrorKind::corrupt, std::string(what)); }

void put_floats(CheckedWriter& out, const std::vector<float>& values) {
  out.array(std::span<const float>(values));
}

Result<std::vector<float>> take_floats(ByteReader& in, std::size_t n) {
  TRY(in.expect_records(n, sizeof(float)));
  std::vector<float> values(n);
  for (float& value : values) {
    value = TRY(in.value<float>());
    if (!std::isfinite(value)) return bad("a number that is not finite");
  }
  return values;
}

void put_model(CheckedWriter& out, const CodeModel& model) {
  out.value(static_cast<std::uint64_t>(model.dim()));
  out.value(static_cast<std::uint64_t>(model.encoder.hidden.weights.rows));
  out.value(model.scale);
  put_floats(out, model.mean);
  put_floats(out, model.thresholds);
  for (const Layer* layer : {&model.encoder.hidden, &model.encoder.output}) {
    put_floats(out, layer->weights.values);
    put_floats(out, layer->bias);
  }
}

Result<CodeModel> take_model(ByteReader& in) {
  CodeModel model;
  const auto dim = TRY(in.value<std::uint64_t>()), hidden = TRY(in.value<std::uint64_t>());
  if (dim < 1 || dim > most_flat_dim || hidden < 1 || hidden > 4096)
    return bad("a network of no sensible size");
  model.scale = TRY(in.value<float>());
  model.mean = TRY(take_floats(in, dim));
  model.thresholds = TRY(take_floats(in, CodeModel::bits));
  const auto take_layer = [&](Layer& layer, std::size_t inputs, std::size_t outputs) -> Status {
    layer.weights.rows = outputs;
    layer.weights.columns = inputs;
    layer.weights.values = TRY(take_floats(in, inputs * outputs));
    layer.bias = TRY(take_floats(in, outputs));
    return Done{};
  };
  TRY(take_layer(model.encoder.hidden, dim, hidden));
  TRY(take_layer(model.encoder.output, hidden, CodeModel::bits));
  if (!std::isfinite(model.scale)) return bad("a number that is not finite");
  return model;
}

}  // namespace

Result<CodeModel> read_model_file(const std::string& path) {
  const CheckedFile checked = TRY(open_checked(path, Learned::model_magic));
  ByteReader in(checked.body);
  auto model = [&]() -> Result<CodeModel> {
    if (const auto found = TRY(in.value<std::uint32_t>()); found != version)
      return Error(ErrorKind::unsupported, fmt::format("version {}", found));
    CodeModel taken = TRY(take_model(in));
    if (in.remaining() != 0) return bad("bytes after the model");
    return taken;
  }();
  if (!model) return std::move(model).error().within(path);
  return model;
}

Status Learned::save_model(const std::string& path) const {
  const auto now = view();
  if (now->model == nullptr) return Error(ErrorKind::invalid, "nothing is learned yet");
  CheckedWriter out = TRY(CheckedWriter::create(path));
  out.array(std::span<const char>(model_magic));
  out.value(version);
  put_model(out, *now->model);
  return out.finish();
}

Status Learned::save(const std::string& path) const {
  const std::lock_guard lock(writing_);
  const auto now = view();
  CheckedWriter out = TRY(CheckedWriter::create(path));
  out.array(std::span<const char>(spec_.hybrid ? hybrid_magic : magic));
  out.value(version);
  out.value(static_cast<std::uint32_t>(spec_.metric));
  out.value(static_cast<std::uint32_t>(spec_.storage));
  out.value(static_cast<std::uint32_t>(radius_));
  for (const std::uint64_t number :
       {std::uint64_t{spec_.dim}, std::uint64_t{spec_.segments}, std::uint64_t{now->used},
        std::uint64_t{writer_->trained_rows}, std::uint64_t{writer_->since},
        std::uint64_t{now->reference == nullptr ? 0 : now->reference->rows}})
    out.value(number);
  for (const auto& recall : recall_) out.value(recall.load());
  out.value(static_cast<std::uint32_t>(now->model != nullptr));
  if (now->model != nullptr) {
    put_model(out, *now->model);
    if (now->reference != nullptr) put_floats(out, now->reference->values);
    for (std::size_t i = 0; i < now->used; ++i) out.value(now->code(static_cast<Slot>(i)));
  }
  out.align();
  for (std::size_t i = 0; i < now->used; ++i) {  // a row that moved or went is nobody's
    const Row row = now->owner(static_cast<Slot>(i));
    out.value(now->map->find(row) == i ? row : no_row);
  }
  out.align();
  for (std::size_t i = 0; i < now->used; i += chunk_rows)
    out.bytes({now->row(static_cast<Slot>(i), codec_.row_bytes()),
               std::min(chunk_rows, now->used - i) * codec_.row_bytes()});
  return out.finish();
}

Status Learned::read(ByteReader& in, std::shared_ptr<const MappedFile> file) {
  auto next = std::make_shared<View>(*view());
  const auto used = TRY(in.value<std::uint64_t>());
  writer_->trained_rows = TRY(in.value<std::uint64_t>());
  writer_->since = TRY(in.value<std::uint64_t>());
  const auto references = TRY(in.value<std::uint64_t>());
  if (used > most_slots || writer_->since > used || references > 65536)
    return bad("more rows than an index holds");
  for (auto& recall : recall_) recall = TRY(in.value<float>());
  std::vector<std::uint32_t> codes;
  if (TRY(in.value<std::uint32_t>()) != 0) {
    next->model = std::make_shared<const CodeModel>(TRY(take_model(in)));
    if (next->model->dim() != spec_.dim) return bad("a model of another dimension");
    Table reference;
    reference.rows = references;
    reference.columns = CodeModel::bits;
    reference.values = TRY(take_floats(in, references * CodeModel::bits));
    next->reference = std::make_shared<const Table>(std::move(reference));
    TRY(in.expect_records(used, sizeof(std::uint32_t)));
    codes.resize(used);
    for (auto& code : codes) code = TRY(in.value<std::uint32_t>());
    next->tables = std::make_shared<const CodeTables>(codes, spec_.segments);
  }
  TRY(skip_alignment(in));
  const std::span<const Row> owners = TRY(take_array<Row>(in, used));
  TRY(skip_alignment(in));
  const std::uint64_t row_bytes = TRY(checked_mul(used, codec_.row_bytes()));
  const std::span<const std::byte> rows = TRY(in.take(row_bytes));
  if (in.remaining() != 0) return bad("bytes after the last row");
  next->used = used;
  next->file = std::move(file);
  for (std::size_t first = 0; first < used; first += chunk_rows) {
    auto chunk = std::make_shared<Chunk>();
    chunk->rows = rows.data() + first * codec_.row_bytes();
    chunk->owners = owners.data() + first;
    next->chunks.push_back(std::move(chunk));
    if (next->model == nullptr) continue;
    auto part = std::make_shared<std::vector<std::uint32_t>>(chunk_rows);
    std::copy_n(codes.begin() + static_cast<std::ptrdiff_t>(first),
                std::min<std::size_t>(chunk_rows, used - first), part->begin());
    next->codes.push_back(std::move(part));
  }
  for (std::size_t i = 0; i < used; ++i) {
    if (owners[i] == no_row) {
      ++dead_;
      continue;
    }
    if (next->map->find(owners[i]) != no_slot) return bad("a row that is there twice");
    next->map->set(owners[i], static_cast<Slot>(i));
    ++live_;
  }
  publish(std::move(next));
  return Done{};
}

Result<std::unique_ptr<Index>> Learned::open(const std::string& path, bool hybrid) {
  const CheckedFile checked = TRY(open_checked(path, hybrid ? hybrid_magic : magic));
  ByteReader in(checked.body);
  auto opened = [&]() -> Result<std::unique_ptr<Index>> {
    if (const auto found = TRY(in.value<std::uint32_t>()); found != version)
      return Error(ErrorKind::unsupported, fmt::format("version {}", found));
    const auto metric = TRY(in.value<std::uint32_t>()), storage = TRY(in.value<std::uint32_t>());
    const auto radius = TRY(in.value<std::uint32_t>());
    if (metric > static_cast<std::uint32_t>(Metric::cosine) ||
        storage > static_cast<std::uint32_t>(Storage::binary) || radius > 16)
      return bad("an unknown metric, storage or radius");
    LearnedSpec spec;
    spec.hybrid = hybrid;
    spec.metric = static_cast<Metric>(metric);
    spec.storage = static_cast<Storage>(storage);
    spec.radius = static_cast<int>(radius);
    spec.dim = TRY(in.value<std::uint64_t>());
    spec.segments = TRY(in.value<std::uint64_t>());
    if (!check_spec(spec)) return bad("numbers outside of their limits");
    std::unique_ptr<Learned> index(new Learned(spec));
    TRY(index->read(in, checked.file));
    return std::unique_ptr<Index>(std::move(index));
  }();
  if (!opened) return std::move(opened).error().within(path);
  return opened;
}

}  // namespace hearth::vectors
