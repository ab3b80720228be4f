#include <string>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/json.h>
#include <excitor/util/random.h>

#include "util/temporary_folder.h"

namespace excitor {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string error_of(std::string_view text, JsonDialect dialect = JsonDialect::strict) {
  try {
    parse_json(text, "run.json", dialect);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(ParseJson, KeepsTheOrderOfKeysAndTheKindOfNumbers) {
  const Json json = parse_json(
      R"({"z": 1, "a": [1.0, -2, 18446744073709551615, true, null, "\u00e9\ud83d\ude00"], "m": {}})", "x");
  EXPECT_EQ(json.dump(), R"({"z":1,"a":[1.0,-2,18446744073709551615,true,null,"é😀"],"m":{}})");
  EXPECT_TRUE(json["a"][0].is_number_float());
  EXPECT_TRUE(json["a"][1].is_number_integer());
  EXPECT_TRUE(json["a"][2].is_number_unsigned());
}

TEST(ParseJson, AnyValueMayStandAtTheTop) {
  EXPECT_EQ(parse_json(" 3 ", "x"), Json(3));
  EXPECT_EQ(parse_json("\"a\"", "x"), Json("a"));
  EXPECT_EQ(parse_json("null", "x"), Json());
  EXPECT_EQ(parse_json("[]", "x"), Json::array());
}

TEST(ParseJson, DoublesKeepEveryBit) {
  for (const double value : {0.1, 1e-3, 5e-324, 1.7976931348623157e308, 2.0 / 3.0}) {
    EXPECT_EQ(parse_json(Json(value).dump(), "x").get<double>(), value);
  }
}

TEST(ParseJson, DuplicateKeyIsAnErrorThatNamesTheLine) {
  EXPECT_EQ(error_of("{\n  \"lr\": 1,\n  \"a\": {\"lr\": 2},\n  \"lr\": 3\n}"),
            "run.json:4:3: the key \"lr\" stands twice in one object (first in line 2)");
  EXPECT_THAT(error_of(R"({"a": [{"b": 1, "\u0062": 2}]})"), HasSubstr("the key \"b\" stands twice"));
  EXPECT_EQ(error_of(R"([{"a": 1}, {"a": 2}])"), "no error");
}

TEST(ParseJson, ErrorsNameLineAndColumnAndSayWhatWasExpected) {
  EXPECT_EQ(error_of("{\n  \"a\": 1\n  \"b\": 2\n}"), "run.json:3:3: unexpected string; expected ',' or '}'");
  EXPECT_EQ(error_of("[1 2]"), "run.json:1:4: unexpected 2; expected ',' or ']'");
  EXPECT_EQ(error_of("{\"a\": 1,}"), "run.json:1:9: unexpected '}'; expected a key in double quotes");
  EXPECT_EQ(error_of("[1,\n]"), "run.json:2:1: unexpected ']'; expected a value");
  EXPECT_EQ(error_of("{\"a\" 1}"), "run.json:1:6: unexpected 1; expected ':'");
  EXPECT_EQ(error_of("{a: 1}"), "run.json:1:2: unexpected a; expected a key in double quotes");
  EXPECT_EQ(error_of("{\"a\": cosine}"),
            "run.json:1:7: cosine is not a JSON value; a string stands in double quotes");
  EXPECT_EQ(error_of("{'a': 1}"), "run.json:1:2: a string stands in double quotes, not in single ones");
  EXPECT_EQ(error_of("{\"a\": True}"), "run.json:1:7: True is not JSON; write true");
  EXPECT_EQ(error_of("{} {}"), "run.json:1:4: unexpected '{'; expected the end of the text");
}

TEST(ParseJson, TextThatEndsTooEarlyIsAnError) {
  for (const char* text : {"{", "[", "[1", "[1,", "{\"a\"", "{\"a\":", "{\"a\": [1, 2}", "{\"a\": 1", "\"abc",
                           "[[]", "tru", "-", "1e"}) {
    EXPECT_THAT(error_of(text), StartsWith("run.json:1:")) << text;
  }
  EXPECT_EQ(error_of("{\"a\": [1, 2}"), "run.json:1:12: unexpected '}'; expected ',' or ']'");
  EXPECT_EQ(error_of("[1, 2"), "run.json:1:6: the text ends too early; expected ',' or ']'");
}

TEST(ParseJson, AnEmptyTextIsAnError) {
  for (const char* text : {"", " \n\t ", "\xEF\xBB\xBF"}) {
    EXPECT_EQ(error_of(text), "run.json:1:1: empty; expected a JSON value") << text;
  }
}

TEST(ParseJson, NumbersThatAreNoneOrNotFiniteAreErrors) {
  EXPECT_EQ(error_of("[NaN]"), "run.json:1:2: NaN is not JSON; write null or a number");
  EXPECT_EQ(error_of("[Infinity]"), "run.json:1:2: Infinity is not JSON; write a finite number");
  EXPECT_EQ(error_of("[-Infinity]"), "run.json:1:2: -Infinity is not JSON; write a finite number");
  EXPECT_EQ(error_of("[1e999]"), "run.json:1:2: the number 1e999 is too large for a double");
  EXPECT_THAT(error_of("[" + std::string(400, '9') + "]"), HasSubstr("is too large for a double"));
  for (const std::string text :
       {"01", "-", "+1", ".5", "-.5", "1.", "1.e3", "1e", "1e+", "0x10", "1_000", "--1", "-01", "1.2.3"}) {
    EXPECT_EQ(error_of(text), "run.json:1:1: " + text + " is not a JSON number");
  }
}

TEST(ParseJson, ANumberTooSmallForADoubleIsZero) {
  EXPECT_EQ(parse_json("1e-999", "x").get<double>(), 0.0);
}

TEST(ParseJson, AnIntegerBeyond64BitsStaysReadableAsANumber) {
  // tokenizer_config.json writes model_max_length as 10^30.
  EXPECT_DOUBLE_EQ(parse_json("1000000000000000019884624838656", "x").get<double>(), 1e30);
}

TEST(ParseJson, CommentsAreAllowedOnlyWhereTheDialectSaysSo) {
  const char* text = "// a run\n{\"a\": 1, /* two\nlines */ \"b\": \"// no comment\"} // end";
  EXPECT_EQ(parse_json(text, "x", JsonDialect::with_comments).dump(), R"({"a":1,"b":"// no comment"})");
  EXPECT_EQ(error_of(text), "run.json:1:1: a comment is not allowed here");
  EXPECT_NE(error_of("{} /* open", JsonDialect::with_comments), "no error");
  EXPECT_EQ(error_of("// one\n{\"a\": 1,\n // two\n\"a\": 2}", JsonDialect::with_comments),
            "run.json:4:1: the key \"a\" stands twice in one object (first in line 2)");
  EXPECT_THAT(error_of("// only a comment", JsonDialect::with_comments), HasSubstr("empty"));
}

TEST(ParseJson, AByteOrderMarkIsSkipped) {
  EXPECT_EQ(parse_json("\xEF\xBB\xBF{\"a\": 1}", "x").dump(), R"({"a":1})");
  EXPECT_EQ(error_of("\xEF\xBB\xBF{\"a\" 1}"), "run.json:1:6: unexpected 1; expected ':'");
}

TEST(ParseJson, InvalidUtf8IsAnErrorThatNamesTheByte) {
  EXPECT_EQ(error_of("{\n\"a\": \"\xE4\"}"),
            "run.json:2:7: the byte 0xE4 is not valid UTF-8; save the text as UTF-8");
  EXPECT_NE(error_of("// \xFF\n1", JsonDialect::with_comments), "no error");
}

TEST(ParseJson, AZeroByteDoesNotHideWhatFollows) {
  EXPECT_THAT(error_of(std::string_view("{}\0{}", 5)), HasSubstr("run.json:1:3: a zero byte"));
  EXPECT_THAT(error_of(std::string_view("\"a\0b\"", 5)), HasSubstr("a zero byte"));
}

TEST(ParseJson, EscapesStandForTheirCharacters) {
  EXPECT_EQ(parse_json(R"("\"\\\/\b\f\n\r\t\u0041\u00fC\u20ac\uD83D\uDE00\u0000")", "x").get<std::string>(),
            std::string("\"\\/\b\f\n\r\tAü€😀\0", 19));
}

TEST(ParseJson, BadEscapesAndControlCharactersInTextAreErrors) {
  EXPECT_EQ(error_of("[\"a\tb\"]"),
            "run.json:1:4: a control character inside a string must be written \\u0009");
  EXPECT_EQ(error_of("[\"ü\nb\"]"),
            "run.json:1:4: a line ends inside a string; a quote is missing, or \\n instead of the line end");
  EXPECT_EQ(error_of(R"(["C:\data"])"),
            "run.json:1:5: an unknown escape; a backslash itself is written \\\\");
  EXPECT_EQ(error_of("[\"abc\n"),
            "run.json:1:6: a line ends inside a string; a quote is missing, or \\n instead of the line end");
  EXPECT_EQ(error_of("[\"abc"), "run.json:1:2: this string has no closing quote");
  for (const char* text :
       {R"("\u12")", R"("\u12G4")", R"("\u-123")", R"("\u)", R"("\)", R"("\U0041")", R"("\x41")"}) {
    EXPECT_NE(error_of(text), "no error") << text;
  }
  for (const char* text :
       {R"("\ud800")", R"("\udc00")", R"("\ud800x")", R"("\ud800\n")", R"("\ud800\ud800")"}) {
    EXPECT_EQ(error_of(text), "run.json:1:2: half of a surrogate pair is not a character") << text;
  }
}

TEST(ParseJson, NestingIsLimitedBeforeRecursionCouldHurt) {
  EXPECT_EQ(error_of(std::string(200, '[') + std::string(200, ']')), "no error");
  EXPECT_EQ(error_of(std::string(201, '[') + std::string(201, ']')),
            "run.json:1:201: nested deeper than 200 levels");
  EXPECT_THAT(error_of(std::string(1'000'000, '[')), HasSubstr("nested deeper"));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_THAT(error_of(objects), HasSubstr("nested deeper"));
}

TEST(ParseJson, AVocabularyOfManyKeysTakesLinearTime) {
  std::string text = "{";
  constexpr int kKeys = 200'000;  // comparing each key with all before it would take minutes
  for (int i = 0; i < kKeys; ++i)
    text += (i == 0 ? "\"t" : ",\"t") + std::to_string(i) + "\":" + std::to_string(i);
  const Json json = parse_json(text + "}", "x");
  EXPECT_EQ(json.size(), static_cast<size_t>(kKeys));
}

TEST(ParseJson, AgreesWithNlohmannOnDamagedTexts) {
  // Where both accept, the values are equal; where nlohmann rejects, so do we; where only we reject, it is a
  // duplicate key or a zero byte.
  const std::string seed_text =
      R"({"a": [1, -2.5e3, "x\u00e9\n", true, {"b": null}], "c": {"d": [], "e": ""}, "f": false})";
  const std::string alphabet = R"({}[]",:\/0123456789.-+eEtrufalsn bd)";
  Random random(1, 1);
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = seed_text;
    for (uint64_t edits = 1 + random.below(3); edits > 0; --edits) {
      const size_t at = random.below(text.size());
      const uint64_t kind = random.below(3);
      const char letter = alphabet[random.below(alphabet.size())];
      if (kind == 0) text.erase(at, 1 + random.below(4));
      if (kind == 1) text.insert(at, 1, letter);
      if (kind == 2) text[at] = letter;
    }
    const Json theirs = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    const std::string error = error_of(text);
    if (theirs.is_discarded()) {
      EXPECT_NE(error, "no error") << text;
    } else if (error == "no error") {
      EXPECT_EQ(parse_json(text, "x"), theirs) << text;
      ++accepted;
    } else {
      EXPECT_THAT(error, HasSubstr("stands twice")) << text;
    }
  }
  EXPECT_GT(accepted, 1000);
}

TEST(ReadJsonFile, NamesTheFile) {
  const TemporaryFolder folder;
  const auto path = folder / "a.json";
  write_file_atomically(path, "{\"a\": [1, 2.5]}");
  EXPECT_EQ(read_json_file(path).dump(), R"({"a":[1,2.5]})");
  write_file_atomically(path, "[1,]");
  EXPECT_THAT([&] { read_json_file(path); },
              testing::ThrowsMessage<ConfigError>(StartsWith(path.string() + ":1:4: ")));
  EXPECT_THROW(read_json_file(folder / "missing.json"), IoError);
}

TEST(DescribeValue, SaysWhatAMessageNeeds) {
  EXPECT_EQ(describe_value(Json::object()), "an object");
  EXPECT_EQ(describe_value(Json::array({1})), "a list");
  EXPECT_EQ(describe_value("a\"b"), "the string \"a\\\"b\"");
  EXPECT_EQ(describe_value(3), "the integer 3");
  EXPECT_EQ(describe_value(2.0), "the number 2.0");
  EXPECT_EQ(describe_value(true), "true");
  EXPECT_EQ(describe_value(nullptr), "null");
  EXPECT_EQ(describe_value(std::string(100, 'x')), "the string \"" + std::string(59, 'x') + "…\"");
}

}  // namespace
}  // namespace excitor
