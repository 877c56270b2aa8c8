// Paths as text.
#pragma once

#include <string>
#include <string_view>

namespace mach::io {

// "a/b" of "a" and "b", of "a/" and "b".
inline std::string JoinPath(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty() && path.back() != '/') path += '/';
  return path.append(name);
}

// "a" of "a/" and "a//"; "/" stays.
inline std::string WithoutSlash(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return std::string(path);
}

// "b" of "a/b", of "b".
inline std::string_view FileName(std::string_view path) {
  return path.substr(path.find_last_of('/') + 1);
}

// "a" of "a/b", "." of "b", "/" of "/b".
inline std::string DirectoryName(std::string_view path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(slash == 0 ? "/" : path.substr(0, slash));
}

}  // namespace mach::io
