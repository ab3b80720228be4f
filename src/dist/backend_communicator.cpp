#include "backend_communicator.h"

#include <utility>

#include <fmt/format.h>

namespace excitor {
namespace {

/// Several operations as one.
struct AllOf final : Pending {
  void wait() override {
    for (const auto& part : parts) part->wait();
  }
  std::vector<std::unique_ptr<Pending>> parts;
};

}  // namespace

class BackendCommunicator::Operation final : public Pending {
 public:
  Operation(WorkPointer work, std::vector<at::Tensor> tensors, std::string name,
            std::shared_ptr<NoticeBoard> board)
      : work_(std::move(work)),
        tensors_(std::move(tensors)),
        name_(std::move(name)),
        board_(std::move(board)) {}

  void wait() override {
    try {
      work_->wait();
    } catch (const std::exception& error) {
      throw CommunicationError(board_->explain(name_, first_line(error.what())));
    }
  }

  /// c10's errors carry a stack behind the first line.
  static std::string first_line(std::string_view text) {
    return std::string(text.substr(0, text.find('\n')));
  }

 private:
  WorkPointer work_;
  std::vector<at::Tensor> tensors_;
  std::string name_;
  std::shared_ptr<NoticeBoard> board_;
};

BackendCommunicator::BackendCommunicator(BackendPointer backend, std::shared_ptr<NoticeBoard> board)
    : backend_(std::move(backend)), board_(std::move(board)) {}

std::unique_ptr<Pending> BackendCommunicator::start(
    const std::string& name, std::vector<at::Tensor> tensors,
    const std::function<WorkPointer(std::vector<at::Tensor>&)>& run) {
  std::string full = fmt::format("the {} of {}", name, activity_);
  board_->begin_operation(full);
  try {
    WorkPointer work = run(tensors);
    return std::make_unique<Operation>(std::move(work), std::move(tensors), std::move(full), board_);
  } catch (const std::exception& error) {
    throw CommunicationError(board_->explain(full, Operation::first_line(error.what())));
  }
}

void BackendCommunicator::all_reduce_sum(at::Tensor tensor) {
  start("all-reduce", {std::move(tensor)}, [&](auto& tensors) {
    return backend_->allreduce(tensors);
  })->wait();
}

void BackendCommunicator::broadcast(at::Tensor tensor, int64_t root) {
  c10d::BroadcastOptions options;
  options.rootRank = root;
  start("broadcast", {std::move(tensor)}, [&](auto& tensors) {
    return backend_->broadcast(tensors, options);
  })->wait();
}

std::unique_ptr<Pending> BackendCommunicator::all_gather(at::Tensor whole, at::Tensor part) {
  if (backend_->getBackendName() != "gloo")
    return start("gathering of weights", {std::move(whole), std::move(part)},
                 [&](auto& tensors) { return backend_->_allgather_base(tensors[0], tensors[1]); });
  // Gloo's own gathers into a second buffer of the whole size and copies from there; broadcasts write in
  // place.
  const int64_t n = part.numel();
  const at::Tensor own = whole.narrow(0, rank() * n, n);
  if (own.const_data_ptr() != part.const_data_ptr()) own.copy_(part);
  auto all = std::make_unique<AllOf>();
  for (int64_t root = 0; root < size(); ++root) {
    c10d::BroadcastOptions options;
    options.rootRank = root;
    all->parts.push_back(start("gathering of weights", {whole.narrow(0, root * n, n)},
                               [&](auto& tensors) { return backend_->broadcast(tensors, options); }));
  }
  return all;
}

void BackendCommunicator::barrier() {
  start("barrier", {}, [&](auto&) { return backend_->barrier(); })->wait();
}

}  // namespace excitor
