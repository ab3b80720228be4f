// One training run from its configuration to its folder.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <excitor/data/dataset.h>
#include <excitor/dist/group.h>
#include <excitor/methods/adapter_files.h>
#include <excitor/model/checkpoint.h>
#include <excitor/model/sharded_base.h>
#include <excitor/run/run_config.h>
#include <excitor/run/run_evaluation.h>
#include <excitor/run/run_part.h>
#include <excitor/run/shared_inputs.h>
#include <excitor/tokenizer/tokenizer.h>
#include <excitor/train/progress.h>
#include <excitor/train/run_folder.h>
#include <excitor/train/run_record.h>
#include <excitor/train/step_profile.h>
#include <excitor/train/trainer.h>
#include <excitor/util/files.h>

namespace excitor {

/// In each process of a group alike. Files of output_dir are rank 0's alone, but for the others' logs.
class TrainingRun {
 public:
  /// `shared`: where base and data are taken from and left; null: the run has its own.
  explicit TrainingRun(RunConfig config, Group group = Group(), SharedInputs* shared = nullptr);

  /// The configuration with every default written out.
  const Json& resolved() const { return resolved_; }

  /// Loads and checks everything, then trains. Throws Interrupted after a signal, once a checkpoint has been
  /// saved; CommunicationError when another process fails, once rank 0 has saved one.
  RunOutcome run(const RunPart& part = {});

 private:
  RunOutcome load_and_train();
  /// What lies in output_dir, and the step to go on from: 0, or that of the newest intact checkpoint.
  int64_t examine_output_dir() const;
  /// Throws CheckpointError when the checkpoint's base, tokenizer or data were others.
  void check_same_origins(const Json& recorded) const;
  /// Throws ConfigError when the checkpoint's steps hold another number of examples than this run's.
  void check_same_steps(int64_t step) const;
  void share_cores() const;
  /// Waits for all processes, makes sure that they do the same, and connects them.
  void join();
  Facts facts() const;
  /// Locks output_dir. Throws ConfigError when another run has been at work there since it was examined.
  void begin_folder(int64_t first_step);
  /// The values of rank 0, in all processes.
  void broadcast_parameters() const;
  void log_group(const Trainer& trainer) const;
  bool is_first() const { return group_.is_first(); }
  /// Makes the device ready that this process computes on; says when "auto" falls back to the CPU.
  void choose_device();
  void load_data();
  bool is_deterministic() const { return config_.train.deterministic.value_or(!asks_for_gpu()); }
  bool asks_for_gpu() const { return config_.distributed.on_gpu(); }
  /// The visual side as adapters record it; throws ConfigError for another tower than that of the adapter
  /// that the run starts from.
  std::optional<VisionOrigin> vision_origin() const;
  std::shared_ptr<LoadedModel> read_base() const;
  /// Seconds since this run began: with the process, or where it is one of several, on its own.
  double seconds() const;
  void load_base();
  /// What this process holds of the base: all, or with distributed.shard_base its part.
  BaseShare base_share() const;
  void make_parameters();
  std::unique_ptr<Trainer> make_trainer();
  void restore(Trainer& trainer, int64_t step);

  RunOutcome train(Trainer& trainer);
  void make_evaluation();
  void finish(const Trainer& trainer, int64_t first_step, int64_t tokens);
  /// Before an error ends the run: keeps what is done, in rank 0. Returns what to tell. Never throws.
  std::string save_what_is_done(const Trainer& trainer);
  /// To metrics.jsonl, in rank 0.
  void record(const Json& event, std::string_view group);
  void clear_progress();  ///< makes place on the terminal for a message
  void probe_memory(Trainer& trainer) const;
  void end_profiled_step(StepProfile& profile, int64_t step);
  /// Saves when steps, seconds or a signal ask for it; throws Interrupted after SIGINT or SIGTERM.
  void save_if_due(const Trainer& trainer, const StepRequests& requests);
  RunOutcome pause(const Trainer& trainer);
  void save_or_warn(const Trainer& trainer, bool must_save);
  /// Warns of a step that was left out; throws when the first one is, or too many in a row.
  void check_finite(const StepMetrics& step);
  void check_all_moved(const Trainer& trainer);  ///< by step 3 a gradient has reached every parameter
  void record_step(const StepMetrics& step);
  /// The most memory so far: of the GPU's tensors, or of this process on a CPU.
  int64_t peak_memory() const;
  void evaluate(const Trainer& trainer);
  void record_health(const Trainer& trainer);
  /// A part of an evaluation; a signal meanwhile leaves a checkpoint that says what is unfinished.
  void interruptible(const Trainer& trainer, const std::function<void()>& evaluate);
  bool tasks_are_due(const Trainer& trainer) const;
  bool is_at_rung(const Trainer& trainer) const;
  bool is_paused(const Trainer& trainer) const;
  Unfinished due_after(const Trainer& trainer) const;
  /// Records what a rung judges by, unless an evaluation has just told it.
  void evaluate_rung(const Trainer& trainer);
  /// report.html from what is recorded so far; a failure is a warning, the run goes on.
  void write_report() const;
  /// Keeps the adapter when this loss is the lowest so far.
  void judge(double eval_loss, int64_t step);
  /// The adapter into best/. A failure is an error in the log; the run goes on.
  void save_best(int64_t step) const;
  /// best/ as it was when the checkpoint was written; nothing without one.
  void restore_best(const std::filesystem::path& checkpoint) const;
  bool evaluation_is_due(const Trainer& trainer, int64_t step) const;
  bool should_stop_early() const;
  void save_checkpoint(const Trainer& trainer);
  /// The adapter, or the whole model, as it is now.
  void save_weights(const std::filesystem::path& folder) const;
  void save_result() const;
  std::filesystem::path result_folder() const;
  Json start_event(const Trainer& trainer) const;
  AdapterOrigin origin() const;
  Origins origins() const;
  RunConfig config_;
  Group group_;
  Json resolved_;
  RunFolder folder_;
  FolderContent examined_;          ///< output_dir as this run found it
  std::optional<FolderLock> lock_;  ///< of rank 0
  ComputeDevice device_;
  std::unique_ptr<Communicator> communicator_;
  SharedInputs* shared_;
  double began_ = 0;                          ///< seconds after the process's start
  std::optional<ImageEncoder> tower_;         ///< of the section vision, until inputs_ has it
  SharedInputs inputs_;                       ///< data and base: this run's own, or those that it shares
  std::optional<VisionOrigin> first_vision_;  ///< of the adapter that the run starts from
  ParameterSet parameters_;
  std::unique_ptr<ModelBypass> bypass_;
  std::optional<RunEvaluation> evaluation_;
  std::optional<RunRecord> record_;   ///< of rank 0
  std::optional<Progress> progress_;  ///< of rank 0
  RunPart part_;
  ResumeState state_;
  int64_t evaluated_step_ = -1;  ///< of the last recorded evaluation
  std::chrono::steady_clock::time_point last_save_ = std::chrono::steady_clock::now();
};

}  // namespace excitor
