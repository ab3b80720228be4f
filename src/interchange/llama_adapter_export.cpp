// Ours -> LLaMA-Adapter's .pth. K prompts a layer, D hidden width, H query heads.
#include <algorithm>

#include <ATen/ops/atanh.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/interchange/adapter_terms.h>
#include <excitor/interchange/llama_adapter.h>
#include <excitor/interchange/rotary_layout.h>
#include <excitor/model/llama.h>
#include <excitor/tensor/torch_file.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>

#include "llama_adapter_names.h"

namespace excitor {
namespace {

[[noreturn]] void refuse(const std::string& reason) {
  throw UsageError("export --format llama-adapter: " + reason);
}

/// The gate [H] or [1] as the original stores it: before tanh. A gate that goes through nothing here is the
/// tanh of what is stored, if there is such a number.
at::Tensor gate_before_tanh(const AdapterTerms& terms, int64_t layer) {
  const at::Tensor gate = terms.prompts(layer).gate;
  if (terms.gate_activation() == "tanh") return gate;
  const float largest = gate.abs().max().item<float>();
  if (!(largest < 1)) {
    refuse(fmt::format(
        "a gate of layer {} is {} in size; the original's gates go through tanh and stay below 1, and these "
        "(gate_activation none) do not; export --format peft keeps them as they are",
        layer, largest));
  }
  return at::atanh(gate.to(at::kDouble)).to(at::kFloat);
}

/// Writes one layout: a dict by Meta's names, each with the layout's prefix.
class Writer {
 public:
  Writer(const LoadedAdapter& adapter, const ExportBase& base, std::string prefix)
      : adapter_(adapter), terms_(adapter), base_(base), prefix_(std::move(prefix)) {}

  const AdapterTerms& terms() const { return terms_; }
  TorchValue::Dict take() { return std::move(dict_); }

  /// adapter_query [K·N,D] of all layers, and gates [1,H,1,1]: zero below the layers with prompts, in half
  /// precision, as the released file has them. (A new_gate there is the one that it started with.)
  void add_prompts() {
    std::vector<at::Tensor> prompts;
    for (int64_t layer = 0; layer < layers(); ++layer) {
      if (const at::Tensor prompt = terms_.prompts(layer).prompt; prompt.defined()) prompts.push_back(prompt);
    }
    dict_.emplace_back(kPromptsName, at::cat(prompts, 0));
    for (int64_t layer = 0; layer < layers(); ++layer) add_gates(layer);
  }

  /// Under the same names as ours, without the prefix of the language model.
  void add_visual_side() {
    for (const auto& [name, tensor] : adapter_.parameters.entries()) {
      if (!name.starts_with(kVisualPrefix)) continue;
      const std::string original = name.substr(kVisualPrefix.size());
      if (is_visual_name(original)) dict_.emplace_back(original, tensor.detach().contiguous());
    }
  }

  /// Scale and bias of every linear; one that the adapter does not have is the neutral one.
  void add_chat_linears() {
    for_each_linear([&](int64_t layer, Projection site, const LinearTerms& linear) {
      const auto [out, in] = linear_size(base_.config, site);
      add(LayerNames{layer}.chat_scale(site),
          linear.input_scale.defined() ? linear.input_scale : at::ones({in}));
      add(LayerNames{layer}.chat_bias(site),
          linear.bias.defined() ? meta_rows(linear.bias, site) : at::zeros({out}));
    });
  }

  void add_multimodal_linears() {
    for_each_linear([&](int64_t layer, Projection site, const LinearTerms& linear) {
      const LayerNames names{layer};
      if (linear.bias.defined()) add(names.multimodal_bias(site), meta_rows(linear.bias, site));
      if (!linear.has_lora()) return;
      add(names.lora_a(site), linear.lora_a);
      add(names.lora_b(site), meta_rows(at::mul(linear.lora_b, linear.lora_scale), site));
    });
  }

  /// All norms, the last one included: the adapter's, else the base's.
  void add_norms() {
    for (int64_t layer = 0; layer < layers(); ++layer) {
      for (const NormSite site : kNormSites)
        add(LayerNames{layer}.norm(site),
            norm(fmt::format("model.layers.{}.{}.weight", layer, norm_name(site))));
    }
    add(kFinalNormName, norm("model.norm.weight"));
  }

 private:
  int64_t layers() const { return base_.config.num_hidden_layers; }
  void add(const std::string& name, const at::Tensor& tensor) {
    dict_.emplace_back(prefix_ + name, tensor.contiguous());
  }

  void add_gates(int64_t layer) {
    const int64_t heads = base_.config.query_heads();
    const PromptTerms prompt = terms_.prompts(layer);
    add(LayerNames{layer}.gate(),
        prompt.prompt.defined()
            ? gate_before_tanh(terms_, layer).expand({heads}).contiguous().view({1, heads, 1, 1})
            : at::zeros({1, heads, 1, 1}, at::kHalf));
    if (terms_.settings().value("new_gate", false)) {
      const at::Tensor factor = prompt.new_gate.defined() ? prompt.new_gate : at::ones({1});
      add(LayerNames{layer}.new_gate(), factor.view({1, 1, 1, 1}));
    }
  }

  template <class Visit>
  void for_each_linear(const Visit& visit) {
    for (int64_t layer = 0; layer < layers(); ++layer) {
      for (const Projection site : kProjectionSites) visit(layer, site, terms_.linear(layer, site));
    }
  }

  at::Tensor meta_rows(const at::Tensor& rows, Projection site) const {
    const int64_t heads = rotated_heads(base_.config, site);
    return heads > 0 ? rotary_rows_to_meta(rows, heads) : rows;
  }

  at::Tensor norm(const std::string& name) const {
    const at::Tensor trained = terms_.replaced(name);
    return trained.defined() ? trained : base_.weight(name).to(at::kFloat);
  }

  const LoadedAdapter& adapter_;
  AdapterTerms terms_;
  const ExportBase& base_;
  std::string prefix_;
  TorchValue::Dict dict_;
};

bool has_terms(const AdapterTerms& terms, const LlamaConfig& model, Projection site,
               at::Tensor LinearTerms::*part) {
  for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
    if ((terms.linear(layer, site).*part).defined()) return true;
  }
  return false;
}

bool any_has(const AdapterTerms& terms, const LlamaConfig& model, at::Tensor LinearTerms::*part) {
  for (const Projection site : kProjectionSites) {
    if (has_terms(terms, model, site, part)) return true;
  }
  return false;
}

void check_fits_chat(const AdapterTerms& terms, const LlamaConfig& model) {
  if (terms.has("LoRA"))
    refuse("the layout of V2 without prompts (chat) has no LoRA; merge the adapter with --format hf");
  if (any_has(terms, model, &LinearTerms::output_scale)) {
    refuse(
        "the original's scales stand on the input side of a linear, W(s x) + b, these on its output, "
        "s(W x + b), which it can't express; train with method.scale_position=input, or merge with --format "
        "hf");
  }
}

void check_fits_multimodal(const AdapterTerms& terms, const LlamaConfig& model) {
  if (terms.has("scales")) {
    refuse(
        "the layout of V2 with prompts (multimodal) has no scales; train with "
        "method.scale_target_modules=[] or without prompts");
  }
  for (const Projection site : {Projection::k, Projection::v}) {
    if (has_terms(terms, model, site, &LinearTerms::bias)) {
      refuse(fmt::format(
          "the layout of V2 with prompts (multimodal) has no bias on {}; train with "
          "method.bias_target_modules=[\"q_proj\", \"o_proj\", \"gate_proj\", \"up_proj\", \"down_proj\"]",
          leaf_name(site)));
    }
    if (terms.settings()["prompt_projection"] == "tuned" &&
        has_terms(terms, model, site, &LinearTerms::lora_a)) {
      refuse(fmt::format(
          "the original projects prompts with the frozen {} alone, this adapter with its LoRA as well; train "
          "with method.prompt_projection=frozen",
          leaf_name(site)));
    }
  }
}

/// In the original the top layers have prompts, and all of them see the image.
void check_fits_visual_side(const AdapterTerms& terms, const LlamaConfig& model) {
  if (!terms.has("visual side")) return;
  const auto shown = terms.settings()["visual_layers"].get<std::vector<int64_t>>();
  constexpr const char* kHow =
      "the layout of V2 with prompts (multimodal) adds an image to the prompts of every layer that has some, "
      "which are the top ones, and in this adapter layer {} has {}; train with method.visual_layers being "
      "the "
      "top method.adapter_layers";
  bool began = false;  // the layers with prompts
  for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
    const bool has_prompts = terms.prompts(layer).prompt.defined();
    const bool shows_image = std::ranges::find(shown, layer) != shown.end();
    if (has_prompts && !shows_image) refuse(fmt::format(kHow, layer, "prompts that see no image"));
    if (began && !has_prompts) refuse(fmt::format(kHow, layer, "no prompts, though a lower one has"));
    began = has_prompts;
  }
}

TorchValue v1_file(const LoadedAdapter& adapter, const ExportBase& base) {
  Writer writer(adapter, base, "");
  if (writer.terms().has("visual side")) {
    refuse(
        "the original's file of V1 has no place for a visual side; train method.type=adapter_v2 for the "
        "multimodal layout");
  }
  writer.add_prompts();
  return writer.take();
}

TorchValue chat_file(const LoadedAdapter& adapter, const ExportBase& base) {
  Writer writer(adapter, base, "");
  check_fits_chat(writer.terms(), base.config);
  writer.add_chat_linears();
  writer.add_norms();
  return TorchValue::Dict{{"model", writer.take()}};
}

TorchValue multimodal_file(const LoadedAdapter& adapter, const ExportBase& base) {
  constexpr int64_t kReleasedRank = 16;
  Writer writer(adapter, base, "llama.");
  const AdapterTerms& terms = writer.terms();
  check_fits_multimodal(terms, base.config);
  check_fits_visual_side(terms, base.config);
  writer.add_visual_side();
  writer.add_prompts();
  writer.add_multimodal_linears();
  if (terms.has("norms")) writer.add_norms();
  const Json& settings = terms.settings();
  const bool lora = terms.has("LoRA");
  // The original makes new_gate and LoRA together, and lets either be absent from a file.
  const TorchValue::Dict config{{"w_bias", terms.has("biases")},
                                {"w_lora", lora || settings["new_gate"] == true},
                                {"lora_rank", lora ? settings["lora_r"].get<int64_t>() : kReleasedRank}};
  return TorchValue::Dict{{"model", writer.take()}, {"config", config}};
}

/// What a file alone does not tell the one who uses it with the original's code.
void say_what_to_know(const AdapterTerms& terms) {
  if (!terms.has("prompts")) return;
  if (terms.gate_activation() != "tanh")
    log::info("gates are stored as atanh(gate), since the original multiplies by tanh of what is stored");
  if (terms.method() == "adapter_v2" && !terms.has("visual side")) {
    log::warning(
        "the file holds the text side alone. The original adds what its visual side makes of an image to "
        "every "
        "prompt, and starts a visual side that is not in the file at random: set its visual_proj_norm.weight "
        "and .bias to zero for text alone, or add the visual tensors that the prompts were trained with");
  }
}

}  // namespace

void export_llama_adapter(const std::filesystem::path& file, const LoadedAdapter& adapter,
                          const ExportBase& base) {
  const AdapterTerms terms(adapter);
  const bool v1 = terms.method() == "adapter";
  if (!v1 && terms.method() != "adapter_v2") {
    refuse(fmt::format("these files hold LLaMA-Adapter V1 and V2, not method {}{}", terms.method(),
                       terms.method() == "lora" ? "; export --format peft, gguf or hf" : ""));
  }
  write_torch_file(file, v1                     ? v1_file(adapter, base)
                         : terms.has("prompts") ? multimodal_file(adapter, base)
                                                : chat_file(adapter, base));
  say_what_to_know(terms);
}

}  // namespace excitor
