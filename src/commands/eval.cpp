// excitor eval: scores the base, and an adapter beside it, on tasks.
#include <iostream>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/eval/comparison.h>
#include <excitor/methods/adapter_files.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/log.h>
#include <excitor/util/signals.h>

#include "commands.h"
#include "image_options.h"
#include "session.h"

namespace excitor {
namespace {

struct EvalOptions {
  SessionOptions session;
  std::vector<std::string> tasks;
  TaskOptions task;
  std::string output;
  std::string predictions;
  ImageOptions vision;
  std::string on_bad_image = "fail";
  bool json = false;
  bool no_prefix_reuse = false;
};

/// Options that none of the tasks would heed are mistakes.
void check_options(const EvalOptions& options, const std::vector<TaskRequest>& requests) {
  const auto has = [&](std::string_view type) {
    return std::ranges::any_of(requests, [&](const TaskRequest& request) { return request.type == type; });
  };
  if (options.task.shots && !has("mmlu") && !has("scienceqa"))
    throw UsageError("--shots: none of the tasks has shots; mmlu and scienceqa do");
  if (!options.task.scienceqa_captions.empty() && !has("scienceqa"))
    throw UsageError("--captions: only scienceqa puts captions in the place of images");
  if (!options.task.images.folder.empty() && !has("scienceqa") && !has("captions"))
    throw UsageError("--images: none of the tasks has images; captions and scienceqa do");
  if (!options.task.caption_instruction.empty() && !has("captions"))
    throw UsageError("--prompt: only captions is asked an instruction");
}

/// What the adapter was trained with, unless the options say otherwise.
void complete_options(EvalOptions& options) {
  TaskOptions& task = options.task;
  task.scoring.reuse_prefixes = !options.no_prefix_reuse;
  if (options.on_bad_image == "skip") task.images.on_bad_image = OnBadImage::skip;
  AdapterOrigin origin;
  if (!options.session.adapter.empty()) origin = read_adapter_method(options.session.adapter).origin;
  if (origin.prompt_template != "") task.prompt_template = origin.prompt_template;
  if (task.caption_instruction.empty())
    task.caption_instruction = origin.vision.value_or(VisionOrigin{}).caption_instruction;
}

void write_answer(const EvalOptions& options, const std::vector<TaskComparison>& comparisons) {
  Json tasks = Json::array();
  std::string predictions;
  for (const TaskComparison& comparison : comparisons) {
    tasks.push_back(comparison_json(comparison));
    for (const std::string& line : prediction_lines(comparison)) predictions += line + "\n";
  }
  const Json answer = {{"model", options.session.model},
                       {"adapter", options.session.adapter.empty() ? Json() : Json(options.session.adapter)},
                       {"tasks", tasks}};
  const std::string text = answer.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  const std::string table = comparison_table(comparisons, !options.session.adapter.empty());
  const bool shows_json = options.json || options.output.empty();
  (shows_json ? std::cerr : std::cout) << table;
  if (shows_json) std::cout << text;
  if (!options.predictions.empty()) write_file_atomically(options.predictions, predictions);
  if (!options.output.empty()) write_file_atomically(options.output, text);
}

void run(EvalOptions options) {
  std::vector<TaskRequest> requests;
  for (const std::string& task : options.tasks) requests.push_back(parse_task(task));
  check_options(options, requests);
  complete_options(options);
  ImageViewer viewer(options.vision, options.session);
  const bool has_images = !options.task.images.folder.empty();
  if (has_images && !options.session.adapter.empty() && !viewer.sees()) {
    throw UsageError(
        fmt::format("--images: the adapter {} has no visual side, it was trained on texts alone; "
                    "leave --images away, or give an adapter that sees",
                    options.session.adapter));
  }
  std::vector<std::unique_ptr<ScoredTask>> tasks;
  for (const TaskRequest& request : requests) tasks.push_back(load_task(request, options.task));
  const Session session = open_session(options.session);
  const StopSignals signals;
  const ScoredModel scored{.model = session.base.model,
                           .bypass = session.bypass.get(),
                           .tokenizer = *session.tokenizer,
                           .end_ids = read_end_ids(options.session.model, session.base.model.config()),
                           .see = has_images && viewer.sees() ? viewer.eyes(session) : SeeImages()};
  write_answer(options, compare_on_tasks(tasks, scored));
}

void add_task_options(CLI::App& command, EvalOptions& options) {
  command
      .add_option(
          "--task", options.tasks,
          fmt::format("TYPE=PATH, may be given several times. Types: {}", fmt::join(task_types(), ", ")))
      ->required()
      ->allow_extra_args(false);
  command.add_option("--limit", options.task.limit, "The first N samples of each task")
      ->check(CLI::Range(1, 1 << 30));
  command
      .add_option("--shots", options.task.shots, "Examples in front: mmlu (default 5), scienceqa (default 0)")
      ->check(CLI::Range(0, 1000));
  command
      .add_option("--format", options.task.scienceqa_format,
                  "scienceqa: QCM-A, or QCM-LEA with reasons first")
      ->check(CLI::IsMember({"QCM-A", "QCM-LEA"}))
      ->capture_default_str();
  command.add_option("--captions", options.task.scienceqa_captions,
                     "scienceqa: captions.json, whose texts stand for the images");
  command.add_option("--images", options.task.images.folder,
                     "captions, scienceqa: folder of the images, which an adapter with a visual side sees");
  command
      .add_option(
          "--on-bad-image", options.on_bad_image,
          "Images that can't be read: fail, or skip (captions leaves them out, scienceqa asks without "
          "them); each one is listed")
      ->check(CLI::IsMember({"fail", "skip"}))
      ->capture_default_str();
  command.add_option("--vision", options.vision.vision,
                     "Folder of the CLIP tower; default: where the adapter was trained with it");
  command.add_option(
      "--prompt", options.task.caption_instruction,
      "captions: the instruction; default: the adapter's, else \"Generate caption of this image\"");
  command.add_option("--split", options.task.split, "captions: the split of a Karpathy file")
      ->capture_default_str();
  command
      .add_option("--tokens-per-pass", options.task.scoring.tokens_per_pass,
                  "Tokens that are computed together; fewer need less memory")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  command.add_flag("--no-prefix-reuse", options.no_prefix_reuse,
                   "Compute shots anew for each question (to measure what their reuse saves)");
}

}  // namespace

void add_eval_command(CLI::App& app, CommandResult&) {
  auto options = std::make_shared<EvalOptions>();
  auto* command = app.add_subcommand("eval", "Scores a model, and an adapter beside it, on tasks");
  add_session_options(*command, options->session);
  add_task_options(*command, *options);
  command->add_option("--output", options->output,
                      "JSON file of the result; standard output then shows the table instead");
  command->add_option("--predictions", options->predictions, "JSONL file with one line a sample");
  command->add_flag("--json", options->json, "Print the JSON even with --output");
  command->footer(
      "Example: excitor eval models/llama-7b --adapter runs/alpaca/adapter --task mmlu=data/mmlu --task "
      "perplexity=held_out.txt --output scores.json");
  command->callback([options] { run(*options); });
}

}  // namespace excitor
