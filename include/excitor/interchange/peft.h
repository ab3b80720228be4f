// Adapter folders of Hugging Face PEFT: LORA and ADAPTION_PROMPT.
#pragma once

#include <filesystem>
#include <string>

#include <excitor/interchange/import_options.h>
#include <excitor/methods/adapter_files.h>

namespace excitor {

/// The base of an adapter that is exported: its folder as it was given, its shape, its weights by name.
using PeftBase = ImportBase;

/// Writes a folder that PEFT loads unchanged: adapter_config.json with keys that PEFT knows, the tensors, a
/// model card. The base's name stands in it where the adapter does not say what it was trained on. A LoRA (of
/// method lora, or an adapter_v2 that is nothing else) becomes LORA; method adapter becomes ADAPTION_PROMPT,
/// whose one gate a layer is tanh(gate) of ours. Throws UsageError where PEFT has no such thing: Excitor, the
/// other parts of adapter_v2, gates that differ between the heads of a layer; and for prompts on a base whose
/// o_proj has biases, which PEFT would add twice.
void export_peft(const std::filesystem::path& folder, const LoadedAdapter& adapter, const PeftBase& base);

/// Writes a PEFT folder (adapter_model.safetensors, else adapter_model.bin) as ours. With a base in `options`
/// every tensor is checked against its shape; without one, names and ranks alone, and whoever uses the
/// adapter checks the rest. Throws CheckpointError: another kind of adapter, settings that are not computed
/// here, tensors that are missing, left over or misshapen.
void import_peft(const std::filesystem::path& folder, const std::filesystem::path& output,
                 const ImportOptions& options);

}  // namespace excitor
