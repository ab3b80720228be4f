// What a training run saves and goes on from: checkpoints, the best adapter, the result.
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/run/base_model.h>
#include <excitor/run/training_run.h>
#include <excitor/tensor/dtype.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/log.h>
#include <excitor/util/signals.h>

#include "save_model.h"

namespace excitor {
namespace {

/// A tensor of a checkpoint, which must have the shape that the run needs.
at::Tensor load_like(const SafetensorsFile& file, const std::string& name, at::IntArrayRef shape) {
  const at::Tensor tensor = file.load(name);
  if (tensor.sizes() == shape) return tensor;
  throw CheckpointError(fmt::format(
      "{}: {} has shape [{}], expected [{}]; the checkpoint is damaged: remove its folder to go on from the "
      "one before",
      file.path().string(), name, fmt::join(tensor.sizes(), ", "), fmt::join(shape, ", ")));
}

}  // namespace

void TrainingRun::restore(Trainer& trainer, int64_t step) {
  const auto folder = folder_.checkpoints().folder_of(step);
  const Json recorded =
      Json::parse(group_.from_first("state", [&] { return read_json_file(folder / "state.json").dump(); }));
  check_same_origins(recorded);
  state_ = ResumeState::from_json(recorded);
  std::vector<NamedTensor> state = trainer.state();
  if (is_first()) {
    const auto values = SafetensorsFile::open(folder / "adapter" / "adapter_model.safetensors");
    const auto optimizer = SafetensorsFile::open(folder / "optimizer.safetensors");
    for (const auto& [name, tensor] : parameters_.entries())
      tensor.detach().copy_(load_like(*values, name, tensor.sizes()));
    for (auto& [name, tensor] : state) tensor = load_like(*optimizer, name, tensor.sizes()).contiguous();
  }
  // The others may run on machines that have no such folder.
  std::map<std::string, at::Tensor> shared;
  for (const auto& [name, tensor] : state) {
    shared[name] = tensor.to(device_.device, tensor.scalar_type(), /*non_blocking=*/false, /*copy=*/true);
    communicator_->broadcast(shared[name], 0);
  }
  trainer.resume(step, [&](const std::string& name) { return shared.at(name); });
}

void TrainingRun::check_same_origins(const Json& recorded) const {
  const std::vector<std::string> different = origins().differences(recorded);
  if (different.empty()) return;
  throw CheckpointError(fmt::format(
      "output_dir {} holds this run, stopped; since then {} changed, so it can't go on. Bring back what it "
      "was "
      "trained with, or train on from its adapter in another output_dir: method.adapter_path={}",
      folder_.path().string(), fmt::join(different, " and "),
      (folder_.checkpoints().folder_of(recorded.at("step").get<int64_t>()) / "adapter").string()));
}

void TrainingRun::restore_best(const std::filesystem::path& checkpoint) const {
  std::error_code none;
  std::filesystem::remove_all(folder_.best_folder(), none);
  if (!checkpoint.empty() && std::filesystem::exists(checkpoint / "best"))
    link_folder(checkpoint / "best", folder_.best_folder());
}

void TrainingRun::save_if_due(const Trainer& trainer, const StepRequests& requests) {
  const CheckpointSettings& every = config_.checkpoint;
  const int64_t step = trainer.steps_done();
  const std::chrono::duration<double> since_save = std::chrono::steady_clock::now() - last_save_;
  const int signal = requests.stop_signal;
  const auto save = [&] { save_or_warn(trainer, /*must_save=*/signal != 0); };
  // What all know of they wait for, however long it takes; the clock that tells of the rest is rank 0's.
  if ((every.save_steps && step % *every.save_steps == 0) || requests.save || signal != 0)
    group_.wait_for_first(fmt::format("checkpoint.{}", step), save);
  else if (is_first() && every.save_seconds && since_save.count() >= *every.save_seconds)
    save();
  if (signal == 0) return;
  // Whoever started the processes may end all when the first one ends: that is not before the checkpoint.
  communicator_->begin("the stop");
  communicator_->barrier();
  clear_progress();
  throw Interrupted(fmt::format("stopped after step {}; the same command goes on from {}", step,
                                folder_.checkpoints().folder_of(step).string()),
                    signal);
}

RunOutcome TrainingRun::pause(const Trainer& trainer) {
  clear_progress();
  save_checkpoint(trainer);
  write_report();
  log::info(fmt::format("paused after step {} of {}", trainer.steps_done(), trainer.total_steps()));
  return RunOutcome::paused;
}

void TrainingRun::save_or_warn(const Trainer& trainer, bool must_save) {
  try {
    save_checkpoint(trainer);
    last_save_ = std::chrono::steady_clock::now();
  } catch (const IoError& error) {
    if (must_save) throw;
    clear_progress();
    log::error(fmt::format("step {}: no checkpoint could be saved, the run goes on: {}", trainer.steps_done(),
                           error.what()));
  }
}

std::string TrainingRun::save_what_is_done(const Trainer& trainer) {
  if (!is_first()) return {};
  clear_progress();
  write_report();
  const int64_t step = trainer.steps_done();
  if (step == 0) return {};
  try {
    save_checkpoint(trainer);
  } catch (const std::exception& error) {
    return fmt::format("; stopped after step {}, which could not be saved: {}", step, error.what());
  }
  return fmt::format("; stopped after step {}; the same command goes on from {}", step,
                     folder_.checkpoints().folder_of(step).string());
}

void TrainingRun::save_checkpoint(const Trainer& trainer) {
  const CheckpointStore checkpoints = folder_.checkpoints();
  Json state = state_.json();
  state.update(origins().json());
  state.update({{"step", trainer.steps_done()},
                {"examples_per_step", config_.train.examples_per_step(group_.size())}});
  group_.save([&] {
    checkpoints.save(trainer.steps_done(), [&](const std::filesystem::path& temporary) {
      save_adapter(temporary / "adapter", *config_.method.method, parameters_, origin());
      write_safetensors(temporary / "optimizer.safetensors", trainer.state());
      write_file_atomically(temporary / "state.json", state.dump(2) + "\n");
      if (std::filesystem::exists(folder_.best_folder()))
        link_folder(folder_.best_folder(), temporary / "best");
    });
    checkpoints.remove_old(config_.checkpoint.save_total_limit);
  });
}

void TrainingRun::save_weights(const std::filesystem::path& folder) const {
  if (!config_.method.method->trains_whole_model())
    return save_adapter(folder, *config_.method.method, parameters_, origin());
  const std::string& asked = config_.method.save_dtype;
  save_hugging_face(folder, {.config = with_token_ids(inputs_.base->model.config(), *inputs_.tokenizer),
                             .parameters = parameters_,
                             .type = parse_dtype(asked == "auto" ? inputs_.base->stored_type : asked),
                             .tokenizer_source = config_.model.tokenizer_path()});
}

std::filesystem::path TrainingRun::result_folder() const {
  return config_.method.method->trains_whole_model() ? folder_.model_folder() : folder_.adapter_folder();
}

void TrainingRun::save_result() const {
  const std::filesystem::path best = folder_.best_folder();
  const bool takes_best = config_.checkpoint.load_best_model_at_end;
  if (takes_best && std::filesystem::exists(best)) {
    write_folder_atomically(result_folder(), [&](const std::filesystem::path& temporary) {
      std::filesystem::copy(
          best, temporary,
          std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
    });
    log::info(fmt::format("the result is that of step {}, eval loss {:.4f}", state_.best.step,
                          *state_.best.eval_loss));
    if (state_.best.step == 0) log::warning("no step was better than the start, so the result is the start");
  } else {
    save_weights(result_folder());
    if (takes_best) log::warning("the result is the last state: what had the lowest eval loss was not kept");
  }
  log::info(fmt::format("the {} lies in {}", result_folder().filename().string(), result_folder().string()));
}

}  // namespace excitor
