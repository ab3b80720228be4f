// The weights of a tower in Hugging Face's layout: names, shapes, loading.
#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/tensor/mapped_tensor.h>
#include <excitor/tensor/weights.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>
#include <excitor/util/sha256.h>
#include <excitor/vision/clip_tower.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProjection = "visual_projection.weight";

struct ExpectedWeight {
  std::string name;
  std::vector<int64_t> shape;
};

void add_linear(std::vector<ExpectedWeight>& expected, const std::string& name, int64_t out, int64_t in) {
  expected.push_back({name + ".weight", {out, in}});
  expected.push_back({name + ".bias", {out}});
}

void add_norm(std::vector<ExpectedWeight>& expected, const std::string& name, int64_t width) {
  expected.push_back({name + ".weight", {width}});
  expected.push_back({name + ".bias", {width}});
}

/// Without the prefix that some folders put before each name.
std::vector<ExpectedWeight> expected_weights(const ClipVisionConfig& c) {
  const int64_t w = c.hidden_size, f = c.intermediate_size, p = c.patch_size;
  std::vector<ExpectedWeight> expected{{"embeddings.class_embedding", {w}},
                                       {"embeddings.patch_embedding.weight", {w, 3, p, p}},
                                       {"embeddings.position_embedding.weight", {c.tokens(), w}}};
  add_norm(expected, "pre_layrnorm", w);  // so it is spelt
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    const std::string prefix = fmt::format("encoder.layers.{}.", i);
    for (const char* name : {"q_proj", "k_proj", "v_proj", "out_proj"})
      add_linear(expected, prefix + "self_attn." + name, w, w);
    add_linear(expected, prefix + "mlp.fc1", f, w);
    add_linear(expected, prefix + "mlp.fc2", w, f);
    add_norm(expected, prefix + "layer_norm1", w);
    add_norm(expected, prefix + "layer_norm2", w);
  }
  add_norm(expected, "post_layernorm", w);
  return expected;
}

Weights open_tower(const fs::path& folder) {
  const bool safetensors =
      fs::exists(folder / "model.safetensors") || fs::exists(folder / "model.safetensors.index.json");
  const bool torch =
      fs::exists(folder / "pytorch_model.bin") || fs::exists(folder / "pytorch_model.bin.index.json");
  return torch && !safetensors ? torch_weights(folder, "pytorch_model")
                               : safetensors_weights(folder, "model");
}

/// "vision_model." where the folder's names begin with it.
std::string prefix_of(const Weights& files) {
  return files.contains("vision_model.embeddings.class_embedding") ? "vision_model." : "";
}

std::string shape_fault(const StoredWeight& stored, const std::string& name, const std::string& wanted) {
  return fmt::format("{} in {} has shape [{}], but the configuration asks for [{}]", name,
                     fs::path(stored.path).filename().string(), fmt::join(stored.shape, ", "), wanted);
}

/// What is wrong with one weight, or nothing.
std::string fault_of(const Weights& files, const std::string& name, const std::vector<int64_t>& shape) {
  if (!files.contains(name))
    return fmt::format("{} is missing (expected shape [{}])", name, fmt::join(shape, ", "));
  const StoredWeight& stored = files.at(name);
  if (stored.shape != shape) return shape_fault(stored, name, fmt::format("{}", fmt::join(shape, ", ")));
  if (stored.dtype != "F32" && stored.dtype != "F16" && stored.dtype != "BF16" && stored.dtype != "F64")
    return fmt::format("{} has type {}, expected F32, F16 or BF16", name, stored.dtype);
  return "";
}

void check_tower(const Weights& files, const ClipVisionConfig& config, const std::string& prefix) {
  std::vector<std::string> faults;
  const auto note = [&](std::string fault) {
    if (!fault.empty()) faults.push_back(std::move(fault));
  };
  for (const auto& [name, shape] : expected_weights(config)) note(fault_of(files, prefix + name, shape));
  if (files.contains(kProjection)) {
    const std::vector<int64_t>& shape = files.at(kProjection).shape;
    if (shape.size() != 2 || shape[1] != config.hidden_size)
      note(shape_fault(files.at(kProjection), kProjection, fmt::format("P, {}", config.hidden_size)));
    else
      note(fault_of(files, kProjection, shape));
  }
  if (faults.empty()) return;
  constexpr size_t kShown = 8;
  const size_t shown = std::min(kShown, faults.size());
  throw CheckpointError(fmt::format(
      "{}: {} weights of the vision tower do not fit config.json:\n  {}{}\nThe folder mixes two models, or "
      "its download is incomplete.",
      files.folder().string(), faults.size(),
      fmt::join(faults.begin(), faults.begin() + static_cast<ptrdiff_t>(shown), "\n  "),
      faults.size() > shown ? fmt::format("\n  … and {} more", faults.size() - shown) : ""));
}

/// More layers than config.json says are probably another tower's.
void warn_left_over(const Weights& files, const ClipVisionConfig& config, const std::string& prefix) {
  const std::string next = fmt::format("{}encoder.layers.{}.", prefix, config.num_hidden_layers);
  for (const auto& [name, stored] : files.all()) {
    if (!name.starts_with(next)) continue;
    return log::warning(
        fmt::format("{}: config.json has {} layers, but there are weights of more ({}…); "
                    "they are ignored",
                    files.folder().string(), config.num_hidden_layers, next));
  }
}

/// Names, shapes, types, and samples of the content.
std::string fingerprint_of(const Weights& files, const ClipVisionConfig& config, const std::string& prefix) {
  constexpr size_t kSamples = 16, kSampleBytes = 256;
  Sha256 digest;
  ClipVisionConfig copy = config;
  digest.update(write_settings([&](Describer& d) { copy.describe(d); }).dump());
  auto expected = expected_weights(config);
  for (ExpectedWeight& weight : expected) weight.name.insert(0, prefix);
  if (files.contains(kProjection)) expected.push_back({kProjection, files.at(kProjection).shape});
  for (const auto& [name, shape] : expected) {
    const WeightParts parts = files.at(name).parts();
    const size_t bytes = parts.byte_size(), step = std::min(bytes, kSampleBytes);
    digest.update(fmt::format("{} {} [{}]\n", name.substr(name.starts_with(prefix) ? prefix.size() : 0),
                              files.at(name).dtype, fmt::join(shape, ",")));
    const size_t samples = bytes <= kSamples * kSampleBytes ? (bytes + step - 1) / step : kSamples;
    for (size_t i = 0; i < samples; ++i) {
      const size_t begin = samples > 1 ? i * (bytes - step) / (samples - 1) : 0;
      digest.update(parts.read(begin, step));
    }
    for (const at::Tensor& part : parts.parts) release_pages(part);
  }
  return digest.hex_digest();
}

/// Loads weights by their names without prefix.
class TowerReader {
 public:
  TowerReader(const Weights& files, std::string prefix, at::ScalarType type)
      : files_(files), prefix_(std::move(prefix)), type_(type) {}

  at::Tensor tensor(const std::string& name) const { return load_weight(files_.at(prefix_ + name), type_); }
  LayerNormWeights norm(const std::string& name) const {
    return {.weight = tensor(name + ".weight"), .bias = tensor(name + ".bias")};
  }
  Linear linear(const std::string& name) const {
    return Linear::dense(tensor(name + ".weight"), tensor(name + ".bias"));
  }
  ClipBlockWeights block(int64_t index) const {
    const std::string prefix = fmt::format("encoder.layers.{}.", index);
    return {.norm1 = norm(prefix + "layer_norm1"),
            .norm2 = norm(prefix + "layer_norm2"),
            .q = linear(prefix + "self_attn.q_proj"),
            .k = linear(prefix + "self_attn.k_proj"),
            .v = linear(prefix + "self_attn.v_proj"),
            .out = linear(prefix + "self_attn.out_proj"),
            .fc1 = linear(prefix + "mlp.fc1"),
            .fc2 = linear(prefix + "mlp.fc2")};
  }

 private:
  const Weights& files_;
  std::string prefix_;
  at::ScalarType type_;
};

}  // namespace

LoadedTower load_clip_tower(const fs::path& folder, at::ScalarType type) {
  const ClipVisionConfig config = read_clip_config(folder);
  const Weights files = open_tower(folder);
  const std::string prefix = prefix_of(files);
  check_tower(files, config, prefix);
  warn_left_over(files, config, prefix);
  const TowerReader reader(files, prefix, type);
  ClipWeights weights{
      .patch_embedding = Linear::dense(reader.tensor("embeddings.patch_embedding.weight").flatten(1)),
      .class_embedding = reader.tensor("embeddings.class_embedding"),
      .position_embedding = reader.tensor("embeddings.position_embedding.weight"),
      .pre_norm = reader.norm("pre_layrnorm"),
      .blocks = {},
      .post_norm = reader.norm("post_layernorm"),
      .projection = {}};
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) weights.blocks.push_back(reader.block(i));
  const bool has_projection = files.contains(kProjection);
  if (has_projection) weights.projection = Linear::dense(load_weight(files.at(kProjection), type));
  return {.tower = ClipTower(config, std::move(weights), type, has_projection),
          .fingerprint = fingerprint_of(files, config, prefix)};
}

}  // namespace excitor
