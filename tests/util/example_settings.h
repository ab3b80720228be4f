// A small configuration with one field of every kind.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/util/describe.h>
#include <excitor/util/settings.h>

namespace excitor {

enum class Schedule { cosine, linear };

inline const std::vector<std::pair<std::string, Schedule>> kSchedules{{"cosine", Schedule::cosine},
                                                                      {"linear", Schedule::linear}};

struct ExampleFile {
  std::string path;
  double weight = 1.0;
  void describe(Describer& d) {
    d.field("path", path, "Where it lies.");
    d.field("weight", weight, "How often it is drawn.", kPositive);
  }
};

struct ExampleData {
  std::vector<ExampleFile> train;
  int64_t max_seq_length = 512;
  void describe(Describer& d) {
    d.list("train", train, "The training files.");
    d.field("max_seq_length", max_seq_length, "Tokens.", kAtLeastOne);
  }
};

struct ExampleTrain {
  int64_t micro_batch_size = 8;
  double learning_rate = 1e-3;
  double warmup_ratio = 0.03;
  bool deterministic = true;
  std::optional<int64_t> max_steps;
  std::optional<double> min_learning_rate;
  std::optional<bool> resume;
  std::optional<std::string> note;
  Schedule lr_scheduler_type = Schedule::cosine;
  void describe(Describer& d) {
    d.field("micro_batch_size", micro_batch_size, "Examples.", kAtLeastOne);
    d.field("learning_rate", learning_rate, "AdamW's.", {.minimum = 0, .maximum = 1, .open_minimum = true});
    d.field("warmup_ratio", warmup_ratio, "Share of the steps.", kProbability);
    d.field("deterministic", deterministic, "Same bits | each time.");
    d.field("max_steps", max_steps, "Stop after.", kAtLeastOne);
    d.field("min_learning_rate", min_learning_rate, "The end of the schedule.", kNonNegative);
    d.field("resume", resume, "Whether.");
    d.field("note", note, "Any text.");
    d.choice("lr_scheduler_type", lr_scheduler_type, kSchedules, "The shape.");
  }
};

struct ExampleVision {
  std::string path = "clip";
  void describe(Describer& d) { d.field("path", path, "The tower."); }
};

struct ExampleSettings {
  ExampleData data;
  ExampleTrain train;
  std::optional<ExampleVision> vision;
  std::vector<int64_t> devices;
  std::vector<std::string> tasks{"perplexity"};
  Json anything;
  std::string output_dir = "runs";
  void describe(Describer& d) {
    d.object("data", data, "What is learnt from.");
    d.object("train", train, "How.");
    d.optional_object("vision", vision, "Images.");
    d.field("devices", devices, "GPUs.", kNonNegative);
    d.field("tasks", tasks, "What is measured.");
    d.field("anything", anything, "Any value.");
    d.field("output_dir", output_dir, "Where results go.");
  }
};

}  // namespace excitor
