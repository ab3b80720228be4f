// How the processes of a run find each other, make sure that they do the same, and connect.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <excitor/device/device.h>
#include <excitor/dist/communicator.h>
#include <excitor/dist/place.h>

namespace excitor {

/// What must be the same in all processes: "version" and its value, in an order that names the reason first.
using Facts = std::vector<std::pair<std::string, std::string>>;

/// The processes of a run before and after they are connected. With one process everything is done at once.
class Group {
 public:
  /// One process.
  Group();
  /// Reaches the others' meeting point; rank 0 keeps it unless somebody else does. It costs nothing while
  /// files are read: a process that fails meanwhile says so (`leave`). Throws CommunicationError: no answer
  /// within the time limit, the port is in use, the host is unknown.
  Group(const Place& place, std::chrono::milliseconds time_limit);
  ~Group();
  Group(Group&&) noexcept;
  Group& operator=(Group&&) noexcept;

  int64_t rank() const { return place_.rank; }
  int64_t size() const { return place_.size; }
  const Place& place() const { return place_; }
  bool is_first() const { return place_.rank == 0; }

  /// The text that rank 0 gets from `tell`, in all processes; in the others `tell` is not called.
  std::string from_first(const std::string& name, const std::function<std::string()>& tell);
  /// Does `work` in rank 0 while the others wait for it, beyond the time limit and whatever signals say, as
  /// long as rank 0 lives. `name` is its own each time.
  void wait_for_first(const std::string& name, const std::function<void()>& work);
  /// Does `work`, during which launch() does not end this process because another one failed.
  void save(const std::function<void()>& work) const;
  /// Waits until all processes are here, however long they read and tokenise. Throws ConfigError that names
  /// each process and fact that differ from rank 0's, in every process.
  void agree(const Facts& facts);
  /// Connects all processes, for tensors on `device`: over Gloo on a CPU, over NCCL on GPUs.
  std::unique_ptr<Communicator> connect(const ComputeDevice& device = {});
  /// The processes by rank: "rank 1 (host, process 77)".
  std::vector<std::string> members() const;
  /// Tells the others that this process ends because of an error.
  void leave(const std::string& reason) noexcept;

 private:
  struct Meeting;
  Place place_;
  std::unique_ptr<Meeting> meeting_;  ///< null with one process
};

}  // namespace excitor
