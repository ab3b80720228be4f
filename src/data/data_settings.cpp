#include <excitor/data/data_settings.h>

#include <excitor/util/cache_folder.h>

namespace excitor {
namespace {

using Words = std::vector<std::pair<std::string, std::string>>;

/// Words that mean themselves.
Words words_of(const std::vector<std::string>& names) {
  Words words;
  for (const std::string& name : names) words.emplace_back(name, name);
  return words;
}

}  // namespace

ImagesOfFormat images_of_format(const std::string& format) {
  if (format == "caption" || format == "coco" || format == "karpathy") return ImagesOfFormat::all;
  const bool has_texts_too = format == "llava" || format == "auto" || format.starts_with("scienceqa");
  return has_texts_too ? ImagesOfFormat::some : ImagesOfFormat::never;
}

bool has_splits(const std::string& format) {
  return format == "karpathy" || format.starts_with("scienceqa");
}

std::optional<std::filesystem::path> cache_folder(const std::string& cache_dir) {
  if (cache_dir == "none") return std::nullopt;
  if (cache_dir != "auto") return cache_dir;
  return default_cache_folder();
}

void DataFileSettings::describe(Describer& d) {
  d.field("path", path, "The file; a relative path starts at the configuration's folder.");
  d.choice(
      "format", format,
      words_of({"auto", "alpaca", "sharegpt", "openai", "text", "caption", "coco", "karpathy", "llava",
                "scienceqa", "scienceqa-lea"}),
      "Rows of a JSON array or of JSONL: alpaca {instruction, input, output, system, history} (also Dolly's "
      "{instruction, context, response}), sharegpt {conversations: [{from, value}]}, openai {messages: "
      "[{role, content}]}, text {text}, caption {image, caption: "
      "text or texts}, llava: sharegpt with {image}, rows without one being texts. text also: a .txt "
      "file, its documents being blocks between blank lines. coco: COCO's captions (images, "
      "annotations); karpathy: dataset_coco.json. scienceqa: its folder (problems.json, "
      "pid_splits.json), the answer alone (QCM→A); scienceqa-lea: lecture and explanation before it "
      "(QCM→LEA). auto: what the first row's keys say; .txt is text.");
  d.field("images", images,
          "Folder that the file's images lie in; names in the file are relative to it and stay inside it.");
  d.choice("split", split, words_of({"auto", "train", "val", "test"}),
           "Which part of a karpathy file, whose train includes restval, or of scienceqa. auto: train, in "
           "data.validation val.");
  d.field("weight", weight,
          "How often an epoch sees each of the file's examples: 2 is twice, 0.5 a half of them, chosen anew "
          "each epoch by train.seed. Of files to train on alone.",
          Range{.minimum = 0, .maximum = 1000, .open_minimum = true});
}

void DataSettings::describe(Describer& d) {
  d.list("train", train, "Files to train on, in this order.");
  d.list("validation", validation, "Files to validate on, instead of val_size.");
  d.field("val_size", val_size, "Examples held back for validation: the last ones. 0: none.", kNonNegative);
  d.field(
      "prompt_template", prompt_template,
      "How messages become a prompt: a name (alpaca, llama2, llama3, vicuna, chatml, plain) or an object. "
      "plain: nothing added. Text is trained on as it is.");
  d.field("max_seq_length", max_seq_length, "Tokens an example may have, BOS and EOS included.",
          Range{.minimum = 2, .maximum = 1 << 24});
  d.choice<LongExamples>(
      "on_long_example", on_long_example,
      {{"truncate", LongExamples::truncate}, {"drop", LongExamples::drop}, {"fail", LongExamples::fail}},
      "Examples longer than max_seq_length. truncate: cut off, or left out and named where the prompt alone "
      "fills it; a text document continues in the next window instead. drop: left out and counted. fail: an "
      "error that names them.");
  d.choice<OnBadImage>("on_bad_image", on_bad_image, {{"fail", OnBadImage::fail}, {"skip", OnBadImage::skip}},
                       "Images that are missing or can't be read. All are looked at before the first step. "
                       "fail: an error that lists them. skip: listed, counted, and their examples left out.");
  d.field("caption_instruction", caption_instruction,
          "What the user asks about an image with a caption (formats caption, coco, karpathy; also "
          "eval.sample_images and captions of eval.tasks).");
  d.field("packing", packing,
          "Lay as many examples into a micro-batch as its token budget holds. The mathematics is the "
          "same either way.");
  d.field("train_on_inputs", train_on_inputs, "The prompt's tokens are labels too, not the answer's alone.");
  d.field("shuffle", shuffle, "A new order each epoch; false keeps the file's.");
  d.field(
      "cache_dir", cache_dir,
      "Folder of tokenised data, shared by runs. auto: $XDG_CACHE_HOME/excitor or ~/.cache/excitor, for "
      "files of 8 MiB and more and what `excitor prepare` put there; none: tokenised in memory each time. "
      "Features of images lie there, too (vision.cache).");
}

}  // namespace excitor
