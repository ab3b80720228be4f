#include "caption_reader.h"

#include <unordered_map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/image_path.h>

#include "blanks.h"
#include "json_rows.h"
#include "left_out.h"
#include "row_format.h"

namespace excitor {
namespace {

/// Makes examples of images and captions; what is wrong with one is added to the errors.
class CaptionedImages {
 public:
  CaptionedImages(const SourceFile& source, RowErrors& errors, DatasetReport& report, const SourceSink& sink)
      : source_(source), errors_(errors), report_(report), sink_(sink) {}

  /// `caption`: a text or a list of texts.
  void add(const std::string& image, const Json& caption, const Origin& origin) {
    try {
      image_path(source_.file.images, image);  // throws when it leaves the folder
      if (!caption.is_array()) return add_one(image, caption, origin);
      if (caption.empty()) throw DataError("\"caption\" is an empty list");
      for (const Json& one : caption) add_one(image, one, origin);
    } catch (const DataError& error) {
      errors_.add(fmt::format("{}: {}", origin.text(), error.what()));
    }
  }

 private:
  void add_one(const std::string& image, const Json& caption, const Origin& origin) {
    if (!caption.is_string())
      throw DataError(fmt::format("\"caption\" must be a text; found {}", describe_value(caption)));
    const std::string text(trim(caption.get_ref<const std::string&>()));
    if (text.empty()) return leave_out(report_, LeftOut::empty, origin, "\"caption\" is empty");
    sink_({.pieces = source_.prompt_template.conversation(
               {{.role = Role::user, .content = source_.caption_instruction},
                {.role = Role::assistant, .content = text}}),
           .image = image,
           .origin = origin});
  }

  const SourceFile& source_;
  RowErrors& errors_;
  DatasetReport& report_;
  const SourceSink& sink_;
};

/// One JSON document with the list "images".
Json read_document(const std::string& path) {
  Json document;
  try {
    document = read_json_file(path);
  } catch (const ConfigError& error) {
    throw DataError(error.what());
  }
  if (document.is_object() && document.contains("images") && document["images"].is_array()) return document;
  throw DataError(
      fmt::format("{}: expected an object with a list \"images\", found {}", path,
                  document.is_object() ? "the keys " + keys_of(document) : describe_value(document)));
}

/// The place of an element in a list of a document.
Origin origin_in(const std::string& path, const char* list, int64_t index) {
  return {.file = std::make_shared<std::string>(path), .number = index, .is_line = false, .list = list};
}

/// An id as a key: 42 and "42" stay apart. "" where there is none.
std::string id_under(const Json& element, const char* key) {
  if (!element.is_object() || !element.contains(key)) return "";
  const Json& id = element[key];
  return id.is_number_integer() || id.is_string() ? id.dump() : "";
}

std::unordered_map<std::string, std::string> coco_file_names(const Json& images, const std::string& path,
                                                             RowErrors& errors) {
  std::unordered_map<std::string, std::string> names;
  for (size_t i = 0; i < images.size(); ++i) {
    const Origin origin = origin_in(path, "images", static_cast<int64_t>(i));
    const std::string id = id_under(images[i], "id");
    if (id.empty())
      errors.add(fmt::format("{}: \"id\" must be an integer or a text", origin.text()));
    else if (const std::string* name = required_string(images[i], "file_name", origin, errors))
      names.emplace(id, *name);
  }
  return names;
}

bool is_of_split(const std::string& image_split, const std::string& wanted) {
  return image_split == wanted || (wanted == "train" && image_split == "restval");
}

/// "train2014/COCO_train2014_000000000009.jpg"
std::string karpathy_name(const Json& image, const std::string& filename) {
  const bool has_path = image.contains("filepath") && image["filepath"].is_string();
  const std::string folder = has_path ? image["filepath"].get<std::string>() : "";
  return folder.empty() ? filename : folder + "/" + filename;
}

/// The texts under "raw" of the sentences; an element without one is left as it is, to be told of.
Json raw_sentences(const Json& image) {
  Json texts = Json::array();
  if (!image.contains("sentences") || !image["sentences"].is_array()) return texts;
  for (const Json& sentence : image["sentences"])
    texts.push_back(sentence.is_object() && sentence.contains("raw") ? sentence["raw"] : sentence);
  return texts;
}

}  // namespace

void read_captions(const SourceFile& source, RowErrors& errors, DatasetReport& report,
                   const SourceSink& sink) {
  CaptionedImages images(source, errors, report, sink);
  JsonRows rows(source.file.path, errors);
  while (const auto row = rows.next()) {
    const auto& [value, origin] = *row;
    if (is_of_other_format(value, "caption", origin, errors)) continue;
    const std::string* image = required_string(value, "image", origin, errors);
    if (!image) continue;
    if (value.contains("caption"))
      images.add(*image, value["caption"], origin);
    else
      errors.add(
          fmt::format("{}: \"caption\" is missing; found the keys: {}", origin.text(), keys_of(value)));
  }
}

void read_coco(const SourceFile& source, RowErrors& errors, DatasetReport& report, const SourceSink& sink) {
  const std::string& path = source.file.path;
  const Json document = read_document(path);
  if (!document.contains("annotations") || !document["annotations"].is_array())
    throw DataError(fmt::format("{}: has no list \"annotations\" (COCO's captions)", path));
  const auto names = coco_file_names(document["images"], path, errors);
  CaptionedImages images(source, errors, report, sink);
  const Json& annotations = document["annotations"];
  for (size_t i = 0; i < annotations.size(); ++i) {
    const Origin origin = origin_in(path, "annotations", static_cast<int64_t>(i));
    const auto name = names.find(id_under(annotations[i], "image_id"));
    if (name == names.end()) {
      errors.add(fmt::format("{}: \"image_id\" names no element of \"images\"", origin.text()));
      continue;
    }
    images.add(name->second, annotations[i].contains("caption") ? annotations[i]["caption"] : Json(), origin);
  }
}

void read_karpathy(const SourceFile& source, RowErrors& errors, DatasetReport& report,
                   const SourceSink& sink) {
  const std::string& path = source.file.path;
  const std::string split = source.file.split == "auto" ? "train" : source.file.split;
  const Json document = read_document(path);
  CaptionedImages images(source, errors, report, sink);
  int64_t found = 0;
  for (size_t i = 0; i < document["images"].size(); ++i) {
    const Json& image = document["images"][i];
    const Origin origin = origin_in(path, "images", static_cast<int64_t>(i));
    const std::string* own_split = required_string(image, "split", origin, errors);
    if (!own_split || !is_of_split(*own_split, split)) continue;
    ++found;
    if (const std::string* name = required_string(image, "filename", origin, errors))
      images.add(karpathy_name(image, *name), raw_sentences(image), origin);
  }
  if (found == 0 && errors.empty())
    throw DataError(fmt::format("{}: no image is of the split \"{}\"", path, split));
}

}  // namespace excitor
