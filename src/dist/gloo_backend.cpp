// Headers of Gloo itself (Debian's libgloo-dev) are older than the Gloo inside LibTorch: c10d's class is made
// and used through its own functions only, nothing of Gloo's is.
#include <cstdlib>

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "backend_communicator.h"

namespace excitor {

BackendPointer gloo_backend(const StorePointer& store, const Membership& membership,
                            const std::string& address) {
  const auto options = c10d::ProcessGroupGloo::Options::create(membership.time_limit);
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  options->devices.push_back(interface ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                                       : c10d::ProcessGroupGloo::createDeviceForHostname(address));
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, static_cast<int>(membership.rank),
                                                     static_cast<int>(membership.size), options);
}

}  // namespace excitor
