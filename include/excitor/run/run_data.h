// What a run is trained and evaluated on: its data tokenised, its images seen, its benchmarks read.
#pragma once

#include <optional>
#include <string>

#include <excitor/data/dataset.h>
#include <excitor/dist/group.h>
#include <excitor/run/run_config.h>
#include <excitor/run/shared_inputs.h>
#include <excitor/tensor/parameter_set.h>
#include <excitor/vision/image_encoder.h>

namespace excitor {

/// Fills `inputs` but for the base. `tower`: of the section vision. With a cache rank 0 encodes the images
/// while the others wait. Throws as load_tokenizer(), load_dataset(), load_tasks() and prepare_images().
void read_run_data(const RunConfig& config, Group& group, std::optional<ImageEncoder> tower,
                   SharedInputs& inputs);

/// hash_contents() of the files to train and to validate on.
std::string hash_run_data(const DataSettings& data);

/// Throws when the model has fewer rows than the tokenizer has tokens: ConfigError for model.init, whose size
/// is a setting, CheckpointError for a stored model.
void check_vocabulary(const ModelSettings& model, int64_t rows, const Tokenizer& tokenizer);

/// A warning about examples that are longer than the model's context; "" where none is.
std::string beyond_positions(const DatasetReport& report, const DataSettings& data, const LlamaConfig& shape);

/// A warning about conversations of which few end with EOS (or the template's token for it) as their last
/// label; "" where most do.
std::string answers_without_end(const LoadedDataset& loaded);

/// Says which parameters no batch of the data trains; throws ConfigError for data that train none.
void check_what_data_train(const RunConfig& config, const Dataset& data, const ParameterSet& parameters);

}  // namespace excitor
