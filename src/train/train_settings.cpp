#include <excitor/train/train_settings.h>

namespace excitor {

void TrainSettings::describe(Describer& d) {
  d.field("epochs", epochs, "Passes over the training data; may be a fraction.",
          Range{.minimum = 0, .maximum = 1e6, .open_minimum = true});
  d.field("max_steps", max_steps, "Optimiser steps; overrides epochs.", kCount);
  d.field("learning_rate", learning_rate, "Peak learning rate.",
          Range{.minimum = 0, .maximum = 1e13, .open_minimum = true});
  d.field("min_learning_rate", min_learning_rate, "Learning rate at the last step (cosine, linear).",
          kNonNegative);
  d.choice(
      "lr_scheduler_type", lr_scheduler_type,
      {{"cosine", LrScheduler::cosine}, {"linear", LrScheduler::linear}, {"constant", LrScheduler::constant}},
      "Course of the learning rate after the warm-up.");
  d.field("warmup_ratio", warmup_ratio, "Share of all steps over which the learning rate rises linearly.",
          kProbability);
  d.field("warmup_steps", warmup_steps, "Steps of the warm-up; overrides warmup_ratio.", kNonNegative);
  d.field("micro_batch_size", micro_batch_size, "Examples that one process computes at a time.", kCount);
  d.field("micro_batch_tokens", micro_batch_tokens,
          "With packing: tokens that are computed at a time; default micro_batch_size × max_seq_length.",
          kCount);
  d.field("gradient_accumulation_steps", gradient_accumulation_steps,
          "A global batch is micro_batch_size × this × processes examples.", kCount);
  d.field("global_batch_size", global_batch_size,
          "Examples of one optimiser step; overrides gradient_accumulation_steps.", kCount);
  d.field("max_grad_norm", max_grad_norm, "Gradients are scaled down to this joint 2-norm; 0: no clipping.",
          kNonNegative);
  d.field("weight_decay", weight_decay, "AdamW's weight decay, on tensors of two or more dimensions.",
          kNonNegative);
  d.field("adam_beta1", adam_beta1, "AdamW's decay of the first moment.",
          Range{.minimum = 0, .maximum = 0.999999});
  d.field("adam_beta2", adam_beta2, "AdamW's decay of the second moment.",
          Range{.minimum = 0, .maximum = 0.99999999});
  d.field("adam_epsilon", adam_epsilon, "AdamW's epsilon.", kPositive);
  d.field("seed", seed, "Seed of initial values, data order and dropout.", kNonNegative);
  d.choice(
      "precision", precision,
      {{"auto", Precision::automatic},
       {"fp32", Precision::fp32},
       {"bf16", Precision::bf16},
       {"fp16", Precision::fp16}},
      "Type of the activations; auto: the base's. Trainable tensors, optimiser and loss are fp32 always.");
  d.field(
      "gradient_checkpointing", gradient_checkpointing,
      "Compute each layer again in the backward pass instead of keeping its activations: less memory, about "
      "a third slower, the same result.");
  d.field("deterministic", deterministic,
          "The same configuration gives the same bits on the same machine; default: true on a CPU, false on "
          "a GPU, "
          "where it costs speed.");
  d.field(
      "max_nonfinite_steps", max_nonfinite_steps,
      "Steps whose loss or gradients are not finite are left out; after this many in a row the run stops.",
      kCount);
  d.field(
      "memory_probe", memory_probe,
      "Compute the largest micro-batch before the first step, so that memory runs out at once or not at all; "
      "default: in runs of more than 100 steps.");
}

int64_t TrainSettings::examples_per_step(int64_t processes) const {
  return global_batch_size.value_or(micro_batch_size * gradient_accumulation_steps * processes);
}

void EvalSettings::describe(Describer& d) {
  d.field("eval_steps", eval_steps,
          "Optimiser steps between evaluations on the held-back examples; default: each epoch.", kAtLeastOne);
  d.optional_object("forgetting", forgetting,
                    "Measure loss and KL divergence on held-out text with and without the bypass.");
  d.field(
      "health", health,
      "At evaluations, also record gates, the share of attention that the bypass moves, and gradient norms.");
  d.field("sample_prompts", sample_prompts, "Instructions that are answered greedily at each evaluation.");
  d.field("sample_images", sample_images,
          "Image files that are captioned at each evaluation (see data.caption_instruction).");
  d.field("sample_max_new_tokens", sample_max_new_tokens, "Longest of these answers and captions, in tokens.",
          kCount);
  d.list(
      "tasks", tasks,
      "Benchmarks that are scored at evaluations with the bypass, and once without, as excitor eval scores "
      "them: objects, or \"TYPE=PATH\" for one of them.");
  d.field(
      "task_steps", task_steps,
      "Optimiser steps between scorings of the tasks, which happen at evaluations and at the end; default: "
      "at each evaluation.",
      kAtLeastOne);
  d.field("early_stopping_patience", early_stopping_patience,
          "Evaluations in a row without a better eval loss after which the run ends; default: never.",
          kAtLeastOne);
  d.field("early_stopping_threshold", early_stopping_threshold,
          "An eval loss counts as better when it is lower by more than this.", kNonNegative);
}

void EvalTaskSettings::describe(Describer& d) {
  d.field("type", type, "perplexity, mmlu, hellaswag, scienceqa, captions or choices.");
  d.field("path", path, "File or folder of the benchmark.");
  d.field("name", name, "Its name in the records; default: the last part of path without the extension.");
  d.field("limit", limit, "Only the first so many samples.", kCount);
  d.field("shots", shots, "Examples in front of a question: mmlu (default 5), scienceqa (default 0).",
          Range{.minimum = 0, .maximum = 1000});
  d.field("format", format, "scienceqa: QCM-A, or QCM-LEA with reasons first.");
  d.field("captions", captions, "scienceqa: captions.json, whose texts stand for the images.");
  d.field(
      "images", images,
      "captions, scienceqa: folder of the images, which the tower of the section vision sees; bad ones are "
      "treated as data.on_bad_image says.");
  d.field("split", split, "captions: the split of a Karpathy file.");
}

void ForgettingSettings::describe(Describer& d) {
  d.field("path", path,
          "Held-out text: a text file with blank lines between documents, or JSONL with rows {\"text\"}.");
}

void ProfileSettings::describe(Describer& d) {
  d.field("first_step", first_step, "The first step that is recorded, counted from 1.", kAtLeastOne);
  d.field("last_step", last_step, "The last one.", kAtLeastOne);
}

void LoggingSettings::describe(Describer& d) {
  d.field("tensorboard", tensorboard, "Also write an event file for TensorBoard.");
  d.field("logging_steps", logging_steps, "Optimiser steps between lines of metrics.jsonl.", kAtLeastOne);
  d.optional_object("profile", profile,
                    "Record some steps (operators, kernels, memory copies) in trace.json of output_dir, for "
                    "ui.perfetto.dev or chrome://tracing.");
}

void CheckpointSettings::describe(Describer& d) {
  d.field("save_steps", save_steps,
          "Optimiser steps between checkpoints; default: only when the run is interrupted.", kAtLeastOne);
  d.field("save_seconds", save_seconds, "Seconds between checkpoints.", kPositive);
  d.field("save_total_limit", save_total_limit, "Checkpoints that are kept; older ones are removed. 0: all.",
          kNonNegative);
  d.choice("resume", resume, {{"auto", Resume::automatic}, {"never", Resume::never}},
           "auto: an interrupted run in output_dir goes on from its newest checkpoint. never: output_dir "
           "must not hold a run.");
  d.field("load_best_model_at_end", load_best_model_at_end,
          "Write as the result what had the lowest eval loss (kept in best/) instead of the last state.");
}

}  // namespace excitor
