#include <excitor/report/run_report.h>

#include <fstream>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <excitor/report/run_history.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <util/temporary_folder.h>

namespace excitor {
namespace {

using testing::HasSubstr;

Json step_event(int64_t step, double loss) {
  return {{"event", "step"},
          {"step", step},
          {"loss", loss},
          {"learning_rate", 1e-3},
          {"tokens", 100},
          {"seconds", 0.5},
          {"grad_norm", 1.0},
          {"tokens_per_second", 200.0},
          {"peak_memory_bytes", 1 << 20}};
}

/// A page's data is the JSON of its script element.
Json data_of(const std::string& page) {
  const std::string open = R"(<script type="application/json" id="data">)";
  const size_t begin = page.find(open) + open.size();
  return Json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

class RunReport : public testing::Test {
 protected:
  void write_metrics(const std::string& text) const {
    std::ofstream(folder_.path() / "metrics.jsonl") << text;
    std::ofstream(folder_.path() / "config.json") << R"({"method": {"type": "lora"}})";
  }
  std::string error_of_report() const {
    try {
      run_report(folder_.path());
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  TemporaryFolder folder_;
};

TEST(RunHistory, SumsUpTheSteps) {
  RunHistory history;
  history.add({{"event", "start"}, {"step", 0}, {"total_steps", 20}});
  history.add(step_event(10, 2));  // every tenth step is logged
  history.add(step_event(20, 1));
  history.add({{"event", "end"}, {"step", 20}});
  const Json json = history.json();
  EXPECT_EQ(json["last_step"], 20);
  EXPECT_EQ(json["tokens"], 2000);
  EXPECT_EQ(json["seconds"], 10);
  EXPECT_EQ(json["curves"]["loss"], Json::parse(R"({"step": [10, 20], "mean": [2, 1]})"));
  EXPECT_EQ(json["end"]["step"], 20);
}

TEST(RunHistory, AResumedRunIsNotAtItsEnd) {
  RunHistory history;
  history.add({{"event", "start"}, {"step", 0}});
  history.add({{"event", "start"}, {"step", 7}});
  EXPECT_TRUE(history.json()["end"].is_null());
  EXPECT_EQ(history.json()["resumed_at"], Json({7}));
}

TEST(RunHistory, KnowsTheBestAndTheLatestEvaluation) {
  RunHistory history;
  for (const auto& [step, loss] : {std::pair(1, 3.0), {2, 1.0}, {3, 2.0}})
    history.add({{"event", "eval"}, {"step", step}, {"eval_loss", loss}, {"samples", Json::array()}});
  const Json json = history.json();
  EXPECT_EQ(json["best"], Json({{"step", 2}, {"eval_loss", 1.0}}));
  EXPECT_EQ(json["latest"]["eval_loss"], 2);
  EXPECT_FALSE(json["latest"].contains("samples"));
}

TEST(RunHistory, ALossThatIsNotFiniteIsAGap) {
  RunHistory history;
  Json event = step_event(1, 0);
  event["loss"] = nullptr;
  history.add(event);
  EXPECT_EQ(history.json()["curves"]["loss"]["mean"], Json({nullptr}));
}

TEST(RunHistory, UnknownEventsArePassedOver) {
  RunHistory history;
  history.add({{"event", "of a later version"}});
  EXPECT_EQ(history.json()["steps"], 0);
}

TEST_F(RunReport, HoldsConfigurationAndName) {
  write_metrics(step_event(1, 2).dump() + "\n");
  write_run_report(folder_.path(), folder_.path() / "report.html");
  const Json data = data_of(read_file(folder_.path() / "report.html"));
  EXPECT_EQ(data["config"]["method"]["type"], "lora");
  EXPECT_EQ(data["name"], folder_.path().filename().string());
}

TEST_F(RunReport, ALineOfAKilledRunIsPassedOver) {
  write_metrics(step_event(1, 2).dump() + "\n" + R"({"event": "st)");
  EXPECT_EQ(data_of(run_report(folder_.path()))["steps"], 1);
}

TEST_F(RunReport, ADamagedLineIsNamed) {
  write_metrics(step_event(1, 2).dump() + "\n{\"event\": \"st\n");
  EXPECT_THAT(error_of_report(), HasSubstr("metrics.jsonl:2: expected an event"));
  write_metrics("{\"event\": \"step\", \"step\": \"one\"}\n");
  EXPECT_THAT(error_of_report(), HasSubstr("metrics.jsonl:1: expected an event"));
}

TEST_F(RunReport, AFolderWithoutARunIsNamed) {
  EXPECT_THAT(error_of_report(), HasSubstr("has no config.json; expected the output_dir of a run"));
}

TEST_F(RunReport, ALongRunStaysSmall) {
  std::string metrics;
  Json layers = Json::object();
  for (int layer = 0; layer < 32; ++layer)
    layers[std::to_string(layer)] = std::vector<double>(32, 0.0123456789);
  for (int64_t step = 1; step <= 20'000; ++step) metrics += step_event(step, 1.0 / 3.0).dump() + "\n";
  for (int64_t step = 100; step <= 20'000; step += 100) {
    const Json health = {{"event", "health"}, {"step", step}, {"gates", layers}, {"attention_moved", layers}};
    metrics += health.dump() + "\n";
  }
  write_metrics(metrics);
  EXPECT_LT(run_report(folder_.path()).size(), 700'000u);
}

}  // namespace
}  // namespace excitor
