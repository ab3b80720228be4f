#include <excitor/dist/communicator.h>

namespace excitor {
namespace {

class Done final : public Pending {
 public:
  void wait() override {}
};

class SingleProcess final : public Communicator {
 public:
  int64_t rank() const override { return 0; }
  int64_t size() const override { return 1; }
  void all_reduce_sum(at::Tensor) override {}
  void broadcast(at::Tensor, int64_t) override {}
  std::unique_ptr<Pending> all_gather(at::Tensor whole, at::Tensor part) override {
    whole.copy_(part);
    return std::make_unique<Done>();
  }
  void barrier() override {}
};

}  // namespace

std::unique_ptr<Communicator> single_process() {
  return std::make_unique<SingleProcess>();
}

}  // namespace excitor
