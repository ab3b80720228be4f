// A LoRA under llama.cpp's names. r rank.
#include <algorithm>

#include <ATen/ops/mul.h>
#include <fmt/format.h>

#include <excitor/interchange/adapter_terms.h>
#include <excitor/interchange/gguf.h>
#include <excitor/interchange/rotary_layout.h>
#include <excitor/util/error.h>

#include "refusals.h"

namespace excitor {
namespace {

constexpr uint32_t kAllF32 = 0;  // general.file_type

struct LoraSite {
  int64_t layer;
  Projection site;
  LinearTerms terms;
  int64_t rank() const { return terms.lora_a.size(0); }
  /// The alpha that llama.cpp divides by this tensor's rank.
  double alpha() const { return terms.lora_scale * static_cast<double>(rank()); }
};

std::vector<LoraSite> lora_sites(const AdapterTerms& terms, const LlamaConfig& model) {
  std::vector<LoraSite> sites;
  for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
    for (int i = 0; i < kProjections; ++i) {
      const auto site = static_cast<Projection>(i);
      if (LinearTerms found = terms.linear(layer, site); found.has_lora())
        sites.push_back({layer, site, std::move(found)});
    }
  }
  return sites;
}

/// The alpha of all modules, or 0, which llama.cpp reads as "no scale", where they differ (rank and alpha
/// patterns).
float common_alpha(const std::vector<LoraSite>& sites) {
  const double first = sites.front().alpha();
  const bool same = std::all_of(sites.begin(), sites.end(), [&](const LoraSite& s) {
    return static_cast<float>(s.alpha()) == static_cast<float>(first);
  });
  return same ? static_cast<float>(first) : 0.0F;
}

void add_tensors(std::vector<NamedTensor>& tensors, const LoraSite& lora, const LlamaConfig& model,
                 bool fold_scale) {
  const std::string name = gguf_weight_name(lora.layer, lora.site);
  at::Tensor b = lora.terms.lora_b;  // [out,r]
  if (fold_scale) b = at::mul(b, lora.terms.lora_scale);
  if (const int64_t heads = rotated_heads(model, lora.site)) b = rotary_rows_to_meta(b, heads);
  tensors.push_back({name + ".lora_a", lora.terms.lora_a});
  tensors.push_back({name + ".lora_b", b});
}

}  // namespace

std::string gguf_weight_name(int64_t layer, Projection site) {
  constexpr const char* kNames[kProjections] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                                "ffn_gate", "ffn_up", "ffn_down"};
  return fmt::format("blk.{}.{}.weight", layer, kNames[static_cast<int>(site)]);
}

void export_gguf(const std::filesystem::path& file, const LoadedAdapter& adapter, const LlamaConfig& model) {
  const AdapterTerms terms(adapter);
  require_lora_alone(terms, "gguf: llama.cpp's adapter files hold LoRA alone");
  const std::vector<LoraSite> sites = lora_sites(terms, model);
  const float alpha = common_alpha(sites);
  std::vector<NamedTensor> tensors;
  for (const LoraSite& lora : sites) add_tensors(tensors, lora, model, alpha == 0);
  write_gguf(file,
             {{"general.architecture", "llama"},
              {"general.type", "adapter"},
              {"general.file_type", kAllF32},
              {"adapter.type", "lora"},
              {"adapter.lora.alpha", alpha}},
             tensors);
}

}  // namespace excitor
