#include "io/lfs_pointer.h"

#include <charconv>

#include "base/units.h"
#include "io/path.h"

namespace mach::io {
namespace {

constexpr std::string_view kFirstLine = "version https://git-lfs.github.com/spec/";
constexpr std::string_view kSize = "\nsize ";
constexpr uint64_t kMostBytes = 1024;

}  // namespace

std::optional<uint64_t> LfsPointerTarget(std::string_view text) {
  if (text.size() > kMostBytes || !text.starts_with(kFirstLine)) return std::nullopt;
  uint64_t bytes = 0;
  if (const size_t at = text.find(kSize); at != std::string_view::npos) {
    const std::string_view number = text.substr(at + kSize.size());
    // What is no number leaves 0: the text is a pointer all the same.
    (void)std::from_chars(number.data(), number.data() + number.size(), bytes);
  }
  return bytes;
}

std::optional<uint64_t> LfsPointerTarget(File& file) {
  if (file.size() < kFirstLine.size() || file.size() > kMostBytes) return std::nullopt;
  std::string text(static_cast<size_t>(file.size()), '\0');
  if (!ReadExactly(file, 0, std::as_writable_bytes(std::span(text)))) return std::nullopt;
  return LfsPointerTarget(text);
}

Error LfsPointerError(const std::string& path, uint64_t target_bytes) {
  const std::string size = target_bytes == 0 ? "" : ", which has " + BytesText(target_bytes);
  return {Code::kCorrupt,
          "'" + path + "' is a pointer of git lfs in place of the file" + size +
              ": the clone was made without its large files; run 'git lfs pull' in '" +
              DirectoryName(path) + "'"};
}

Result<std::string> ReadFetchedFile(FileSystem& fs, const std::string& path, size_t max_bytes) {
  MACH_TRY(std::string text, ReadSmallFile(fs, path, max_bytes));
  if (const auto target = LfsPointerTarget(text)) return LfsPointerError(path, *target);
  return text;
}

}  // namespace mach::io
