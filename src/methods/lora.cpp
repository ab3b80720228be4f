// LoRA (arXiv 2106.09685): y = W x + (α/r) B A dropout(x), with PEFT's names and settings.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include <excitor/model/llama.h>
#include <excitor/tensor/fused.h>
#include <excitor/util/random.h>

#include "methods.h"

namespace excitor {
namespace {

constexpr std::array kSites = {Projection::q,    Projection::k,  Projection::v,   Projection::o,
                               Projection::gate, Projection::up, Projection::down};

struct LoraSettings {
  int64_t r = 8;
  double lora_alpha = 16;
  double lora_dropout = 0;
  bool use_rslora = false;
  Json target_modules = {"q_proj", "v_proj"};  ///< a list of names, or one string, as PEFT writes it
};

/// One adapted linear.
struct LoraSite {
  at::Tensor a;  // [r,in]
  at::Tensor b;  // [out,r]
  uint64_t stream = 0;
};

class LoraLayer : public LayerBypass {
 public:
  LoraLayer(std::map<Projection, LoraSite> sites, double scale, double dropout)
      : sites_(std::move(sites)), scale_(scale), dropout_(dropout) {}

  at::Tensor project(Projection site, const Linear& frozen, const at::Tensor& x, const Step& step) const override {
    const auto found = sites_.find(site);
    if (found == sites_.end()) return frozen_linear(frozen, x);
    const LoraSite& lora = found->second;
    LoraTerm term{.a = lora.a, .b = lora.b, .scale = scale_};
    if (dropout_ > 0 && step.is_training()) {
      term.mask = [step, stream = lora.stream, p = dropout_, like = x.detach()] { return step.dropout_mask(stream, p, like); };
    }
    return lora_linear(frozen, x, term);
  }

 private:
  std::map<Projection, LoraSite> sites_;
  double scale_;
  double dropout_;
};

/// "q_proj" of "self_attn.q_proj"
std::string leaf_name(Projection site) {
  const std::string name = projection_name(site);
  return name.substr(name.find('.') + 1);
}

class LoraMethod : public Method {
 public:
  std::string_view name() const override { return "lora"; }
  std::string_view peft_type() const override { return "LORA"; }

  void describe(Describer& d) override {
    LoraSettings& s = settings_;
    d.field("r", s.r, "Rank.", kAtLeastOne);
    d.field("lora_alpha", s.lora_alpha, "The change is scaled by lora_alpha / r.", kPositive);
    d.field("lora_dropout", s.lora_dropout, "Share of x that is dropped in front of A while training.",
            Range{.minimum = 0, .maximum = 0.99});
    d.field("use_rslora", s.use_rslora, "Scale by lora_alpha / sqrt(r) (arXiv 2312.03732).");
    d.field("target_modules", s.target_modules,
            "Linears with a bypass, by the end of their name (q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj), or "
            "\"all-linear\".");
  }

  void check(const LlamaConfig&, const std::string& path, Problems& problems) const override {
    const Json& given = settings_.target_modules;
    const bool is_list = given.is_array() && std::all_of(given.begin(), given.end(), [](const Json& t) { return t.is_string(); });
    if (!given.is_string() && !is_list) {
      problems.add(path + ".target_modules", fmt::format("found {}, expected a list of names or \"all-linear\"", describe_value(given)));
      return;
    }
    if (targets().empty()) problems.add(path + ".target_modules", "is empty; name at least one linear");
    for (const std::string& target : targets()) {
      const bool known = target == "all-linear" || std::any_of(kSites.begin(), kSites.end(), [&](Projection site) {
                           return matches(site, target);
                         });
      if (!known) {
        problems.add(path + ".target_modules", fmt::format("the model has no linear \"{}\"; known: q_proj, k_proj, v_proj, o_proj, "
                                                           "gate_proj, up_proj, down_proj, all-linear", target));
      }
    }
  }

  std::vector<ParameterSpec> parameters(const LlamaConfig& model) const override {
    std::vector<ParameterSpec> specs;
    for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
      for (const Projection site : kSites) {
        if (!is_target(site)) continue;
        const auto [out, in] = linear_size(model, site);
        const std::string name = layer_prefix(layer) + projection_name(site);
        specs.push_back({name + ".lora_A.weight", {settings_.r, in}, Init::uniform(1 / std::sqrt(static_cast<double>(in)))});
        specs.push_back({name + ".lora_B.weight", {out, settings_.r}, Init::constant(0)});
      }
    }
    return specs;
  }

  std::unique_ptr<ModelBypass> bypass(const LlamaConfig& model, const ParameterSet& parameters) const override {
    auto bypass = std::make_unique<LayerwiseBypass>(model.num_hidden_layers);
    const double rank = static_cast<double>(settings_.r);
    const double scale = settings_.lora_alpha / (settings_.use_rslora ? std::sqrt(rank) : rank);
    for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
      std::map<Projection, LoraSite> sites;
      for (const Projection site : kSites) {
        if (!is_target(site)) continue;
        const std::string name = layer_prefix(layer) + projection_name(site);
        sites[site] = {parameters.at(name + ".lora_A.weight"), parameters.at(name + ".lora_B.weight"), stream_of(name)};
      }
      bypass->set(layer, std::make_unique<LoraLayer>(std::move(sites), scale, settings_.lora_dropout));
    }
    return bypass;
  }

 private:
  static bool matches(Projection site, const std::string& target) {
    return target == leaf_name(site) || target == projection_name(site);
  }
  std::vector<std::string> targets() const {
    if (settings_.target_modules.is_string()) return {settings_.target_modules.get<std::string>()};
    return settings_.target_modules.get<std::vector<std::string>>();
  }
  bool is_target(Projection site) const {
    const std::vector<std::string> all = targets();
    return std::any_of(all.begin(), all.end(),
                       [&](const std::string& target) { return target == "all-linear" || matches(site, target); });
  }

  LoraSettings settings_;
};

}  // namespace

std::unique_ptr<Method> make_lora() { return std::make_unique<LoraMethod>(); }

}  // namespace excitor
