#include <excitor/methods/vision_origin.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/methods/adapter_files.h>
#include <excitor/methods/registry.h>
#include <excitor/util/error.h>

#include "model/tiny_llama.h"
#include "util/temporary_folder.h"
#include "vision/tiny_tower.h"

namespace excitor {
namespace {

using testing::HasSubstr;

/// An Excitor that was trained with the tower in `folder_`/tower.
class AdapterVision : public testing::Test {
 protected:
  AdapterVision() {
    write_tiny_tower(tower_);
    auto method = make_method("excitor");
    const ImageEncoder encoder =
        open_image_encoder(tower_, {.channels = ChannelOrder::bgr, .features = method->visual_features()});
    method->visual()->see(encoder, tower_.string());
    save(*method, record_of(encoder, tower_.string(), "What is it?"));
  }

  void save(Method& method, std::optional<VisionOrigin> vision) {
    method.resolve(config_);
    const ParameterSet parameters =
        initialise(method.parameters(config_), 1, at::TensorOptions(at::kFloat), nullptr);
    save_adapter(adapter_, method, parameters, {.vision = std::move(vision)});
  }
  LoadedAdapter load() const { return load_adapter(adapter_, config_, {}); }
  ImageEncoder open(const TowerChoice& choice = {}) const {
    return open_adapter_encoder(load(), adapter_, choice);
  }
  std::string refusal(const TowerChoice& choice = {}) const {
    try {
      open(choice);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  TemporaryFolder folder_;
  std::filesystem::path tower_ = folder_ / "tower", adapter_ = folder_ / "adapter";
  LlamaConfig config_ = test::tiny_config();
};

TEST_F(AdapterVision, IsRecordedAndOpensTheSameEncoder) {
  const LoadedAdapter adapter = load();
  ASSERT_TRUE(adapter.origin.vision);
  EXPECT_EQ(adapter.origin.vision->path, tower_.string());
  EXPECT_EQ(adapter.origin.vision->caption_instruction, "What is it?");
  EXPECT_EQ(adapter.origin.vision->features, "tokens");
  const ImageEncoder encoder = open();
  EXPECT_EQ(encoder.preprocessing().channels, ChannelOrder::bgr);
  EXPECT_EQ(encoder.key(), open_image_encoder(tower_, {.channels = ChannelOrder::bgr}).key());
}

TEST_F(AdapterVision, TakesTheRecordedPreprocessingWhateverTheFolderSaysNow) {
  write_file_atomically(tower_ / "preprocessor_config.json", R"({"image_mean": [0, 0, 0]})");
  EXPECT_EQ(open().preprocessing().mean, Preprocessing::clip(kTinyImage).mean);
}

TEST_F(AdapterVision, GoesWithTheTowerToAnotherPlace) {
  std::filesystem::rename(tower_, folder_ / "moved");
  EXPECT_THAT(refusal(), HasSubstr("--vision DIR"));
  EXPECT_EQ(open({.folder = folder_ / "moved"}).width(), 8);
}

TEST_F(AdapterVision, RefusesAnotherTowerUnlessForced) {
  write_tiny_tower(folder_ / "other", /*seed=*/1);
  EXPECT_THAT(refusal({.folder = folder_ / "other"}), HasSubstr("another vision tower"));
  EXPECT_EQ(open({.folder = folder_ / "other", .force = true}).width(), 8);
  write_tiny_tower(folder_ / "wide", /*seed=*/0, /*width=*/16);
  EXPECT_THAT(refusal({.folder = folder_ / "wide", .force = true}), HasSubstr("width 16"));
}

TEST_F(AdapterVision, SaysThatATextOnlyAdapterHasNone) {
  const auto method = make_method("excitor");
  save(*method, std::nullopt);
  EXPECT_THAT(refusal({.folder = tower_}), HasSubstr("has no visual side"));
}

TEST_F(AdapterVision, OfAnImportedFileAsksForTheTower) {
  auto method = make_method("excitor");
  method->visual()->see(open(), "tower");
  save(*method, std::nullopt);
  EXPECT_THAT(refusal(), HasSubstr("--vision DIR"));
  EXPECT_EQ(open({.folder = tower_}).rows(), 5);
}

}  // namespace
}  // namespace excitor
