// Threads of a test in the place of processes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/dist/communicator.h>

namespace excitor::test {

/// What one member did, in order: "start 3", "wait 3" (gather number 3), and what the test itself noted.
using Events = std::vector<std::string>;

/// A group whose gathers write their result when it is waited for and not before. Anything but a gather ends
/// the test, and so do members that gather different things or wait for one that does not come.
class ThreadGroup {
 public:
  explicit ThreadGroup(int64_t size) : events_(size), most_units_(size), members_(size) {}

  /// Calls `body` for each rank in a thread of its own; throws what the first to fail threw.
  void run(const std::function<void(Communicator&)>& body) {
    std::vector<std::thread> threads;
    for (int64_t rank = 0; rank < size(); ++rank) {
      threads.emplace_back([&, rank] {
        Member member(*this, rank);
        try {
          body(member);
        } catch (...) {
          fail(std::current_exception());
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (error_) std::rethrow_exception(error_);
  }

  int64_t size() const { return static_cast<int64_t>(events_.size()); }
  Events& events(int64_t rank) { return events_[rank]; }
  /// The most gathered vectors that lived at a time.
  int64_t most_units(int64_t rank) const { return most_units_[rank]; }

 private:
  struct Gather {
    std::vector<at::Tensor> parts;
    size_t missing = 0;
  };

  class Member final : public Communicator {
   public:
    Member(ThreadGroup& group, int64_t rank) : group_(group), rank_(rank) {}
    int64_t rank() const override { return rank_; }
    int64_t size() const override { return group_.size(); }
    void all_reduce_sum(at::Tensor) override { throw std::logic_error("a reduction"); }
    void broadcast(at::Tensor, int64_t) override { throw std::logic_error("a broadcast"); }
    void barrier() override { throw std::logic_error("a barrier"); }
    std::unique_ptr<Pending> all_gather(at::Tensor whole, at::Tensor part) override {
      return group_.start(rank_, std::move(whole), part);
    }

   private:
    ThreadGroup& group_;
    int64_t rank_;
  };

  class Waiting final : public Pending {
   public:
    Waiting(ThreadGroup& group, int64_t rank, int64_t number, at::Tensor whole)
        : group_(group), rank_(rank), number_(number), whole_(std::move(whole)) {}
    void wait() override { group_.finish(rank_, number_, std::exchange(whole_, {})); }

   private:
    ThreadGroup& group_;
    int64_t rank_, number_;
    at::Tensor whole_;
  };

  std::unique_ptr<Pending> start(int64_t rank, at::Tensor whole, const at::Tensor& part) {
    const std::scoped_lock lock(mutex_);
    const auto number = static_cast<int64_t>(members_[rank].gathers++);
    Gather& gather = gathers_[number];
    if (gather.parts.empty()) gather = {std::vector<at::Tensor>(size()), events_.size()};
    gather.parts[rank] = part.clone();
    for (const at::Tensor& other : gather.parts) {
      if (other.defined() && other.numel() != part.numel()) throw std::logic_error("different gathers");
    }
    if (--gather.missing == 0) arrived_.notify_all();
    count_units(rank, whole);
    events_[rank].push_back("start " + std::to_string(number));
    return std::make_unique<Waiting>(*this, rank, number, std::move(whole));
  }

  void finish(int64_t rank, int64_t number, const at::Tensor& whole) {
    std::unique_lock lock(mutex_);
    const Gather& gather = gathers_.at(number);
    const bool there = arrived_.wait_for(lock, std::chrono::seconds(20),
                                         [&] { return gather.missing == 0 || error_ != nullptr; });
    if (!there || gather.missing > 0) throw std::runtime_error("a member did not come");
    const int64_t n = gather.parts.front().numel();
    for (int64_t i = 0; i < size(); ++i) whole.narrow(0, i * n, n).copy_(gather.parts[i]);
    events_[rank].push_back("wait " + std::to_string(number));
  }

  void count_units(int64_t rank, const at::Tensor& whole) {
    auto& wholes = members_[rank].wholes;
    std::erase_if(wholes, [&](const auto& storage) {
      const auto alive = storage.lock();
      return !alive || alive.get() == whole.storage().unsafeGetStorageImpl();
    });
    wholes.emplace_back(whole.storage().getWeakStorageImpl());
    most_units_[rank] = std::max(most_units_[rank], static_cast<int64_t>(wholes.size()));
  }

  void fail(std::exception_ptr error) {
    const std::scoped_lock lock(mutex_);
    if (!error_) error_ = std::move(error);
    arrived_.notify_all();
  }

  struct State {
    int64_t gathers = 0;
    std::vector<c10::weak_intrusive_ptr<c10::StorageImpl>> wholes;
  };
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::exception_ptr error_;
  std::map<int64_t, Gather> gathers_;
  std::vector<Events> events_;
  std::vector<int64_t> most_units_;
  std::vector<State> members_;
};

}  // namespace excitor::test
