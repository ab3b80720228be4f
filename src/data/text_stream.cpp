#include "text_stream.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include <excitor/util/error.h>

#include "blanks.h"

namespace excitor {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 18;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // Windows editors begin a UTF-8 file with it

bool begins_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
}

}  // namespace

TextStream::TextStream(const std::filesystem::path& path)
    : name_(path.string()), file_(std::fopen(path.c_str(), "rb")), buffer_(kBufferBytes) {
  if (!file_) throw IoError(fmt::format("{}: cannot open: {}", name_, std::strerror(errno)));
  std::setvbuf(file_.get(), nullptr, _IONBF, 0);  // ours is the buffer
  if (fill() && buffered().starts_with(kByteOrderMark)) begin_ += kByteOrderMark.size();
}

bool TextStream::fill() {
  begin_ = 0;
  end_ = std::fread(buffer_.data(), 1, buffer_.size(), file_.get());
  if (end_ == 0 && std::ferror(file_.get()) != 0)
    throw IoError(fmt::format("{}: cannot read: {}", name_, std::strerror(errno)));
  return end_ > 0;
}

void TextStream::skip() {
  const char byte = buffer_[begin_++];
  if (byte == '\n') {
    ++line_;
    column_ = 1;
  } else if (begins_character(byte)) {
    ++column_;
  }
}

void TextStream::skip_blanks() {
  while (peek() != kEnd && kBlanks.find(static_cast<char>(peek())) != kBlanks.npos) skip();
}

bool TextStream::take_line(std::string& line) {
  line.clear();
  if (peek() == kEnd) return false;
  for (bool ended = false; !ended && peek() != kEnd;) {
    const std::string_view rest = buffered();
    const size_t length = rest.find('\n');
    ended = length != rest.npos;
    line += rest.substr(0, length);
    begin_ += ended ? length + 1 : rest.size();
    if (line.size() > kLongestPart) {
      throw DataError(fmt::format("{}:{}: a line of more than {} MiB; expected text of shorter lines", name_,
                                  line_, kLongestPart >> 20));
    }
  }
  if (line.ends_with('\r')) line.pop_back();
  ++line_;
  column_ = 1;
  return true;
}

}  // namespace excitor
