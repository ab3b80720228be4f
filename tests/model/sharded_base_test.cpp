#include <excitor/model/sharded_base.h>

#include <algorithm>
#include <map>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/methods/registry.h>
#include <excitor/tensor/autograd.h>
#include <excitor/tensor/dtype.h>
#include <excitor/tensor/fused.h>
#include <excitor/tensor/safetensors.h>
#include <excitor/util/files.h>

#include "model/thread_group.h"
#include "model/tiny_llama.h"
#include "util/temporary_folder.h"

namespace excitor {
namespace {

/// A model's folder of random weights, stored in `type`.
class Folder {
 public:
  Folder(const LlamaConfig& config, at::ScalarType type) {
    const Llama model = test::tiny_llama(config, at::kFloat).model;
    std::vector<NamedTensor> tensors;
    for (const auto& [name, shape] : weight_shapes(config)) {
      at::Tensor values = base_weight(model, name).to(type);
      if (name.ends_with(".bias")) values = at::randn_like(values);
      tensors.push_back({name, values});
    }
    write_file_atomically(folder_ / "config.json", write_llama_config(config, dtype_name(type)).dump());
    write_safetensors(folder_ / "model.safetensors", tensors);
  }
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

BaseShare share_of(Communicator& member) {
  return {.rank = member.rank(), .processes = member.size(), .communicator = [&member]() -> Communicator& {
            return member;
          }};
}

const std::map<std::string, std::string>& settings_of_methods() {
  static const std::map<std::string, std::string> kAll = {
      {"excitor", R"({"adapter_len": 3, "adapter_layers": 2, "r": 2})"},
      {"adapter", R"({"adapter_len": 3, "adapter_layers": 1})"},
      {"adapter_v2", R"({"adapter_len": 3, "adapter_layers": 2, "lora_r": 2})"},
      {"lora", R"({"r": 2, "target_modules": ["q_proj", "down_proj"], "lora_dropout": 0.1})"}};
  return kAll;
}

/// A method's parameters, away from their start, and its bypass on one model.
struct Adapted {
  Adapted(const Llama& model, const std::string& name) : method(make_method(name)) {
    Problems problems;
    read_settings(
        Json::parse(settings_of_methods().at(name)), [&](Describer& d) { method->describe(d); }, {},
        problems);
    problems.throw_if_any(name);
    parameters = initialise(method->parameters(model.config()), 3, at::TensorOptions(at::kFloat),
                            [&](const std::string& weight) { return base_weight(model, weight); });
    const at::NoGradGuard no_grad;
    double shift = 0.05;
    for (const auto& entry : parameters.entries()) entry.tensor.detach().add_(shift = -shift);
    bypass = method->bypass(model.config(), parameters);
  }

  std::unique_ptr<Method> method;
  ParameterSet parameters;
  std::unique_ptr<ModelBypass> bypass;
};

/// Sequences of the given lengths; the same for the same lengths.
TokenBatch batch_of(const std::vector<int64_t>& lengths) {
  TokenBatch batch{.ids = {}, .segments = Segments(lengths)};
  batch.ids = at::arange(batch.segments.tokens(), at::kLong).mul(7).add(lengths.size()).remainder(23);
  return batch;
}

at::Tensor loss(const Llama& model, const Adapted& adapted, const TokenBatch& batch, bool recompute) {
  const at::Tensor rows = at::tensor({1, 2, 4}, at::kLong), targets = at::tensor({3, 1, 4}, at::kLong);
  StepNoise noise{.key = 5, .segment_keys = std::vector<uint64_t>(batch.segments.count(), 2)};
  const at::Tensor hidden = model.hidden(
      batch, {.bypass = adapted.bypass.get(), .rows = rows, .noise = noise, .recompute_layers = recompute});
  return cross_entropy(hidden, model.head(adapted.bypass.get()), targets, {.weight = 0.25, .chunk_rows = 2});
}

/// Loss and all gradients of two micro-batches.
std::vector<at::Tensor> loss_and_gradients(const Llama& model, const std::string& method, int64_t rank,
                                           bool recompute) {
  const Adapted adapted(model, method);
  std::vector<at::Tensor> results;
  for (const auto& lengths : {std::vector<int64_t>{5 + rank, 3}, {6 + 2 * rank}}) {
    const at::Tensor value = loss(model, adapted, batch_of(lengths), recompute);
    run_backward(value);
    results.push_back(value.detach());
  }
  for (const auto& entry : adapted.parameters.entries()) results.push_back(entry.tensor.grad());
  return results;
}

void expect_same_bits(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b,
                      const std::string& what) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i].equal(b[i])) << what << ", tensor " << i;
}

/// Every process of `size` computes on tokens of its own what the whole base computes on them.
void expect_bits_of_the_whole_base(const Folder& folder, at::ScalarType type, int64_t size,
                                   const std::string& method, bool recompute) {
  const LoadedModel whole = load_model(folder.path(), type);
  std::vector<std::vector<at::Tensor>> results(size);
  test::ThreadGroup group(size);
  group.run([&](Communicator& processes) {
    const LoadedModel sharded = load_sharded_model(folder.path(), type, share_of(processes));
    EXPECT_TRUE(sharded.model.weights().sharded());
    EXPECT_EQ(sharded.fingerprint, whole.fingerprint);
    EXPECT_EQ(sharded.stored_type, whole.stored_type);
    results[processes.rank()] = loss_and_gradients(sharded.model, method, processes.rank(), recompute);
  });
  for (int64_t rank = 0; rank < size; ++rank) {
    expect_same_bits(results[rank], loss_and_gradients(whole.model, method, rank, recompute),
                     method + ", rank " + std::to_string(rank));
    EXPECT_LE(group.most_units(rank), 2);
  }
}

TEST(ShardedBase, EveryMethodHasTheBitsOfTheWholeBase) {
  for (const auto& [name, config] : test::base_shapes()) {
    const Folder folder(config, at::kFloat);
    for (const auto& [method, settings] : settings_of_methods()) {
      SCOPED_TRACE(name);
      for (const bool recompute : {false, true})
        expect_bits_of_the_whole_base(folder, at::kFloat, 2, method, recompute);
    }
  }
}

TEST(ShardedBase, PartsThatDoNotDivideAreTheSame) {
  for (const int64_t size : {3, 4, 7}) {
    const Folder folder(test::base_shapes()[3].config, at::kFloat);
    expect_bits_of_the_whole_base(folder, at::kFloat, size, "lora", false);
  }
}

TEST(ShardedBase, EveryTypeIsTheSameWhateverIsStored) {
  for (const at::ScalarType stored : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const Folder folder(test::base_shapes()[1].config, stored);
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf})
      expect_bits_of_the_whole_base(folder, type, 2, "excitor", false);
  }
}

TEST(ShardedBase, EveryWeightCanBeAskedFor) {
  for (const auto& [name, config] : test::base_shapes()) {
    const Folder folder(config, at::kFloat);
    const Llama whole = load_model(folder.path(), at::kFloat).model;
    test::ThreadGroup(2).run([&](Communicator& processes) {
      const Llama sharded = load_sharded_model(folder.path(), at::kFloat, share_of(processes)).model;
      for (const auto& weight : weight_shapes(config)) {
        EXPECT_TRUE(base_weight(sharded, weight.name).equal(base_weight(whole, weight.name)))
            << name << " " << weight.name;
      }
    });
  }
}

TEST(ShardedBase, AProcessWithLessToComputeJoinsAndComputesNothing) {
  const Folder folder(test::tiny_config(), at::kFloat);
  const Llama whole = load_model(folder.path(), at::kFloat).model;
  for (const bool recompute : {false, true}) {
    // Rank 0 computes three passes; rank 1 one, which shows what to gather in the others.
    const auto compute = [&](const Llama& model, int64_t rank) {
      const Adapted adapted(model, "lora");
      JoinedPasses passes(model.weights().gathers);
      passes.compute([&] { run_backward(loss(model, adapted, batch_of({8}), recompute)); });
      for (int64_t i = 0; i < 2; ++i) {
        if (rank == 0)
          passes.compute([&] { run_backward(loss(model, adapted, batch_of({5, 4}), recompute)); });
        else
          passes.join([] { ADD_FAILURE() << "it is known what to gather"; });
      }
      std::vector<at::Tensor> results;
      for (const auto& entry : adapted.parameters.entries()) results.push_back(entry.tensor.grad());
      return results;
    };
    std::vector<std::vector<at::Tensor>> gradients(2);
    test::ThreadGroup group(2);
    group.run([&](Communicator& processes) {
      const Llama sharded = load_sharded_model(folder.path(), at::kFloat, share_of(processes)).model;
      gradients[processes.rank()] = compute(sharded, processes.rank());
    });
    for (int64_t rank = 0; rank < 2; ++rank)
      expect_same_bits(gradients[rank], compute(whole, rank), "rank " + std::to_string(rank));
  }
}

TEST(ShardedBase, AProcessThatHasComputedNothingYetFindsOutWhatToGatherOnce) {
  const Folder folder(test::tiny_config(), at::kFloat);
  test::ThreadGroup group(2);
  group.run([&](Communicator& processes) {
    const Llama model = load_sharded_model(folder.path(), at::kFloat, share_of(processes)).model;
    const Adapted adapted(model, "excitor");
    JoinedPasses passes(model.weights().gathers);
    int64_t computed = 0;
    const auto pass = [&] {
      run_backward(loss(model, adapted, batch_of({6}), false));
      ++computed;
    };
    for (int64_t i = 0; i < 3; ++i) processes.rank() == 0 ? passes.compute(pass) : passes.join(pass);
    EXPECT_EQ(computed, processes.rank() == 0 ? 3 : 1);
  });
}

/// Notes when a layer computes.
class NotedBypass : public ModelBypass {
 public:
  NotedBypass(const ModelBypass& bypass, test::Events& events) : bypass_(bypass), events_(events) {}
  const LayerBypass& layer(int64_t index) const override {
    events_.push_back("compute");
    return bypass_.layer(index);
  }

 private:
  const ModelBypass& bypass_;
  test::Events& events_;
};

/// Gathers that were started, and those of them that nothing was computed beside.
std::pair<int64_t, int64_t> gathers_and_idle_ones(const test::Events& events, size_t from) {
  int64_t starts = 0, idle = 0;
  for (size_t i = from; i < events.size(); ++i) {
    if (!events[i].starts_with("start ")) continue;
    ++starts;
    const auto wait = std::find(events.begin() + static_cast<ptrdiff_t>(i), events.end(),
                                "wait " + events[i].substr(std::string("start ").size()));
    idle += std::find(events.begin() + static_cast<ptrdiff_t>(i), wait, "compute") == wait ? 1 : 0;
  }
  return {starts, idle};
}

TEST(ShardedBase, LayersAreGatheredWhileOthersComputeOnceTheOrderIsKnown) {
  const Folder folder(test::tiny_config(), at::kFloat);
  test::ThreadGroup group(2);
  group.run([&](Communicator& processes) {
    test::Events& events = group.events(processes.rank());
    const Llama model = load_sharded_model(folder.path(), at::kFloat, share_of(processes)).model;
    const ModelBypass identity;
    const NotedBypass frozen(identity, events);
    const TokenBatch batch = batch_of({6});
    const auto pass = [&] {
      const at::NoGradGuard no_grad;
      model.logits(model.hidden(batch, {.bypass = &frozen}), nullptr);
    };
    pass(), pass();
    const size_t known = events.size();
    for (int i = 0; i < 3; ++i) pass();
    const auto [starts, idle] = gathers_and_idle_ones(events, known);
    EXPECT_EQ(starts, 3 * 5);  // embedding, three layers, output layer
    // The embedding is gathered beside the output layer, and layer 0 beside the embedding, which note
    // nothing.
    EXPECT_LE(idle, 2 * 3);
  });
}

TEST(ShardedBase, ABackwardPassGathersEachLayerOnceMore) {
  const Folder folder(test::tiny_config(), at::kFloat);
  test::ThreadGroup group(2);
  group.run([&](Communicator& processes) {
    test::Events& events = group.events(processes.rank());
    const Llama model = load_sharded_model(folder.path(), at::kFloat, share_of(processes)).model;
    const Adapted adapted(model, "lora");
    const auto pass = [&] { run_backward(loss(model, adapted, batch_of({6}), false)); };
    pass();
    const size_t known = events.size();
    for (int i = 0; i < 3; ++i) pass();
    // Forward 5 units without the lowest layer, which is still there; backward 3 layers without the top one.
    EXPECT_EQ(gathers_and_idle_ones(events, known).first, 3 * 6);
  });
}

TEST(ShardedBase, TheMostThatAProcessHoldsIsItsPartAndTwoUnits) {
  LlamaConfig config = test::tiny_config();
  config.hidden_size = 64, config.intermediate_size = 96, config.vocab_size = 2048;
  const int64_t matrices = 2 * 2048 * 64 + 3 * (4 * 64 * 64 + 3 * 64 * 96), norms = 7 * 64;
  EXPECT_EQ(most_sharded_elements(config, 2), matrices / 2 + norms + 2 * 2048 * 64);
  EXPECT_EQ(most_sharded_elements(config, 4), matrices / 4 + norms + 2 * 2048 * 64);
}

TEST(ShardedBase, OneProcessHoldsAllAndGathersNothing) {
  const Folder folder(test::tiny_config(), at::kFloat);
  test::ThreadGroup group(1);
  group.run([&](Communicator& processes) {
    const Llama model = load_sharded_model(folder.path(), at::kFloat, share_of(processes)).model;
    EXPECT_FALSE(model.weights().sharded());
    model.hidden(batch_of({4}), {});
  });
  EXPECT_TRUE(group.events(0).empty());
}

}  // namespace
}  // namespace excitor
