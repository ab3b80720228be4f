#include <excitor/report/sweep_results.h>

#include <algorithm>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/report/run_summary.h>
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
  EXPECT_EQ(default_ranking(kRows).metric, "eval_loss");
  EXPECT_EQ(order(ranked(kRows, {"eval_loss"})), (std::vector<int64_t>{3, 1, 2, 4}));
  EXPECT_EQ(order(ranked(kRows, {"train_loss"})), (std::vector<int64_t>{1, 3, 2, 4}));
}

TEST(SweepResults, TrainingLossRanksWhereARunHasNoEvaluation) {
  std::vector<SweepRow> rows = kRows;
  rows.push_back(row(5, "finished", {{"train_loss", 0.1}}));
  EXPECT_EQ(default_ranking(rows).metric, "train_loss");
  EXPECT_EQ(ranked(rows, {"eval_loss"})[2].point, 5);  // without a value: after those that have one
}

TEST(SweepResults, AnEvaluationThatIsNotFiniteIsLastAndChangesNoRule) {
  std::vector<SweepRow> rows = kRows;
  rows.push_back(row(5, "finished", {{"base_loss", 2.5}, {"train_loss", 0.1}}));
  EXPECT_EQ(default_ranking(rows).metric, "eval_loss");
  EXPECT_EQ(order(ranked(rows, default_ranking(rows))), (std::vector<int64_t>{3, 1, 5, 2, 4}));
}

TEST(SweepResults, OfAccuraciesTheHighestIsTheBest) {
  const std::vector<SweepRow> rows = {row(1, "finished", {{"mmlu.accuracy", 0.25}}),
                                      row(2, "finished", {{"mmlu.accuracy", 0.5}}), row(3, "finished", {})};
  for (const char* high : {"gain", "mmlu.accuracy_norm", "tokens_per_second", "coco.bleu_4", "a.b.cider"})
    EXPECT_TRUE(is_better_high(high)) << high;
  for (const char* low : {"eval_loss", "forgetting", "held.perplexity", "seconds", "accuracy.loss"})
    EXPECT_FALSE(is_better_high(low)) << low;
  EXPECT_EQ(order(ranked(rows, {.metric = "mmlu.accuracy", .higher_is_better = true})),
            (std::vector<int64_t>{2, 1, 3}));
}

TEST(SweepResults, WhatHalvingDroppedFollowsTheFinishedLateRungsFirst) {
  std::vector<SweepRow> rows = {row(1, "dropped", {{"eval_loss", 1.0}}),
                                row(2, "dropped", {{"eval_loss", 3.0}}),
                                row(3, "dropped", {{"eval_loss", 2.0}}), row(4, "failed", {}),
                                row(5, "finished", {{"eval_loss", 9.0}})};
  rows[0].rung = 1, rows[1].rung = 2, rows[2].rung = 2;
  EXPECT_EQ(order(ranked(rows, {"eval_loss"})), (std::vector<int64_t>{5, 3, 2, 1, 4}));
  EXPECT_EQ(row_json(rows[1], 0)["rung"], 2);
}

TEST(SweepResults, MethodsAreComparedAtTheBestOfTheSettingsWithTheMostSeeds) {
  const auto run = [](const char* method, double rate, int seed, double loss) {
    return SweepRow{
        .settings = {{"method.type", method}, {"train.learning_rate", rate}, {"train.seed", seed}},
        .state = "finished",
        .results = {{"eval_loss", loss},
                    {"gain", 5 - loss},
                    {"trainable_parameters", 1234567},
                    {"seconds", 2.0},
                    {"peak_memory_bytes", 3 << 20}}};
  };
  const std::vector<SweepRow> rows = {run("lora", 0.1, 1, 2.0), run("lora", 0.1, 2, 4.0),
                                      run("lora", 0.2, 1, 3.5), run("lora", 0.2, 2, 3.5),
                                      run("lora", 0.3, 1, 1.0), run("full", 0.1, 1, 2.5)};
  const auto table = compare_methods(rows, {"eval_loss"});
  EXPECT_EQ(
      markdown_table(table),
      "| method.type | train.learning_rate | seeds | gain | eval_loss | trainable | seconds | peak MiB |\n"
      "|---|---|---|---|---|---|---|---|\n"
      "| full | 0.1 | 1 | 2.5000 | 2.5000 | 1,234,567 | 2.0 | 3 |\n"
      "| lora | 0.1 | 2 | 2.0000 ± 1.4142 | 3.0000 ± 1.4142 | 1,234,567 | 2.0 | 3 |\n");
  EXPECT_TRUE(compare_methods({rows.begin(), rows.begin() + 5}, {"eval_loss"}).empty());  // one method alone
}

TEST(SweepResults, LinesAndTableSayTheSame) {
  const auto rows = ranked(kRows, {"eval_loss"});
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
  const std::string text = results_over_seeds(ranked(rows, {"eval_loss"}), {"eval_loss"});
  EXPECT_NE(text.find("1.7500 ± 0.3536"), std::string::npos) << text;
  EXPECT_NE(text.find("0.6250 ± 0.1768"), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  rows.resize(2);
  EXPECT_EQ(results_over_seeds(rows, {"eval_loss"}), "");
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

TEST(SweepResults, ARungHoldsTheFiguresOfItsStep) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "config.json", "{}");
  std::string text = events(true);
  text.replace(text.find("\"step\":0,"), 9, "\"step\":0,\"total_steps\":12,");
  write_file_atomically(folder / "metrics.jsonl", text);
  const Json half = summarise_rung(folder.path(), 0.5);
  EXPECT_EQ(half["eval_loss"], 2.0);
  EXPECT_EQ(half["steps"], 6);
  EXPECT_EQ(half["train_loss"], 3.5);                          // 1 … 6
  EXPECT_EQ(summarise_rung(folder.path(), 0.9)["steps"], 11);  // the run ended without a look at it there
  write_file_atomically(folder / "metrics.jsonl",
                        text.substr(0, text.find("{\"event\":\"eval\",\"step\":12")));
  EXPECT_EQ(summarise_rung(folder.path(), 0.5)["eval_loss"], 2.0);
  EXPECT_EQ(summarise_rung(folder.path(), 0.9), Json::object());
  EXPECT_EQ(rung_step(0.1, 30), 3);
  EXPECT_EQ(rung_step(0.25, 9), 3);
}

TEST(SweepResults, FiguresOfBenchmarksStandBesideTheChangeFromTheBase) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "config.json", "{}");
  write_file_atomically(folder / "metrics.jsonl",
                        R"({"event":"start","step":0,"total_steps":2}
{"event":"eval","step":1,"tasks":[{"name":"a","metrics":{"accuracy":0.75,"unreadable":2,"by_subject":{"x":1.0}},"base_metrics":{"accuracy":0.5,"unreadable":1}}]}
{"event":"eval","step":2,"eval_loss":1.0}
)");
  const Json run = summarise_run(folder.path());
  EXPECT_EQ(run["a.accuracy"], 0.75);
  EXPECT_EQ(run["a.accuracy_change"], 0.25);
  EXPECT_EQ(run["a.unreadable"], 2);
  EXPECT_FALSE(run.contains("a.by_subject"));
}

}  // namespace
}  // namespace excitor
