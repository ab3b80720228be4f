#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/settings.h>

namespace excitor {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string overridden(const std::string& config, const std::string& override_text) {
  Json json = parse_json(config, "run.json");
  apply_override(json, override_text);
  return json.dump();
}

std::string error_of(const std::string& config, const std::string& override_text) {
  try {
    overridden(config, override_text);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(ApplyOverride, AValueIsJsonWhereItCanBe) {
  EXPECT_EQ(overridden(R"({"a": {"b": 1, "c": 2}})", "a.b=2.5"), R"({"a":{"b":2.5,"c":2}})");
  EXPECT_EQ(overridden("{}", "a=true"), R"({"a":true})");
  EXPECT_EQ(overridden("{}", "a=null"), R"({"a":null})");
  EXPECT_EQ(overridden("{}", "a=1e-3"), R"({"a":0.001})");
  EXPECT_EQ(overridden("{}", R"(a=[1, "x"])"), R"({"a":[1,"x"]})");
  EXPECT_EQ(overridden("{}", R"(a="1")"), R"({"a":"1"})");
}

TEST(ApplyOverride, AValueThatIsNotJsonIsText) {
  EXPECT_EQ(overridden("{}", "output_dir=runs/x"), R"({"output_dir":"runs/x"})");
  EXPECT_EQ(overridden("{}", "a=x=y"), R"({"a":"x=y"})");
  EXPECT_EQ(overridden("{}", "a=True"), R"({"a":"True"})");
  EXPECT_EQ(overridden("{}", "a="), R"({"a":""})");
}

TEST(ApplyOverride, MissingSectionsAreCreated) {
  EXPECT_EQ(overridden("{}", "a.b.c=1"), R"({"a":{"b":{"c":1}}})");
  EXPECT_EQ(overridden(R"({"a": null})", "a.b=1"), R"({"a":{"b":1}})");
}

TEST(ApplyOverride, ElementsOfListsHaveNumbers) {
  const std::string config = R"({"data": {"train": [{"path": "a"}, {"path": "b"}]}})";
  EXPECT_EQ(overridden(config, "data.train.1.path=x"), R"({"data":{"train":[{"path":"a"},{"path":"x"}]}})");
  EXPECT_EQ(overridden(config, "data.train[0].path=x"), R"({"data":{"train":[{"path":"x"},{"path":"b"}]}})");
  EXPECT_EQ(overridden(R"({"a": [[1, 2]]})", "a[0][1]=3"), R"({"a":[[1,3]]})");
}

TEST(ApplyOverride, TheElementAfterTheLastIsAdded) {
  EXPECT_EQ(overridden(R"({"a": [1]})", "a.1=2"), R"({"a":[1,2]})");
  EXPECT_EQ(overridden("{}", "data.train[0].path=x"), R"({"data":{"train":[{"path":"x"}]}})");
}

TEST(ApplyOverride, APathThatLeadsNowhereIsAnError) {
  EXPECT_THAT(error_of(R"({"a": 1})", "a.b=1"),
              StartsWith("a.b=1: 'b' would lie in the integer 1, which has no keys; "));
  EXPECT_THAT(error_of(R"({"a": [1]})", "a.2=1"), HasSubstr("there is no element 2: the list has 1"));
  EXPECT_THAT(error_of(R"({"a": [1]})", "a.x=1"), HasSubstr("'x' is not the number of a list's element"));
  EXPECT_THAT(error_of(R"({"a": [1]})", "a.-1=1"), HasSubstr("'-1' is not the number of a list's element"));
}

TEST(ApplyOverride, WhatIsNoOverrideIsAnErrorThatShowsHow) {
  EXPECT_EQ(
      error_of("{}", "train.lr"),
      "train.lr: there is no '='; an override is written section.key=value, as in train.learning_rate=1e-3");
  for (const char* text : {"=1", ".a=1", "a.=1", "a..b=1", "a[]=1"}) {
    EXPECT_THAT(error_of("{}", text), HasSubstr("a part of the key is empty")) << text;
  }
}

}  // namespace
}  // namespace excitor
