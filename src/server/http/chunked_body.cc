#include "server/http/chunked_body.h"

#include <algorithm>

namespace mach::server {
namespace {

constexpr size_t kMostSizeDigits = 16;

int ChunkDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

}  // namespace

void ChunkedBody::Fail(std::string_view fault) {
  fault_ = fault;
  state_ = State::kMalformed;
}

void ChunkedBody::Skip() {
  if (++skipped_ > skipped_bytes_) Fail("chunk extensions or trailer fields are too long");
}

size_t ChunkedBody::Feed(std::string_view bytes, std::string& body) {
  size_t at = 0;
  while (at < bytes.size() && state_ == State::kIncomplete) {
    if (expect_ != Expect::kData) {
      FeedOne(bytes[at++]);
      continue;
    }
    const size_t n = static_cast<size_t>(std::min<uint64_t>(size_, bytes.size() - at));
    body.append(bytes.substr(at, n));
    at += n;
    received_ += n;
    size_ -= n;
    if (size_ == 0) expect_ = Expect::kDataCr;
  }
  return at;
}

void ChunkedBody::FeedOne(char c) {
  switch (expect_) {
    case Expect::kSize:
      if (const int digit = ChunkDigit(c); digit >= 0) {
        if (++digits_ > kMostSizeDigits) return Fail("a chunk's size has too many digits");
        size_ = size_ * 16 + static_cast<uint64_t>(digit);
        return;
      }
      if (digits_ == 0) return Fail("a chunk does not begin with its size in hexadecimal digits");
      if (size_ > body_bytes_ - received_) {
        state_ = State::kTooLarge;
        return;
      }
      expect_ = Expect::kAfterSize;
      padded_ = false;
      [[fallthrough]];
    case Expect::kAfterSize:
      if (IsBlank(c)) {
        padded_ = true;
        Skip();
      } else if (c == ';') {
        expect_ = Expect::kExtension;
      } else if (c == '\r' && !padded_) {
        expect_ = Expect::kSizeLf;
      } else {
        Fail("a chunk's size is followed by neither a line's end nor an extension");
      }
      return;
    case Expect::kExtension:
      if (c == '\r') {
        expect_ = Expect::kSizeLf;
      } else if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) {
        Fail("a chunk extension has a control character");
      } else {
        Skip();
      }
      return;
    case Expect::kSizeLf:
      if (c != '\n') return Fail("the line of a chunk's size does not end with CRLF");
      expect_ = size_ == 0 ? Expect::kTrailers : Expect::kData;
      digits_ = 0;
      return;
    case Expect::kData:
      return;
    case Expect::kDataCr:
      if (c != '\r') return Fail("a chunk is longer than its size");
      expect_ = Expect::kDataLf;
      return;
    case Expect::kDataLf:
      if (c != '\n') return Fail("a chunk's data does not end with CRLF");
      expect_ = Expect::kSize;
      return;
    case Expect::kTrailers:
      switch (trailers_.Feed({&c, 1})) {
        case SectionScanner::State::kIncomplete:
          return Skip();
        case SectionScanner::State::kComplete:
          state_ = State::kComplete;
          return;
        case SectionScanner::State::kMalformed:
          return Fail(trailers_.fault());
      }
  }
}

}  // namespace mach::server
