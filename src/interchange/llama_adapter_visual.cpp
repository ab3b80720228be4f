#include "llama_adapter_visual.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/log.h>

#include "llama_adapter_names.h"

namespace excitor {
namespace {

/// Class token and 16 × 16 patches of CLIP ViT-L/14, the release's tower: no tensor of a file tells it.
constexpr int64_t kReleasedImageTokens = 257;

/// What stands around the blocks.
constexpr const char* kEnds[] = {"clip_proj.weight",    "clip_proj.bias",          "clip_proj_norm.weight",
                                 "clip_proj_norm.bias", "visual_query.weight",     "visual_proj.weight",
                                 "visual_proj.bias",    "visual_proj_norm.weight", "visual_proj_norm.bias"};

std::vector<std::string> missing_ends(const LlamaAdapterFile& file) {
  std::vector<std::string> missing;
  for (const char* name : kEnds) {
    if (!file.visual.contains(name)) missing.push_back(name);
  }
  return missing;
}

/// [rows, columns] of a matrix.
std::pair<int64_t, int64_t> matrix_size(const LlamaAdapterFile& file, const char* name) {
  const at::Tensor& tensor = file.visual.at(name);
  if (tensor.dim() == 2 && tensor.numel() > 0) return {tensor.size(0), tensor.size(1)};
  throw CheckpointError(fmt::format("{}: {} has shape [{}], expected two dimensions", file.path, name,
                                    fmt::join(tensor.sizes(), ", ")));
}

int64_t count_blocks(const LlamaAdapterFile& file) {
  constexpr std::string_view kPrefix = "visual_blocks.";
  constexpr int64_t kMostBlocks = 1000;  // a number beyond is damage, and is found as a left-over tensor
  int64_t blocks = 0;
  for (const auto& [name, tensor] : file.visual) {
    int64_t block = -1;
    if (name.starts_with(kPrefix))
      std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), block);
    if (block < kMostBlocks) blocks = std::max(blocks, block + 1);
  }
  return blocks;
}

}  // namespace

std::optional<VisualSide> read_visual_side(const LlamaAdapterFile& file, int64_t heads) {
  if (file.visual.empty()) return {};
  if (const auto missing = missing_ends(file); !missing.empty()) {
    log::warning(fmt::format(
        "{}: {} tensors of the visual side are ignored, since {} of it are missing ({}): the adapter sees "
        "texts "
        "alone",
        file.path, file.visual.size(), missing.size(), fmt::join(missing, ", ")));
    return {};
  }
  const auto [width, feature_width] = matrix_size(file, "clip_proj.weight");
  VisualSide side{.settings = {{"visual_rows", kReleasedImageTokens},
                               {"visual_width", feature_width},
                               {"visual_hidden_size", width},
                               {"visual_blocks", count_blocks(file)},
                               {"visual_heads", heads}},
                  .tensors = {},
                  .queries = matrix_size(file, "visual_query.weight").first};
  for (const auto& [name, tensor] : file.visual) side.tensors[std::string(kVisualPrefix) + name] = tensor;
  return side;
}

}  // namespace excitor
