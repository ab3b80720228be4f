// A Communicator over one of c10d's backends: Gloo here, NCCL in the CUDA module. What they share is
// everything but the transport.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <torch/csrc/distributed/c10d/Backend.hpp>

#include <excitor/dist/communicator.h>

#include "notice_board.h"

namespace excitor {

using BackendPointer = c10::intrusive_ptr<c10d::Backend>;

/// Connects the processes of a group, once all are there. `address` is this machine's, as the others reach
/// it.
using BackendFactory =
    std::function<BackendPointer(const StorePointer& store, const Membership&, const std::string& address)>;

/// c10d's Gloo over TCP, for tensors in main memory. GLOO_SOCKET_IFNAME names another network interface.
BackendPointer gloo_backend(const StorePointer& store, const Membership& membership,
                            const std::string& address);

class BackendCommunicator final : public Communicator {
 public:
  BackendCommunicator(BackendPointer backend, std::shared_ptr<NoticeBoard> board);

  int64_t rank() const override { return board_->membership().rank; }
  int64_t size() const override { return board_->membership().size; }
  void all_reduce_sum(at::Tensor tensor) override;
  void broadcast(at::Tensor tensor, int64_t root) override;
  std::unique_ptr<Pending> all_gather(at::Tensor whole, at::Tensor part) override;
  void barrier() override;
  void begin(const std::string& activity) override { activity_ = activity; }

 private:
  using WorkPointer = c10::intrusive_ptr<c10d::Work>;
  class Operation;
  /// Notes the operation "`name` of <activity>" and starts it; `tensors` live until it is done.
  std::unique_ptr<Pending> start(const std::string& name, std::vector<at::Tensor> tensors,
                                 const std::function<WorkPointer(std::vector<at::Tensor>&)>& run);

  BackendPointer backend_;
  std::shared_ptr<NoticeBoard> board_;
  std::string activity_ = "the start";
};

}  // namespace excitor
