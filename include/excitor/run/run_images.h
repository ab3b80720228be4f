// The images of a run's data: the tower that sees them, its cache, and what to do with bad ones.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <excitor/data/dataset.h>
#include <excitor/run/eval_tasks.h>
#include <excitor/run/run_config.h>
#include <excitor/tokenizer/tokenizer.h>
#include <excitor/vision/image_features.h>

namespace excitor {

/// The tower of the section `vision`, on the CPU, for the features that the method takes; the method's
/// settings then hold their shape. Throws as open_image_encoder(), and ConfigError for a tower of another
/// shape than that of the adapter that the run starts from.
ImageEncoder open_tower(const RunConfig& config);

/// Features by that tower, cached as the configuration says.
std::unique_ptr<ImageFeatures> make_image_features(ImageEncoder encoder, const RunConfig& config);

/// Every image that the examples show, once, in their order.
std::vector<std::filesystem::path> images_of(const std::vector<const Dataset*>& datasets);

/// Looks at all images of the data (with a cache: encodes them), which takes a while; the terminal is told
/// how far it is. The examples of bad ones are left out with data.on_bad_image "skip", each bad one being
/// told of; with "fail" they are a DataError that lists them. Throws Interrupted after SIGINT or SIGTERM
/// where StopSignals watches for them.
void prepare_images(ImageFeatures& features, const std::vector<LoadedDataset*>& data, const RunConfig& config,
                    const Tokenizer& tokenizer);

/// The images that the benchmarks and samples of evaluations show, each once.
std::vector<std::filesystem::path> evaluation_images(const RunConfig& config, const ScoredTasks& tasks);

/// Looks at the images that evaluations will show; with a cache: encodes them. Throws DataError that lists
/// bad ones (benchmarks have left out before what they may), and Interrupted as prepare_images().
void prepare_evaluation_images(ImageFeatures& features, const std::vector<std::filesystem::path>& files);

}  // namespace excitor
