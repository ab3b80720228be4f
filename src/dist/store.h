// The key-value store at which processes meet, and this machine's address as the others reach it.
#pragma once

#include <chrono>
#include <string>

#include <excitor/dist/place.h>

#include "notice_board.h"

namespace excitor {

/// Connects to c10d's TCPStore of `place`, or keeps it when it is this process's task. Throws
/// CommunicationError.
StorePointer reach_store(const Place& place, std::chrono::milliseconds time_limit);

/// A store in this process on a free port of the loopback interface, for the processes that it starts.
struct OwnStore {
  StorePointer store;
  int64_t port = 0;
};
OwnStore keep_store();

/// The address of this machine on the way to `address`; when that is this machine itself and others lie
/// elsewhere (`has_others`), that of its first network interface.
std::string own_address(const std::string& address, bool has_others);

}  // namespace excitor
