#include <excitor/sweep/sweep_points.h>

#include <cmath>
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>

namespace excitor {
namespace {

std::vector<SweepPoint> expand(const char* text) {
  return expand_sweep(Json::parse(text), "run.json");
}

std::string error(const char* text) {
  try {
    expand(text);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(SweepPoints, AGridIsEveryCombinationAndTheLastKeyChangesFastest) {
  const auto points = expand(R"({"method.type": ["lora", "full"], "train.seed": [1, 2, 3]})");
  ASSERT_EQ(points.size(), 6U);
  EXPECT_EQ(points[0].dump(), R"({"method.type":"lora","train.seed":1})");
  EXPECT_EQ(points[1].dump(), R"({"method.type":"lora","train.seed":2})");
  EXPECT_EQ(points[5].dump(), R"({"method.type":"full","train.seed":3})");
}

TEST(SweepPoints, ChosenPointsStayAsTheyAre) {
  const auto points = expand(R"([{"method.r": 8}, {}, {"train.seed": 3, "method.r": 4}])");
  ASSERT_EQ(points.size(), 3U);
  EXPECT_EQ(points[1].dump(), "{}");
  EXPECT_EQ(points[2].dump(), R"({"train.seed":3,"method.r":4})");
}

constexpr const char* kRandom =
    R"({"random": {"points": 400, "seed": 7, "train.learning_rate": {"log_uniform": [1e-4, 1e-2]},
    "method.r": {"integer": [2, 5]}, "method.type": ["lora", "full"], "train.weight_decay": {"uniform": [0.1, 0.2]}}})";

TEST(SweepPoints, DrawsStayInTheirRangesAndReachAllOfThem) {
  std::set<int64_t> ranks;
  std::set<std::string> types;
  int low = 0;
  for (const SweepPoint& point : expand(kRandom)) {
    const double rate = point["train.learning_rate"].get<double>();
    EXPECT_TRUE(rate >= 1e-4 && rate <= 1e-2) << rate;
    low += rate < 1e-3 ? 1 : 0;
    ranks.insert(point["method.r"].get<int64_t>());
    types.insert(point["method.type"].get<std::string>());
    const double decay = point["train.weight_decay"].get<double>();
    EXPECT_TRUE(decay >= 0.1 && decay <= 0.2) << decay;
  }
  EXPECT_NEAR(low, 200, 50);  // half of the decades; 5 standard deviations
  EXPECT_EQ(ranks, (std::set<int64_t>{2, 3, 4, 5}));
  EXPECT_EQ(types, (std::set<std::string>{"lora", "full"}));
}

TEST(SweepPoints, DrawsDependOnTheirSeedNumberAndKeyAlone) {
  Json fewer = Json::parse(kRandom);
  fewer["random"]["points"] = 3;
  fewer["random"].erase("method.r");
  const auto all = expand(kRandom), some = expand_sweep(fewer, "run.json");
  ASSERT_EQ(some.size(), 3U);
  for (size_t i = 0; i < some.size(); ++i)
    EXPECT_EQ(some[i]["train.learning_rate"], all[i]["train.learning_rate"]);
  EXPECT_NE(all[0]["train.learning_rate"], all[1]["train.learning_rate"]);
  fewer["random"]["seed"] = 8;
  EXPECT_NE(expand_sweep(fewer, "run.json")[0]["train.learning_rate"], all[0]["train.learning_rate"]);
}

TEST(SweepPoints, KeysBesideRandomAreCombinedWithEachDraw) {
  const auto points =
      expand(R"({"random": {"points": 2, "method.r": {"integer": [1, 99]}}, "train.seed": [0, 1, 2]})");
  ASSERT_EQ(points.size(), 6U);
  EXPECT_EQ(points[0]["method.r"], points[2]["method.r"]);
  EXPECT_EQ(points[2]["train.seed"], 2);
  EXPECT_NE(points[0]["method.r"], points[3]["method.r"]);
}

TEST(SweepPoints, RefusalsNameThePlace) {
  EXPECT_NE(error("{}").find("sweep: has no points"), std::string::npos);
  EXPECT_NE(error("[]").find("sweep: has no points"), std::string::npos);
  EXPECT_NE(error("3").find("found the integer 3"), std::string::npos);
  EXPECT_NE(error(R"({"train.seed": []})").find("sweep.train.seed: has no values"), std::string::npos);
  EXPECT_NE(error(R"({"train.seed": 3})").find("sweep.train.seed: found the integer 3"), std::string::npos);
  EXPECT_NE(error(R"([{}, 3])").find("sweep[1]: found the integer 3"), std::string::npos);
  EXPECT_NE(error(R"({"output_dir": ["a"]})").find("sweep.output_dir"), std::string::npos);
  EXPECT_NE(error(R"([{"distributed.devices": 2}])").find("sweep[0].distributed.devices"), std::string::npos);
  EXPECT_NE(error(R"({"early_stop": {}, "parallel": 2})").find("sweep: has no points"), std::string::npos);
}

TEST(SweepPoints, AllProblemsAreToldAtOnce) {
  const std::string text =
      error(R"({"train.seed": [], "random": {"points": 0, "method.r": {"uniform": [2, 1]},
      "train.epochs": {"log_uniform": [0, 1]}, "method.type": {"normal": [0, 1]}, "data.val_size": {"integer": [1, 2.5]}}})");
  for (const char* words :
       {"sweep.train.seed: has no values", "sweep.random.points: found the integer 0",
        "sweep.random.method.r: the range's first", "sweep.random.train.epochs: a logarithmic",
        "sweep.random.method.type: found", "sweep.random.data.val_size: a range of integers"})
    EXPECT_NE(text.find(words), std::string::npos) << words << " is not in " << text;
}

TEST(SweepPoints, TooManyPointsAreRefusedBeforeTheyAreMade) {
  Json sweep = Json::object();
  const Json values = std::vector<int>(1000, 1);
  for (const char* key : {"a", "b", "c", "d", "e"}) sweep[key] = values;
  EXPECT_THROW(expand_sweep(sweep, "run.json"), ConfigError);
  EXPECT_NE(error(R"({"random": {"points": 10001, "method.r": [1]}})").find("more than 10000"),
            std::string::npos);
  sweep = {{"a", std::vector<int>(100, 1)}, {"b", std::vector<int>(100, 1)}};
  EXPECT_EQ(expand_sweep(sweep, "run.json").size(), kMostSweepPoints);
}

TEST(SweepPoints, ARunIsNamedByWhatChangesIt) {
  const Json config = {{"train", {{"seed", 1}}}, {"distributed", {{"devices", 1}}}, {"output_dir", "a"}};
  Json other = config;
  other["output_dir"] = "b";
  other["distributed"]["devices"] = 4;
  EXPECT_EQ(sweep_run_id(config), sweep_run_id(other));
  EXPECT_EQ(sweep_run_id(config).size(), 16U);
  other["train"]["seed"] = 2;
  EXPECT_NE(sweep_run_id(config), sweep_run_id(other));
}

}  // namespace
}  // namespace excitor
