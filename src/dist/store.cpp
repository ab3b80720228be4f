#include "store.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <thread>

#include <c10/util/Logging.h>
#include <fmt/format.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <excitor/dist/communicator.h>

namespace excitor {
namespace {

constexpr const char* kLoopback = "127.0.0.1";

std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

/// Once, before c10d is used. It logs what it also throws, with stacks: a message of ours says it in words.
/// For its log, written or not, it looks up the name of each address that it meets, and waited 5 s each time
/// where no name server answered: now one second at most. Its flight recorder would keep a stack of each
/// operation, which nothing here reads, and threads of one process that each have a group write to its list
/// of groups without a lock.
void prepare_c10d() {
  static const bool kDone = [] {
    FLAGS_caffe2_log_level = 3;  // fatal errors alone
    setenv("RES_OPTIONS", "timeout:1 attempts:1", /*overwrite=*/0);
    setenv("TORCH_FR_BUFFER_SIZE", "0", /*overwrite=*/0);
    return true;
  }();
  static_cast<void>(kDone);
}

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

/// The addresses of a host, or null.
Addresses look_up(const std::string& host) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_DGRAM;
  getaddrinfo(host.c_str(), "1", &hints, &found);
  return {found, freeaddrinfo};
}

bool is_loopback(const std::string& address) {
  return address.starts_with("127.") || address == "::1" || address.starts_with("::ffff:127.");
}

std::string numeric(const sockaddr* address, socklen_t length) {
  std::array<char, NI_MAXHOST> text{};
  if (getnameinfo(address, length, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0)
    return kLoopback;
  return text.data();
}

/// The host's address in digits, asked for as long as a name server may take to know it.
std::string resolve(const std::string& host, std::chrono::milliseconds time_limit) {
  const auto deadline = std::chrono::steady_clock::now() + time_limit;
  while (true) {
    if (const Addresses found = look_up(host)) return numeric(found->ai_addr, found->ai_addrlen);
    if (std::chrono::steady_clock::now() > deadline) {
      throw CommunicationError(fmt::format(
          "MASTER_ADDR={}: no such host is known here; give the address of the machine of rank 0", host));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

/// A datagram socket that is connected, which sends nothing, has the address of the interface that leads
/// there.
std::string address_towards(const addrinfo& target) {
  const int descriptor = socket(target.ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_storage own{};
  socklen_t length = sizeof own;
  const bool found = descriptor >= 0 && connect(descriptor, target.ai_addr, target.ai_addrlen) == 0 &&
                     getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &length) == 0;
  if (descriptor >= 0) close(descriptor);
  return found ? numeric(reinterpret_cast<const sockaddr*>(&own), length) : kLoopback;
}

std::string first_interface() {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return kLoopback;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> guard(all, freeifaddrs);
  for (const ifaddrs* i = all; i != nullptr; i = i->ifa_next) {
    const bool usable = (i->ifa_flags & IFF_UP) != 0 && (i->ifa_flags & IFF_LOOPBACK) == 0;
    if (usable && i->ifa_addr != nullptr && i->ifa_addr->sa_family == AF_INET)
      return numeric(i->ifa_addr, sizeof(sockaddr_in));
  }
  return kLoopback;
}

}  // namespace

StorePointer reach_store(const Place& place, std::chrono::milliseconds time_limit) {
  prepare_c10d();
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(place.port);
  options.isServer = place.rank == 0 && !place.store_is_kept;
  options.waitWorkers = false;
  options.timeout = time_limit;
  const std::string where = fmt::format("{}:{}", place.address, place.port);
  const std::string address = resolve(place.address, time_limit);
  try {
    const auto store = c10::make_intrusive<c10d::TCPStore>(address, options);
    return c10::make_intrusive<c10d::PrefixStore>("excitor/" + place.run, store);
  } catch (const std::exception& error) {
    const std::string reason = first_line(error.what());
    if (options.isServer && reason.find("EADDRINUSE") != std::string::npos) {
      throw CommunicationError(fmt::format(
          "rank 0 can't wait for the others on port {}: it is in use; choose another one (MASTER_PORT)",
          place.port));
    }
    throw CommunicationError(
        fmt::format("rank {} of {}: the processes meet at {}, and it can't be reached: {}; see to it that "
                    "rank 0 runs and "
                    "that MASTER_ADDR and MASTER_PORT are the same for all",
                    place.rank, place.size, where, reason));
  }
}

OwnStore keep_store() {
  prepare_c10d();
  c10d::TCPStoreOptions options;
  options.port = 0;
  options.isServer = true;
  options.waitWorkers = false;
  const auto store = c10::make_intrusive<c10d::TCPStore>(kLoopback, options);
  return {.store = store, .port = store->getPort()};
}

std::string own_address(const std::string& address, bool has_others) {
  const Addresses found = look_up(address);
  const std::string own = found ? address_towards(*found) : kLoopback;
  return is_loopback(own) && has_others ? first_interface() : own;
}

}  // namespace excitor
