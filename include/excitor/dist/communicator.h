// Processes that train one model together, behind one interface: the training loop does not know how many
// there are.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include <excitor/util/error.h>

namespace excitor {

/// Processes that can't work together (any more). The message names the one that is missing, has failed or
/// differs.
class CommunicationError : public Error {
 public:
  using Error::Error;
};

/// An operation under way.
class Pending {
 public:
  virtual ~Pending() = default;
  /// Returns once the result is there. Errors as of the operation itself.
  virtual void wait() = 0;
};

/// One member of a group of processes. Operations are collective: every process calls the same ones in the
/// same order, with tensors of the same shape and type, contiguous. All throw CommunicationError, which names
/// the process that is missing or has failed, when they are not done within the group's time limit.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int64_t rank() const = 0;
  virtual int64_t size() const = 0;
  /// In place: the sum over all processes, the same bits on each.
  virtual void all_reduce_sum(at::Tensor tensor) = 0;
  /// In place: the values of process `root`.
  virtual void broadcast(at::Tensor tensor, int64_t root) = 0;
  /// Starts to gather part [n] of every process, in the order of ranks, into whole [size·n]; part may be its
  /// own place in whole. Both must live until the operation is waited for.
  virtual std::unique_ptr<Pending> all_gather(at::Tensor whole, at::Tensor part) = 0;
  /// Returns once every process has called it.
  virtual void barrier() = 0;
  /// Names what the operations from here on belong to ("step 17"), for the messages of errors.
  virtual void begin(const std::string& /*activity*/) {}
};

/// The only process of its run: every operation is done at once.
std::unique_ptr<Communicator> single_process();

}  // namespace excitor
