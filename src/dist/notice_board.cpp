#include "notice_board.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <future>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <excitor/dist/communicator.h>
#include <excitor/util/signals.h>

namespace excitor {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kBeat{1000};
constexpr milliseconds kSilence{3000};           ///< without a sign of life a process has ended or is stopped
constexpr milliseconds kSilenceAtStart{10'000};  ///< the same while files are read, when a machine may stall
constexpr milliseconds kPoll{20};
constexpr milliseconds kStoreAnswers{8000};  ///< else the process that keeps the store is the reason

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

std::string list(const std::vector<std::string>& names) {
  return fmt::format("{} {}", fmt::join(names, ", "), names.size() == 1 ? "has" : "have");
}

}  // namespace

NoticeBoard::NoticeBoard(StorePointer store, const Membership& membership)
    : membership_(membership), store_(std::move(store)) {
  store_->set(key("who", membership_.rank),
              fmt::format("rank {} ({}, process {})", membership_.rank, host_name(), getpid()));
  // A connection of its own: the other one is occupied while it waits for an answer.
  heart_ = std::thread([this, store = store_->clone()] { beat(store); });
}

NoticeBoard::~NoticeBoard() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  heart_.join();
}

void NoticeBoard::beat(const StorePointer& store) {
  std::unique_lock lock(mutex_);
  for (int64_t count = 1; !stop_; ++count) {
    try {
      store->set(key("beat", membership_.rank), std::to_string(count));
    } catch (const std::exception&) {
      return;  // the store is gone; an operation will tell
    }
    wake_.wait_for(lock, kBeat, [this] { return stop_; });
  }
}

std::string NoticeBoard::key(const char* kind, int64_t rank) {
  return fmt::format("{}/{}", kind, rank);
}

void NoticeBoard::begin_operation(const std::string& what) noexcept {
  ++operation_;
  try {
    store_->set(key("at", membership_.rank), fmt::format("{} {}", operation_, what));
  } catch (const std::exception&) {
  }
}

void NoticeBoard::end(const std::string& reason) noexcept {
  try {
    store_->set(key("ended", membership_.rank), reason);
  } catch (const std::exception&) {
  }
}

std::optional<std::string> NoticeBoard::read(c10d::Store& store, const std::string& key) const {
  if (!store.check({key})) return std::nullopt;
  return store.get_to_str(key);
}

NoticeBoard::Member NoticeBoard::look_at(c10d::Store& store, int64_t rank) const {
  Member member{.rank = rank};
  member.name = read(store, key("who", rank)).value_or(fmt::format("rank {}", rank));
  member.beats = std::stoll(read(store, key("beat", rank)).value_or("0"));
  const std::string at = read(store, key("at", rank)).value_or("0 the start");
  member.operation = std::stoll(at);
  member.note = at.substr(at.find(' ') + 1);
  member.ended = read(store, key("ended", rank));
  member.failed_too = store.check({key("failed", rank)});
  return member;
}

std::vector<NoticeBoard::Member> NoticeBoard::look_at_others(c10d::Store& store) const {
  std::vector<Member> others;
  for (int64_t rank = 0; rank < membership_.size; ++rank) {
    if (rank != membership_.rank) others.push_back(look_at(store, rank));
  }
  return others;
}

std::string NoticeBoard::explain(const std::string& what, const std::string& error) {
  // In a thread of its own: the store does not answer when the process that keeps it is the one that stopped.
  auto promise = std::make_shared<std::promise<std::string>>();
  std::future<std::string> told = promise->get_future();
  std::thread([self = shared_from_this(), promise, what, error] {
    try {
      const StorePointer store = self->store_->clone();
      std::string reason = self->diagnose(*store, what, error);
      if (self->membership_.keeps_store) self->wait_for_readers(*store);
      promise->set_value(std::move(reason));
    } catch (const std::exception&) {
      promise->set_value(
          fmt::format("{} failed: the process that keeps the group's notes, rank 0 or its "
                      "launcher, has ended or can't be reached ({})",
                      what, error));
    }
  }).detach();
  if (told.wait_for(2 * kStoreAnswers) == std::future_status::ready) return told.get();
  return fmt::format(
      "{} was not done within {} s: rank 0, which keeps the group's notes, does not answer; it hangs or is "
      "stopped",
      what, static_cast<double>(membership_.time_limit.count()) / 1000);
}

std::string NoticeBoard::diagnose(c10d::Store& store, const std::string& what,
                                  const std::string& error) const {
  store.set(key("failed", membership_.rank), "1");
  const std::vector<Member> before = look_at_others(store);
  std::vector<Member> now = before;
  const auto deadline = steady_clock::now() + kSilence;
  const auto has_ended = [](const Member& m) { return m.ended.has_value(); };
  while (steady_clock::now() < deadline && std::ranges::none_of(now, has_ended)) {
    std::this_thread::sleep_for(kPoll);
    now = look_at_others(store);
  }
  store.set(key("told", membership_.rank), "1");
  std::vector<std::string> ended, silent, late;
  for (size_t i = 0; i < now.size(); ++i) {
    const Member& m = now[i];
    if (m.ended)
      ended.push_back(fmt::format("{} has ended: {}", m.name, *m.ended));
    else if (m.beats == before[i].beats && !m.failed_too)
      silent.push_back(m.name);
    else if (m.operation < operation_ && !m.failed_too)
      late.push_back(fmt::format("{} is at {}", m.name, m.note));
  }
  if (!ended.empty()) return fmt::format("{} failed: {}", what, fmt::join(ended, "; "));
  if (!silent.empty())
    return fmt::format("{} failed: {} ended or hang{}: no sign of life for {} s", what, list(silent),
                       silent.size() == 1 ? "s" : "", kSilence.count() / 1000);
  if (!late.empty())
    return fmt::format("{}: not all arrived within {} s: {}", what,
                       static_cast<double>(membership_.time_limit.count()) / 1000, fmt::join(late, "; "));
  return fmt::format("{} failed: the connection to another process was lost ({})", what, error);
}

void NoticeBoard::wait_for_readers(c10d::Store& store) const {
  const auto deadline = steady_clock::now() + kSilence + kBeat;
  const auto is_done = [&](int64_t rank) {
    return !store.check({key("failed", rank)}) || store.check({key("told", rank)});
  };
  for (bool all = false; !all && steady_clock::now() < deadline; std::this_thread::sleep_for(kPoll)) {
    all = true;
    for (int64_t rank = 0; rank < membership_.size; ++rank) all &= rank == membership_.rank || is_done(rank);
  }
}

void NoticeBoard::post(const char* kind, const std::string& text) {
  store_->set(key(kind, membership_.rank), text);
}

void NoticeBoard::note_saving(const char* text) noexcept {
  try {
    post("saving", text);
  } catch (const std::exception&) {
  }
}

std::string NoticeBoard::wait_for(const char* kind, int64_t rank, StopRequest stop) {
  int64_t beats = -1;
  auto heard = steady_clock::now();
  while (!store_->check({key(kind, rank)})) {
    const Member m = look_at(*store_, rank);
    if (m.ended) {
      post("failed", "1");
      throw CommunicationError(fmt::format("{} has ended: {}", m.name, *m.ended));
    }
    if (m.beats != beats) heard = steady_clock::now();
    beats = m.beats;
    const milliseconds limit =
        m.beats > 0 ? std::clamp(membership_.time_limit, kSilence, kSilenceAtStart) : membership_.time_limit;
    if (steady_clock::now() - heard > limit) {
      const double seconds = static_cast<double>(limit.count()) / 1000;
      post("failed", "1");
      throw CommunicationError(
          m.beats > 0 ? fmt::format("{} has ended or hangs: no sign of life for {} s", m.name, seconds)
                      : fmt::format("{} is missing after {} s; was it started?", m.name, seconds));
    }
    const int signal = stop == StopRequest::ends_waiting ? StopSignals::requested() : 0;
    if (signal != 0) throw Interrupted("stopped while waiting for the other processes", signal);
    std::this_thread::sleep_for(kPoll);
  }
  return store_->get_to_str(key(kind, rank));
}

std::vector<std::string> NoticeBoard::wait_for_all(const char* kind) {
  std::vector<std::string> texts;
  for (int64_t rank = 0; rank < membership_.size; ++rank) texts.push_back(wait_for(kind, rank));
  return texts;
}

void NoticeBoard::keep_store_until_all(const char* kind) noexcept {
  if (!membership_.keeps_store) return;
  const auto deadline = steady_clock::now() + kSilence;
  try {
    for (int64_t rank = 0; rank < membership_.size; ++rank) {
      while (!store_->check({key(kind, rank)}) && steady_clock::now() < deadline)
        std::this_thread::sleep_for(kPoll);
    }
  } catch (const std::exception&) {
  }
}

}  // namespace excitor
