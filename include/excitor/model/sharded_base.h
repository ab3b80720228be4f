// A frozen base of which each of several processes holds a part (distributed.shard_base).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include <excitor/dist/communicator.h>
#include <excitor/model/checkpoint.h>

namespace excitor {

/// Which part of the base a process holds.
struct BaseShare {
  int64_t rank = 0;
  int64_t processes = 1;
  /// What brings in the other parts; asked from the first pass on, so that weights can be read before the
  /// processes are connected. It outlives the model.
  std::function<Communicator&()> communicator;
};

/// Loads a model's folder as load_model does, but of the n processes each reads and holds 1/n of every
/// decoder layer, of the embedding and of the output layer; norms and biases are whole. Such a unit is
/// gathered while the one before computes, and dropped after, forward and backward. Memory of a process: 1/n
/// of the weights and two units. Results have the same bits as those of the whole base.
///
/// The model works only while all processes run the same kinds of passes in the same order, each on tokens of
/// its own: one with less to compute joins in (see joined_passes.h). With one process it
/// is load_model itself. Throws as load_model; CommunicationError from passes.
LoadedModel load_sharded_model(const std::filesystem::path& folder, at::ScalarType type,
                               const BaseShare& share, at::Device device = at::kCPU);

/// Elements of frozen weights that one of `processes` holds at most: its part, the norms and biases, and the
/// two largest units that are gathered at a time.
int64_t most_sharded_elements(const LlamaConfig& config, int64_t processes);

}  // namespace excitor
