// Why a format can't hold an adapter, in one place, so that all formats say it alike.
#pragma once

#include <string>

#include <excitor/interchange/adapter_terms.h>

namespace excitor {

/// Throws UsageError unless the adapter consists of LoRA and nothing else. `format` begins the message: the
/// format and what it can hold.
void require_lora_alone(const AdapterTerms& terms, const std::string& format);

/// Throws UsageError for an adapter that no change of weights can express: one that changes attention.
void require_mergeable(const AdapterTerms& terms);

}  // namespace excitor
