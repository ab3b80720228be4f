// One training run from its configuration to its folder.
#pragma once

#include <chrono>
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
#include <excitor/train/run_record.h>
#include <excitor/train/trainer.h>

#include "run_evaluation.h"

namespace excitor {

/// The evaluation with the lowest loss, for early stopping and the folder best/.
struct BestSoFar {
  std::optional<double> eval_loss;
  int64_t step = 0;
  int64_t evaluations_since = 0;  ///< without a better one
};

class TrainingRun {
 public:
  explicit TrainingRun(RunConfig config);

  /// Loads and checks everything, then trains. Throws Interrupted after a signal, once a checkpoint has been
  /// saved.
  void run();

 private:
  /// What lies in output_dir, and the step to go on from: 0, or that of the newest intact checkpoint.
  int64_t examine_output_dir() const;
  void load_data();
  void load_base();
  void make_parameters();
  std::unique_ptr<Trainer> make_trainer();
  void restore(Trainer& trainer, int64_t step);

  void train(Trainer& trainer);
  void probe_memory(Trainer& trainer) const;
  /// Saves when steps, seconds or a signal ask for it; throws Interrupted after SIGINT or SIGTERM.
  void save_if_due(const Trainer& trainer);
  /// Warns of a step that was left out; throws when the first one is, or too many in a row.
  void check_finite(const StepMetrics& step);
  /// Reports parameters that no gradient has reached by step 3.
  void check_all_moved(const Trainer& trainer);
  void record_step(const StepMetrics& step);
  void evaluate(const Trainer& trainer);
  /// report.html from what is recorded so far; a failure is a warning, the run goes on.
  void write_report() const;
  /// Keeps the adapter when this loss is the lowest so far.
  void judge(double eval_loss, int64_t step);
  bool evaluation_is_due(const Trainer& trainer, int64_t step) const;
  bool should_stop_early() const;
  void save_checkpoint(const Trainer& trainer);
  /// The adapter, or the whole model, as it is now.
  void save_weights(const std::filesystem::path& folder) const;
  void save_result() const;
  std::filesystem::path result_folder() const;

  Json start_event(const Trainer& trainer) const;
  AdapterOrigin origin() const;

  RunConfig config_;
  Json resolved_;
  RunFolder folder_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Dataset> train_data_;
  std::vector<WeightedRange> train_weights_;
  std::unique_ptr<Dataset> validation_data_;  ///< may be empty
  std::unique_ptr<Dataset> held_out_data_;    ///< null without eval.forgetting
  std::optional<LoadedModel> base_;
  ParameterSet parameters_;
  std::unique_ptr<ModelBypass> bypass_;
  std::optional<RunEvaluation> evaluation_;
  std::optional<RunRecord> record_;
  std::optional<Progress> progress_;
  BestSoFar best_;
  int64_t bad_steps_in_a_row_ = 0;
  std::chrono::steady_clock::time_point last_save_ = std::chrono::steady_clock::now();
};

}  // namespace excitor
