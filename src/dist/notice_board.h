// What the processes of a group tell each other beside the tensors, in c10d's key-value store: who they are,
// where each one is, that it lives, how it ended. Nothing of it is read while all goes well; when an
// operation fails, it tells which process is the reason.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <c10/util/intrusive_ptr.h>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace excitor {

using StorePointer = c10::intrusive_ptr<c10d::Store>;

/// The place of a process in its group, and how long the others are waited for.
struct Membership {
  int64_t rank = 0;
  int64_t size = 1;
  std::chrono::milliseconds time_limit{600'000};
  bool keeps_store = false;  ///< the store lies in this process and ends with it
};

/// What a signal that asks to stop does to a process that waits for another one.
enum class StopRequest { ends_waiting, is_passed_over };

class NoticeBoard : public std::enable_shared_from_this<NoticeBoard> {
 public:
  /// Introduces this process and gives a sign of life every second from here on.
  NoticeBoard(StorePointer store, const Membership& membership);
  ~NoticeBoard();
  NoticeBoard(const NoticeBoard&) = delete;
  NoticeBoard& operator=(const NoticeBoard&) = delete;

  const Membership& membership() const { return membership_; }
  const StorePointer& store() const { return store_; }

  /// Notes that this process begins its next operation. Costs one message that nobody waits for; without the
  /// store nothing is noted, the operation itself will tell.
  void begin_operation(const std::string& what) noexcept;
  /// Notes that this process ends because of an error of its own.
  void end(const std::string& reason) noexcept;

  /// Sets the notice `kind` of this process.
  void post(const char* kind, const std::string& text);
  /// The notice `kind` of process `rank`, once it is there. Throws CommunicationError that names the process
  /// if it has ended or gave no sign of life for the time limit; as long as it lives it is waited for.
  std::string wait_for(const char* kind, int64_t rank, StopRequest stop = StopRequest::ends_waiting);
  /// Of all processes, in their order.
  std::vector<std::string> wait_for_all(const char* kind);
  /// Keeps the store a while for those that have not set the notice `kind` yet, if it ends with this process.
  void keep_store_until_all(const char* kind) noexcept;

  /// While it lives, the notice "saving" of this process is "1".
  class Saving {
   public:
    explicit Saving(NoticeBoard& board) : board_(board) { board_.note_saving("1"); }
    ~Saving() { board_.note_saving("0"); }
    Saving(const Saving&) = delete;
    Saving& operator=(const Saving&) = delete;

   private:
    NoticeBoard& board_;
  };

  /// Which process is the reason that `what`, the last operation begun, failed with `error`. Takes some
  /// seconds.
  std::string explain(const std::string& what, const std::string& error);

 private:
  struct Member {
    int64_t rank = 0;
    std::string name;   ///< "rank 2 (host, process 77)"
    int64_t beats = 0;  ///< signs of life so far
    int64_t operation = 0;
    std::string note;                  ///< what it was at
    std::optional<std::string> ended;  ///< how it ended, when it could tell or its launcher did
    bool failed_too = false;           ///< lost touch in an operation, as this process did
  };
  static std::string key(const char* kind, int64_t rank);
  std::optional<std::string> read(c10d::Store& store, const std::string& key) const;
  Member look_at(c10d::Store& store, int64_t rank) const;
  std::vector<Member> look_at_others(c10d::Store& store) const;
  std::string diagnose(c10d::Store& store, const std::string& what, const std::string& error) const;
  /// Keeps the store a while for the others' diagnoses.
  void wait_for_readers(c10d::Store& store) const;
  void beat(const StorePointer& store);
  /// Without the store nothing is noted: nobody could read it.
  void note_saving(const char* text) noexcept;

  Membership membership_;
  StorePointer store_;
  int64_t operation_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread heart_;
};

}  // namespace excitor
