#include "llama_adapter_file.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include <excitor/tensor/torch_file.h>
#include <excitor/util/error.h>

#include "llama_adapter_names.h"

namespace excitor {
namespace {

/// Members beside "model" that a training state has and a released file has not.
constexpr const char* kTrainingKeys[] = {"optimizer", "scaler", "epoch", "args"};
/// No model has as many; a number beyond is damage.
constexpr int64_t kMostLayers = 10'000;
/// "llma" is how an early release spelt it.
constexpr std::string_view kLlamaPrefixes[] = {"llama.", "llma."};
/// CLIP itself, which a file has no need of.
constexpr std::string_view kTowerPrefix = "clip.";

std::string keys_of(const TorchValue& dict) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : dict.dict()) keys.push_back(key);
  constexpr size_t kShown = 6;
  const size_t shown = std::min(kShown, keys.size());
  return fmt::format("{}{}", fmt::join(keys.begin(), keys.begin() + shown, ", "),
                     keys.size() > shown ? ", …" : "");
}

constexpr const char* kHowToExtract =
    "extract the adapter (of V1) in Python: model = torch.load(FILE)[\"model\"]; "
    "torch.save({k: v for k, v in model.items() if \"adapter\" in k or \"gate\" in k}, \"adapter.pth\")";

void reject_training_state(const TorchValue& root, const std::string& path) {
  for (const char* key : kTrainingKeys) {
    if (root.find(key) == nullptr) continue;
    throw CheckpointError(
        fmt::format("{}: is a whole training state (its keys: {}), expected the adapter alone; its tensors "
                    "are under \"model\": {}",
                    path, keys_of(root), kHowToExtract));
  }
}

/// The base's own weights have no place in an adapter: its matrices, whose names LoRA's resemble.
void reject_whole_model(const LlamaAdapterFile& file) {
  for (const auto& [name, tensor] : file.tensors) {
    const bool of_base = name.starts_with("tok_embeddings.") || name.starts_with("output.") ||
                         (name.starts_with("layers.") && name.find("lora_") == name.npos &&
                          name.find("norm") == name.npos && name.ends_with(".weight"));
    if (!of_base) continue;
    throw CheckpointError(
        fmt::format("{}: holds weights of the base itself ({}), expected the adapter alone; {}", file.path,
                    name, kHowToExtract));
  }
}

void add_tensor(LlamaAdapterFile& file, std::string name, const TorchValue& value) {
  if (name.starts_with(kTowerPrefix)) return;
  if (is_visual_name(name)) {
    file.visual[name] = value.tensor();
    return;
  }
  for (const std::string_view prefix : kLlamaPrefixes) {
    if (!name.starts_with(prefix)) continue;
    name.erase(0, prefix.size());
    file.kind = LlamaAdapterKind::v2_multimodal;
  }
  file.tensors[name] = value.tensor();
}

/// What V1 has not.
bool is_v2_name(const std::string& name) {
  return name.ends_with("_scale") || name.ends_with("_bias") || name.ends_with("norm.weight");
}

void set_kind(LlamaAdapterFile& file) {
  if (file.kind == LlamaAdapterKind::v2_multimodal) return;
  const bool chat = std::ranges::any_of(file.tensors, [](const auto& t) { return is_v2_name(t.first); });
  file.kind = chat ? LlamaAdapterKind::v2_chat : LlamaAdapterKind::v1;
  if (chat || file.find(kPromptsName)) return;
  throw CheckpointError(fmt::format("{}: {} is missing; a file of {} holds it and a gate for every layer",
                                    file.path, kPromptsName, kind_name(LlamaAdapterKind::v1)));
}

/// Which tensor has a size, and in which of its dimensions.
struct SizeSource {
  std::string name;
  int64_t dimension;
};

std::optional<int64_t> first_size(const LlamaAdapterFile& file, const std::vector<SizeSource>& sources) {
  for (const auto& [name, dimension] : sources) {
    const at::Tensor* tensor = file.find(name);
    if (tensor && tensor->dim() > dimension && tensor->size(dimension) > 0) return tensor->size(dimension);
  }
  return {};
}

}  // namespace

const char* kind_name(LlamaAdapterKind kind) {
  switch (kind) {
    case LlamaAdapterKind::v1:
      return "LLaMA-Adapter V1";
    case LlamaAdapterKind::v2_chat:
      return "LLaMA-Adapter V2 (chat)";
    case LlamaAdapterKind::v2_multimodal:
      return "LLaMA-Adapter V2 (multimodal)";
  }
  return "";
}

const at::Tensor* LlamaAdapterFile::find(const std::string& name) const {
  const auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : &found->second;
}

int64_t LlamaAdapterFile::layers() const {
  constexpr std::string_view kPrefix = "layers.";
  int64_t layers = 0;
  for (const auto& [name, tensor] : tensors) {
    int64_t layer = -1;
    if (name.starts_with(kPrefix))
      std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
    if (layer < kMostLayers) layers = std::max(layers, layer + 1);
  }
  return layers;
}

LlamaAdapterFile read_llama_adapter_file(const std::filesystem::path& path) {
  const TorchValue root = read_torch_file(path);
  LlamaAdapterFile file{.path = path.string()};
  if (!root.is_dict())
    throw CheckpointError(
        fmt::format("{}: holds {}, expected a dict of tensors by name", file.path, root.describe()));
  reject_training_state(root, file.path);
  const TorchValue* model = root.find("model");
  for (const auto& [name, value] : (model ? *model : root).dict()) add_tensor(file, name, value);
  reject_whole_model(file);
  if (file.layers() == 0) {
    throw CheckpointError(
        fmt::format("{}: is no LLaMA-Adapter: none of its keys ({}) is a tensor of a layer, such as {}",
                    file.path, keys_of(model ? *model : root), LayerNames{0}.gate()));
  }
  set_kind(file);
  return file;
}

ShapeOfFile shape_of(const LlamaAdapterFile& file) {
  const LayerNames top{file.layers() - 1};
  const auto bias_sources = [&](Projection site) {
    return std::vector<SizeSource>{
        {top.chat_bias(site), 0}, {top.multimodal_bias(site), 0}, {top.lora_b(site), 0}};
  };
  const auto size_of_output = [&](std::initializer_list<Projection> sites) {
    std::optional<int64_t> size;
    for (const Projection site : sites) {
      if (!size) size = first_size(file, bias_sources(site));
    }
    return size;
  };
  ShapeOfFile shape;
  shape.hidden_size = first_size(file, {{kPromptsName, 1},
                                        {top.norm(NormSite::input), 0},
                                        {top.chat_scale(Projection::q), 0},
                                        {top.lora_a(Projection::q), 1}});
  if (!shape.hidden_size) shape.hidden_size = size_of_output({Projection::o, Projection::down});
  shape.num_attention_heads = first_size(file, {{top.gate(), 1}});
  shape.key_width = size_of_output({Projection::k, Projection::v});
  shape.intermediate_size = size_of_output({Projection::gate, Projection::up});
  if (!shape.intermediate_size)
    shape.intermediate_size =
        first_size(file, {{top.chat_scale(Projection::down), 0}, {top.lora_a(Projection::down), 1}});
  return shape;
}

}  // namespace excitor
