// One training run from its configuration to its folder.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <excitor/commands/run_config.h>
#include <excitor/data/dataset.h>
#include <excitor/methods/adapter_files.h>
#include <excitor/model/checkpoint.h>
#include <excitor/tokenizer/tokenizer.h>
#include <excitor/train/progress.h>
#include <excitor/train/run_folder.h>
#include <excitor/train/tensorboard.h>
#include <excitor/train/trainer.h>

namespace excitor {

class TrainingRun {
 public:
  explicit TrainingRun(RunConfig config);

  /// Loads and checks everything, then trains. Throws Interrupted after a signal, once a checkpoint has been
  /// saved.
  void run();

 private:
  /// What lies in output_dir, and the step to go on from: 0, or that of a checkpoint.
  int64_t examine_output_dir() const;
  void load_data();
  void load_model();
  void make_parameters();
  std::unique_ptr<Trainer> make_trainer();
  void restore(Trainer& trainer, int64_t step);

  void train(Trainer& trainer, AppendFile& metrics);
  /// Warns of a step that was left out; throws when the first one is, or too many in a row.
  void check_finite(const StepMetrics& step);
  void record_step(const StepMetrics& step, AppendFile& metrics);
  void evaluate(int64_t step, AppendFile& metrics, Progress* progress);
  bool evaluation_is_due(const Trainer& trainer, const StepMetrics& step) const;
  void save_checkpoint(const Trainer& trainer) const;
  void save_result() const;

  Json start_event(const Trainer& trainer) const;
  AdapterOrigin origin() const;
  MicroBatchLimits limits() const;

  RunConfig config_;
  Json resolved_;
  RunFolder folder_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Dataset> train_data_;
  std::unique_ptr<Dataset> validation_data_;  ///< may be empty
  std::unique_ptr<Dataset> held_out_data_;    ///< null without eval.forgetting
  std::optional<LoadedModel> base_;
  ParameterSet parameters_;
  std::unique_ptr<ModelBypass> bypass_;
  std::optional<EvalMetrics> base_validation_;  ///< of the frozen model, measured once
  std::optional<EvalMetrics> base_held_out_;
  int64_t bad_steps_in_a_row_ = 0;
  std::optional<TensorBoardFile> tensorboard_;
  /// Writes the numbers of an event of metrics.jsonl to TensorBoard, when asked for.
  void record_scalars(const Json& event, std::string_view group);
};

}  // namespace excitor
