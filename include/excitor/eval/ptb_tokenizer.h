// Words of captions, as coco-caption finds them with Stanford CoreNLP 3.4.1 (PTBTokenizer -preserveLines
// -lowerCase).
#pragma once

#include <string>
#include <vector>

namespace excitor {

/// The words of each line, in lower case, with single spaces between them; coco-caption's list of punctuation
/// ('' ' `` ` . ? ! , : ; - -- ...) is left out. Lines are read as one text, since what ends one is now and
/// then judged by how the next begins. Line ends inside a line count as blanks. `lines` are valid UTF-8.
std::vector<std::string> ptb_words(const std::vector<std::string>& lines);

}  // namespace excitor
