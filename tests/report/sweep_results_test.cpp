#include <excitor/report/sweep_results.h>

#include <algorithm>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/util/files.h>

#include "util/temporary_folder.h"

namespace excitor {
namespace {

SweepRow row(int64_t point, const std::string& state, const Json& results) {
  return {.point = point,
          .id = "id" + std::to_string(point),
          .settings = {{"method.type", "a,\"b\""}, {"train.seed", point}},
          .state = state,
          .error = state == "failed" ? "line one\nline two" : "",
          .results = results};
}

const std::vector<SweepRow> kRows = {
    row(1, "finished", {{"eval_loss", 2.0}, {"train_loss", 0.5}}), row(2, "failed", Json::object()),
    row(3, "finished", {{"eval_loss", 1.5}, {"train_loss", 0.75}}), row(4, "waiting", Json::object())};

std::vector<int64_t> order(const std::vector<SweepRow>& rows) {
  std::vector<int64_t> points;
  for (const SweepRow& each : rows) points.push_back(each.point);
  return points;
}

TEST(SweepResults, RanksByEvalLossAndPutsTheUnfinishedLast) {
  EXPECT_EQ(ranking_metric(kRows), "eval_loss");
  EXPECT_EQ(order(ranked(kRows, "eval_loss")), (std::vector<int64_t>{3, 1, 2, 4}));
  EXPECT_EQ(order(ranked(kRows, "train_loss")), (std::vector<int64_t>{1, 3, 2, 4}));
}

TEST(SweepResults, TrainingLossRanksWhereARunHasNoEvaluation) {
  std::vector<SweepRow> rows = kRows;
  rows.push_back(row(5, "finished", {{"train_loss", 0.1}}));
  EXPECT_EQ(ranking_metric(rows), "train_loss");
  EXPECT_EQ(ranked(rows, "eval_loss")[2].point, 5);  // without a value: after those that have one
}

TEST(SweepResults, LinesAndTableSayTheSame) {
  const auto rows = ranked(kRows, "eval_loss");
  const std::string lines = results_jsonl(rows);
  const Json first = Json::parse(lines.substr(0, lines.find('\n')));
  EXPECT_EQ(first["rank"], 1);
  EXPECT_EQ(first["folder"], "runs/id3");
  EXPECT_EQ(first["eval_loss"], 1.5);
  EXPECT_EQ(results_csv(rows),
            "rank,point,id,state,method.type,train.seed,eval_loss,train_loss,error\r\n"
            "1,3,id3,finished,\"a,\"\"b\"\"\",3,1.5,0.75,\r\n"
            "2,1,id1,finished,\"a,\"\"b\"\"\",1,2.0,0.5,\r\n"
            ",2,id2,failed,\"a,\"\"b\"\"\",2,,,\"line one\nline two\"\r\n"
            ",4,id4,waiting,\"a,\"\"b\"\"\",4,,,\r\n");
  const std::string table = results_table(rows, 2);
  EXPECT_NE(table.find("1.5000"), std::string::npos);
  EXPECT_EQ(table.find("id2"), std::string::npos);
}

TEST(SweepResults, SeedsAreTakenTogether) {
  std::vector<SweepRow> rows = kRows;
  const std::string text = results_over_seeds(ranked(rows, "eval_loss"), "eval_loss");
  EXPECT_NE(text.find("1.7500 ± 0.3536"), std::string::npos) << text;
  EXPECT_NE(text.find("0.6250 ± 0.1768"), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  rows.resize(2);
  EXPECT_EQ(results_over_seeds(rows, "eval_loss"), "");
}

std::string events(bool with_end) {
  std::string text = R"({"event":"start","step":0,"trainable_parameters":12,"base_parameters":99}
{"event":"eval","step":0,"eval_loss":4.0,"base_loss":4.0,"forgetting":0.0}
)";
  for (int step = 1; step <= 12; ++step)
    text += R"({"event":"step","step":)" + std::to_string(step) + R"(,"loss":)" + std::to_string(step) +
            R"(,"tokens":10,"seconds":0.5,"peak_memory_bytes":)" + std::to_string(100 - step) + "}\n";
  text += R"({"event":"eval","step":6,"eval_loss":2.0,"base_loss":4.0,"forgetting":0.25}
{"event":"eval","step":12,"eval_loss":3.0,"base_loss":4.0,"forgetting":0.5}
)";
  return text + (with_end ? R"({"event":"end","step":12,"peak_memory_bytes":90})"
                            "\n"
                          : R"({"event":"st)");
}

TEST(SweepResults, ARunIsSummarisedByItsLastEvaluationOrTheBestOneThatItKeeps) {
  const TemporaryFolder folder;
  EXPECT_EQ(summarise_run(folder / "absent"), Json::object());
  write_file_atomically(folder / "config.json", "{}");
  write_file_atomically(folder / "metrics.jsonl", events(true));
  Json run = summarise_run(folder.path());
  EXPECT_EQ(run["eval_loss"], 3.0);
  EXPECT_EQ(run["gain"], 1.0);
  EXPECT_EQ(run["forgetting"], 0.5);
  EXPECT_EQ(run["train_loss"], 7.5);  // 3 … 12
  EXPECT_EQ(run["tokens"], 120.0);
  EXPECT_EQ(run["seconds"], 6.0);
  EXPECT_EQ(run["tokens_per_second"], 20.0);
  EXPECT_EQ(run["peak_memory_bytes"], 99);
  EXPECT_EQ(run["trainable_parameters"], 12);
  write_file_atomically(folder / "config.json", R"({"checkpoint": {"load_best_model_at_end": true}})");
  write_file_atomically(folder / "metrics.jsonl", events(false));
  run = summarise_run(folder.path());
  EXPECT_EQ(run["eval_loss"], 2.0);
  EXPECT_EQ(run["forgetting"], 0.25);
}

}  // namespace
}  // namespace excitor
