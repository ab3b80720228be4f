// The sections `train`, `eval` and `logging` of a configuration.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <excitor/util/describe.h>

namespace excitor {

enum class LrScheduler { cosine, linear, constant };
enum class Precision { automatic, fp32, bf16, fp16 };
enum class Resume { automatic, never };

struct TrainSettings {
  double epochs = 3;                 ///< passes over the training data; may be a fraction
  std::optional<int64_t> max_steps;  ///< ends earlier (or later) than epochs
  double learning_rate = 1e-3;
  double min_learning_rate = 0;
  LrScheduler lr_scheduler_type = LrScheduler::cosine;
  double warmup_ratio = 0.03;
  std::optional<int64_t> warmup_steps;  ///< instead of warmup_ratio
  int64_t micro_batch_size = 4;         ///< examples
  std::optional<int64_t>
      micro_batch_tokens;  ///< packing: tokens of a micro-batch; default micro_batch_size × max_seq_length
  int64_t gradient_accumulation_steps = 1;
  std::optional<int64_t> global_batch_size;  ///< examples; instead of gradient_accumulation_steps
  double max_grad_norm = 1.0;                ///< 0: no clipping
  double weight_decay = 0.02;                ///< on tensors of two or more dimensions
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_epsilon = 1e-8;
  int64_t seed = 0;
  Precision precision = Precision::automatic;  ///< of the activations
  bool gradient_checkpointing = false;
  std::optional<bool> deterministic;  ///< default: true on a CPU, false on a GPU
  int64_t max_nonfinite_steps = 10;   ///< in a row, before the run stops
  std::optional<bool> memory_probe;   ///< default: for runs of more than 100 steps
  void describe(Describer& d);
  /// Examples of one optimiser step.
  int64_t examples_per_step(int64_t processes) const;
};

/// Text that the model should not get worse at.
struct ForgettingSettings {
  std::string path;  ///< text file (blank lines between documents) or JSONL with rows {"text"}
  void describe(Describer& d);
};

/// A benchmark that is scored in the course of the run, as `excitor eval --task` scores it.
struct EvalTaskSettings {
  std::string type;              ///< one of task_types() in <excitor/eval/task.h>
  std::string path;              ///< its file or folder
  std::string name;              ///< in the records; empty: the path's last part
  std::optional<int64_t> limit;  ///< the first so many samples
  std::optional<int64_t> shots;  ///< mmlu (default 5) and scienceqa (default 0)
  std::string format = "QCM-A";  ///< scienceqa: or "QCM-LEA"
  std::string captions;          ///< scienceqa: captions.json whose texts stand for the images
  std::string images;            ///< captions, scienceqa: folder of the images; empty: none are shown
  std::string split = "test";    ///< captions: of Karpathy's references
  void describe(Describer& d);
};

struct EvalSettings {
  std::optional<int64_t> eval_steps;  ///< default: at the end of each epoch
  std::optional<ForgettingSettings> forgetting;
  bool health = true;                       ///< also record gates, moved attention, gradient norms
  std::vector<std::string> sample_prompts;  ///< answered at each evaluation
  std::vector<std::string> sample_images;   ///< captioned at each evaluation
  int64_t sample_max_new_tokens = 64;
  std::vector<EvalTaskSettings> tasks;
  std::optional<int64_t> task_steps;               ///< default: at each evaluation
  std::optional<int64_t> early_stopping_patience;  ///< evaluations without a better eval loss
  double early_stopping_threshold = 0;             ///< an eval loss this much lower is a better one
  void describe(Describer& d);
};

/// Steps that LibTorch's profiler records, counted from 1.
struct ProfileSettings {
  int64_t first_step = 10;
  int64_t last_step = 12;
  void describe(Describer& d);
};

struct LoggingSettings {
  bool tensorboard = false;   ///< also write an event file for TensorBoard
  int64_t logging_steps = 1;  ///< steps between lines of metrics.jsonl
  std::optional<ProfileSettings> profile;
  void describe(Describer& d);
};

struct CheckpointSettings {
  std::optional<int64_t> save_steps;   ///< steps between checkpoints
  std::optional<double> save_seconds;  ///< seconds between checkpoints
  int64_t save_total_limit = 3;        ///< older ones are removed; 0: all are kept
  Resume resume = Resume::automatic;
  bool load_best_model_at_end = false;  ///< the result is the adapter of the lowest eval loss
  void describe(Describer& d);
};

}  // namespace excitor
