// What a run is trained and evaluated on: its data tokenised, its images seen, its benchmarks read.
#pragma once

#include <optional>

#include <excitor/commands/run_config.h>
#include <excitor/dist/group.h>
#include <excitor/tensor/parameter_set.h>
#include <excitor/vision/image_encoder.h>

#include "shared_inputs.h"

namespace excitor {

/// Fills `inputs` but for the base. `tower`: of the section vision. With a cache rank 0 encodes the images
/// while the others wait. Throws as load_tokenizer(), load_dataset(), load_tasks() and prepare_images().
void read_run_data(const RunConfig& config, Group& group, std::optional<ImageEncoder> tower,
                   SharedInputs& inputs);

/// hash_contents() of the files to train and to validate on.
std::string hash_run_data(const DataSettings& data);

/// Says which parameters no batch of the data trains; throws ConfigError for data that train none.
void check_what_data_train(const RunConfig& config, const Dataset& data, const ParameterSet& parameters);

}  // namespace excitor
