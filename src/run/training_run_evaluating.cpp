// The evaluations in the course of a run: when they are due, and what follows from them.
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/report/run_summary.h>
#include <excitor/run/training_run.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>

namespace excitor {
namespace {

/// An event's kind and step; whatever is more is a figure.
constexpr size_t kKeysOfNoFigure = 2;

}  // namespace

void TrainingRun::make_evaluation() {
  evaluation_.emplace(EvaluationTask{
      .communicator = *communicator_,
      .model = inputs_.base->model,
      .bypass = *bypass_,
      .parameters = parameters_,
      .tokenizer = *inputs_.tokenizer,
      .train = *inputs_.train_data,
      .validation = *inputs_.validation_data,
      .held_out = inputs_.held_out_data.get(),
      .tasks = *inputs_.tasks,
      .base = *inputs_.base_figures,
      .images = inputs_.images.get(),
      .data = config_.data,
      .settings = config_.eval,
      .limits = micro_batch_limits(config_),
      .end_ids = config_.model.init ? std::vector<int64_t>()
                                    : read_end_ids(config_.model.path, inputs_.base->model.config())});
}

bool TrainingRun::evaluation_is_due(const Trainer& trainer, int64_t step) const {
  return trainer.finished() || step % config_.eval.eval_steps.value_or(trainer.steps_per_epoch()) == 0;
}

bool TrainingRun::should_stop_early() const {
  return config_.eval.early_stopping_patience &&
         state_.best.evaluations_since >= *config_.eval.early_stopping_patience;
}

bool TrainingRun::tasks_are_due(const Trainer& trainer) const {
  if (inputs_.tasks->empty()) return false;
  if (!config_.eval.task_steps || trainer.finished() || should_stop_early()) return true;
  const int64_t step = trainer.steps_done();
  const int64_t before = step - config_.eval.eval_steps.value_or(trainer.steps_per_epoch());
  return step > 0 && step / *config_.eval.task_steps != before / *config_.eval.task_steps;
}

void TrainingRun::evaluate(const Trainer& trainer) {
  const int64_t step = trainer.steps_done();
  communicator_->begin(fmt::format("the evaluation after step {}", step));
  const bool is_judged = state_.unfinished == Unfinished::tasks;
  if (!is_judged) state_.unfinished = Unfinished::evaluation;
  std::string text;
  Json event;
  interruptible(trainer, [&] {
    try {
      event = evaluation_->measure(step, text);
    } catch (const Interrupted&) {
      record_health(trainer);
      throw;
    }
  });
  if (event.contains("eval_loss") && !is_judged) judge(event["eval_loss"].get<double>(), step);
  state_.unfinished = Unfinished::tasks;
  const bool scores_tasks = tasks_are_due(trainer);
  if (scores_tasks) record_health(trainer);  // scoring takes long and may be cut off
  if (scores_tasks) interruptible(trainer, [&] { evaluation_->score_tasks(event, text); });
  state_.unfinished = Unfinished::nothing;
  if (event.size() > kKeysOfNoFigure) {
    record(event, "eval");
    evaluated_step_ = step;
    clear_progress();
    log::info(text);
  }
  if (!scores_tasks) record_health(trainer);
  write_report();
}

void TrainingRun::record_health(const Trainer& trainer) {
  const std::map<std::string, double> norms = trainer.gradient_norms();
  // The continuation of an evaluation that was cut off: the step's norms are not known any more. A signal has
  // left them recorded, an error has not.
  if (trainer.steps_done() > 0 && norms.empty()) return;
  const bool takes_part = is_first() || inputs_.base->model.weights().sharded();
  if (takes_part && config_.eval.health && !config_.method.method->trains_whole_model())
    record(evaluation_->health(trainer.steps_done(), norms), "health");
}

void TrainingRun::interruptible(const Trainer& trainer, const std::function<void()>& evaluate) {
  try {
    evaluate();
  } catch (const Interrupted& stop) {
    clear_progress();
    const int signal = stop.exit_code() - 128;
    const int64_t step = trainer.steps_done();
    if (step == 0) throw Interrupted("stopped before the first step; the same command starts anew", signal);
    save_or_warn(trainer, /*must_save=*/true);
    throw Interrupted(fmt::format("stopped while step {} was evaluated; the same command goes on from {}",
                                  step, folder_.checkpoints().folder_of(step).string()),
                      signal);
  }
}

void TrainingRun::judge(double eval_loss, int64_t step) {
  const std::optional<double> best = state_.best.eval_loss;
  const bool is_lower = !best || eval_loss < *best - config_.eval.early_stopping_threshold;
  if (!std::isfinite(eval_loss) || !is_lower) {
    if (best) ++state_.best.evaluations_since;
    return;
  }
  state_.best = {.eval_loss = eval_loss, .step = step, .evaluations_since = 0};
  // The start is kept only where it may become the result.
  if (is_first() && (step > 0 || config_.checkpoint.load_best_model_at_end)) save_best(step);
}

void TrainingRun::save_best(int64_t step) const {
  try {
    save_weights(folder_.best_folder());
  } catch (const IoError& error) {
    log::error(fmt::format("step {}: has the lowest eval loss, but could not be kept in best/: {}", step,
                           error.what()));
    std::error_code ignored;  // what is there is of an earlier step
    std::filesystem::remove_all(folder_.best_folder(), ignored);
  }
}

bool TrainingRun::is_at_rung(const Trainer& trainer) const {
  return std::ranges::any_of(part_.rungs, [&](double share) {
    return rung_step(share, trainer.total_steps()) == trainer.steps_done();
  });
}

bool TrainingRun::is_paused(const Trainer& trainer) const {
  return part_.pause_at &&
         trainer.steps_done() >= rung_step(part_.rungs.at(*part_.pause_at), trainer.total_steps());
}

void TrainingRun::evaluate_rung(const Trainer& trainer) {
  const int64_t step = trainer.steps_done();
  if (evaluated_step_ == step && (inputs_.tasks->empty() || tasks_are_due(trainer))) return;
  state_.unfinished = Unfinished::rung;
  std::string text;
  Json event;
  interruptible(trainer, [&] { event = evaluation_->measure(step, text); });
  event["event"] = "rung";
  if (!inputs_.tasks->empty()) interruptible(trainer, [&] { evaluation_->score_tasks(event, text); });
  state_.unfinished = Unfinished::nothing;
  record(event, "rung");
  clear_progress();
  log::info(text + " (rung)");
}

}  // namespace excitor
