// The evaluations in the course of a run: held-back examples, forgetting, health, samples of text.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <excitor/data/data_settings.h>
#include <excitor/generate/generate.h>
#include <excitor/run/shared_inputs.h>
#include <excitor/tensor/parameter_set.h>
#include <excitor/train/batch.h>
#include <excitor/train/evaluation.h>
#include <excitor/train/train_settings.h>
#include <excitor/util/json.h>

namespace excitor {

/// What is evaluated, and on what. Everything referred to outlives the RunEvaluation.
struct EvaluationTask {
  Communicator& communicator;
  const Llama& model;
  const ModelBypass& bypass;
  const ParameterSet& parameters;
  const Tokenizer& tokenizer;
  const Dataset& train;
  const Dataset& validation;    ///< may be empty
  const Dataset* held_out;      ///< null without eval.forgetting
  const ScoredTasks& tasks;     ///< of eval.tasks
  BaseFigures& base;            ///< filled where it is empty
  const ImageFeatures* images;  ///< that examples, benchmarks and samples show; null without a tower
  const DataSettings& data;
  const EvalSettings& settings;
  MicroBatchLimits limits;
  std::vector<int64_t> end_ids;  ///< of generated samples and answers
};

class RunEvaluation {
 public:
  explicit RunEvaluation(EvaluationTask task);

  /// The "eval" event of a step; where there is nothing to evaluate on, it holds no figure. `text` becomes
  /// its line for people. All processes call it, losses are those of all; samples are rank 0's alone.
  /// Throws Interrupted as score_tasks().
  Json measure(int64_t step, std::string& text);
  /// Adds "tasks" to such an event: [{"name", "type", "samples", "metrics", "base_metrics"}]. Every process
  /// scores all of them, so that none waits for another. Throws Interrupted after a signal, where there is
  /// one process.
  void score_tasks(Json& event, std::string& text);
  /// The "health" event: gates by layer, the share of attention that moved, gradient norms.
  Json health(int64_t step, const std::map<std::string, double>& gradient_norms) const;

 private:
  /// Of a bypass that sees: the tower's features of image files.
  SeeImages eyes() const;
  Json samples() const;
  Json score_task(size_t index);
  LabelledBatch health_batch() const;

  EvaluationTask task_;
};

}  // namespace excitor
