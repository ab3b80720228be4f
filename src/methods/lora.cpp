// LoRA (arXiv 2106.09685): y = W x + (α/r) B A dropout(x), with PEFT's names and settings.
#include <cmath>
#include <map>

#include <fmt/format.h>

#include <excitor/methods/target_modules.h>
#include <excitor/model/llama.h>
#include <excitor/tensor/fused.h>
#include <excitor/util/log.h>
#include <excitor/util/random.h>

#include "methods.h"
#include "peft_lora_config.h"

namespace excitor {
namespace {

struct LoraSettings {
  int64_t r = 8;
  double lora_alpha = 16;
  double lora_dropout = 0;
  bool use_rslora = false;
  TargetSettings targets;
  Json rank_pattern = Json::object();
  Json alpha_pattern = Json::object();
};

/// One adapted linear.
struct LoraSite {
  at::Tensor a;  // [r,in]
  at::Tensor b;  // [out,r]
  double scale = 1;
  uint64_t stream = 0;
};

class LoraLayer : public LayerBypass {
 public:
  LoraLayer(std::map<Projection, LoraSite> sites, double dropout)
      : sites_(std::move(sites)), dropout_(dropout) {}

  at::Tensor project(Projection site, const Linear& frozen, const at::Tensor& x,
                     const Step& step) const override {
    const auto found = sites_.find(site);
    if (found == sites_.end()) return frozen_linear(frozen, x);
    const LoraSite& lora = found->second;
    LoraTerm term{.a = lora.a, .b = lora.b, .scale = lora.scale};
    if (drops(step)) {
      term.mask = [step, stream = lora.stream, p = dropout_, like = x.detach()] {
        return step.dropout_mask(stream, p, like);
      };
    }
    return lora_linear(frozen, x, term);
  }

  std::vector<at::Tensor> project_all(std::span<const Projection> sites, const LayerWeights& weights,
                                      const at::Tensor& x, const Step& step) const override {
    if (drops(step)) return LayerBypass::project_all(sites, weights, x, step);
    std::vector<LinearSite> joint;
    for (const Projection site : sites) {
      joint.push_back({.linear = weights.linear(site)});
      if (const auto found = sites_.find(site); found != sites_.end())
        joint.back().term = {.a = found->second.a, .b = found->second.b, .scale = found->second.scale};
    }
    return joint_linears(joint, x);
  }

 private:
  bool drops(const Step& step) const { return dropout_ > 0 && step.is_training(); }

  std::map<Projection, LoraSite> sites_;
  double dropout_;
};

class LoraMethod : public Method {
 public:
  std::string_view name() const override { return "lora"; }
  std::string_view peft_type() const override { return "LORA"; }

  void describe(Describer& d) override {
    LoraSettings& s = settings_;
    d.field("r", s.r, "Rank.", kAtLeastOne);
    d.field("lora_alpha", s.lora_alpha, "The change is scaled by lora_alpha / r.", alpha_range());
    d.field("lora_dropout", s.lora_dropout, "Share of x that is dropped in front of A while training.",
            Range{.minimum = 0, .maximum = 0.99});
    d.field("use_rslora", s.use_rslora, "Scale by lora_alpha / sqrt(r) (arXiv 2312.03732).");
    s.targets.describe(d);
    d.field("rank_pattern", s.rank_pattern,
            "Ranks of some linears in the place of r: a regular expression for the end of a linear's name -> "
            "rank.");
    d.field("alpha_pattern", s.alpha_pattern, "The same for lora_alpha.");
  }

  void check(const LlamaConfig& model, const std::string& path, Problems& problems) const override {
    const TargetModules targets(settings_.targets, path, problems);
    const ModulePattern ranks(settings_.rank_pattern, kPositive, path + ".rank_pattern", problems);
    const ModulePattern alphas(settings_.alpha_pattern, alpha_range(), path + ".alpha_pattern", problems);
    for (const auto& [key, rank] : settings_.rank_pattern.items()) {
      if (rank.is_number() && !rank.is_number_integer())
        problems.add(path + ".rank_pattern." + key, "a rank is a whole number; found " + rank.dump());
    }
    if (!problems.empty()) return;
    Problems unmatched;
    targets.check_names(model, path, unmatched);
    ranks.check(model, path + ".rank_pattern", unmatched);
    alphas.check(model, path + ".alpha_pattern", unmatched);
    if (is_adapters_)
      warn(unmatched);
    else
      problems.append(unmatched);
    if (problems.empty()) targets.check_choice(model, path, problems);
  }

  void read_adapter_config(Json& config, Problems& problems) override {
    is_adapters_ = true;
    read_peft_lora_config(config, problems);
  }

  std::vector<ParameterSpec> parameters(const LlamaConfig& model) const override {
    std::vector<ParameterSpec> specs;
    const TargetModules chosen = targets();
    const ModulePattern ranks = pattern(settings_.rank_pattern);
    for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
      for (const Projection site : kAllProjections) {
        if (!chosen.contains(layer, site)) continue;
        const auto [out, in] = linear_size(model, site);
        const std::string name = layer_prefix(layer) + projection_name(site);
        const int64_t rank = rank_of(ranks, layer, site);
        specs.push_back(
            {name + ".lora_A.weight", {rank, in}, Init::uniform(1 / std::sqrt(static_cast<double>(in)))});
        specs.push_back({name + ".lora_B.weight", {out, rank}, Init::constant(0)});
      }
    }
    return specs;
  }

  std::unique_ptr<ModelBypass> bypass(const LlamaConfig& model,
                                      const ParameterSet& parameters) const override {
    auto bypass = std::make_unique<LayerwiseBypass>(model.num_hidden_layers);
    const TargetModules chosen = targets();
    const ModulePattern ranks = pattern(settings_.rank_pattern), alphas = pattern(settings_.alpha_pattern);
    for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
      std::map<Projection, LoraSite> sites;
      for (const Projection site : kAllProjections) {
        if (!chosen.contains(layer, site)) continue;
        const std::string name = layer_prefix(layer) + projection_name(site);
        const double rank = static_cast<double>(rank_of(ranks, layer, site));
        const double alpha = alphas.find(layer, site).value_or(settings_.lora_alpha);
        sites[site] = {parameters.at(name + ".lora_A.weight"), parameters.at(name + ".lora_B.weight"),
                       alpha / (settings_.use_rslora ? std::sqrt(rank) : rank), stream_of(name)};
      }
      bypass->set(layer, std::make_unique<LoraLayer>(std::move(sites), settings_.lora_dropout));
    }
    return bypass;
  }

 private:
  TargetModules targets() const {
    Problems checked_before;
    return TargetModules(settings_.targets, "", checked_before);
  }
  static ModulePattern pattern(const Json& given) {
    Problems checked_before;
    return ModulePattern(given, Range{}, "", checked_before);
  }
  int64_t rank_of(const ModulePattern& ranks, int64_t layer, Projection site) const {
    return static_cast<int64_t>(ranks.find(layer, site).value_or(static_cast<double>(settings_.r)));
  }

  /// PEFT computes with any number, but one that is not above 0 in a configuration is a slip.
  Range alpha_range() const { return is_adapters_ ? Range{} : kPositive; }
  static void warn(const Problems& unmatched) {
    for (const std::string& line : unmatched.lines()) log::warning(line + "; it is passed over, as in PEFT");
  }

  LoraSettings settings_;
  /// The settings are those of an adapter that was read, which are taken as PEFT takes them, and not what
  /// someone has written for a run.
  bool is_adapters_ = false;
};

}  // namespace

std::unique_ptr<Method> make_lora() {
  return std::make_unique<LoraMethod>();
}

}  // namespace excitor
