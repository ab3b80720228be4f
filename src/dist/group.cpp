#include <excitor/dist/group.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "backend_communicator.h"
#include "notice_board.h"
#include "store.h"

namespace excitor {
namespace {

/// Facts as one text: a line each.
std::string write_facts(const Facts& facts) {
  std::string text;
  for (const auto& [name, value] : facts) text += fmt::format("{}={}\n", name, value);
  return text;
}

std::map<std::string, std::string> read_facts(const std::string& text) {
  std::map<std::string, std::string> facts;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const size_t equals = text.find('=', begin);
    facts[text.substr(begin, equals - begin)] = text.substr(equals + 1, end - equals - 1);
  }
  return facts;
}

/// What a process has otherwise than rank 0: at most five facts.
std::string differences(const std::string& own_text, const std::string& first_text) {
  const auto own = read_facts(own_text), first = read_facts(first_text);
  std::vector<std::string> lines;
  for (const auto& [name, value] : own) {
    const auto found = first.find(name);
    if (found == first.end() || found->second != value)
      lines.push_back(
          fmt::format("{} is {}, rank 0 has {}", name, value, found == first.end() ? "none" : found->second));
  }
  for (const auto& [name, value] : first) {
    if (!own.contains(name)) lines.push_back(fmt::format("{} is missing, rank 0 has {}", name, value));
  }
  constexpr size_t kMost = 5;
  const std::string more = lines.size() > kMost ? fmt::format(" and {} more", lines.size() - kMost) : "";
  lines.resize(std::min(kMost, lines.size()));
  return fmt::format("{}{}", fmt::join(lines, ", "), more);
}

/// The machine of "rank 1 (machine, process 77)".
std::string host_of(const std::string& member) {
  const size_t begin = member.find('(') + 1;
  return member.substr(begin, member.find(',') - begin);
}

BackendPointer nccl_backend(const StorePointer& store, const Membership& membership,
                            const ComputeDevice& device) {
  return device.cuda->connect_nccl(store, {.rank = membership.rank,
                                           .size = membership.size,
                                           .gpu = device.gpu(),
                                           .time_limit = membership.time_limit});
}

}  // namespace

struct Group::Meeting {
  std::shared_ptr<NoticeBoard> board;

  /// Runs what asks the store, which ends with the process that keeps it.
  template <typename Ask>
  static auto ask(const Ask& question) {
    try {
      return question();
    } catch (const c10::Error& error) {
      throw CommunicationError(
          fmt::format("the process that keeps the group's notes, rank 0 or its launcher, has ended ({})",
                      error.what_without_backtrace()));
    }
  }
};

Group::Group() = default;
Group::~Group() = default;
Group::Group(Group&&) noexcept = default;
Group& Group::operator=(Group&&) noexcept = default;

Group::Group(const Place& place, std::chrono::milliseconds time_limit)
    : place_(place), meeting_(std::make_unique<Meeting>()) {
  const Membership membership{.rank = place.rank,
                              .size = place.size,
                              .time_limit = time_limit,
                              .keeps_store = place.rank == 0 && !place.store_is_kept};
  meeting_->board = std::make_shared<NoticeBoard>(reach_store(place, time_limit), membership);
}

std::string Group::from_first(const std::string& name, const std::function<std::string()>& tell) {
  const std::string kind = "first." + name;
  const std::string text = is_first() ? tell() : std::string();
  if (!meeting_) return text;
  return Meeting::ask([&] {
    if (is_first()) meeting_->board->post(kind.c_str(), text);
    return meeting_->board->wait_for(kind.c_str(), 0);
  });
}

void Group::wait_for_first(const std::string& name, const std::function<void()>& work) {
  if (is_first()) work();
  if (!meeting_) return;
  const std::string kind = "done." + name;
  Meeting::ask([&] {
    if (is_first()) return meeting_->board->post(kind.c_str(), "");
    meeting_->board->wait_for(kind.c_str(), 0, StopRequest::is_passed_over);
  });
}

void Group::save(const std::function<void()>& work) const {
  if (!meeting_) return work();
  const NoticeBoard::Saving saving(*meeting_->board);
  work();
}

void Group::agree(const Facts& facts) {
  if (!meeting_) return;
  NoticeBoard& board = *meeting_->board;
  const std::vector<std::string> all = Meeting::ask([&] {
    board.post("facts", write_facts(facts));
    const std::vector<std::string> texts = board.wait_for_all("facts");
    board.post("agreed", "");
    return texts;
  });
  std::vector<std::string> different;
  const std::vector<std::string> names = members();
  for (size_t rank = 1; rank < all.size(); ++rank) {
    const std::string differs = differences(all[rank], all[0]);
    if (!differs.empty()) different.push_back(fmt::format("{}: {}", names[rank], differs));
  }
  if (different.empty()) return;
  board.keep_store_until_all("agreed");
  throw ConfigError(fmt::format("the processes do not do the same: {}", fmt::join(different, "; ")));
}

std::vector<std::string> Group::members() const {
  if (!meeting_) return {"rank 0"};
  return Meeting::ask([&] { return meeting_->board->wait_for_all("who"); });
}

std::unique_ptr<Communicator> Group::connect(const ComputeDevice& device) {
  if (!meeting_) return single_process();
  std::set<std::string> hosts;
  for (const std::string& member : members()) hosts.insert(host_of(member));
  const std::string address = own_address(place_.address, hosts.size() > 1);
  const auto& board = meeting_->board;
  try {
    return std::make_unique<BackendCommunicator>(
        device.cuda != nullptr ? nccl_backend(board->store(), board->membership(), device)
                               : gloo_backend(board->store(), board->membership(), address),
        board);
  } catch (const c10::Error& error) {
    throw CommunicationError(
        board->explain("the connection of all processes", error.what_without_backtrace()));
  } catch (const std::runtime_error& error) {
    throw CommunicationError(board->explain("the connection of all processes", error.what()));
  }
}

void Group::leave(const std::string& reason) noexcept {
  if (!meeting_) return;
  meeting_->board->end(reason);
  constexpr std::chrono::milliseconds kUntilItIsRead{300};
  if (meeting_->board->membership().keeps_store) std::this_thread::sleep_for(kUntilItIsRead);
}

}  // namespace excitor
