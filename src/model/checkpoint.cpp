#include <excitor/model/checkpoint.h>

#include <algorithm>
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

void digest_description(Sha256& digest, const WeightShape& weight, const std::string& dtype) {
  digest.update(fmt::format("{} {} [{}]\n", weight.name, dtype, fmt::join(weight.shape, ",")));
}

/// Adds all bytes of a small tensor to `digest`, samples of a large one, so that loading is not slowed down
/// by reading every weight.
void digest_content(Sha256& digest, const WeightParts& parts) {
  constexpr size_t kWhole = 1 << 16, kSamples = 16, kSampleBytes = 256;
  const size_t bytes = parts.byte_size();
  if (bytes <= kWhole) {
    digest.update(parts.read(0, bytes));
  } else {
    for (size_t i = 0; i < kSamples; ++i)
      digest.update(parts.read(i * (bytes - kSampleBytes) / (kSamples - 1), kSampleBytes));
  }
  // A sample can bring in 2 MB of the file.
  for (const at::Tensor& part : parts.parts) release_pages(part);
}

/// Whether two weights have one shape, type and content, as far as samples tell.
bool looks_same(const StoredWeight& one, const StoredWeight& other) {
  if (one.shape != other.shape || one.dtype != other.dtype) return false;
  Sha256 first, second;
  digest_content(first, one.parts());
  digest_content(second, other.parts());
  return first.hex_digest() == second.hex_digest();
}

/// The folder's weights by the names of a LlamaForCausalLM. A folder that was saved from the LlamaModel
/// inside it has them without "model."; transformers loads both.
Weights with_model_prefix(Weights weights) {
  constexpr std::string_view kPrefix = "model.", kHead = "lm_head.";
  if (!weights.contains("embed_tokens.weight") || weights.contains("model.embed_tokens.weight"))
    return weights;
  Weights renamed(weights.folder());
  for (const auto& [name, weight] : weights.all())
    renamed.add(name.starts_with(kHead) ? name : std::string(kPrefix) + name, weight);
  return renamed;
}

}  // namespace

std::string base_fingerprint(const Weights& weights, const std::vector<WeightShape>& expected) {
  Sha256 digest;
  for (const WeightShape& weight : expected) {
    const StoredWeight& stored = weights.at(weight.name);
    digest_description(digest, weight, stored.dtype);
    digest_content(digest, stored.parts());
  }
  return digest.hex_digest();
}

Weights open_weights(const std::filesystem::path& folder, const LlamaConfig& config) {
  switch (model_folder_kind(folder)) {
    case ModelFolder::safetensors:
      return with_model_prefix(safetensors_weights(folder, "model"));
    case ModelFolder::torch:
      return with_model_prefix(torch_weights(folder, "pytorch_model"));
    case ModelFolder::meta:
      return meta_weights(folder, config);
  }
  throw std::logic_error("unknown kind of model folder");
}

namespace {

/// Refuses the weights of quantised checkpoints: without their scales the numbers are others.
void check_types(const Weights& weights, const std::vector<WeightShape>& expected) {
  static const std::set<std::string, std::less<>> kPlain = {"F32", "BF16", "F16", "F64"};
  for (const auto& [name, shape] : expected) {
    if (!weights.contains(name) || kPlain.contains(weights.at(name).dtype)) continue;
    throw CheckpointError(
        fmt::format("{}: {} has type {}; expected F32, BF16 or F16. Quantised checkpoints are not read: "
                    "take the unquantised one.",
                    weights.at(name).path, name, weights.at(name).dtype));
  }
}

}  // namespace

void check_weights(const Weights& weights, const std::vector<WeightShape>& expected) {
  check_types(weights, expected);
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

/// The configuration decides; a file that disagrees is not what its configuration says.
void warn_untied_head(const Weights& weights, const LlamaConfig& config) {
  constexpr const char* kHead = "lm_head.weight";
  if (!config.tie_word_embeddings || !weights.contains(kHead) ||
      looks_same(weights.at(kHead), weights.at("model.embed_tokens.weight")))
    return;
  log::warning(fmt::format(
      "{}: tie_word_embeddings is true in {}, but {} is not the embedding; the output layer computes with "
      "the "
      "embedding, and {} is left aside. If it was trained apart, set tie_word_embeddings to false",
      weights.folder().string(), model_config_name(weights.folder()), kHead, kHead));
}

at::ScalarType most_common_type(const Weights& weights, const std::vector<WeightShape>& expected) {
  std::map<at::ScalarType, int64_t> counts;
  for (const auto& weight : expected) ++counts[weights.at(weight.name).parts().type()];
  const auto most =
      std::max_element(counts.begin(), counts.end(), [](auto& a, auto& b) { return a.second < b.second; });
  return most->first;
}

}  // namespace

at::Tensor CheckpointFolder::load(const std::string& name, at::ScalarType type, at::Device device) const {
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
  warn_untied_head(opened.files, config);
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
    digest_description(digest, {name, shape}, "F32");
    digest_content(digest, {.shape = shape, .parts = {values}});
    tensors[name] = values.to(type).to(device);
  }
  auto weights = make_weights(config, [&](const std::string& name) { return tensors.at(name); });
  return {.model = Llama(config, std::move(weights), type),
          .fingerprint = digest.hex_digest(),
          .stored_type = "float32"};
}

}  // namespace excitor
