#include <excitor/run/run_evaluation.h>

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/eval/comparison.h>
#include <excitor/tokenizer/prompt_template.h>
#include <excitor/train/batch.h>
#include <excitor/train/health.h>
#include <excitor/util/error.h>
#include <excitor/util/signals.h>

namespace excitor {
namespace {

/// The figure that stands for a task in a line of text.
std::string main_metric(const Json& metrics) {
  for (const char* name : {"accuracy", "loss", "cider"})
    if (metrics.contains(name)) return name;
  return metrics.empty() ? "" : metrics.begin().key();
}

}  // namespace

RunEvaluation::RunEvaluation(EvaluationTask task) : task_(std::move(task)) {
  task_.base.tasks.resize(task_.tasks.size());
}

Json RunEvaluation::measure(int64_t step, std::string& text) {
  const bool has_validation = task_.validation.size() > 0;
  Json event = {{"event", "eval"}, {"step", step}};
  text = fmt::format("step {}:", step);
  if (has_validation) {
    SharedDataset data{task_.validation, task_.limits, task_.communicator};
    std::optional<double>& base_loss = task_.base.validation_loss;
    if (!base_loss) base_loss = evaluate_loss(task_.model, nullptr, data).loss;
    data.images = task_.images;
    const EvalMetrics tuned = evaluate_loss(task_.model, &task_.bypass, data);
    event.update(
        {{"eval_loss", tuned.loss}, {"base_loss", *base_loss}, {"label_tokens", tuned.label_tokens}});
    text += fmt::format(" eval loss {:.4f} (base {:.4f})", tuned.loss, *base_loss);
  }
  if (task_.held_out) {
    const Comparison both =
        compare_with_base(task_.model, task_.bypass, {*task_.held_out, task_.limits, task_.communicator});
    const double forgetting = both.tuned_loss - both.base_loss;
    event.update({{"held_out_loss", both.tuned_loss},
                  {"held_out_base_loss", both.base_loss},
                  {"forgetting", forgetting},
                  {"kl", both.kl}});
    text += fmt::format(" forgetting {:+.4f} (held-out loss {:.4f}, KL {:.4f})", forgetting, both.tuned_loss,
                        both.kl);
  }
  // One process speaks for all; the parts of a sharded base work together only.
  const bool takes_part = task_.communicator.rank() == 0 || task_.model.weights().sharded();
  const bool has_samples = !task_.settings.sample_prompts.empty() || !task_.settings.sample_images.empty();
  if (has_samples && takes_part) event["samples"] = samples();
  return event;
}

void RunEvaluation::score_tasks(Json& event, std::string& text) {
  event["tasks"] = Json::array();
  for (size_t i = 0; i < task_.tasks.size(); ++i) {
    const Json scores = score_task(i);
    const std::string metric = main_metric(scores["metrics"]);
    text +=
        fmt::format(" {} {} {:.4f} (base {:.4f})", scores["name"].get<std::string>(), metric,
                    scores["metrics"][metric].get<double>(), scores["base_metrics"][metric].get<double>());
    event["tasks"].push_back(scores);
  }
}

Json RunEvaluation::score_task(size_t index) {
  const ScoredTask& task = *task_.tasks[index];
  const ScoredModel scored{.model = task_.model,
                           .bypass = &task_.bypass,
                           .tokenizer = task_.tokenizer,
                           .end_ids = task_.end_ids,
                           .see = task_.images ? eyes() : SeeImages(),
                           .stops_on_signal = task_.communicator.size() == 1};
  std::optional<TaskScores>& base = task_.base.tasks[index];
  const TaskComparison both = compare_on_task(task, scored, base ? &*base : nullptr);
  if (!base) base = both.base;
  return {{"name", both.name},
          {"type", both.type},
          {"samples", both.samples},
          {"metrics", both.tuned.metrics},
          {"base_metrics", both.base.metrics}};
}

SeeImages RunEvaluation::eyes() const {
  return [this](const std::vector<std::filesystem::path>& files) {
    std::vector<at::Tensor> features;
    for (const std::filesystem::path& file : files)
      features.push_back(task_.images->of(file.string(), /*draw=*/std::nullopt));
    return features;
  };
}

Json RunEvaluation::samples() const {
  const PromptTemplate prompt_template(task_.data.prompt_template);
  Generator generator{.model = task_.model,
                      .bypass = &task_.bypass,
                      .tokenizer = task_.tokenizer,
                      .end_ids = task_.end_ids,
                      .stops_on_signal = task_.communicator.size() == 1};
  for (const TokenId id : prompt_template.stop_ids(task_.tokenizer)) generator.end_ids.push_back(id);
  const SamplingSettings sampling{.max_new_tokens = task_.settings.sample_max_new_tokens,
                                  .stop = prompt_template.stop_texts()};
  Json samples = Json::array();
  // Adds the answer to a sample; after a signal, which may have cut it off, there is none.
  const auto add = [&](Json sample, const at::Tensor& image) {
    const Instruction asked{.instruction = sample["prompt"].get<std::string>(), .input = ""};
    const auto prompt = task_.tokenizer.encode_pieces(prompt_template.prompt(asked)).ids;
    sample["text"] = generator.generate(prompt, sampling, {}, image).text;
    const int signal = generator.stops_on_signal ? StopSignals::requested() : 0;
    if (signal != 0) throw Interrupted("stopped while samples were generated", signal);
    samples.push_back(std::move(sample));
  };
  for (const std::string& prompt : task_.settings.sample_prompts) add({{"prompt", prompt}}, /*image=*/{});
  for (const std::string& file : task_.settings.sample_images) {
    add({{"image", file}, {"prompt", task_.data.caption_instruction}},
        task_.images->of(file, /*draw=*/std::nullopt));
  }
  return samples;
}

LabelledBatch RunEvaluation::health_batch() const {
  constexpr int64_t kExamples = 4;
  const Dataset& dataset = task_.validation.size() > 0 ? task_.validation : task_.train;
  std::vector<int64_t> first;
  for (int64_t i = 0; i < std::min(kExamples, dataset.size()); ++i) first.push_back(i);
  return make_batch(first, dataset, task_.model.device(),
                    {.features = task_.images, .type = task_.model.activation_type()});
}

Json RunEvaluation::health(int64_t step, const std::map<std::string, double>& gradient_norms) const {
  Json gates = Json::object(), moved = Json::object(), added = Json::object();
  for (const auto& [layer, values] : gate_values(task_.parameters)) gates[std::to_string(layer)] = values;
  const LabelledBatch batch = health_batch();
  for (const auto& [layer, attention] :
       measure_attention(task_.model, task_.bypass, batch.tokens, batch.images)) {
    moved[std::to_string(layer)] = attention.moved;
    added[std::to_string(layer)] = attention.added;
  }
  return {{"event", "health"},        {"step", step},
          {"gates", gates},           {"attention_moved", moved},
          {"attention_added", added}, {"gradient_norms", gradient_norms}};
}

}  // namespace excitor
