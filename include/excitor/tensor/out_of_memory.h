// Telling "no memory left" from other failures, so that work can be split and tried again.
#pragma once

#include <exception>

namespace excitor {

/// True for what the allocators of the CPU and of CUDA throw when memory is used up.
bool is_out_of_memory(const std::exception& error);

}  // namespace excitor
