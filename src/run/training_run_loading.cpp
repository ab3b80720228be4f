// What a training run loads: tokenizer, data and base, or those of the run before it in a sweep.
#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/run/base_model.h>
#include <excitor/run/run_data.h>
#include <excitor/run/training_run.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>

namespace excitor {

void TrainingRun::choose_device() {
  // cuBLAS asks for this before its first use, to give the same bits each time.
  if (asks_for_gpu() && is_deterministic()) setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  if (asks_for_gpu())
    device_ = open_gpu(config_.distributed.gpu_of(group_.place().local_rank));
  else
    device_ = open_device(config_.distributed.device);
  if (device_.cuda) device_.cuda->limit_memory(device_.gpu(), config_.distributed.gpu_memory_fraction);
}

void TrainingRun::load_data() {
  SharedInputs& inputs = shared_ ? *shared_ : inputs_;
  if (tower_) tower_->move_to(device_.device);
  const std::string key = data_key(resolved_) + (tower_ ? tower_->key().dump() : "");
  if (inputs.data_key != key) {
    inputs.drop_data();
    read_run_data(config_, group_, std::move(tower_), inputs);
    inputs.data_key = key;
  }
  if (const std::string figures = base_figures_key(resolved_); inputs.base_figures->key != figures)
    inputs.base_figures = std::make_shared<BaseFigures>(BaseFigures{.key = figures});
}

std::shared_ptr<LoadedModel> TrainingRun::read_base() const {
  const at::ScalarType type = resolve_dtype(config_.model.dtype, device_.device, config_.model.path);
  const auto seed = static_cast<uint64_t>(config_.train.seed);
  return std::make_shared<LoadedModel>(
      config_.model.init ? random_llama(*config_.model.init, seed, type, device_.device)
                         : load_sharded_model(config_.model.path, type, base_share(), device_.device));
}

void TrainingRun::load_base() {
  SharedInputs& inputs = shared_ ? *shared_ : inputs_;
  if (const std::string key = base_key(resolved_); inputs.base_key != key) {
    inputs.drop_base();
    inputs.base = read_base();
    inputs.base_key = key;
  }
  if (shared_) inputs_ = *shared_;
  const at::ScalarType type = resolve_dtype(config_.model.dtype, device_.device, config_.model.path);
  inputs_.base->model.set_activation_type(activation_type(config_.train.precision, type));
  check_vocabulary(config_.model, inputs_.base->model.config().vocab_size, *inputs_.tokenizer);
}

std::optional<VisionOrigin> TrainingRun::vision_origin() const {
  if (!inputs_.images) return first_vision_;
  const VisionOrigin now =
      record_of(inputs_.images->encoder(), config_.vision->path, config_.data.caption_instruction);
  if (first_vision_ && !first_vision_->fingerprint.empty() && first_vision_->fingerprint != now.fingerprint) {
    throw ConfigError(fmt::format(
        "vision.path {}: is another vision tower than that of the adapter in {} (recorded {:.12}…, this one "
        "{:.12}…); give the tower that it was trained with",
        now.path, config_.method.adapter_path, first_vision_->fingerprint, now.fingerprint));
  }
  return now;
}

}  // namespace excitor
