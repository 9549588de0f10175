// Local collections: what people thought of answers, kept for indexes that learn from it.
#include <fmt/core.h>

#include "base/log.h"
#include "base/utf8.h"
#include "vectors/store/local_state.h"
#include "vectors/store/wire.h"

namespace hearth::vectors {
namespace {

constexpr std::string_view lessons_magic = "HEARTHFB";
constexpr std::size_t max_lessons = 200;  // older ones are forgotten
constexpr std::size_t max_lesson_ids = 100;

Json ids_json(const std::vector<std::string>& ids) {
  Json list = Json::array();
  for (const std::string& id : ids) list.push_back(id);
  return list;
}

}  // namespace

Status LocalCollection::read_lessons() {
  const auto body = read_checked(*files_, path_of(lessons_name), lessons_magic);
  const ErrorKind kind = body.ok() ? ErrorKind::corrupt : body.error().kind();
  if (kind == ErrorKind::not_found) return Done{};
  if (kind != ErrorKind::corrupt && kind != ErrorKind::unsupported) return body.error();
  std::vector<Feedback> lessons;
  const Status read = [&]() -> Status {
    if (!body.ok()) return body.error();
    const Json list = TRY(parse_json(*body));
    if (!list.is_array()) return Error(ErrorKind::corrupt, "no list");
    for (const Json& item : list.as_array()) lessons.push_back(TRY(feedback_from_json(item)));
    return Done{};
  }();
  // Without them answers are as before anybody was asked.
  if (!read.ok())
    log_warning("collection.lessons name={} problem={}", name_, read.error().message());
  lessons_.with([&](auto& kept) { kept = std::move(lessons); });
  return Done{};
}

Status LocalCollection::write_lessons(const std::vector<Feedback>& lessons) {
  Json list = Json::array();
  for (const Feedback& lesson : lessons)
    list.push_back(
        Json::object({{"vector", Json(Json::Array(lesson.vector.begin(), lesson.vector.end()))},
                      {"relevant", ids_json(lesson.relevant)},
                      {"irrelevant", ids_json(lesson.irrelevant)}}));
  return write_checked(*files_, path_of(lessons_name), lessons_magic, write_json(list));
}

Status LocalCollection::teach(Index& index, const Feedback& lesson, bool is_strict) const {
  std::vector<Row> relevant, irrelevant;
  {
    const std::shared_lock lock(state_mutex_);
    for (const auto& [ids, rows] :
         {std::pair(&lesson.relevant, &relevant), std::pair(&lesson.irrelevant, &irrelevant)})
      for (const std::string& id : *ids) {
        const Row row = find_id(id);
        if (row == no_row && is_strict)
          return Error(ErrorKind::not_found,
                       fmt::format("feedback: there is no document '{}'", printable(id)));
        if (row != no_row) rows->push_back(row);
      }
  }
  if (relevant.empty() && irrelevant.empty()) return Done{};
  return index.learn_from(lesson.vector, relevant, irrelevant);
}

Status LocalCollection::learn_from(const Feedback& feedback) {
  TRY(check_writable());
  if (feedback.vector.size() != made_with_.dim)
    return Error(ErrorKind::invalid, fmt::format("feedback: a vector of {} numbers: needs {}",
                                                 feedback.vector.size(), made_with_.dim));
  const std::size_t ids = feedback.relevant.size() + feedback.irrelevant.size();
  if (ids == 0 || ids > max_lesson_ids)
    return Error(
        ErrorKind::invalid,
        fmt::format("feedback: needs 1 to {} relevant or irrelevant documents", max_lesson_ids));
  const std::lock_guard work_lock(work_mutex_);
  TRY(teach(*index_, feedback, true));
  auto lessons = lessons_.with([](const auto& kept) { return kept; });
  lessons.push_back(feedback);
  if (lessons.size() > max_lessons) lessons.erase(lessons.begin());
  TRY(write_lessons(lessons));
  lessons_.with([&](auto& kept) { kept = std::move(lessons); });
  return Done{};
}

Status LocalCollection::forget_feedback() {
  TRY(check_writable());
  const std::lock_guard work_lock(work_mutex_);
  TRY(write_lessons({}));
  lessons_.with([](auto& kept) { kept.clear(); });
  return index_->forget_feedback();
}

// A new or newly trained index has not heard of them.
Status LocalCollection::repeat_lessons() {
  const auto lessons = lessons_.with([](const auto& kept) { return kept; });
  if (lessons.empty() || index_->info().has_lessons) return Done{};
  for (const Feedback& lesson : lessons) {
    Status taught = teach(*index_, lesson, false);
    if (!taught.ok()) return Done{};  // of a kind that learns nothing, or not trained yet
  }
  return Done{};
}

}  // namespace hearth::vectors
