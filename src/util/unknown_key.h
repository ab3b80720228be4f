// What to say about a key that no field has.
#pragma once

#include <string>
#include <vector>

#include <excitor/util/settings.h>

namespace excitor {

/// `siblings`: the keys that are known where `key` stands. Suggests, in this order: what another trainer's
/// key is called here, the section the key belongs to, the nearest known key beside it; else lists the known
/// keys.
std::string unknown_key_message(const std::string& key, const std::vector<std::string>& siblings,
                                const ReadOptions& options);

}  // namespace excitor
