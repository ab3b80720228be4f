#include <excitor/model/joined_passes.h>

namespace excitor {

void JoinedPasses::compute(const std::function<void()>& pass) {
  if (gathers_ && !route_)
    route_ = gathers_->note(pass);
  else
    pass();
}

void JoinedPasses::join(const std::function<void()>& uncounted) {
  if (!gathers_) return;
  if (route_)
    gathers_->follow(*route_);
  else
    compute(uncounted);
}

}  // namespace excitor
