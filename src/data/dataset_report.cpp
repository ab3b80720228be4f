#include <excitor/data/dataset_report.h>

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>

namespace excitor {
namespace {

struct Count {
  const char* name;
  int64_t DatasetReport::*member;
  const char* words;  ///< behind the number, where it is said only when it is not 0
};

constexpr std::array<Count, 15> kCounts{{
    {"examples", &DatasetReport::examples, nullptr},
    {"tokens", &DatasetReport::tokens, nullptr},
    {"label_tokens", &DatasetReport::label_tokens, nullptr},
    {"longest", &DatasetReport::longest, nullptr},
    {"ending_in_eos", &DatasetReport::ending_in_eos, nullptr},
    {"truncated", &DatasetReport::truncated, "cut to max_seq_length"},
    {"continued", &DatasetReport::continued, "documents go on in further windows"},
    {"dropped", &DatasetReport::dropped, "left out for their length"},
    {"empty", &DatasetReport::empty, "rows left out as their text or answer is empty"},
    {"prompt_too_long", &DatasetReport::prompt_too_long,
     "rows left out as their prompt alone fills max_seq_length"},
    {"leading_answers", &DatasetReport::leading_answers, "answers before the first question left out"},
    {"trailing_questions", &DatasetReport::trailing_questions, "questions after the last answer left out"},
    {"without_answer", &DatasetReport::without_answer, "conversations without an answer left out"},
    {"with_image", &DatasetReport::with_image, "with an image"},
    {"bad_image", &DatasetReport::bad_image, "left out for their image"},
}};

}  // namespace

void DatasetReport::add(const DatasetReport& other) {
  const int64_t longest_of_both = std::max(longest, other.longest);
  for (const Count& count : kCounts) this->*count.member += other.*count.member;
  longest = longest_of_both;
  for (const LeftOutRow& row : other.left_out) name(row);
}

void DatasetReport::name(LeftOutRow row) {
  if (left_out.size() < kNamedRows) left_out.push_back(std::move(row));
}

std::string DatasetReport::text() const {
  std::string text =
      fmt::format("{} examples, {} tokens ({} labels), longest {}", examples, tokens, label_tokens, longest);
  for (const Count& count : kCounts) {
    if (count.words && this->*count.member > 0)
      text += fmt::format("; {} {}", this->*count.member, count.words);
  }
  return text;
}

Json DatasetReport::json() const {
  Json json = Json::object();
  for (const Count& count : kCounts) json[count.name] = this->*count.member;
  json["left_out"] = Json::array();
  for (const auto& [place, reason] : left_out)
    json["left_out"].push_back({{"place", place}, {"reason", reason}});
  return json;
}

DatasetReport DatasetReport::from_json(const Json& json) {
  DatasetReport report;
  for (const Count& count : kCounts) {
    if (!json.is_object() || !json.contains(count.name) || !json[count.name].is_number_integer())
      throw DataError(fmt::format("\"{}\" is missing or no integer", count.name));
    report.*count.member = json[count.name].get<int64_t>();
  }
  if (!json.contains("left_out") || !json["left_out"].is_array())
    throw DataError("\"left_out\" is missing or no list");
  for (const Json& row : json["left_out"]) {
    try {
      report.left_out.push_back({.place = row.at("place"), .reason = row.at("reason")});
    } catch (const Json::exception& error) {
      throw DataError(fmt::format("\"left_out\": {}", error.what()));
    }
  }
  return report;
}

}  // namespace excitor
