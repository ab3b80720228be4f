// What runs of one process share: a sweep loads the base and tokenises the data once.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <excitor/data/dataset.h>
#include <excitor/data/sampler.h>
#include <excitor/model/checkpoint.h>
#include <excitor/run/eval_tasks.h>
#include <excitor/tokenizer/tokenizer.h>
#include <excitor/util/json.h>
#include <excitor/vision/image_features.h>

namespace excitor {

/// What the frozen model achieves on a run's evaluations: measured once by the first run of those that agree.
struct BaseFigures {
  std::string key;  ///< settings that the figures depend on
  std::optional<double> validation_loss;
  std::vector<std::optional<TaskScores>> tasks;  ///< of eval.tasks, in their order
};

/// The base and the data of the last run. A run whose keys are equal takes them as they are; another one
/// drops them before it loads its own, so that no two bases are held. Nothing here is changed by a run but
/// the type of the base's activations, which each run sets.
struct SharedInputs {
  std::string base_key;  ///< settings that the base depends on
  std::shared_ptr<LoadedModel> base;

  std::string data_key;     ///< settings that the data depend on
  std::string data_sha256;  ///< hash_contents() of the files to train and to validate on
  std::shared_ptr<Tokenizer> tokenizer;
  std::shared_ptr<Dataset> train_data;
  std::shared_ptr<Dataset> validation_data;  ///< may be empty
  std::shared_ptr<Dataset> held_out_data;    ///< null without eval.forgetting
  std::vector<WeightedRange> train_weights;
  std::shared_ptr<ImageFeatures> images;  ///< null without the section vision
  std::shared_ptr<ScoredTasks> tasks;

  std::shared_ptr<BaseFigures> base_figures = std::make_shared<BaseFigures>();

  void drop_base() {
    base_key.clear();
    base.reset();
  }
  void drop_data() {
    const std::string kept_key = base_key;
    const std::shared_ptr<LoadedModel> kept = base;
    *this = SharedInputs();
    base_key = kept_key, base = kept;
  }
};

/// Runs whose keys are equal have the same base, the same data. `resolved`: of write_run_config.
std::string base_key(const Json& resolved);
std::string data_key(const Json& resolved);
/// Runs whose keys are equal get the same figures of the frozen model, to the bit.
std::string base_figures_key(const Json& resolved);

}  // namespace excitor
