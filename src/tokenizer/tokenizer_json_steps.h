// The parts of a tokenizer.json around its model: normalizer, pre_tokenizer, decoder, post_processor.
#pragma once

#include <string>
#include <vector>

#include "bpe_tokenizer.h"
#include "json_fields.h"

namespace excitor {

/// Reads the four parts of `file` into steps, alphabet and spaces of `description`; the model must be there
/// already. Throws CheckpointError that names what is not understood.
void read_tokenizer_json_steps(JsonFields& file, BpeDescription& description);

/// The names of the special tokens that the post_processor puts around a text.
struct AddedAround {
  std::string before;
  std::string after;
};
AddedAround read_post_processor(JsonFields& file);

}  // namespace excitor
