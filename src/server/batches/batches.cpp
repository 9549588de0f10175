#include "server/batches/batches.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "base/ascii.h"
#include "base/bytes.h"
#include "base/disk.h"
#include "base/log.h"
#include "base/store_files.h"
#include "server/collections/files.h"

namespace hearth::server {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t max_state_bytes = 4 << 20, max_part_bytes = 4ull << 30;
constexpr std::size_t at_once = 4;  // requests of a batch, while nobody else asks
constexpr auto look_every = std::chrono::milliseconds(20);
constexpr auto idle_wait = std::chrono::seconds(1);
// After so long without a quiet moment, one request is asked among the others'.
constexpr auto patience = std::chrono::seconds(30);
constexpr std::string_view state_end = ".json", input_end = ".in.jsonl", output_end = ".out.jsonl",
                           error_end = ".err.jsonl";

bool has_end(std::string_view name, std::string_view end) { return name.ends_with(end); }

// The custom ids in a part of the answers.  A last line that was cut short by a crash is cut off.
Result<std::set<std::string>> ids_of(const std::string& path) {
  std::set<std::string> ids;
  if (!is_file(path)) return ids;
  const std::string text = TRY(read_file(path, max_part_bytes));
  const std::size_t whole = text.rfind('\n') + 1;  // 0: no line is whole
  if (whole < text.size()) TRY(replace_file(path, bytes_of(text.substr(0, whole))));
  for (std::string_view rest = std::string_view(text).substr(0, whole); !rest.empty();) {
    const auto json = parse_json(take_line(rest));
    const Json* id = json ? json->find("custom_id") : nullptr;
    if (id && id->is_string()) ids.insert(id->as_string());
  }
  return ids;
}

}  // namespace

struct Batches::Work {
  Batch batch;
  std::vector<BatchLine> lines;
  std::set<std::string> done;
  std::size_t in_flight = 0;
  Clock::time_point waited_since = Clock::now();
  std::stop_source stop;
  std::optional<GrowingFile> output, errors;
};

// The answer to one request of a batch, wherever it comes from.
class Batches::LineResponder final : public http::Responder {
 public:
  LineResponder(Batches& batches, std::size_t line, std::stop_token stop)
      : batches_(batches), line_(line), stop_(std::move(stop)) {}
  ~LineResponder() override {
    if (!is_sent_) send({500, {}, R"({"error":{"message":"the answer was cut short"}})"});
  }
  void send(http::Response response) override {
    if (std::exchange(is_sent_, true)) return;
    const std::lock_guard lock(batches_.mutex_);
    batches_.answers_.push_back({line_, std::move(response)});
    batches_.woken_.notify_all();
  }
  void start_stream(http::StreamStart) override {}
  void write(std::string_view) override {}
  void finish() override {}
  bool is_open() const override { return !stop_.stop_requested(); }
  std::size_t pending_bytes() const override { return 0; }
  std::stop_token stop() const override { return stop_; }

 private:
  Batches& batches_;
  const std::size_t line_;
  const std::stop_token stop_;
  bool is_sent_ = false;
};

Batches::Batches(Service& service, std::string folder)
    : service_(service), folder_(std::move(folder)) {
  for (const std::string& name : list_folder(folder_).value_or({})) {
    if (!has_end(name, state_end)) continue;
    const auto text = read_file(join_path(folder_, name), max_state_bytes);
    const auto json = text ? parse_json(*text) : Result<Json>(Json());
    auto batch = json ? batch_from_json(*json) : Result<Batch>(json.error());
    if (batch)
      batches_.emplace(batch->id, std::move(*batch));
    else
      log_warning("batch is unreadable file='{}' error='{}'", name, batch.error().message());
  }
  worker_ = std::jthread([this](const std::stop_token& leaving) { run(leaving); });
}

Batches::~Batches() {
  worker_.request_stop();
  worker_.join();
}

std::string Batches::path(std::string_view id, std::string_view end) const {
  return join_path(folder_, std::string(id) + std::string(end));
}

void Batches::save(const Batch& batch) {
  const Status saved =
      replace_file(path(batch.id, state_end), bytes_of(write_json(to_json(batch)) + "\n"));
  if (!saved.ok())
    log_warning("batch is not saved id={} error='{}'", batch.id, saved.error().message());
  const std::lock_guard lock(mutex_);
  const auto known = batches_.find(batch.id);
  if (known == batches_.end()) return;  // removed meanwhile
  // Somebody may have cancelled it since it was looked at.
  const bool is_cancelled = known->second.status == BatchStatus::cancelling && !batch.is_over();
  const std::int64_t cancelling = known->second.cancelling;
  known->second = batch;
  if (!is_cancelled) return;
  known->second.status = BatchStatus::cancelling;
  known->second.cancelling = cancelling;
}

Result<Batch> Batches::add(Batch batch, std::string_view input) {
  TRY(replace_file(path(batch.id, input_end), bytes_of(input)));
  TRY(replace_file(path(batch.id, state_end), bytes_of(write_json(to_json(batch)) + "\n")));
  const std::lock_guard lock(mutex_);
  batches_.emplace(batch.id, batch);
  woken_.notify_all();
  return batch;
}

std::optional<Batch> Batches::find(std::string_view id, std::string_view tenant) const {
  const std::lock_guard lock(mutex_);
  const auto found = batches_.find(id);
  if (found == batches_.end() || found->second.tenant != tenant) return std::nullopt;
  return found->second;
}

std::vector<Batch> Batches::list(std::string_view tenant, std::string_view prefix) const {
  std::vector<Batch> list;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, batch] : batches_)
      if (batch.tenant == tenant && id.starts_with(prefix)) list.push_back(batch);
  }
  std::ranges::stable_sort(list, {}, &Batch::created);
  return list;
}

Result<std::optional<Batch>> Batches::cancel(std::string_view id, std::string_view tenant) {
  std::optional<Batch> batch = find(id, tenant);
  if (!batch || batch->is_over() || batch->status == BatchStatus::cancelling) return batch;
  batch->status = BatchStatus::cancelling;
  batch->cancelling = unix_seconds();
  TRY(replace_file(path(id, state_end), bytes_of(write_json(to_json(*batch)) + "\n")));
  const std::lock_guard lock(mutex_);
  const auto found = batches_.find(id);
  if (found == batches_.end()) return std::optional<Batch>();
  if (found->second.is_over()) return std::optional<Batch>(found->second);
  found->second.status = batch->status;
  found->second.cancelling = batch->cancelling;
  woken_.notify_all();
  return std::optional<Batch>(found->second);
}

Status Batches::remove(std::string_view id) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = batches_.find(id);
    if (found == batches_.end()) return Done{};
    if (!found->second.is_over())
      return Error(ErrorKind::invalid, "the batch has not ended: cancel it first");
    batches_.erase(found);
  }
  const auto files = system_files();
  for (const std::string_view end : {state_end, input_end, output_end, error_end})
    if (const std::string own = path(id, end); is_file(own)) TRY(files->remove(own));
  return Done{};
}

Result<std::string> Batches::answers(std::string_view id) const {
  std::string text;
  for (const std::string_view end : {output_end, error_end})
    if (const std::string own = path(id, end); is_file(own))
      text += TRY(read_file(own, max_part_bytes));
  return text;
}

bool Batches::is_cancelled(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = batches_.find(id);
  return found == batches_.end() || found->second.status == BatchStatus::cancelling;
}

std::optional<Batch> Batches::next() const {
  const std::lock_guard lock(mutex_);
  const Batch* oldest = nullptr;
  for (const auto& [id, batch] : batches_)
    if (!batch.is_over() && (!oldest || batch.created < oldest->created)) oldest = &batch;
  return oldest ? std::optional<Batch>(*oldest) : std::nullopt;
}

void Batches::run(const std::stop_token& leaving) {
  while (!leaving.stop_requested()) {
    if (auto batch = next()) {
      work_on(std::move(*batch), leaving);
      continue;
    }
    std::unique_lock lock(mutex_);
    woken_.wait_for(lock, leaving, idle_wait, [] { return false; });
  }
}

// Reads the input; a batch of which any line is wrong answers none.
void Batches::begin(Batch& batch, BatchInput& input) {
  const auto text = read_file(path(batch.id, input_end), max_batch_bytes);
  if (text)
    input = read_batch_input(*text, batch.endpoint);
  else
    input.errors.push_back(Json::object({{"code", "unreadable"},
                                         {"message", "the input cannot be read"},
                                         {"line", Json()},
                                         {"param", Json()}}));
  if (!input.errors.empty()) {
    batch.errors = input.errors;
    batch.status = BatchStatus::failed;
    batch.ended = unix_seconds();
  } else {
    batch.total = std::ssize(input.lines);
    if (batch.status == BatchStatus::validating) batch.status = BatchStatus::in_progress;
    if (batch.began == 0) batch.began = unix_seconds();
  }
  save(batch);
}

void Batches::work_on(Batch batch, const std::stop_token& leaving) {
  Work work;
  work.batch = std::move(batch);
  BatchInput input;
  begin(work.batch, input);
  if (work.batch.status == BatchStatus::failed) return;
  work.lines = std::move(input.lines);
  auto answered = ids_of(path(work.batch.id, output_end));
  auto failed = ids_of(path(work.batch.id, error_end));
  auto output = GrowingFile::open(path(work.batch.id, output_end));
  auto errors = GrowingFile::open(path(work.batch.id, error_end));
  if (!answered || !failed || !output || !errors) {
    log_warning("batch cannot be worked on id={}", work.batch.id);
    std::unique_lock lock(mutex_);
    woken_.wait_for(lock, leaving, patience, [] { return false; });
    return;
  }
  work.batch.completed = std::ssize(*answered);
  work.batch.failed = std::ssize(*failed);
  work.done = std::move(*answered);
  work.done.merge(*failed);
  work.output.emplace(std::move(*output));
  work.errors.emplace(std::move(*errors));
  answer_lines(work, leaving);
}

bool Batches::has_room(const Work& work) const {
  if (work.in_flight >= at_once) return false;
  std::size_t busy = 0;
  for (const Lease& lease : service_.pool->loaded()) {
    const RunnerStats stats = lease->runner->stats();
    busy += stats.running + stats.queued;
  }
  if (busy <= work.in_flight) return true;
  return work.in_flight == 0 && Clock::now() - work.waited_since > patience;
}

void Batches::answer_lines(Work& work, const std::stop_token& leaving) {
  std::size_t next = 0;
  std::optional<BatchStatus> end;
  const auto stops_early = [&] {
    if (leaving.stop_requested()) return true;
    if (is_cancelled(work.batch.id)) end = BatchStatus::cancelled;
    if (!end && unix_seconds() >= work.batch.expires) end = BatchStatus::expired;
    return end.has_value();
  };
  for (;;) {
    while (next < work.lines.size() && work.done.contains(work.lines[next].custom_id)) ++next;
    const bool is_stopped = stops_early();
    if (is_stopped) work.stop.request_stop();
    if ((is_stopped || next == work.lines.size()) && work.in_flight == 0) break;
    if (!is_stopped && next < work.lines.size() && has_room(work)) {
      work.waited_since = Clock::now();
      ask(work, next++);
      continue;
    }
    std::vector<Answer> answers;
    {
      std::unique_lock lock(mutex_);
      woken_.wait_for(lock, look_every, [this] { return !answers_.empty(); });
      answers.swap(answers_);
    }
    for (const Answer& answer : answers) {
      --work.in_flight;
      // What was stopped is asked again another time, or never.
      if (!is_stopped || answer.response.status == 200) take(work, answer);
    }
    if (!answers.empty()) save(work.batch);
  }
  if (leaving.stop_requested() && !end) return save(work.batch);
  finish(work, end.value_or(BatchStatus::completed));
}

void Batches::ask(Work& work, std::size_t index) {
  const BatchLine& line = work.lines[index];
  http::Request request;
  request.id = fmt::format("req_{:016x}", http::random_u64());
  request.method = "POST";
  request.path = line.path;
  request.peer = "batch";
  request.headers = {{"Content-Type", "application/json"}};
  request.body = line.body;
  ++work.in_flight;
  service_.ask_as(std::move(request),
                  std::make_shared<LineResponder>(*this, index, work.stop.get_token()),
                  {.key = service_.keys->find(work.batch.key), .tenant = work.batch.tenant});
}

void Batches::take(Work& work, const Answer& answer) {
  const BatchLine& line = work.lines[answer.line];
  auto body = parse_json(answer.response.body);
  const bool is_good = answer.response.status == 200;
  const std::string id = http::random_letters(16);
  const Json json =
      Json::object({{"id", "batch_req_" + id},
                    {"custom_id", line.custom_id},
                    {"response", Json::object({{"status_code", answer.response.status},
                                               {"request_id", "req_" + id},
                                               {"body", body ? std::move(*body) : Json()}})},
                    {"error", Json()}});
  GrowingFile& part = is_good ? *work.output : *work.errors;
  const Status written = part.append(bytes_of(write_json(json) + "\n"));
  if (!written.ok()) {
    log_warning("batch answer is lost id={} error='{}'", work.batch.id, written.error().message());
    return;
  }
  work.done.insert(line.custom_id);
  ++(is_good ? work.batch.completed : work.batch.failed);
}

void Batches::finish(Work& work, BatchStatus end) {
  Batch& batch = work.batch;
  batch.finalizing = unix_seconds();
  const bool is_early = end == BatchStatus::expired || end == BatchStatus::cancelled;
  if (is_early)
    for (const BatchLine& line : work.lines)
      if (!work.done.contains(line.custom_id)) {
        const bool is_expired = end == BatchStatus::expired;
        const Json json = Json::object(
            {{"id", "batch_req_" + http::random_letters(16)},
             {"custom_id", line.custom_id},
             {"response", Json()},
             {"error",
              Json::object(
                  {{"code", is_expired ? "batch_expired" : "batch_cancelled"},
                   {"message", is_expired ? "The batch's time was over before it was asked."
                                          : "The batch was cancelled before it was asked."}})}});
        (void)work.errors->append(bytes_of(write_json(json) + "\n")).ok();
      }
  (void)work.output->sync().ok();
  (void)work.errors->sync().ok();
  // Files of their own, for who asks by files.
  if (!batch.input_file.empty()) {
    const auto keep = [&](const GrowingFile& part, std::string_view own, const char* name) {
      if (part.size() == 0) return std::string();
      StoredFile facts;
      facts.name = fmt::format("{}_{}.jsonl", batch.id, name);
      facts.purpose = "batch_output";
      facts.owner = batch.tenant;
      auto file = keep_file(service_, path(batch.id, own), std::move(facts));
      return file.ok() ? file.value().id : std::string();
    };
    batch.output_file = keep(*work.output, output_end, "output");
    batch.error_file = keep(*work.errors, error_end, "error");
  }
  batch.status = end;
  batch.ended = unix_seconds();
  save(batch);
}

Checked<Batches*> batches_of(Service& service) {
  if (service.batches) return service.batches.get();
  return Problem{501, "unsupported", "this server keeps no files", "", 0};
}

}  // namespace hearth::server
