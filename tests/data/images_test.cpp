// Data with images: captions, COCO, Karpathy, LLaVA.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/data/joint_sampler.h>

#include "data/data_test_support.h"

namespace excitor {
namespace {

using test::shown;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

class Images : public testing::Test {
 protected:
  Images() { settings.caption_instruction = "?"; }

  LoadedDataset load(const std::string& format, std::string_view content, const std::string& split = "auto") {
    file.path =
        folder.write(format == "coco" || format == "karpathy" ? "data.json" : "data.jsonl", content).string();
    file.format = format;
    file.split = split;
    return load_dataset({file}, settings, test::ByteTokenizer());
  }
  std::string error(const std::string& format, std::string_view content, const std::string& split = "auto") {
    try {
      load(format, content, split);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  static std::vector<std::string> images(const Dataset& dataset) {
    std::vector<std::string> names;
    for (int64_t i = 0; i < dataset.size(); ++i) {
      EXPECT_EQ(dataset.image(i), dataset.example(i).image);
      names.push_back(dataset.image(i));
    }
    return names;
  }

  test::ScratchFolder folder;
  DataSettings settings = test::plain_settings();
  DataFileSettings file{.path = "", .images = "/pictures"};
};

TEST_F(Images, EveryCaptionOfAnImageIsAnExampleOfItsOwn) {
  const auto loaded = load("caption", R"({"image": "a.png", "caption": " one \n"}
{"image": "sub/b.png", "caption": ["two", "three"]})");
  EXPECT_THAT(shown(*loaded.dataset), ElementsAre("^?[one$]", "^?[two$]", "^?[three$]"));
  EXPECT_THAT(images(*loaded.dataset),
              ElementsAre("/pictures/a.png", "/pictures/sub/b.png", "/pictures/sub/b.png"));
  EXPECT_EQ(loaded.report.with_image, 3);
}

TEST_F(Images, ACocoAnnotationIsAnExample) {
  const auto loaded = load(
      "coco", R"({"info": {}, "images": [{"id": 7, "file_name": "a.jpg"}, {"id": "7", "file_name": "b.jpg"}],
    "annotations": [{"id": 1, "image_id": "7", "caption": "b"}, {"id": 2, "image_id": 7, "caption": "a"},
                    {"id": 3, "image_id": 7, "caption": "c"}]})");
  EXPECT_THAT(shown(*loaded.dataset), ElementsAre("^?[b$]", "^?[a$]", "^?[c$]"));
  EXPECT_THAT(images(*loaded.dataset), ElementsAre("/pictures/b.jpg", "/pictures/a.jpg", "/pictures/a.jpg"));
}

TEST_F(Images, KarpathysTrainingSplitHoldsRestval) {
  constexpr const char* kFile = R"({"dataset": "coco", "images": [
    {"filepath": "t", "filename": "a.jpg", "split": "train", "sentences": [{"raw": "a"}, {"raw": "b"}]},
    {"filepath": "v", "filename": "c.jpg", "split": "restval", "sentences": [{"raw": "c"}]},
    {"filename": "d.jpg", "split": "val", "sentences": [{"raw": "d"}]},
    {"filename": "e.jpg", "split": "test", "sentences": [{"raw": "e"}]}]})";
  EXPECT_THAT(images(*load("karpathy", kFile).dataset),
              ElementsAre("/pictures/t/a.jpg", "/pictures/t/a.jpg", "/pictures/v/c.jpg"));
  EXPECT_THAT(shown(*load("karpathy", kFile, "val").dataset), ElementsAre("^?[d$]"));
  EXPECT_THAT(shown(*load("karpathy", kFile, "test").dataset), ElementsAre("^?[e$]"));
}

TEST_F(Images, LlavasRowsHaveAnImageOrAreTexts) {
  const auto loaded = load(
      "llava",
      R"({"id": 1, "image": "a.jpg", "conversations": [{"from": "human", "value": "<image>\nwhat"}, {"from": "gpt", "value": "x"}]}
{"id": 2, "image": "b.jpg", "conversations": [{"from": "human", "value": "who\n<image>"}, {"from": "gpt", "value": "y"}]}
{"id": 3, "conversations": [{"from": "human", "value": "why"}, {"from": "gpt", "value": "z"}]})");
  EXPECT_THAT(shown(*loaded.dataset), ElementsAre("^what[x$]", "^who[y$]", "^why[z$]"));
  EXPECT_THAT(images(*loaded.dataset), ElementsAre("/pictures/a.jpg", "/pictures/b.jpg", ""));
  EXPECT_EQ(loaded.report.with_image, 2);
}

TEST_F(Images, ScienceQuestionsShowTheirImagesOrAreTexts) {
  folder.write("problems.json", R"({
    "1": {"question": "q", "choices": ["x", "y"], "answer": 1, "hint": "h", "image": "image.png", "lecture": "l", "solution": "s",
          "subject": "natural science", "grade": "grade2", "split": "train"},
    "2": {"question": "r", "choices": ["x", "y"], "answer": 0, "hint": "", "image": null, "lecture": "", "solution": "t",
          "subject": "social science", "grade": "grade8", "split": "train"},
    "3": {"question": "v", "choices": ["x"], "answer": 0, "hint": "", "image": null, "lecture": "", "solution": "",
          "subject": "social science", "grade": "grade8", "split": "val"}})");
  folder.write("pid_splits.json", R"({"train": ["1", "2"], "val": ["3"], "test": ["3"]})");
  file.path = (folder.path() / "problems.json").string();
  const auto read = [&](const std::string& format, const std::string& split) {
    file.format = format, file.split = split;
    return load_dataset({file}, settings, test::ByteTokenizer());
  };
  const auto answers = read("scienceqa", "auto");
  EXPECT_THAT(shown(*answers.dataset),
              ElementsAre("^Question: q\nContext: h\nOptions: (A) x (B) y\nAnswer:[The answer is B.$]",
                          "^Question: r\nContext: N/A\nOptions: (A) x (B) y\nAnswer:[The answer is A.$]"));
  EXPECT_THAT(images(*answers.dataset), ElementsAre("/pictures/train/1/image.png", ""));
  EXPECT_THAT(
      shown(*read("scienceqa-lea", "train").dataset),
      ElementsAre(EndsWith("Answer:[l s The answer is B.$]"), EndsWith("Answer:[t The answer is A.$]")));
  EXPECT_THAT(shown(*read("scienceqa", "val").dataset), ElementsAre(HasSubstr("Question: v")));
  file.images.clear();
  EXPECT_THAT(images(*read("scienceqa", "train").dataset), ElementsAre("", ""));
}

TEST_F(Images, FormatsAreToldFromTheFirstRow) {
  EXPECT_EQ(load("auto", R"({"image": "a.png", "caption": "one"})").files[0].format, "caption");
  constexpr const char* kText =
      R"({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]})";
  EXPECT_EQ(load("auto", kText).files[0].format, "llava");  // it has an image folder
  file.images.clear();
  EXPECT_EQ(load("auto", kText).files[0].format, "sharegpt");
}

TEST_F(Images, EmptyCaptionsAreLeftOutCountedAndNamed) {
  const auto loaded = load("coco", R"({"images": [{"id": 1, "file_name": "a.png"}], "annotations": [
      {"image_id": 1, "caption": "one"}, {"image_id": 1, "caption": " "}]})");
  EXPECT_EQ(loaded.report.examples, 1);
  EXPECT_EQ(loaded.report.empty, 1);
  EXPECT_THAT(loaded.report.left_out.front().text(), EndsWith(": annotations[1]: \"caption\" is empty"));
}

TEST_F(Images, BadRowsAreNamed) {
  EXPECT_THAT(error("caption", R"({"image": "../a.png", "caption": "one"}
{"image": "/a.png", "caption": "one"}
{"image": "a.png"}
{"image": "a.png", "caption": []}
{"image": "a.png", "caption": 3}
{"caption": "one"})"),
              AllOf(HasSubstr("6 examples"), HasSubstr("data.jsonl:1: ../a.png: the image lies outside"),
                    HasSubstr("data.jsonl:2: /a.png"), HasSubstr("data.jsonl:3: \"caption\" is missing"),
                    HasSubstr("data.jsonl:4: \"caption\" is an empty"),
                    HasSubstr("data.jsonl:5: \"caption\" must be a text"),
                    HasSubstr("data.jsonl:6: \"image\" is missing")));
  EXPECT_THAT(
      error(
          "coco",
          R"({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 2, "caption": "x"}]})"),
      HasSubstr("data.json: annotations[0]: \"image_id\" names no element"));
  EXPECT_THAT(error("coco", R"([1])"), HasSubstr("expected an object with a list \"images\""));
  EXPECT_THAT(error("coco", R"({"images": [})"), HasSubstr("data.json:1:"));
  EXPECT_THAT(
      error("karpathy", R"({"images": [{"filename": "a.jpg", "split": "val", "sentences": []}]})", "val"),
      HasSubstr("images[0]: \"caption\" is an empty list"));
  EXPECT_THAT(error("karpathy", R"({"images": [{"filename": "a.jpg", "split": "val"}]})"),
              HasSubstr("no image is of the split \"train\""));
}

TEST_F(Images, RowsWithImagesAreNoTexts) {
  constexpr const char* kRow =
      R"({"image": "a.jpg", "conversations": [{"from": "human", "value": "<image> a"}, {"from": "gpt", "value": "b"}]})";
  EXPECT_THAT(error("sharegpt", kRow), HasSubstr("\"llava\""));
  file.images.clear();
  EXPECT_THAT(error("llava", kRow), HasSubstr("\"images\", the folder"));
  EXPECT_THAT(
      error("llava",
            R"({"conversations": [{"from": "human", "value": "<image> a"}, {"from": "gpt", "value": "b"}]})"),
      HasSubstr("names no image"));
}

TEST_F(Images, ExamplesOfBadImagesAreLeftOutAndCounted) {
  auto loaded = load("caption", R"({"image": "a.png", "caption": ["one", "longest"]}
{"image": "b.png", "caption": "two"}
{"image": "c.png", "caption": "three"})");
  leave_out_images(loaded, {"/pictures/a.png"}, {2});
  EXPECT_THAT(shown(*loaded.dataset), ElementsAre("^?[two$]", "^?[three$]"));
  EXPECT_THAT(images(*loaded.dataset), ElementsAre("/pictures/b.png", "/pictures/c.png"));
  const DatasetReport& r = loaded.files[0].report;
  EXPECT_EQ(r.json(), loaded.report.json());
  EXPECT_EQ((std::vector{r.examples, r.tokens, r.label_tokens, r.longest, r.ending_in_eos, r.with_image,
                         r.bad_image}),
            (std::vector<int64_t>{2, 14, 10, 8, 2, 2, 2}));
  EXPECT_THROW(leave_out_images(loaded, {"/pictures/b.png", "/pictures/c.png"}, {2}), DataError);
}

/// Batches of images and texts in turn: i image, t text.
std::string kinds(JointSampler& sampler, int64_t steps, const std::vector<bool>& shows_image) {
  std::string turns;
  for (int64_t step = 0; step < steps; ++step) {
    const auto batch = sampler.global_batch(step);
    for (const int64_t index : batch) EXPECT_EQ(shows_image[index], shows_image[batch.front()]);
    turns += shows_image[batch.front()] ? 'i' : 't';
  }
  return turns;
}

TEST(JointSampler, BatchesOfOneKindTakeTurnsInProportion) {
  std::vector<bool> shows_image(32);
  for (size_t i = 0; i < 8; ++i) shows_image[3 * i] = true;  // 8 images among 24 texts
  JointSampler sampler({.examples = 32, .global_batch_size = 4, .seed = 1}, shows_image);
  EXPECT_EQ(sampler.steps_per_epoch(), 8);
  EXPECT_EQ(kinds(sampler, 16, shows_image), "ttitttitttitttit");
  EXPECT_EQ(sampler.epoch_after(8), 1);
  EXPECT_EQ(sampler.epoch_after(10), 1.25);
}

TEST(JointSampler, AnEpochSeesEachExampleAsOftenAsItsWeightSays) {
  std::vector<bool> shows_image(20);
  for (size_t i = 0; i < 10; ++i)
    shows_image[i] = i % 2 == 0;  // a file of 5 images and 5 texts, one of 10 texts
  JointSampler sampler(
      {.examples = 20,
       .global_batch_size = 4,
       .weights = {{.begin = 0, .end = 10, .weight = 2}, {.begin = 10, .end = 20, .weight = 1}}},
      shows_image);
  std::vector<int64_t> seen(20);
  for (int64_t step = 0; step < sampler.steps_per_epoch(); ++step) {
    for (const int64_t index : sampler.global_batch(step)) ++seen[index];
  }
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(seen[i], i < 10 ? 2 : 1) << i;
}

TEST(JointSampler, WithoutKindsIsTheSampler) {
  const Sampler::Options options{.examples = 10, .global_batch_size = 3, .seed = 5};
  JointSampler joint(options, {});
  Sampler plain(options);
  EXPECT_EQ(joint.steps_per_epoch(), plain.steps_per_epoch());
  for (int64_t step = 0; step < 9; ++step) {
    EXPECT_EQ(joint.global_batch(step), plain.global_batch(step));
    EXPECT_EQ(joint.epoch_after(step), plain.epoch_after(step));
  }
}

}  // namespace
}  // namespace excitor
