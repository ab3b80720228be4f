// Which batches of joint training move a parameter.
#pragma once

namespace excitor {

enum class TrainedBy { everything, images, texts };

/// What a global batch holds.
struct BatchContent {
  bool texts = false;
  bool images = false;
  bool trains(TrainedBy group) const {
    return group == TrainedBy::everything || (group == TrainedBy::images ? images : texts);
  }
};

}  // namespace excitor
