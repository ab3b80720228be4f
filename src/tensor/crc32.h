// The checksum of zip archives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace excitor {

/// CRC-32 (reflected polynomial 0xEDB88320) of `bytes`; `before` is the checksum of what precedes them.
uint32_t crc32(std::span<const std::byte> bytes, uint32_t before = 0);

}  // namespace excitor
