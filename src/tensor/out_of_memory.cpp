#include <excitor/tensor/out_of_memory.h>

#include <new>
#include <string_view>

#include <c10/util/Exception.h>

namespace excitor {

bool is_out_of_memory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) || dynamic_cast<const c10::OutOfMemoryError*>(&error))
    return true;
  // The CPU allocator has no type of its own for it, nor has oneDNN.
  const std::string_view text = error.what();
  return text.find("can't allocate memory") != text.npos || text.find("not enough memory") != text.npos ||
         text.find("CUDA out of memory") != text.npos || text.find("out_of_memory") != text.npos;
}

}  // namespace excitor
