#include <excitor/run/run_config.h>

#include <algorithm>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/methods/registry.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/settings.h>

#include "util/temporary_folder.h"

namespace excitor {
namespace {

class RunConfigTest : public testing::Test {
 protected:
  RunConfigTest() {
    std::filesystem::create_directory(folder_ / "model");
    write_file_atomically(folder_ / "data.json", "[]");
  }
  RunConfig read(const std::string& text, const std::vector<std::string>& overrides = {}) {
    write_file_atomically(folder_ / "run.json", text);
    return read_run_config(folder_ / "run.json", overrides);
  }
  std::string error(const std::string& text) {
    try {
      read(text);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  }
  TemporaryFolder folder_;
  const std::string minimal_ =
      R"({"model": {"path": "model"}, "data": {"train": [{"path": "data.json"}]}, "output_dir": "runs/a"})";
};

TEST_F(RunConfigTest, RelativePathsAreRelativeToTheFile) {
  const RunConfig config = read(minimal_);
  EXPECT_EQ(config.model.path, (folder_ / "model").string());
  EXPECT_EQ(config.data.train[0].path, (folder_ / "data.json").string());
  EXPECT_EQ(config.output_dir, (folder_ / "runs/a").string());
}

TEST_F(RunConfigTest, TheResolvedConfigurationReadsBackAsItself) {
  RunConfig config = read(minimal_, {"method.type=lora", "method.r=4", "train.learning_rate=0.01"});
  const Json resolved = write_run_config(config);
  EXPECT_EQ(resolved["method"]["r"], 4);
  EXPECT_EQ(resolved["train"]["epochs"], 3.0);
  RunConfig again = read(resolved.dump());
  EXPECT_EQ(write_run_config(again), resolved);
}

TEST_F(RunConfigTest, AllProblemsAreReportedAtOnceWithTheRightSpelling) {
  const std::string message = error(R"({"model": {"path": "nowhere"},
      "train": {"per_device_train_batch_size": 4, "epochs": "three", "learning_rate": -1, "warmup_ratio": 2.5},
      "method": {"type": "excitor", "adapter_leng": 3, "gate": "per_token"}, "data": {"train": [{"path": "data.json"}], "packing": 1}})");
  for (const char* part :
       {"train.micro_batch_size", "train.epochs", "train.learning_rate", "train.warmup_ratio", "adapter_len",
        "per_head", "data.packing", "model.path", "output_dir"}) {
    EXPECT_NE(message.find(part), std::string::npos) << part << " is not in: " << message;
  }
}

TEST_F(RunConfigTest, EverySpellingOfAnotherTrainerLeadsToAKeyThatExists) {
  std::vector<std::string> known;
  for (const std::string& name : method_names()) {
    RunConfig config;
    config.method.method = make_method(name);
    for (const auto& path : list_paths([&](Describer& d) { config.describe(d); })) known.push_back(path);
  }
  // Keys of the contract that later versions read.
  const std::vector<std::string> later = {"train.gradient_checkpointing", "vision.path",
                                          "logging.tensorboard", "eval.tasks", "data.train[].images"};
  for (const auto& [theirs, ours] : other_trainers_spellings()) {
    const bool exists = std::find(known.begin(), known.end(), ours) != known.end() ||
                        std::find(later.begin(), later.end(), ours) != later.end();
    EXPECT_TRUE(exists) << theirs << " -> " << ours;
  }
}

TEST_F(RunConfigTest, RandomWeightsNeedATokenizerAndMethodFull) {
  const std::string message =
      error(R"({"model": {"init": {"hidden_size": 30, "num_attention_heads": 4}}, "method": {"type": "lora"},
                                        "data": {"train": [{"path": "data.json"}]}, "output_dir": "x"})");
  for (const char* part : {"model.tokenizer", "model.init", "num_attention_heads"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST_F(RunConfigTest, SettingsOfTheAdapterThatARunStartsFromStay) {
  std::filesystem::create_directory(folder_ / "adapter");
  write_file_atomically(folder_ / "adapter/adapter_config.json",
                        R"({"peft_type": "EXCITOR", "adapter_layers": 1, "r": 3})");
  RunConfig config = read(minimal_, {"method.adapter_path=adapter"});
  EXPECT_EQ(write_run_config(config)["method"]["adapter_layers"], 1);
  EXPECT_EQ(write_run_config(config)["method"]["r"], 3);
  EXPECT_THROW(read(minimal_, {"method.adapter_path=adapter", "method.r=4"}), ConfigError);
}

TEST_F(RunConfigTest, TheSchemaHasAVariantForEachMethod) {
  const Json schema = run_config_schema();
  EXPECT_EQ(schema["properties"]["method"]["oneOf"].size(), method_names().size());
  EXPECT_NE(run_config_reference().find("train.learning_rate"), std::string::npos);
}

}  // namespace
}  // namespace excitor
