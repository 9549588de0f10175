#include "library/stretches.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/files.h"
#include "base/store_files.h"
#include "library/addresses.h"
#include "library/content_range.h"
#include "library/retry.h"
#include "library/transfer.h"

namespace hearth {
namespace {

std::string path_of(const std::string& path, std::size_t stretch) {
  return fmt::format("{}.{}", path, stretch * stretch_bytes);
}

}  // namespace

Stretches::Stretches(const RemoteFile& file, std::string path, std::uint64_t from,
                     const Network& network, const DownloadHooks& hooks)
    : file_(file),
      path_(std::move(path)),
      network_(network),
      hooks_(hooks),
      states_((file.bytes + stretch_bytes - 1) / stretch_bytes, State::open),
      head_(from / stretch_bytes) {
  for (int i = 1; i < network.connections; ++i)
    threads_.emplace_back([this](std::stop_token stop) { work(std::move(stop)); });
}

Stretches::~Stretches() {
  for (std::jthread& thread : threads_) thread.request_stop();
}

std::uint64_t Stretches::end_of(std::size_t stretch) const {
  return std::min(file_.bytes, (stretch + 1) * stretch_bytes);
}

std::uint64_t Stretches::claim(std::uint64_t from) {
  const std::lock_guard lock(mutex_);
  head_ = from / stretch_bytes;
  changed_.notify_all();
  State& state = states_[head_];
  const bool is_others = state == State::fetching || state == State::here;
  if (is_others && from % stretch_bytes == 0) return from;
  state = State::taken;
  return end_of(head_);
}

Result<bool> Stretches::take(std::uint64_t from, const Sink& sink) {
  const std::size_t stretch = from / stretch_bytes;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, hooks_.stop, [&] { return states_[stretch] != State::fetching; });
    if (hooks_.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    if (states_[stretch] != State::here) return false;
    states_[stretch] = State::taken;
  }
  const std::string path = path_of(path_, stretch);
  {
    constexpr std::size_t piece = 1u << 20;
    const auto file = TRY(MappedFile::open(path));
    for (std::size_t at = 0; at < file->bytes().size(); at += piece)
      TRY(sink(file->bytes().subspan(at, std::min(piece, file->bytes().size() - at))));
  }
  TRY(remove_all(path));
  return true;
}

Status Stretches::forget(const std::string& path, std::uint64_t bytes) {
  for (std::size_t i = 0; i * stretch_bytes < bytes; ++i) TRY(remove_all(path_of(path, i)));
  return Done{};
}

// Not further ahead than every connection has a stretch or two: what lies there takes room twice
// while it is taken over.
void Stretches::work(std::stop_token stop) {
  const std::stop_callback on_stop(hooks_.stop, [this] { changed_.notify_all(); });
  const auto window = static_cast<std::size_t>(network_.connections) + 1;
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested() && !hooks_.stop.stop_requested()) {
    const std::size_t end = std::min(states_.size(), head_ + window);
    std::size_t next = head_ + 1;
    while (next < end && states_[next] != State::open) ++next;
    if (next < end) {
      states_[next] = State::fetching;
      lock.unlock();
      const bool is_here = fetch(next, stop);
      lock.lock();
      states_[next] = is_here ? State::here : State::open;
      changed_.notify_all();
      if (!is_here) return;  // the server wants fewer connections, or knows no ranges
    } else if (end == states_.size()) {
      return;
    } else {
      changed_.wait(lock, stop,
                    [&, head = head_] { return head_ != head || hooks_.stop.stop_requested(); });
    }
  }
}

bool Stretches::fetch(std::size_t stretch, std::stop_token stop) {
  const std::uint64_t begin = stretch * stretch_bytes, end = end_of(stretch);
  auto file = GrowingFile::open(path_of(path_, stretch));
  if (!file) return false;
  if (file->size() > end - begin && !file->truncate(0)) return false;
  if (hooks_.received) hooks_.received(static_cast<std::int64_t>(file->size()));
  // Stopped by either: its own end, and that of the whole.
  std::stop_source both;
  const std::stop_callback on_own(stop, [&both] { both.request_stop(); });
  const std::stop_callback on_whole(hooks_.stop, [&both] { both.request_stop(); });
  const DownloadHooks silent{.stop = both.get_token(), .received = {}, .remark = {}};
  Retries retries(network_, silent);
  Addresses addresses(file_.url, file_.bearer, network_);
  while (begin + file->size() < end) {
    const std::uint64_t from = begin + file->size();
    std::optional<Refusal> refusal;
    const TransferSink sink{
        .head = [&](const TransferHead& head) -> Status {
          refusal = refusal_of(head);
          const auto range = parse_content_range(head.header("content-range"));
          if (refusal || (head.status == 206 && range && range->first == from)) return Done{};
          return Error(ErrorKind::unsupported, "the server does not give parts of files");
        },
        .body = [&](std::span<const std::byte> bytes) -> Status {
          if (refusal) return Done{};
          if (bytes.size() > end - begin - file->size())
            return Error(ErrorKind::unsupported, "the server sent more than it was asked for");
          TRY(file->append(bytes));
          retries.progressed();
          if (hooks_.received) hooks_.received(static_cast<std::int64_t>(bytes.size()));
          if (network_.limit) network_.limit->take(bytes.size(), silent.stop);
          return Done{};
        }};
    TransferRequest request{.url = addresses.url(),
                            .bearer = addresses.bearer(),
                            .headers = {"Accept-Encoding: identity"},
                            .from_byte = from,
                            .if_range = "",
                            .stall_seconds = network_.stall_seconds};
    request.to_byte = end - 1;
    const auto done = transfer(request, sink, silent.stop);
    if (done && !refusal) continue;
    const Error& error = done ? refusal->error : done.error();
    if (!addresses.try_again(retries, error, refusal ? refusal->retry_after_seconds : 0)) {
      if (hooks_.received) hooks_.received(-static_cast<std::int64_t>(file->size()));
      return false;
    }
  }
  return true;
}

}  // namespace hearth
