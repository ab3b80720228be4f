#include <excitor/model/checkpoint.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <excitor/tensor/dtype.h>
#include <excitor/tensor/mapped_tensor.h>
#include <excitor/tensor/parameter_set.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>
#include <excitor/util/sha256.h>

#include "checkpoint_folder.h"
#include "meta_weights.h"
#include "model_folder.h"

namespace excitor {
namespace {

/// Bytes [begin, begin + count) of a tensor's content.
using ReadBytes = std::function<std::vector<std::byte>(size_t begin, size_t count)>;

/// Adds name, shape, type and content to `digest`: all bytes of a small tensor, samples of a large one, so
/// that loading is not slowed down by reading every weight.
void digest_tensor(Sha256& digest, const WeightShape& weight, const std::string& dtype, size_t bytes,
                   const ReadBytes& read) {
  constexpr size_t kWhole = 1 << 16, kSamples = 16, kSampleBytes = 256;
  digest.update(fmt::format("{} {} [{}]\n", weight.name, dtype, fmt::join(weight.shape, ",")));
  if (bytes <= kWhole) return digest.update(read(0, bytes));
  for (size_t i = 0; i < kSamples; ++i)
    digest.update(read(i * (bytes - kSampleBytes) / (kSamples - 1), kSampleBytes));
}

}  // namespace

std::string base_fingerprint(const Weights& weights, const std::vector<WeightShape>& expected) {
  Sha256 digest;
  for (const WeightShape& weight : expected) {
    const StoredWeight& stored = weights.at(weight.name);
    const WeightParts parts = stored.parts();
    digest_tensor(digest, weight, stored.dtype, parts.byte_size(),
                  [&](size_t begin, size_t count) { return parts.read(begin, count); });
    // A sample can bring in 2 MB of the file.
    for (const at::Tensor& part : parts.parts) release_pages(part);
  }
  return digest.hex_digest();
}

Weights open_weights(const std::filesystem::path& folder, const LlamaConfig& config) {
  switch (model_folder_kind(folder)) {
    case ModelFolder::safetensors:
      return safetensors_weights(folder, "model");
    case ModelFolder::torch:
      return torch_weights(folder, "pytorch_model");
    case ModelFolder::meta:
      return meta_weights(folder, config);
  }
  throw std::logic_error("unknown kind of model folder");
}

void check_weights(const Weights& weights, const std::vector<WeightShape>& expected) {
  std::vector<std::string> faults;
  for (const auto& [name, shape] : expected) {
    if (!weights.contains(name)) {
      faults.push_back(fmt::format("{} is missing (expected shape [{}])", name, fmt::join(shape, ", ")));
      continue;
    }
    const StoredWeight& stored = weights.at(name);
    if (stored.shape == shape) continue;
    faults.push_back(fmt::format("{} in {} has shape [{}], but the configuration asks for [{}]", name,
                                 std::filesystem::path(stored.path).filename().string(),
                                 fmt::join(stored.shape, ", "), fmt::join(shape, ", ")));
  }
  if (faults.empty()) return;
  constexpr size_t kShown = 8;
  const size_t shown = std::min(kShown, faults.size());
  throw CheckpointError(fmt::format(
      "{}: {} weights do not fit {}:\n  {}{}\nThe folder mixes two models, or its download is incomplete.",
      weights.folder().string(), faults.size(), model_config_name(weights.folder()),
      fmt::join(faults.begin(), faults.begin() + static_cast<ptrdiff_t>(shown), "\n  "),
      faults.size() > shown ? fmt::format("\n  … and {} more", faults.size() - shown) : ""));
}

namespace {

/// Weights that this architecture does not have are probably a sign of another one.
void warn_left_over(const Weights& weights, const std::vector<WeightShape>& expected, bool tied) {
  std::set<std::string> known;
  for (const auto& weight : expected) known.insert(weight.name);
  if (tied) known.insert("lm_head.weight");
  std::vector<std::string> left;
  for (const auto& [name, weight] : weights.all()) {
    if (!known.contains(name) && !name.ends_with("rotary_emb.inv_freq")) left.push_back(name);
  }
  if (left.empty()) return;
  log::warning(
      fmt::format("{}: {} tensors are not part of the LLaMA that {} describes and are ignored, e.g. {}",
                  weights.folder().string(), left.size(), model_config_name(weights.folder()), left.front()));
}

at::ScalarType most_common_type(const Weights& weights, const std::vector<WeightShape>& expected) {
  std::map<at::ScalarType, int64_t> counts;
  for (const auto& weight : expected) ++counts[weights.at(weight.name).parts().type()];
  const auto most =
      std::max_element(counts.begin(), counts.end(), [](auto& a, auto& b) { return a.second < b.second; });
  return most->first;
}

}  // namespace

void CheckpointFolder::check_type(const std::string& name) const {
  const StoredWeight& stored = files.at(name);
  if (at::isFloatingType(stored.parts().type())) return;
  throw CheckpointError(
      fmt::format("{}: {} has type {}; expected F32, BF16 or F16. Quantised checkpoints are not read: "
                  "take the unquantised one.",
                  stored.path, name, stored.dtype));
}

at::Tensor CheckpointFolder::load(const std::string& name, at::ScalarType type, at::Device device) const {
  check_type(name);
  return load_weight(files.at(name), type, device);
}

LoadedModel CheckpointFolder::with_weights(LlamaWeights weights, at::ScalarType type) const {
  return {.model = Llama(config, std::move(weights), type),
          .fingerprint = base_fingerprint(files, expected),
          .stored_type = dtype_name(most_common_type(files, expected))};
}

CheckpointFolder open_checkpoint_folder(const std::filesystem::path& folder) {
  const LlamaConfig config = read_llama_config(folder);
  CheckpointFolder opened{
      .config = config, .files = open_weights(folder, config), .expected = weight_shapes(config)};
  check_weights(opened.files, opened.expected);
  warn_left_over(opened.files, opened.expected, config.tie_word_embeddings);
  return opened;
}

at::ScalarType stored_type(const std::filesystem::path& folder) {
  const LlamaConfig config = read_llama_config(folder);
  const Weights files = open_weights(folder, config);
  const std::vector<WeightShape> expected = weight_shapes(config);
  check_weights(files, expected);
  return most_common_type(files, expected);
}

LoadedModel load_model(const std::filesystem::path& folder, at::ScalarType type, at::Device device) {
  const CheckpointFolder checkpoint = open_checkpoint_folder(folder);
  const auto lookup = [&](const std::string& name) { return checkpoint.load(name, type, device); };
  return checkpoint.with_weights(make_weights(checkpoint.config, lookup), type);
}

LoadedModel random_llama(const LlamaConfig& config, uint64_t seed, at::ScalarType type, at::Device device) {
  Sha256 digest;
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, shape] : weight_shapes(config)) {
    at::Tensor values = at::empty(shape, at::kFloat);
    const bool norm = name.ends_with("norm.weight"), bias = name.ends_with(".bias");
    fill_random(values,
                norm   ? Init::constant(1)
                : bias ? Init::constant(0)
                       : Init::normal(0, config.initializer_range),
                seed, name);
    const WeightParts parts{.shape = shape, .parts = {values}};
    digest_tensor(digest, {name, shape}, "F32", parts.byte_size(),
                  [&](size_t begin, size_t count) { return parts.read(begin, count); });
    tensors[name] = values.to(type).to(device);
  }
  auto weights = make_weights(config, [&](const std::string& name) { return tensors.at(name); });
  return {.model = Llama(config, std::move(weights), type),
          .fingerprint = digest.hex_digest(),
          .stored_type = "float32"};
}

}  // namespace excitor
