// A group whose members are threads of the test: the same sockets and store as between processes.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <excitor/dist/group.h>

namespace excitor::test {

/// A port that nothing listens on.
inline int64_t free_port() {
  const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  bind(descriptor, reinterpret_cast<sockaddr*>(&address), length);
  getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length);
  close(descriptor);
  return ntohs(address.sin_port);
}

inline Place place(int64_t rank, int64_t size, int64_t port) {
  return {
      .rank = rank, .size = size, .local_rank = rank, .local_size = size, .port = port, .source = "the test"};
}

/// Runs `work` in a thread for each member of a group; what each of them threw, or "". Rank 0, which keeps
/// the group's notes, stays until all have ended, as a launcher does; the others leave with their thread.
inline std::vector<std::string> as_group(int64_t size, const std::function<void(Group&)>& work,
                                         std::chrono::milliseconds limit = std::chrono::seconds(20)) {
  std::signal(SIGPIPE, SIG_IGN);  // as in the program: a member that has left is an error of the socket
  const int64_t port = free_port();
  std::vector<std::string> errors(size);
  std::unique_ptr<Group> first;
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        auto group = std::make_unique<Group>(place(rank, size, port), limit);
        Group& member = *group;
        if (rank == 0) first = std::move(group);
        work(member);
      } catch (const std::exception& error) {
        errors[rank] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

}  // namespace excitor::test
