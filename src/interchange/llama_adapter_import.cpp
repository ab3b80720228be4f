// LLaMA-Adapter's .pth -> an adapter folder of ours. K prompts a layer, N layers with prompts, D hidden
// width, H query heads, r rank.
#include <algorithm>
#include <numeric>
#include <set>

#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/interchange/llama_adapter.h>
#include <excitor/interchange/rotary_layout.h>
#include <excitor/methods/registry.h>
#include <excitor/model/llama.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>

#include "llama_adapter_file.h"
#include "llama_adapter_names.h"
#include "llama_adapter_visual.h"

namespace excitor {
namespace {

constexpr int64_t kReleasedAdapterLen = 10;
constexpr int64_t kReleasedVisualHeads = 16;

void check_against_base(const LlamaAdapterFile& file, const ShapeOfFile& shape, const ImportBase& base) {
  const auto compare = [&](const char* what, std::optional<int64_t> found, int64_t expected) {
    if (!found || *found == expected) return;
    throw CheckpointError(
        fmt::format("{}: was made for a base with {} {}, but {} has {}; give the base that it belongs to",
                    file.path, what, *found, base.name, expected));
  };
  compare("hidden_size", shape.hidden_size, base.config.hidden_size);
  compare("num_hidden_layers", file.layers(), base.config.num_hidden_layers);
  compare("num_attention_heads", shape.num_attention_heads, base.config.query_heads());
  compare("intermediate_size", shape.intermediate_size, base.config.intermediate_size);
  compare("key width", shape.key_width, base.config.key_width());
}

[[noreturn]] void throw_needs_base(const LlamaAdapterFile& file, const std::string& what) {
  throw UsageError(fmt::format("{}: a file of {} does not tell {}; give the folder of its base with --model",
                               file.path, kind_name(file.kind), what));
}

[[noreturn]] void throw_odd_heads(const LlamaAdapterFile& file, const LlamaConfig& config) {
  throw CheckpointError(fmt::format(
      "{}: the gates are of {} heads, which do not divide the hidden width of {}; the file is damaged",
      file.path, config.num_attention_heads, config.hidden_size));
}

/// The base's shape: of --model, else as far as the file tells it, which V1 and the multimodal V2 do.
LlamaConfig base_shape(const LlamaAdapterFile& file, const ImportOptions& options) {
  const ShapeOfFile shape = shape_of(file);
  if (options.base) {
    check_against_base(file, shape, *options.base);
    return options.base->config;
  }
  if (file.kind == LlamaAdapterKind::v2_chat || !shape.num_attention_heads)
    throw_needs_base(file, "the number of heads");
  if (!shape.hidden_size) throw_needs_base(file, "the hidden width");
  LlamaConfig config;
  config.num_hidden_layers = file.layers();
  config.hidden_size = *shape.hidden_size;
  config.num_attention_heads = *shape.num_attention_heads;
  config.intermediate_size = shape.intermediate_size.value_or(config.intermediate_size);
  if (config.hidden_size % config.num_attention_heads != 0) throw_odd_heads(file, config);
  const int64_t key_width = shape.key_width.value_or(config.hidden_size);
  config.num_key_value_heads = std::max<int64_t>(1, key_width / config.head_width());
  return config;
}

/// Turns a file's tensors into ours, one group after the other, and notes the settings on the way.
class Conversion {
 public:
  Conversion(const LlamaAdapterFile& file, const LlamaConfig& config, const ImportOptions& options)
      : file_(file), config_(config), options_(options) {
    for (const auto& [name, tensor] : file.tensors) left_.insert(name);
  }

  void run() {
    convert_visual_side();
    convert_prompts();
    if (file_.kind == LlamaAdapterKind::v1) {
      settings_.erase("new_gate");
    } else {
      convert_linears();
      convert_norms();
    }
    check_nothing_left();
  }
  const Json& settings() const { return settings_; }
  bool sees_images() const { return queries_.has_value(); }
  const TensorsByName& tensors() const { return ours_; }

 private:
  bool has(const std::string& name) const { return file_.find(name) != nullptr; }

  at::Tensor take(const std::string& name) {
    const at::Tensor* tensor = file_.find(name);
    if (!tensor) {
      throw CheckpointError(fmt::format(
          "{}: {} is missing, so the file is incomplete; copy it again from its source", file_.path, name));
    }
    left_.erase(name);
    return *tensor;
  }

  /// Whether any layer has the tensor that `name_of` names.
  template <class NameOf>
  bool any_layer(const NameOf& name_of) const {
    for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
      if (has(name_of(LayerNames{layer}))) return true;
    }
    return false;
  }

  /// Rows as Hugging Face orders them.
  at::Tensor our_rows(const at::Tensor& rows, Projection site) const {
    const int64_t heads = rotated_heads(config_, site);
    const bool fits = heads > 0 && rows.dim() > 0 && rows.size(0) % (2 * heads) == 0;
    return fits ? rotary_rows_to_hugging_face(rows, heads) : rows;  // what does not fit is found by its shape
  }

  void convert_visual_side() {
    const auto side = read_visual_side(file_, options_.visual_heads.value_or(kReleasedVisualHeads));
    if (!side) return check_no_visual_options();
    queries_ = side->queries;
    settings_.update(side->settings);
    ours_ = side->tensors;
  }

  void convert_prompts() {
    if (!has(kPromptsName)) {
      check_no_prompt_options();
      settings_["adapter_len"] = 0;
      for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) forget_gates(layer);
      return;
    }
    const at::Tensor rows = take(kPromptsName);  // [K·N,D]
    const int64_t length = options_.adapter_len.value_or(queries_.value_or(kReleasedAdapterLen));
    const int64_t layers = prompt_layers(rows, length);
    const bool new_gate = any_layer([](const LayerNames& names) { return names.new_gate(); });
    settings_.update({{"adapter_len", length}, {"adapter_layers", layers}, {"new_gate", new_gate}});
    settings_["gate"] = "per_head";
    settings_["gate_activation"] = options_.gate_activation.value_or("tanh");
    const int64_t first = config_.num_hidden_layers - layers;
    if (sees_images()) settings_["visual_layers"] = numbers_from(first, config_.num_hidden_layers);
    for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
      if (layer < first) {
        forget_gates(layer);
        continue;
      }
      const std::string ours = layer_prefix(layer) + "self_attn.";
      ours_[ours + "adaption_prompt"] = rows.narrow(0, (layer - first) * length, length).unsqueeze(0);
      ours_[ours + "adaption_gate"] = take(LayerNames{layer}.gate()).flatten();
      if (new_gate) ours_[ours + "adaption_new_gate"] = take(LayerNames{layer}.new_gate()).flatten();
    }
  }

  void check_no_prompt_options() const {
    if (!options_.adapter_len && !options_.gate_activation) return;
    throw UsageError(
        fmt::format("{}: this file of {} has no prompts, so leave --adapter-len and --gate-activation out",
                    file_.path, kind_name(file_.kind)));
  }

  void check_no_visual_options() const {
    if (!options_.visual_heads && options_.vision.empty()) return;
    throw UsageError(
        fmt::format("{}: this file of {} has no visual side, so leave --visual-heads and --vision out",
                    file_.path, kind_name(file_.kind)));
  }

  /// Gates of layers without prompts multiply nothing.
  void forget_gates(int64_t layer) {
    left_.erase(LayerNames{layer}.gate());
    left_.erase(LayerNames{layer}.new_gate());
  }

  static std::vector<int64_t> numbers_from(int64_t first, int64_t end) {
    std::vector<int64_t> numbers(end - first);
    std::iota(numbers.begin(), numbers.end(), first);
    return numbers;
  }

  int64_t prompt_layers(const at::Tensor& rows, int64_t length) const {
    if (rows.dim() != 2 || rows.size(0) == 0)
      throw CheckpointError(fmt::format("{}: {} has shape [{}], expected [prompts, hidden width]", file_.path,
                                        kPromptsName, fmt::join(rows.sizes(), ", ")));
    const int64_t layers = rows.size(0) / length;
    if (rows.size(0) % length == 0 && layers <= config_.num_hidden_layers) return layers;
    throw UsageError(fmt::format(
        "{}: {} has {} rows, which are not {} prompts (--adapter-len) in each of at most {} layers; give "
        "--adapter-len N, the number of prompts a layer that it was trained with",
        file_.path, kPromptsName, rows.size(0), length, config_.num_hidden_layers));
  }

  void convert_linears() {
    std::vector<std::string> scales, biases;
    for (const Projection site : kProjectionSites) {
      if (convert_scale(site)) scales.push_back(leaf_name(site));
      if (convert_bias(site)) biases.push_back(leaf_name(site));
    }
    settings_["scale_position"] = scales.empty() ? "output" : "input";
    settings_["scale_target_modules"] = scales;
    settings_["bias_target_modules"] = biases;
    settings_["prompt_projection"] = file_.kind == LlamaAdapterKind::v2_multimodal ? "frozen" : "tuned";
    convert_lora();
  }

  template <class NameOf, class Convert>
  bool convert_group(Projection site, const char* ending, const NameOf& name_of, const Convert& convert) {
    if (!any_layer(name_of)) return false;
    for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer)
      ours_[layer_prefix(layer) + projection_name(site) + ending] = convert(take(name_of(LayerNames{layer})));
    return true;
  }

  bool convert_scale(Projection site) {
    return convert_group(
        site, ".adapter_scale", [&](const LayerNames& names) { return names.chat_scale(site); },
        [](const at::Tensor& scale) { return scale; });
  }

  bool convert_bias(Projection site) {
    const auto rows = [&](const at::Tensor& bias) { return our_rows(bias, site); };
    return convert_group(
               site, ".adapter_bias", [&](const LayerNames& names) { return names.chat_bias(site); }, rows) ||
           convert_group(
               site, ".adapter_bias", [&](const LayerNames& names) { return names.multimodal_bias(site); },
               rows);
  }

  /// LoRA has no alpha there: a scale of one. Linears that the file leaves out start as the original's: zero.
  void convert_lora() {
    const at::Tensor* first = nullptr;
    for (const auto& [name, tensor] : file_.tensors) {
      if (name.ends_with("_l1.weight")) first = &tensor;
    }
    if (!first) return;
    const int64_t rank = first->dim() == 2 ? first->size(0) : 1;  // a wrong shape is found later
    settings_["lora_r"] = rank;
    settings_["lora_alpha"] = static_cast<double>(rank);
    for (const Projection site : kProjectionSites) {
      const bool has_a = convert_group(
          site, ".lora_A.weight", [&](const LayerNames& names) { return names.lora_a(site); },
          [](const at::Tensor& a) { return a; });
      const bool has_b = convert_group(
          site, ".lora_B.weight", [&](const LayerNames& names) { return names.lora_b(site); },
          [&](const at::Tensor& b) { return our_rows(b, site); });
      if (!has_a && !has_b) add_zero_lora(site, rank);
    }
  }

  void add_zero_lora(Projection site, int64_t rank) {
    const auto [out, in] = linear_size(config_, site);
    for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
      const std::string name = layer_prefix(layer) + projection_name(site);
      ours_[name + ".lora_A.weight"] = at::zeros({rank, in});
      ours_[name + ".lora_B.weight"] = at::zeros({out, rank});
    }
  }

  void convert_norms() {
    const bool trained =
        any_layer([](const LayerNames& names) { return names.norm(NormSite::input); }) || has(kFinalNormName);
    settings_["train_norms"] = trained;
    if (!trained) return;
    for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
      for (const NormSite site : kNormSites)
        ours_[layer_prefix(layer) + norm_name(site) + ".weight"] = take(LayerNames{layer}.norm(site));
    }
    ours_["base_model.model.model.norm.weight"] = final_norm();
  }

  /// The released chat model leaves the last norm out, which is the base's then.
  at::Tensor final_norm() {
    if (has(kFinalNormName)) return take(kFinalNormName);
    if (!options_.base) throw_needs_base(file_, "the last norm (norm.weight)");
    return options_.base->weight("model.norm.weight");
  }

  void check_nothing_left() const {
    if (left_.empty()) return;
    throw CheckpointError(fmt::format(
        "{}: {} tensors have no place in {}, e.g. {}; is it a file of another program or version?",
        file_.path, left_.size(), kind_name(file_.kind), *left_.begin()));
  }

  const LlamaAdapterFile& file_;
  const LlamaConfig& config_;
  const ImportOptions& options_;
  std::optional<int64_t> queries_;  ///< of the visual side, where there is one
  std::set<std::string> left_;      ///< names of tensors that no group has taken
  Json settings_ = Json::object();
  TensorsByName ours_;
};

std::unique_ptr<Method> make_method_with(const char* name, const Json& settings, const LlamaConfig& config,
                                         const std::string& where) {
  auto method = make_method(name);
  Problems problems;
  read_settings(
      settings, [&](Describer& d) { method->describe(d); }, {}, problems);
  if (problems.empty()) method->check(config, "adapter", problems);
  problems.throw_if_any(where);
  return method;
}

}  // namespace

/// Notes what the visual side looks through, in the channel order that the original shows images in.
void record_vision(const std::filesystem::path& output, const ImportOptions& options,
                   LoadedAdapter& adapter) {
  adapter.origin.vision = VisionOrigin{.image_channels = ChannelOrder::bgr};
  if (options.vision.empty()) return;
  const std::string& instruction = adapter.origin.vision->caption_instruction;
  const ImageEncoder encoder = open_adapter_encoder(adapter, output, {.folder = options.vision});
  adapter.origin.vision = record_of(encoder, options.vision, instruction);
}

void import_llama_adapter(const std::filesystem::path& path, const std::filesystem::path& output,
                          const ImportOptions& options) {
  const LlamaAdapterFile file = read_llama_adapter_file(path);
  const LlamaConfig config = base_shape(file, options);
  Conversion conversion(file, config, options);
  conversion.run();
  const bool v1 = file.kind == LlamaAdapterKind::v1;
  LoadedAdapter adapter{
      .method = make_method_with(v1 ? "adapter" : "adapter_v2", conversion.settings(), config, file.path),
      .parameters = {},
      // The released chat model has a template of its own, which is none of ours.
      .origin = {.base_model_name_or_path = options.base ? options.base->name : "",
                 .prompt_template = file.kind == LlamaAdapterKind::v2_chat ? "" : "alpaca"}};
  adapter.parameters = match_parameters(adapter.method->parameters(config), conversion.tensors(), file.path);
  if (conversion.sees_images()) record_vision(output, options, adapter);
  save_adapter(output, *adapter.method, adapter.parameters, adapter.origin);
}

}  // namespace excitor
