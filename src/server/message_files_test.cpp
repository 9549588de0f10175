// Files in messages of every interface that has them.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include "server/running.h"
#include "text/base64.h"

using namespace hearth;
using namespace hearth::server;

namespace {

std::string prompt_of(Running& running) {
  return running.generator->model().tokenizer().decode(running.runner().last().prompt, true);
}

struct Row {
  std::string path, content;
};

std::string body_of(const Row& row) {
  const bool is_responses = row.path == "/v1/responses";
  return fmt::format(R"({{"model":"fake","max_tokens":3,"{}":[{{"role":"user","content":[{}]}}]}})",
                     is_responses ? "input" : "messages", row.content);
}

}  // namespace

TEST_CASE("the text of a file takes its place") {
  Running running;
  const std::string data = encode_base64("line one\nline two");
  const std::string url = "data:text/plain;base64," + data;
  const Row rows[] = {
      {"/v1/chat/completions",
       fmt::format(R"({{"type":"file","file":{{"filename":"a.txt","file_data":"{}"}}}})", url)},
      {"/v1/responses",
       fmt::format(R"({{"type":"input_file","filename":"a.txt","file_data":"{}"}})", url)},
      {"/v1/messages",
       R"({"type":"document","title":"a.txt","source":{"type":"text","media_type":"text/plain","data":"line one\nline two"}})"},
      {"/v1/messages",
       fmt::format(
           R"({{"type":"document","title":"a.txt","source":{{"type":"base64","media_type":"text/plain","data":"{}"}}}})",
           data)},
      {"/v1/messages",
       R"({"type":"document","title":"a.txt","source":{"type":"content","content":[{"type":"text","text":"line one\nline two"}]}})"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.path);
    running.json("POST", row.path, body_of(row));
    CHECK(has(prompt_of(running), "<file name=\"a.txt\">\nline one\nline two\n</file>"));
  }
}

TEST_CASE("files that hold no text are refused, and why is said") {
  Running running;
  const auto file = [](std::string_view bytes) {
    return fmt::format(R"({{"type":"file","file":{{"filename":"a","file_data":"{}"}}}})",
                       encode_base64(bytes));
  };
  const struct {
    Row row;
    int status;
    std::string what;
  } rows[] = {
      {{"/v1/chat/completions", file("%PDF-1.7 ...")}, 400, "PDF"},
      {{"/v1/chat/completions", file("\xFF\xFE\x01")}, 400, "no text in UTF-8"},
      {{"/v1/chat/completions", R"({"type":"file","file":{"file_data":"%%%"}})"}, 400, "base64"},
      {{"/v1/chat/completions", R"({"type":"file","file":{}})"}, 400, "without file_data"},
      {{"/v1/chat/completions", R"({"type":"file"})"}, 400, "without its file"},
      {{"/v1/chat/completions", R"({"type":"file","file":{"file_id":"file-nobody"}})"}, 0, "file"},
      {{"/v1/responses", R"({"type":"input_file","file_url":"http://x/a.txt"})"}, 400, "address"},
      {{"/v1/messages", R"({"type":"document","source":{"type":"url","url":"http://x"}})"},
       400,
       "document"},
  };
  for (const auto& each : rows) {
    CAPTURE(each.row.content);
    const auto answer = running.request("POST", each.row.path, body_of(each.row));
    CAPTURE(answer.body);
    if (each.status > 0) CHECK(answer.status == each.status);
    CHECK(answer.status >= 400);
    CHECK(has(answer.body, each.what));
  }
}
