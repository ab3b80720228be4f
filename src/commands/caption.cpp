// excitor caption: captions of many images, as results in COCO's format.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <span>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/eval/caption_images.h>
#include <excitor/eval/captioning.h>
#include <excitor/tensor/dtype.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>
#include <excitor/util/sha256.h>
#include <excitor/util/signals.h>

#include "caption_results.h"
#include "commands.h"
#include "generation_options.h"
#include "image_options.h"

namespace excitor {
namespace {

/// Images between two savings, which are decoded together as well.
constexpr size_t kImagesAtOnce = 32;

struct CaptionOptions {
  SessionOptions session;
  ImageOptions vision;
  std::string prompt_template;
  std::string prompt;
  std::string images;
  std::string references;
  std::string split = "test";
  std::string output;
  std::string on_bad_image = "fail";
  std::optional<int64_t> limit;
  GreedyLimits decoding;
  bool json = false;
};

std::vector<ImageToCaption> find_images(const CaptionOptions& options) {
  auto images =
      options.references.empty()
          ? list_image_folder(options.images)
          : find_referenced_images(read_coco_references(options.references, options.split), options.images);
  if (options.limit && std::ssize(images) > *options.limit)
    images.resize(static_cast<size_t>(*options.limit));
  return images;
}

/// What the adapter was trained with, unless the options say otherwise.
CaptionPrompt prompt_of(const CaptionOptions& options) {
  AdapterOrigin origin;
  if (!options.session.adapter.empty()) origin = read_adapter_method(options.session.adapter).origin;
  Json prompt_template = origin.prompt_template == "" ? Json("plain") : origin.prompt_template;
  if (!options.prompt_template.empty())
    prompt_template = read_template_option(options.prompt_template).json();
  return {.prompt_template = PromptTemplate(prompt_template),
          .instruction = options.prompt.empty() ? origin.vision.value_or(VisionOrigin{}).caption_instruction
                                                : options.prompt};
}

/// The hash of each file of an adapter; empty without one.
Json hashes_of(const std::string& adapter) {
  Json hashes = Json::object();
  if (adapter.empty()) return hashes;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(adapter)) {
    if (entry.is_regular_file())
      hashes[std::filesystem::relative(entry.path(), adapter).string()] = sha256_of_file(entry.path());
  }
  return hashes;
}

/// All that a caption depends on besides its image.
Json key_of(const CaptionOptions& options, const CaptionPrompt& prompt, const Session& session,
            ImageViewer& viewer) {
  const Llama& model = session.base.model;
  return {{"model", session.base.fingerprint},
          {"dtype", dtype_name(model.weights().final_norm.scalar_type())},
          {"device", model.device().is_cpu() ? "cpu" : "cuda"},
          {"adapter", hashes_of(options.session.adapter)},
          {"vision", viewer.tower_key(session)},
          {"experts", options.vision.experts},
          {"template", prompt.prompt_template.json()},
          {"instruction", prompt.instruction},
          {"max_new_tokens", options.decoding.max_new_tokens},
          {"images", options.images}};
}

/// Captions images, some at a time, each with its experts' words in the prompt.
class Captioner {
 public:
  Captioner(const CaptionOptions& options, const Session& session, ImageViewer& viewer)
      : options_(options),
        session_(session),
        viewer_(viewer),
        prompt_(prompt_of(options)),
        scored_{.model = session.base.model,
                .bypass = session.bypass.get(),
                .tokenizer = *session.tokenizer,
                .end_ids = read_end_ids(options.session.model, session.base.model.config()),
                .see = viewer.sees() ? viewer.eyes(session) : SeeImages()} {
    prompt_.prompt_template.check(*session.tokenizer);
  }

  Json key() const { return key_of(options_, prompt_, session_, viewer_); }

  std::vector<std::string> captions(std::span<const ImageToCaption> images) {
    std::vector<std::vector<TokenId>> prompts;
    std::vector<std::filesystem::path> files;
    for (const ImageToCaption& image : images) {
      files.push_back(image.file);
      prompts.push_back(prompt_.ids(*session_.tokenizer, viewer_.words(image.file),
                                    session_.base.model.config().max_position_embeddings));
    }
    return write_captions(scored_, prompt_.prompt_template, prompts, files, options_.decoding);
  }

 private:
  const CaptionOptions& options_;
  const Session& session_;
  ImageViewer& viewer_;
  CaptionPrompt prompt_;
  ScoredModel scored_;
};

void write_results(const CaptionOptions& options, std::vector<ImageToCaption> images, Captioner& captioner) {
  CaptionResults results(options.output, captioner.key());
  std::vector<Json> ids;
  for (const ImageToCaption& image : images) ids.push_back(image.id);
  std::erase_if(images, [&](const ImageToCaption& image) { return results.has(image.id); });
  for (size_t begin = 0; begin < images.size(); begin += kImagesAtOnce) {
    const auto some = std::span(images).subspan(begin, std::min(kImagesAtOnce, images.size() - begin));
    const std::vector<std::string> captions = captioner.captions(some);
    for (size_t i = 0; i < some.size(); ++i) results.add(some[i].id, captions[i]);
    log::info(fmt::format("{} of {} images", results.size(), ids.size()));
    if (StopSignals::requested() != 0)
      throw Interrupted("stopped; the same command goes on from here", StopSignals::requested());
  }
  results.finish(ids);
}

void run(const CaptionOptions& options) {
  ImageViewer viewer(options.vision, options.session);
  viewer.check_has_use();
  std::vector<ImageToCaption> images = find_images(options);
  const std::vector<std::string> left_out =
      drop_bad_images(images, options.on_bad_image == "skip" ? OnBadImage::skip : OnBadImage::fail);
  const Session session = open_session(options.session);
  const StopSignals signals;
  Captioner captioner(options, session, viewer);
  write_results(options, images, captioner);
  const Json answer = {{"images", images.size()}, {"left_out", left_out}, {"output", options.output}};
  if (options.json)
    std::cout << answer.dump() << std::endl;
  else
    std::cout << fmt::format("{} captions written to {}", images.size(), options.output) << std::endl;
}

void add_options(CLI::App& command, CaptionOptions& options) {
  add_session_options(command, options.session);
  command.add_option("--images", options.images, "Folder of the images (.jpg, .jpeg, .png, .webp)")
      ->required();
  command
      .add_option("--output", options.output, "Results [{\"image_id\", \"caption\"}]; nothing is overwritten")
      ->required();
  command.add_option(
      "--references", options.references,
      "COCO's or Karpathy's file that says the images and their ids; default: all of the folder, "
      "with ids from their names");
  command.add_option("--split", options.split, "Split of a Karpathy file")->capture_default_str();
  command.add_option("--limit", options.limit, "The first N images")->check(CLI::Range(1, 1 << 30));
  command.add_option("--prompt", options.prompt,
                     "Instruction; default: the adapter's, else \"Generate caption of this image\"");
  command.add_option("--template", options.prompt_template,
                     "Prompt template, a name or a JSON file; default: the adapter's, else plain");
  command.add_option("--max-new-tokens", options.decoding.max_new_tokens, "Longest caption in tokens")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--on-bad-image", options.on_bad_image,
                  "Images that can't be read: fail, or skip; each one is listed")
      ->check(CLI::IsMember({"fail", "skip"}))
      ->capture_default_str();
  command.add_flag("--json", options.json, "Print JSON: images, left_out, output");
}

}  // namespace

void add_caption_command(CLI::App& app, CommandResult&) {
  auto options = std::make_shared<CaptionOptions>();
  auto* command = app.add_subcommand(
      "caption", "Writes captions of many images in COCO's format; interrupted, it goes on where it was");
  add_options(*command, *options);
  add_image_options(*command, options->vision);
  command->footer(
      "Example: excitor caption models/llama-7b --adapter runs/coco/adapter --images val2014 --references "
      "dataset_coco.json --output results.json");
  command->callback([options] {
    check_utf8("--prompt", options->prompt);
    run(*options);
  });
}

}  // namespace excitor
