#include <excitor/data/data_settings.h>

namespace excitor {
namespace {

using Words = std::vector<std::pair<std::string, std::string>>;

/// Words that mean themselves.
Words words_of(const std::vector<std::string>& names) {
  Words words;
  for (const std::string& name : names) words.emplace_back(name, name);
  return words;
}

}  // namespace

void DataFileSettings::describe(Describer& d) {
  d.field("path", path, "The file; a relative path starts at the configuration's folder.");
  d.choice("format", format, words_of({"auto", "alpaca", "text"}),
           "alpaca: a JSON array or JSONL of {instruction, input, output}. text: documents, blocks between "
           "blank lines of a "
           ".txt file or rows {\"text\"}. auto: .json and .jsonl are alpaca, .txt is text.");
}

void DataSettings::describe(Describer& d) {
  d.list("train", train, "Files to train on, in this order.");
  d.list("validation", validation, "Files to validate on, instead of val_size.");
  d.field("val_size", val_size, "Examples held back for validation: the last ones. 0: none.", kNonNegative);
  d.field(
      "prompt_template", prompt_template,
      "How messages become a prompt: a name (alpaca, llama2, llama3, vicuna, chatml, plain) or an object. "
      "plain: nothing added. Text is trained on as it is.");
  d.field("max_seq_length", max_seq_length, "Tokens an example may have, BOS and EOS included.",
          Range{.minimum = 2, .maximum = 1 << 24});
  d.choice<LongExamples>(
      "on_long_example", on_long_example,
      {{"truncate", LongExamples::truncate}, {"drop", LongExamples::drop}, {"fail", LongExamples::fail}},
      "Examples longer than max_seq_length. truncate: cut off; a text document continues in the next "
      "window instead. drop: left out and counted. fail: an error that names them.");
  d.field("packing", packing,
          "Lay as many examples into a micro-batch as its token budget holds. The mathematics is the "
          "same either way.");
  d.field("train_on_inputs", train_on_inputs, "The prompt's tokens are labels too, not the answer's alone.");
  d.field("shuffle", shuffle, "A new order each epoch; false keeps the file's.");
}

}  // namespace excitor
