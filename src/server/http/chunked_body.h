// The chunked transfer coding (RFC 9112, section 7.1), read strictly: what frames a body must not
// be read in two ways.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "server/http/framing.h"

namespace mach::server {

// A body in chunks, as its bytes come. Extensions and trailer fields are skipped.
class ChunkedBody {
 public:
  enum class State : unsigned char { kIncomplete, kComplete, kMalformed, kTooLarge };

  // skipped_bytes: most bytes of all extensions together, and of the trailer fields.
  ChunkedBody(size_t body_bytes, size_t skipped_bytes)
      : body_bytes_(body_bytes), skipped_bytes_(skipped_bytes) {}

  // bytes: what follows those of earlier calls. Data goes to the end of `body`. Returns how many
  // were taken: all of them, unless the state is no longer kIncomplete.
  size_t Feed(std::string_view bytes, std::string& body);

  State state() const { return state_; }
  std::string_view fault() const { return fault_; }  // kMalformed

 private:
  enum class Expect : unsigned char {
    kSize,
    kAfterSize,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailers,
  };

  void FeedOne(char c);
  void Fail(std::string_view fault);
  void Skip();  // counts a byte that is neither data nor needed

  const size_t body_bytes_;
  const size_t skipped_bytes_;
  State state_ = State::kIncomplete;
  Expect expect_ = Expect::kSize;
  uint64_t size_ = 0;    // of the chunk, or what is left of its data
  size_t digits_ = 0;    // of its size
  bool padded_ = false;  // white space follows its size
  size_t received_ = 0;  // data of all chunks
  size_t skipped_ = 0;
  SectionScanner trailers_{SectionScanner::Section::kTrailers};
  std::string_view fault_;
};

}  // namespace mach::server
