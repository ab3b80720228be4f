#include <gmock/gmock.h>

#include "util/example_settings.h"

namespace excitor {
namespace {

Json write(ExampleSettings settings) {
  return write_settings([&](Describer& d) { settings.describe(d); });
}

TEST(WriteSettings, WritesEveryDefaultInTheOrderOfDescribe) {
  EXPECT_EQ(write({}).dump(),
            R"({"data":{"train":[],"max_seq_length":512},)"
            R"("train":{"micro_batch_size":8,"learning_rate":0.001,"warmup_ratio":0.03,"deterministic":true,)"
            R"("lr_scheduler_type":"cosine"},)"
            R"("devices":[],"tasks":["perplexity"],"anything":null,"output_dir":"runs"})");
}

TEST(WriteSettings, WhatIsWrittenReadsBackTheSame) {
  ExampleSettings settings;
  settings.data.train = {{.path = "a", .weight = 1.0 / 3.0}, {.path = "b", .weight = 3.0}};
  settings.train.learning_rate = 0.1 + 0.2;
  settings.train.max_steps = INT64_MAX;
  settings.train.note = "line\n\"quoted\"";
  settings.vision.emplace();
  settings.devices = {3, 1};
  settings.anything = parse_json(R"({"b": 1, "a": 2.0})", "x");

  const Json written = write(settings);
  ExampleSettings read;
  Problems problems;
  read_settings(
      parse_json(written.dump(2), "x"), [&](Describer& d) { read.describe(d); }, {}, problems);
  EXPECT_TRUE(problems.empty());
  EXPECT_EQ(write(read).dump(), written.dump());
  EXPECT_EQ(read.train.learning_rate, 0.1 + 0.2);
  EXPECT_EQ(read.data.train[0].weight, 1.0 / 3.0);
}

TEST(WriteSettings, WhatIsNotSetIsLeftOut) {
  const Json json = write({});
  EXPECT_FALSE(json.contains("vision"));
  EXPECT_FALSE(json["train"].contains("max_steps"));
}

TEST(SettingsSchema, DescribesEveryKindOfField) {
  const Json schema = settings_schema([](Describer& d) { ExampleSettings{}.describe(d); });
  EXPECT_EQ(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
  EXPECT_EQ(schema["type"], "object");
  EXPECT_EQ(schema["additionalProperties"], false);

  const Json& properties = schema["properties"];
  const Json& train = properties["train"]["properties"];
  EXPECT_EQ(train["learning_rate"].dump(),
            R"({"type":"number","exclusiveMinimum":0,"maximum":1,"default":0.001,"description":"AdamW's."})");
  EXPECT_EQ(train["max_steps"].dump(),
            R"({"type":["integer","null"],"minimum":1,"description":"Stop after."})");
  EXPECT_EQ(train["lr_scheduler_type"].dump(),
            R"({"type":"string","enum":["cosine","linear"],"default":"cosine","description":"The shape."})");
  EXPECT_EQ(properties["devices"].dump(),
            R"({"type":"array","items":{"type":"integer","minimum":0},"default":[],"description":"GPUs."})");
  EXPECT_EQ(properties["vision"]["type"].dump(), R"(["object","null"])");
  EXPECT_EQ(properties["anything"].dump(), R"({"description":"Any value."})");

  const Json& file = properties["data"]["properties"]["train"]["items"];
  EXPECT_EQ(file["additionalProperties"], false);
  EXPECT_EQ(file["properties"]["weight"]["default"], 1.0);
}

TEST(SettingsSchema, AllowsAConfigurationToNameIt) {
  const Json schema = settings_schema([](Describer& d) { ExampleSettings{}.describe(d); });
  EXPECT_EQ(schema["properties"]["$schema"]["type"], "string");
  EXPECT_FALSE(schema["properties"]["train"]["properties"].contains("$schema"));
}

TEST(SettingsReference, IsATableWithOneRowAField) {
  const std::string table = settings_reference([](Describer& d) { ExampleSettings{}.describe(d); });
  EXPECT_THAT(table, testing::StartsWith("| key | type | default | meaning |\n|---|---|---|---|\n"
                                         "| `data` | section |  | What is learnt from. |\n"
                                         "| `data.train` | list of sections |  | The training files. |\n"
                                         "| `data.train[].path` | string | `\"\"` | Where it lies. |\n"));
  for (const char* row : {"| `train.learning_rate` | number > 0 and <= 1 | `0.001` | AdamW's. |\n",
                          "| `train.deterministic` | boolean | `true` | Same bits \\| each time. |\n",
                          "| `train.max_steps` | integer >= 1 | not set | Stop after. |\n",
                          "| `train.lr_scheduler_type` | `cosine`, `linear` | `\"cosine\"` | The shape. |\n",
                          "| `vision` | section, may be absent |  | Images. |\n",
                          "| `devices` | list of integer >= 0 | `[]` | GPUs. |\n",
                          "| `anything` | any | not set | Any value. |\n"}) {
    EXPECT_THAT(table, testing::HasSubstr(row));
  }
}

TEST(ListPaths, NamesSectionsAndFieldsInOrder) {
  EXPECT_THAT(list_paths([](Describer& d) { ExampleData{}.describe(d); }),
              testing::ElementsAre("train", "train[].path", "train[].weight", "max_seq_length"));
  EXPECT_THAT(list_paths([](Describer& d) { ExampleSettings{}.describe(d); }),
              testing::IsSupersetOf({"train", "train.max_steps", "vision.path", "data.train[].path"}));
}

}  // namespace
}  // namespace excitor
