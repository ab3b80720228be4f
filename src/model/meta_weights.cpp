// Names, joins and the order of rows: github.com/meta-llama/llama and transformers' conversion of its
// weights.
#include "meta_weights.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include <excitor/tensor/mapped_tensor.h>
#include <excitor/tensor/safetensors.h>
#include <excitor/tensor/torch_file.h>
#include <excitor/util/error.h>

#include "model_folder.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// How the pieces of a weight in several shards form the whole, or what is done with it.
enum class Join {
  rows,           ///< along dimension 0
  columns,        ///< along dimension 1
  query_rows,     ///< along dimension 0; rows of each query head are reordered
  key_rows,       ///< the same for key heads
  embedding,      ///< along dimension 1 in LLaMA 1 and 2, dimension 0 in LLaMA 3: told by the shapes
  same_in_every,  ///< each shard has the whole
};

struct MetaName {
  std::string_view meta, hugging_face;
  Join join;
};

constexpr std::array kWholeModel{
    MetaName{"tok_embeddings.weight", "model.embed_tokens.weight", Join::embedding},
    MetaName{"norm.weight", "model.norm.weight", Join::same_in_every},
    MetaName{"output.weight", "lm_head.weight", Join::rows},
};

/// After "layers.N." and "model.layers.N.".
constexpr std::array kLayer{
    MetaName{"attention.wq.weight", "self_attn.q_proj.weight", Join::query_rows},
    MetaName{"attention.wk.weight", "self_attn.k_proj.weight", Join::key_rows},
    MetaName{"attention.wv.weight", "self_attn.v_proj.weight", Join::rows},
    MetaName{"attention.wo.weight", "self_attn.o_proj.weight", Join::columns},
    MetaName{"attention.wq.bias", "self_attn.q_proj.bias", Join::query_rows},
    MetaName{"attention.wk.bias", "self_attn.k_proj.bias", Join::key_rows},
    MetaName{"attention.wv.bias", "self_attn.v_proj.bias", Join::rows},
    MetaName{"attention.wo.bias", "self_attn.o_proj.bias", Join::same_in_every},
    MetaName{"feed_forward.w1.weight", "mlp.gate_proj.weight", Join::rows},
    MetaName{"feed_forward.w2.weight", "mlp.down_proj.weight", Join::columns},
    MetaName{"feed_forward.w3.weight", "mlp.up_proj.weight", Join::rows},
    MetaName{"feed_forward.w1.bias", "mlp.gate_proj.bias", Join::rows},
    MetaName{"feed_forward.w2.bias", "mlp.down_proj.bias", Join::same_in_every},
    MetaName{"feed_forward.w3.bias", "mlp.up_proj.bias", Join::rows},
    MetaName{"attention_norm.weight", "input_layernorm.weight", Join::same_in_every},
    MetaName{"ffn_norm.weight", "post_attention_layernorm.weight", Join::same_in_every},
};

struct Target {
  std::string name;
  Join join;
};

/// Another name stays as it is: it is reported as no part of a LLaMA.
Target translate(const std::string& name) {
  for (const MetaName& known : kWholeModel) {
    if (name == known.meta) return {std::string(known.hugging_face), known.join};
  }
  constexpr std::string_view kLayers = "layers.";
  if (name.starts_with(kLayers)) {
    const size_t dot = std::min(name.find('.', kLayers.size()), name.size());
    const std::string_view rest = std::string_view(name).substr(std::min(dot + 1, name.size()));
    for (const MetaName& known : kLayer) {
      if (rest == known.meta)
        return {"model." + name.substr(0, dot + 1) + std::string(known.hugging_face), known.join};
    }
  }
  return {name, Join::same_in_every};
}

/// One consolidated.NN.pth.
struct Shard {
  std::string path;
  TorchValue tensors;
};

std::vector<Shard> read_shards(const fs::path& folder) {
  std::vector<Shard> shards;
  for (const fs::path& path : meta_shards(folder)) shards.push_back({path.string(), read_torch_file(path)});
  return shards;
}

/// The tensor in every shard, of one shape.
std::vector<at::Tensor> pieces_of(const std::string& name, const std::vector<Shard>& shards) {
  std::vector<at::Tensor> pieces;
  for (const Shard& shard : shards) {
    const TorchValue* found = shard.tensors.find(name);
    if (found == nullptr) {
      throw CheckpointError(fmt::format("{}: {} is missing, but {} has it; download the shards again",
                                        shard.path, name, shards.front().path));
    }
    pieces.push_back(found->tensor());
    const at::Tensor &first = pieces.front(), &piece = pieces.back();
    if (piece.sizes() == first.sizes() && piece.scalar_type() == first.scalar_type()) continue;
    throw CheckpointError(fmt::format("{}: {} is {}, but in {} {}; the shards are not of one model",
                                      shard.path, name, found->describe(), shards.front().path,
                                      shards.front().tensors.at(name).describe()));
  }
  return pieces;
}

void check_same_names(const std::vector<Shard>& shards) {
  for (const Shard& shard : shards) {
    for (const auto& [name, value] : shard.tensors.dict()) {
      if (shards.front().tensors.find(name) != nullptr) continue;
      throw CheckpointError(fmt::format("{}: {} is not in {}; the shards are not of one model", shard.path,
                                        name, shards.front().path));
    }
  }
}

/// A weight's rows tell how many shards there were.
void check_shard_count(const std::vector<Shard>& shards, const LlamaConfig& config, const fs::path& folder) {
  const TorchValue* wq = shards.front().tensors.find("layers.0.attention.wq.weight");
  if (wq == nullptr || wq->tensor().dim() != 2 || wq->tensor().size(0) == 0) return;
  const int64_t rows = wq->tensor().size(0), found = static_cast<int64_t>(shards.size());
  if (config.query_width() % rows != 0 || config.query_width() / rows == found) return;
  throw CheckpointError(
      fmt::format("{}: found {} consolidated.*.pth, but layers.0.attention.wq.weight [{}] is one of {} "
                  "pieces of the {} rows that "
                  "params.json asks for; {}",
                  folder.string(), found, fmt::join(wq->tensor().sizes(), ", "), config.query_width() / rows,
                  config.query_width(),
                  found < config.query_width() / rows ? "download the missing shards"
                                                      : "remove what is not of this model"));
}

/// [H·d, …] in Meta's order, row h·d + 2j + t, as [H, 2, d/2, …]: row h·d + t·d/2 + j of Hugging Face.
at::Tensor rotate_halves(const at::Tensor& rows, int64_t head_width) {
  if (rows.dim() == 0 || rows.size(0) % head_width != 0) return rows;  // reported as a wrong shape
  std::vector<int64_t> sizes{rows.size(0) / head_width, head_width / 2, 2};
  for (int64_t d = 1; d < rows.dim(); ++d) sizes.push_back(rows.size(d));
  return rows.reshape(sizes).transpose(1, 2);
}

WeightParts join(std::vector<at::Tensor> pieces, Join how, const LlamaConfig& config) {
  const auto count = static_cast<int64_t>(pieces.size());
  std::vector<int64_t> shape = pieces.front().sizes().vec();
  if (how == Join::embedding) {
    const bool by_columns =
        shape.size() == 2 && shape[1] != config.hidden_size && shape[1] * count == config.hidden_size;
    how = by_columns ? Join::columns : Join::rows;
  }
  const int64_t dimension = how == Join::columns ? 1 : 0;
  if (how == Join::same_in_every || dimension >= static_cast<int64_t>(shape.size()))
    return {.shape = std::move(shape), .parts = {pieces.front()}};
  shape[dimension] *= count;
  if (how == Join::query_rows || how == Join::key_rows) {
    for (at::Tensor& piece : pieces) piece = rotate_halves(piece, config.head_width());
  }
  return {.shape = std::move(shape), .parts = std::move(pieces), .dimension = dimension};
}

}  // namespace

Weights meta_weights(const fs::path& folder, const LlamaConfig& config) {
  const std::vector<Shard> shards = read_shards(folder);
  check_same_names(shards);
  check_shard_count(shards, config, folder);
  Weights weights(folder);
  for (const auto& [name, value] : shards.front().tensors.dict()) {
    if (name.ends_with("rope.freqs")) continue;
    const Target target = translate(name);
    const WeightParts parts = join(pieces_of(name, shards), target.join, config);
    weights.add(target.name, {.shape = parts.shape,
                              .dtype = safetensors_dtype(parts.type()),
                              .path = shards.front().path,
                              .parts = [parts] { return parts; }});
  }
  return weights;
}

bool is_same_weight(const StoredWeight& a, const StoredWeight& b) {
  constexpr size_t kStep = 1 << 20;
  if (a.shape != b.shape || a.dtype != b.dtype) return false;
  const WeightParts first = a.parts(), second = b.parts();
  const size_t bytes = first.byte_size();
  bool same = true;
  for (size_t at = 0; at < bytes && same; at += kStep) {
    const size_t step = std::min(kStep, bytes - at);
    same = first.read(at, step) == second.read(at, step);
  }
  for (const WeightParts* weight : {&first, &second}) {
    for (const at::Tensor& part : weight->parts) release_pages(part);
  }
  return same;
}

}  // namespace excitor
