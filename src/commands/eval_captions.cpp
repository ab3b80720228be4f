// excitor eval-captions: caption metrics of results that any program wrote.
#include <chrono>
#include <iostream>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/eval/coco_captions.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "commands.h"

namespace excitor {
namespace {

struct EvalCaptionsOptions {
  std::string references;
  std::string results;
  std::string output;
  std::string write_inputs;
  std::vector<std::string> metrics;
  bool subset = false;
};

/// Metrics that this program does not have, and why.
void refuse_others(const std::vector<std::string>& metrics) {
  constexpr const char* kInstead =
      "; --write-inputs FOLDER writes the files that its program takes, beside the metrics computed here";
  for (const std::string& metric : metrics) {
    if (metric == "meteor") {
      throw UsageError(
          std::string("--metric meteor: METEOR needs WordNet, paraphrase tables and the Java program "
                      "meteor-1.5.jar, which are not part of this one") +
          kInstead);
    }
    if (metric == "spice") {
      throw UsageError(
          std::string("--metric spice: SPICE needs the Stanford scene graph parser, WordNet and the Java "
                      "program spice-1.0.jar, which are not part of this one") +
          kInstead);
    }
  }
}

bool is_wanted(const std::string& name, const std::vector<std::string>& metrics) {
  return metrics.empty() ||
         std::ranges::any_of(metrics, [&](const std::string& metric) { return name.starts_with(metric); });
}

void run(const EvalCaptionsOptions& options) {
  refuse_others(options.metrics);
  const auto raw =
      read_coco_results(options.results, read_coco_references(options.references), options.subset);
  const auto start = std::chrono::steady_clock::now();
  const std::vector<CaptionedImage> images = tokenize_captions(raw);
  const auto words_end = std::chrono::steady_clock::now();
  Json metrics = Json::object(), intervals = Json::object();
  for (const CaptionMetric& metric : measure_captions(images)) {
    if (!is_wanted(metric.name, options.metrics)) continue;
    metrics[metric.name] = metric.value;
    intervals[metric.name] = {metric.low, metric.high};
    std::cerr << fmt::format("{:<8} {:.4f} [{:.4f}, {:.4f}]\n", metric.name, metric.value, metric.low,
                             metric.high);
  }
  const std::chrono::duration<double> words = words_end - start,
                                      counting = std::chrono::steady_clock::now() - words_end;
  const Json answer = {{"samples", images.size()},
                       {"metrics", metrics},
                       {"intervals", intervals},
                       {"seconds", {{"words", words.count()}, {"metrics", counting.count()}}}};
  std::cout << answer.dump(2) << std::endl;
  if (!options.output.empty()) write_file_atomically(options.output, answer.dump(2) + "\n");
  if (!options.write_inputs.empty()) write_other_tools_input(options.write_inputs, raw, images);
}

}  // namespace

void add_eval_captions_command(CLI::App& app, CommandResult&) {
  auto options = std::make_shared<EvalCaptionsOptions>();
  auto* command =
      app.add_subcommand("eval-captions", "CIDEr-D, BLEU and ROUGE-L of captions in COCO's format");
  command->add_option("--references", options->references, "COCO's file of images and captions")->required();
  command->add_option("--results", options->results, "Results [{\"image_id\", \"caption\"}]")->required();
  command->add_flag("--subset", options->subset,
                    "Score the images that have a result, and leave the others out");
  command
      ->add_option("--metric", options->metrics,
                   "cider, bleu or rouge_l; may be given several times; default: all")
      ->check(CLI::IsMember({"cider", "bleu", "rouge_l", "meteor", "spice"}))
      ->allow_extra_args(false);
  command->add_option("--output", options->output, "JSON file of the result, beside standard output");
  command->add_option(
      "--write-inputs", options->write_inputs,
      "Folder for what the programs of METEOR and SPICE take: results.json, meteor.txt, spice.json");
  command->footer("Example: excitor eval-captions --references captions_val2014.json --results results.json");
  command->callback([options] { run(*options); });
}

}  // namespace excitor
