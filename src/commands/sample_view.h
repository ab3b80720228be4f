// One example for people to look at.
#pragma once

#include <string>

#include <excitor/data/example.h>
#include <excitor/tokenizer/tokenizer.h>

namespace excitor {

/// The pieces of an example, one after the other with a middle dot between; its labels are coloured green, or
/// stand between » and « without colour. Line ends inside pieces are written as they are spelt in the
/// vocabulary.
std::string render_sample(const Example& example, const Tokenizer& tokenizer, bool color);

}  // namespace excitor
