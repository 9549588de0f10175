// Protobuf's wire format: every kind of field, and what is no message.
#include "base/protobuf.h"

#include <doctest/doctest.h>

#include <string>

namespace hearth {
namespace {

using namespace std::string_literals;

TEST_CASE("fields of every kind") {
  const std::string message = "\x08\x96\x01\x12\x02hi\x1d\0\0\0\x3f\x21\1\0\0\0\0\0\0\0"s;
  WireMessage in(bytes_of(message));
  WireField field;
  REQUIRE(in.next(field).value());
  CHECK((field.number == 1 && field.type == 0 && field.value == 150));
  REQUIRE(in.next(field).value());
  CHECK((field.number == 2 && field.text() == "hi"));
  REQUIRE(in.next(field).value());
  CHECK((field.number == 3 && field.real() == 0.5f));
  REQUIRE(in.next(field).value());
  CHECK((field.number == 4 && field.type == 1 && field.value == 1));
  CHECK_FALSE(in.next(field).value());
}

TEST_CASE("what is no message is refused") {
  const std::string rows[] = {
      "\x08"s,                                      // cut short
      "\x12\x05hi"s,                                // bytes past the end
      "\x0b"s,                                      // a group
      "\x00\x01"s,                                  // a field without a number
      "\x08"s + std::string(10, '\xff') + "\x01"s,  // over 64 bits
      "\xff\xff\xff\xff\x7f\x00"s,                  // a number over 2^29
  };
  for (const std::string& row : rows) {
    CAPTURE(row.size());
    WireMessage in(bytes_of(row));
    WireField field;
    const auto got = in.next(field);
    REQUIRE_FALSE(got.ok());
    CHECK(got.error().kind() == ErrorKind::corrupt);
  }
}

TEST_CASE("lists of numbers, packed or not") {
  std::vector<std::int64_t> numbers;
  const std::string packed = "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s;
  REQUIRE(append_varints(numbers, {.number = 1, .type = 2, .bytes = bytes_of(packed)}).ok());
  REQUIRE(append_varints(numbers, {.number = 1, .value = 7, .bytes = {}}).ok());
  CHECK(numbers == std::vector<std::int64_t>{1, -1, 7});
  const std::string cut = "\x80"s;
  CHECK_FALSE(append_varints(numbers, {.number = 1, .type = 2, .bytes = bytes_of(cut)}).ok());
  std::vector<float> floats;
  const std::string odd = "abcde"s;
  CHECK_FALSE(append_floats(floats, {.number = 1, .type = 2, .bytes = bytes_of(odd)}).ok());
}

}  // namespace
}  // namespace hearth
