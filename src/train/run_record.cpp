#include <excitor/train/run_record.h>

#include <nlohmann/json.hpp>

#include <excitor/util/system.h>

namespace excitor {

RunRecord::RunRecord(const RunFolder& folder, bool tensorboard) : metrics_(folder.metrics_file()) {
  if (tensorboard) tensorboard_.emplace(folder.path());
}

void RunRecord::event(const Json& event, std::string_view group) {
  metrics_.append_line(event.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (tensorboard_ && event.contains("step"))
    scalars(event, event["step"].get<int64_t>(), std::string(group));
}

void RunRecord::step(const StepMetrics& s, int64_t peak_memory_bytes) {
  event({{"event", "step"},
         {"step", s.step},
         {"epoch", s.epoch},
         {"loss", s.loss},
         {"learning_rate", s.learning_rate},
         {"grad_norm", s.grad_norm},
         {"tokens", s.tokens},
         {"label_tokens", s.label_tokens},
         {"tokens_per_second", static_cast<double>(s.tokens) / s.seconds},
         {"seconds", s.seconds},
         {"peak_memory_bytes", peak_memory_bytes}},
        "train");
}

void RunRecord::scalars(const Json& object, int64_t step, const std::string& tag) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) scalars(value, step, tag + "/" + key);
    if (value.is_array()) {
      for (const Json& element : value)
        if (element.is_object() && element.contains("name"))
          scalars(element, step, tag + "/" + key + "/" + element["name"].get<std::string>());
    }
    if (value.is_number() && key != "step") tensorboard_->scalar(tag + "/" + key, step, value.get<double>());
  }
}

}  // namespace excitor
