#include <excitor/model/checkpoint.h>

#include <algorithm>
#include <map>
#include <set>

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <excitor/tensor/dtype.h>
#include <excitor/tensor/parameter_set.h>
#include <excitor/tensor/safetensors.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>
#include <excitor/util/sha256.h>

namespace excitor {
namespace {

/// Adds name, shape, type and content to `digest`: all bytes of a small tensor, samples of a large one, so
/// that loading is not slowed down by reading every weight.
void digest_tensor(Sha256& digest, const std::string& name, const std::string& dtype,
                   const std::vector<int64_t>& shape, std::span<const std::byte> bytes) {
  constexpr size_t kWhole = 1 << 16, kSamples = 16, kSampleBytes = 256;
  digest.update(fmt::format("{} {} [{}]\n", name, dtype, fmt::join(shape, ",")));
  if (bytes.size() <= kWhole) return digest.update(bytes);
  for (size_t i = 0; i < kSamples; ++i) {
    digest.update(bytes.subspan(i * (bytes.size() - kSampleBytes) / (kSamples - 1), kSampleBytes));
  }
}

}  // namespace

void check_weights(const std::filesystem::path& folder, const SafetensorsFolder& files,
                   const std::vector<WeightShape>& expected) {
  std::vector<std::string> faults;
  for (const auto& [name, shape] : expected) {
    if (!files.contains(name)) {
      faults.push_back(fmt::format("{} is missing (expected shape [{}])", name, fmt::join(shape, ", ")));
    } else if (files.stored(name).shape != shape) {
      faults.push_back(fmt::format("{} in {} has shape [{}], but config.json asks for [{}]", name,
                                   files.file_of(name), fmt::join(files.stored(name).shape, ", "),
                                   fmt::join(shape, ", ")));
    }
  }
  if (faults.empty()) return;
  constexpr size_t kShown = 8;
  const size_t shown = std::min(kShown, faults.size());
  throw CheckpointError(
      fmt::format("{}: {} weights do not fit config.json:\n  {}{}\nThe folder mixes two models, or its "
                  "download is incomplete.",
                  folder.string(), faults.size(), fmt::join(faults.begin(), faults.begin() + shown, "\n  "),
                  faults.size() > shown ? fmt::format("\n  … and {} more", faults.size() - shown) : ""));
}

namespace {

/// Weights that this architecture does not have are probably a sign of another one.
void warn_left_over(const std::filesystem::path& folder, const SafetensorsFolder& files,
                    const std::vector<WeightShape>& expected, bool tied) {
  std::set<std::string> known;
  for (const auto& weight : expected) known.insert(weight.name);
  if (tied) known.insert("lm_head.weight");
  std::vector<std::string> left;
  for (const auto& name : files.names()) {
    if (!known.contains(name) && !name.ends_with("rotary_emb.inv_freq")) left.push_back(name);
  }
  if (left.empty()) return;
  log::warning(fmt::format(
      "{}: {} tensors are not part of the LLaMA that config.json describes and are ignored, e.g. {}",
      folder.string(), left.size(), left.front()));
}

at::Tensor load_weight(const SafetensorsFolder& files, const std::string& name, at::ScalarType type) {
  const at::Tensor stored = files.load(name);
  if (!stored.is_floating_point()) {
    throw CheckpointError(
        fmt::format("{}: {} has type {}; expected F32, BF16 or F16. Quantised checkpoints are not read: "
                    "take the unquantised one.",
                    files.path_of(name), name, files.stored(name).dtype));
  }
  return stored.to(type);
}

std::string most_common_type(const SafetensorsFolder& files, const std::vector<WeightShape>& expected) {
  std::map<at::ScalarType, int64_t> counts;
  for (const auto& weight : expected) ++counts[files.load(weight.name).scalar_type()];
  const auto most =
      std::max_element(counts.begin(), counts.end(), [](auto& a, auto& b) { return a.second < b.second; });
  return dtype_name(most->first);
}

}  // namespace

LoadedModel load_hugging_face(const std::filesystem::path& folder, at::ScalarType type) {
  const LlamaConfig config = read_llama_config(folder);
  const SafetensorsFolder files(folder, "model");
  const auto expected = weight_shapes(config);
  check_weights(folder, files, expected);
  warn_left_over(folder, files, expected, config.tie_word_embeddings);

  Sha256 digest;
  for (const auto& [name, shape] : expected) {
    digest_tensor(digest, name, files.stored(name).dtype, shape, files.bytes(name));
  }
  auto weights =
      make_weights(config, [&](const std::string& name) { return load_weight(files, name, type); });
  return {.model = Llama(config, std::move(weights), type),
          .fingerprint = digest.hex_digest(),
          .stored_type = most_common_type(files, expected)};
}

LoadedModel random_llama(const LlamaConfig& config, uint64_t seed, at::ScalarType type) {
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
    digest_tensor(digest, name, "F32", shape,
                  {static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()});
    tensors[name] = values.to(type);
  }
  auto weights = make_weights(config, [&](const std::string& name) { return tensors.at(name); });
  return {.model = Llama(config, std::move(weights), type),
          .fingerprint = digest.hex_digest(),
          .stored_type = "float32"};
}

}  // namespace excitor
