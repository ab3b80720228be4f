#include <excitor/eval/coco_captions.h>

#include <unordered_map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <excitor/data/question_rows.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// An element of a list in a file, under the name that messages give it.
QuestionRow element_of(const Json& list, size_t index, const std::string& where) {
  QuestionRow row(list[index], fmt::format("{}[{}]", where, index));
  if (!row.value().is_object()) row.fail("expected an object, found " + describe_value(row.value()));
  return row;
}

/// 42 -> "42", "a7" -> "\"a7\"": numbers and texts stay apart.
std::string id_of(const QuestionRow& row, const char* key) {
  const Json id = row.value().contains(key) ? row.value()[key] : Json();
  if (!id.is_number_integer() && !id.is_string())
    row.fail(fmt::format("\"{}\" must be an integer or a text; found {}", key,
                         row.value().contains(key) ? describe_value(id) : "none"));
  return id.dump();
}

const Json& list_of(const Json& document, const char* key, const fs::path& file) {
  if (!document.is_object() || !document.contains(key) || !document[key].is_array())
    throw DataError(
        fmt::format("{}: expected an object with a list \"{}\" (COCO's captions)", file.string(), key));
  return document[key];
}

/// Images by their id.
class ImageIndex {
 public:
  /// The place of an id, which is added when it is new.
  size_t add(const std::string& id) { return places_.try_emplace(id, places_.size()).first->second; }
  bool has(const std::string& id) const { return places_.contains(id); }
  size_t at(const std::string& id) const { return places_.at(id); }

 private:
  std::unordered_map<std::string, size_t> places_;
};

void read_images(const Json& document, const fs::path& file, std::vector<ReferencedImage>& images,
                 ImageIndex& index) {
  const Json& list = list_of(document, "images", file);
  for (size_t i = 0; i < list.size(); ++i) {
    const QuestionRow row = element_of(list, i, file.string() + ": images");
    const std::string id = id_of(row, "id");
    if (index.has(id)) row.fail(fmt::format("image {} stands there twice", id));
    index.add(id);
    images.push_back(
        {.id = id, .file_name = row.has("file_name") ? row.text("file_name") : "", .references = {}});
  }
}

/// Karpathy's files hold the sentences with the images, and nothing else besides.
bool is_karpathy(const Json& document) {
  return document.is_object() && document.contains("images") && !document.contains("annotations");
}

std::vector<std::string> raw_sentences(const QuestionRow& row) {
  const Json& sentences = row.value().contains("sentences") ? row.value()["sentences"] : Json::array();
  if (!sentences.is_array() || sentences.empty())
    row.fail("\"sentences\" must be a list with at least one element");
  std::vector<std::string> texts;
  for (size_t i = 0; i < sentences.size(); ++i)
    texts.push_back(element_of(sentences, i, row.place() + ": sentences").text("raw"));
  return texts;
}

std::vector<ReferencedImage> read_karpathy(const Json& document, const fs::path& file,
                                           const std::string& split) {
  const Json& list = list_of(document, "images", file);
  std::vector<ReferencedImage> images;
  ImageIndex index;
  for (size_t i = 0; i < list.size(); ++i) {
    const QuestionRow row = element_of(list, i, file.string() + ": images");
    const std::string own = row.text("split");
    if (own != split && !(split == "train" && own == "restval")) continue;
    const std::string id = id_of(row, row.has("cocoid") ? "cocoid" : "imgid");
    if (index.has(id)) row.fail(fmt::format("image {} stands there twice", id));
    index.add(id);
    const std::string folder = row.has("filepath") ? row.text("filepath") + "/" : "";
    images.push_back(
        {.id = id, .file_name = folder + row.text("filename"), .references = raw_sentences(row)});
  }
  if (images.empty())
    throw DataError(fmt::format("{}: holds no images of split \"{}\"", file.string(), split));
  return images;
}

}  // namespace

std::vector<ReferencedImage> read_coco_references(const fs::path& file, const std::string& split) {
  const Json document = read_document(file);
  if (is_karpathy(document)) return read_karpathy(document, file, split);
  if (split != kDefaultCaptionSplit) {
    throw ConfigError(fmt::format(
        "{}: split \"{}\" was asked for, but this is a file of COCO's own, which holds one split; "
        "leave split out, or give Karpathy's file",
        file.string(), split));
  }
  const Json& annotations = list_of(document, "annotations", file);
  std::vector<ReferencedImage> images;
  ImageIndex index;
  const bool has_images = document.contains("images");
  if (has_images) read_images(document, file, images, index);
  for (size_t i = 0; i < annotations.size(); ++i) {
    const QuestionRow row = element_of(annotations, i, file.string() + ": annotations");
    const std::string id = id_of(row, "image_id");
    if (has_images && !index.has(id)) row.fail(fmt::format("image {} is not among \"images\"", id));
    const size_t place = index.add(id);
    if (place == images.size()) images.push_back({.id = id, .file_name = "", .references = {}});
    images[place].references.push_back(row.text("caption"));
  }
  for (const ReferencedImage& image : images) {
    if (image.references.empty())
      throw DataError(
          fmt::format("{}: image {} has no caption among \"annotations\"", file.string(), image.id));
  }
  if (images.empty()) throw DataError(fmt::format("{}: holds no images", file.string()));
  return images;
}

std::vector<RawCaptions> read_coco_results(const fs::path& file, const std::vector<ReferencedImage>& images,
                                           bool subset) {
  constexpr size_t kShown = 5;
  const Json results = read_document(file);
  if (!results.is_array() || results.empty()) {
    throw DataError(fmt::format("{}: expected a list of results [{{\"image_id\", \"caption\"}}]; found {}",
                                file.string(),
                                results.is_array() ? "an empty one" : describe_value(results)));
  }
  ImageIndex index;
  for (const ReferencedImage& image : images) index.add(image.id);
  std::vector<std::optional<size_t>> result_of(images.size());
  std::vector<std::string> captions(images.size());
  for (size_t i = 0; i < results.size(); ++i) {
    const QuestionRow row = element_of(results, i, file.string());
    const std::string id = id_of(row, "image_id");
    if (!index.has(id)) row.fail(fmt::format("a result for image {}, which the references do not have", id));
    auto& taken = result_of[index.at(id)];
    if (taken) row.fail(fmt::format("a second result for image {}; the first is [{}]", id, *taken));
    taken = i;
    captions[index.at(id)] = row.text("caption");
  }
  std::vector<RawCaptions> found;
  std::vector<std::string> missing;
  for (size_t i = 0; i < images.size(); ++i) {
    if (result_of[i])
      found.push_back({.id = images[i].id, .caption = captions[i], .references = images[i].references});
    else if (missing.size() < kShown)
      missing.push_back(images[i].id);
  }
  if (found.size() < images.size() && !subset) {
    throw DataError(
        fmt::format("{}: {} of {} images have no result, among them {}; add them, or score those that "
                    "are there with --subset",
                    file.string(), images.size() - found.size(), images.size(), fmt::join(missing, ", ")));
  }
  return found;
}

void write_other_tools_input(const fs::path& folder, const std::vector<RawCaptions>& raw,
                             const std::vector<CaptionedImage>& tokenized) {
  Json results = Json::array(), spice = Json::array();
  std::string meteor;
  for (size_t i = 0; i < raw.size(); ++i) {
    const Json id = Json::parse(raw[i].id);
    results.push_back({{"image_id", id}, {"caption", raw[i].caption}});
    spice.push_back({{"image_id", id}, {"test", tokenized[i].caption}, {"refs", tokenized[i].references}});
    meteor += fmt::format("SCORE ||| {} ||| {}\n", fmt::join(tokenized[i].references, " ||| "),
                          tokenized[i].caption);
  }
  make_writable_folder(folder);
  write_file_atomically(folder / "results.json", results.dump() + "\n");
  write_file_atomically(folder / "spice.json", spice.dump() + "\n");
  write_file_atomically(folder / "meteor.txt", meteor);
}

}  // namespace excitor
