// PEFT's LoraConfig, as adapter_config.json holds it, in the settings of method lora.
#pragma once

#include <excitor/util/settings.h>

namespace excitor {

/// Fills in PEFT's defaults for what the file leaves out and spells its settings as method lora does. Adds to
/// `problems` what PEFT would compute in a way that method lora does not; keys that are not known are
/// reported by a warning, since PEFT passes over them too.
void read_peft_lora_config(Json& config, Problems& problems);

}  // namespace excitor
