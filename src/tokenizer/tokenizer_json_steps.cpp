#include "tokenizer_json_steps.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include <fmt/format.h>

#include <excitor/util/error.h>

#include "words.h"

namespace excitor {
namespace {

/// What ByteLevel splits at by itself (GPT-2's expression).
constexpr std::string_view kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// Calls `read` with each part of a "Sequence" (its list stands under `list_key`), or with the part itself.
template <class Read>
void for_each_part(const Json& part, const std::string& where, const char* list_key, const Read& read) {
  if (part.is_null()) return;
  JsonFields fields(part, where);
  if (fields.type() != "Sequence") return read(part, where);
  const Json& parts = fields.list(list_key);
  fields.require_nothing_else();
  for (size_t i = 0; i < parts.size(); ++i)
    for_each_part(parts[i], fmt::format("{}.{}[{}]", where, list_key, i), list_key, read);
}

[[noreturn]] void fail_type(const JsonFields& fields, const std::string& type, const char* known) {
  fields.fail(fmt::format("the type \"{}\" is not understood; understood: {}", type, known));
}

SplitIsolated split_at(const JsonFields& fields, std::string_view pattern) {
  try {
    return {compile_split_pattern(pattern)};
  } catch (const ConfigError& error) {
    fields.fail(error.what());
  }
}

/// A decoder or post-processor repeats the pre-tokenizer's flags, without a meaning for ids.
void ignore_byte_level_flags(JsonFields& fields) {
  for (const char* flag : {"add_prefix_space", "trim_offsets", "use_regex"}) fields.flag(flag, true);
}

/// A regular expression that matches `text` alone.
std::string expression_for(std::string_view text) {
  std::string expression;
  for (const char c : text) {
    if (std::ispunct(static_cast<unsigned char>(c))) expression += '\\';
    expression += c;
  }
  return expression;
}

class StepReader {
 public:
  explicit StepReader(BpeDescription& description) : d_(description) {}

  void read_normalizer(const Json& part, const std::string& where) {
    JsonFields fields(part, where);
    const std::string type = fields.type();
    if (type == "Prepend") {
      d_.normalizer.push_back(Prepend{fields.text("prepend")});
      d_.adds_leading_space = true;
    } else if (type == "Replace") {
      d_.normalizer.push_back(Replace{string_pattern(fields), fields.text("content")});
    } else {
      fail_type(fields, type, "Sequence, Prepend, Replace");
    }
    fields.require_nothing_else();
  }

  void read_pre_tokenizer(const Json& part, const std::string& where) {
    JsonFields fields(part, where);
    if (is_byte_level_) fields.fail("stands after ByteLevel, which must be the last step");
    const std::string type = fields.type();
    if (type == "ByteLevel")
      read_byte_level(fields);
    else if (type == "Split")
      read_split(fields);
    else if (type == "Metaspace")
      read_metaspace(fields);
    else if (type == "Digits")
      d_.steps.push_back(split_at(fields, fields.flag("individual_digits", false) ? "\\p{N}" : "\\p{N}+"));
    else
      fail_type(fields, type, "Sequence, ByteLevel, Split, Digits, Metaspace");
    fields.require_nothing_else();
  }

  void read_decoder(const Json& part, const std::string& where) {
    JsonFields fields(part, where);
    const std::string type = fields.type();
    if (type == "Strip") {
      if (fields.text("content") != " " || fields.get("start") != 1 || fields.get("stop") != 0)
        fields.fail("is understood only when it removes one space in front");
      d_.strips_leading_space = true;
    } else if (type == "Metaspace") {
      d_.strips_leading_space = metaspace_of(fields).prepend;
    } else if (type == "ByteLevel") {
      ignore_byte_level_flags(fields);
    } else if (type == "Replace") {
      if (string_pattern(fields) != kSpaceSymbol || fields.text("content") != " ")
        fields.fail("is understood only when it replaces \"▁\" by a space");
    } else if (type != "ByteFallback" && type != "Fuse") {
      fail_type(fields, type, "Sequence, ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace");
    }
    if ((type == "ByteLevel") != is_byte_level_)
      fields.fail(fmt::format("{} does not belong to this pre_tokenizer", type));
    fields.require_nothing_else();
  }

  bool is_byte_level() const { return is_byte_level_; }

 private:
  void read_byte_level(JsonFields& fields) {
    is_byte_level_ = true;
    if (fields.flag("add_prefix_space", true)) {
      d_.steps.push_back(PrependOnce{" "});
      d_.adds_leading_space = true;
    }
    fields.flag("trim_offsets", true);  // offsets are not asked for
    if (fields.flag("use_regex", true)) d_.steps.push_back(split_at(fields, kByteLevelPattern));
  }

  void read_split(JsonFields& fields) {
    const std::string behavior = fields.text("behavior");
    if (behavior != "Isolated")
      fields.fail(fmt::format("the behavior \"{}\" is not understood; understood: Isolated", behavior));
    if (fields.flag("invert", false)) fields.fail("\"invert\": true is not understood");
    JsonFields pattern(fields.get("pattern"), fields.where() + ".pattern");
    const bool is_literal = !pattern.get("String").is_null();
    const std::string text = pattern.text(is_literal ? "String" : "Regex");
    pattern.require_nothing_else();
    d_.steps.push_back(split_at(fields, is_literal ? expression_for(text) : text));
  }

  void read_metaspace(JsonFields& fields) {
    const Metaspace metaspace = metaspace_of(fields);
    d_.steps.push_back(Replace{" ", std::string(kSpaceSymbol)});
    if (metaspace.prepend) d_.steps.push_back(PrependOnce{std::string(kSpaceSymbol), metaspace.only_first});
    if (metaspace.split) d_.steps.push_back(SplitBefore{std::string(kSpaceSymbol)});
    d_.adds_leading_space = d_.adds_leading_space || metaspace.prepend;
  }

  struct Metaspace {
    bool prepend = true;
    bool only_first = false;
    bool split = true;
  };
  static Metaspace metaspace_of(JsonFields& fields) {
    if (fields.text("replacement") != kSpaceSymbol) fields.fail("the replacement must be \"▁\"");
    Metaspace metaspace{.prepend = fields.flag("add_prefix_space", true),
                        .split = fields.flag("split", true)};
    const Json& scheme = fields.get("prepend_scheme");
    if (scheme.is_null()) return metaspace;
    if (scheme != "always" && scheme != "first" && scheme != "never") {
      fields.fail(fmt::format("prepend_scheme: expected \"always\", \"first\" or \"never\", found {}",
                              describe_value(scheme)));
    }
    metaspace.prepend = scheme != "never";
    metaspace.only_first = scheme == "first";
    return metaspace;
  }

  static std::string string_pattern(JsonFields& fields) {
    JsonFields pattern(fields.get("pattern"), fields.where() + ".pattern");
    const std::string text = pattern.text("String");
    pattern.require_nothing_else();
    if (text.empty()) pattern.fail("is empty");
    return text;
  }

  BpeDescription& d_;
  bool is_byte_level_ = false;
};

/// A word of characters ends where a space begins, unless a token goes on behind it.
bool holds_word_ends(const BpeDescription& description) {
  return std::ranges::none_of(description.tokens, [](const BpeToken& token) {
    return token.kind == BpeTokenKind::ordinary && holds_inner_space(token.text);
  });
}

/// The special tokens of a TemplateProcessing's `single`: [before…, Sequence, after…].
AddedAround read_template_processing(JsonFields& fields) {
  AddedAround around;
  bool behind = false;
  for (const Json& item : fields.list("single")) {
    JsonFields part(item, fields.where() + ".single");
    const Json& special = part.get("SpecialToken");
    const Json& sequence = part.get("Sequence");
    part.require_nothing_else();
    behind = behind || !sequence.is_null();
    if (special.is_null()) continue;
    JsonFields token(special, part.where() + ".SpecialToken");
    (behind ? around.after : around.before) = token.text("id");
  }
  fields.get("pair");
  fields.get("special_tokens");
  return around;
}

}  // namespace

void read_tokenizer_json_steps(JsonFields& file, BpeDescription& description) {
  const std::string in_file = file.where() + ": ";
  StepReader reader(description);
  for_each_part(file.get("normalizer"), in_file + "normalizer", "normalizers",
                [&](const Json& part, const std::string& where) { reader.read_normalizer(part, where); });
  for_each_part(file.get("pre_tokenizer"), in_file + "pre_tokenizer", "pretokenizers",
                [&](const Json& part, const std::string& where) { reader.read_pre_tokenizer(part, where); });
  if (file.get("decoder").is_null()) file.fail("decoder: is missing, so ids could not become text");
  for_each_part(file.get("decoder"), in_file + "decoder", "decoders",
                [&](const Json& part, const std::string& where) { reader.read_decoder(part, where); });
  description.alphabet = reader.is_byte_level() ? BpeAlphabet::bytes : BpeAlphabet::characters;
  if (description.alphabet == BpeAlphabet::characters && holds_word_ends(description)) {
    // Changes no ids; words that come again are then remembered (words.h).
    description.steps.push_back(SplitBefore{.symbol = std::string(kSpaceSymbol), .first_of_run = true});
  }
}

AddedAround read_post_processor(JsonFields& file) {
  AddedAround around;
  for_each_part(file.get("post_processor"), file.where() + ": post_processor", "processors",
                [&](const Json& part, const std::string& where) {
                  JsonFields fields(part, where);
                  const std::string type = fields.type();
                  if (type == "TemplateProcessing")
                    around = read_template_processing(fields);
                  else if (type == "ByteLevel")
                    ignore_byte_level_flags(fields);
                  else
                    fail_type(fields, type, "Sequence, TemplateProcessing, ByteLevel");
                  fields.require_nothing_else();
                });
  return around;
}

}  // namespace excitor
