// Removing blanks as Python's str.strip does, which the chat templates of others call.
#pragma once

#include <string_view>

namespace excitor {

/// `text` without the blanks (Unicode's too) at its ends.
std::string_view strip(std::string_view text);

}  // namespace excitor
