// PEFT's adapters as ours: the tensors have the same names, so it is the settings and the shapes that are
// checked.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/interchange/peft.h>
#include <excitor/model/llama.h>
#include <excitor/util/error.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// No model has as many; a number beyond is damage.
constexpr int64_t kMostLayers = 10'000;

/// The layer in "base_model.model.model.layers.3.self_attn…", or -1.
int64_t layer_of(const std::string& name) {
  constexpr std::string_view kPrefix = "base_model.model.model.layers.";
  if (!name.starts_with(kPrefix)) return -1;
  int64_t layer = -1;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
  return layer < kMostLayers ? layer : -1;
}

/// What the tensors say about the base: enough to check each of them against the settings when there is no
/// model at hand. Sizes that no tensor has stay LLaMA's defaults, which nothing is compared with then.
class ShapeOfTensors {
 public:
  explicit ShapeOfTensors(const TensorsByName& tensors) : tensors_(tensors) {
    config_.num_hidden_layers = 1;
    for (const auto& [name, tensor] : tensors)
      config_.num_hidden_layers = std::max(config_.num_hidden_layers, layer_of(name) + 1);
    take(config_.hidden_size, {"q_proj.lora_A", "k_proj.lora_A", "v_proj.lora_A", "gate_proj.lora_A",
                               "up_proj.lora_A", "o_proj.lora_B", "down_proj.lora_B", "adaption_prompt"});
    take(config_.intermediate_size, {"gate_proj.lora_B", "up_proj.lora_B", "down_proj.lora_A"});
    set_heads();
  }
  const LlamaConfig& config() const { return config_; }

 private:
  /// The first tensor with one of these endings gives the size that is not its rank.
  bool take(int64_t& size, std::initializer_list<const char*> endings) const {
    for (const char* ending : endings) {
      for (const auto& [name, tensor] : tensors_) {
        const bool is_b = name.ends_with("lora_B.weight");
        if (tensor.dim() < 2 || !(name.ends_with(ending) || name.ends_with(std::string(ending) + ".weight")))
          continue;
        const int64_t found = is_b ? tensor.size(0) : tensor.size(-1);
        if (found == 0) continue;
        size = found;
        return true;
      }
    }
    return false;
  }

  /// Any heads whose widths are those of queries and keys: the number of heads does not show in a LoRA.
  void set_heads() {
    int64_t query_width = config_.hidden_size, key_width = 0;
    take(query_width, {"q_proj.lora_B", "o_proj.lora_A"});
    if (!take(key_width, {"k_proj.lora_B", "v_proj.lora_B"})) key_width = query_width;
    config_.head_dim = key_width;
    config_.num_key_value_heads = 1;
    config_.num_attention_heads = std::max<int64_t>(1, query_width / key_width);
  }

  const TensorsByName& tensors_;
  LlamaConfig config_;
};

}  // namespace

void import_peft(const fs::path& folder, const fs::path& output, const ImportOptions& options) {
  if (options.adapter_len || options.gate_activation || options.visual_heads || !options.vision.empty()) {
    throw UsageError(fmt::format(
        "{}: --adapter-len, --gate-activation, --visual-heads and --vision are for files of LLaMA-Adapter; "
        "a PEFT folder says what it needs itself",
        folder.string()));
  }
  AdapterSettings adapter = read_adapter_method(folder);
  const fs::path file = adapter_tensor_file(folder);
  const TensorsByName tensors = read_adapter_tensors(file);
  const LlamaConfig config = options.base ? options.base->config : ShapeOfTensors(tensors).config();
  Problems problems;
  adapter.method->check(config, "adapter", problems);
  problems.throw_if_any((folder / "adapter_config.json").string());
  const std::string where =
      options.base ? fmt::format("{} beside {}", file.string(), options.base->name) : file.string();
  const ParameterSet parameters = match_parameters(adapter.method->parameters(config), tensors, where);
  if (options.base) adapter.origin.base_model_name_or_path = options.base->name;
  save_adapter(output, *adapter.method, parameters, adapter.origin);
}

}  // namespace excitor
