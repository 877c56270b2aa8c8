#include "cache/entry_reader.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "io/xxh3.h"

namespace mach::cache {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;  // of one read at most

// A part of the file with a checksum of its own.
struct Section {
  uint64_t offset = 0;
  std::span<std::byte> memory = {};
  size_t pieces_left = 0;  // that have not come
};
// Of the header's fields.
constexpr size_t kHeaderSection = 0, kIdsSection = 1, kFirstState = 2;

Error NotExpected(const std::string& field, uint64_t found, uint64_t expected) {
  return {Code::kCorrupt, "field '" + field + "' is " + std::to_string(found) + ", expected " +
                              std::to_string(expected) + "; the file is damaged or misnamed"};
}

Status CheckOwner(const EntryHeader& header, const EntryOwner& owner, size_t tokens) {
  if (header.fingerprint != owner.fingerprint) {
    return Error{Code::kUnsupported, "it belongs to another model"};
  }
  if (header.block_bytes != owner.block_bytes) {
    return NotExpected("block_bytes", header.block_bytes, owner.block_bytes);
  }
  if (header.recurrent_bytes != owner.recurrent_bytes) {
    return NotExpected("recurrent_bytes", header.recurrent_bytes, owner.recurrent_bytes);
  }
  if (header.tokens != tokens) {
    return Error{Code::kInvalidArgument, "it holds " + std::to_string(header.tokens) +
                                             " tokens, expected " + std::to_string(tokens)};
  }
  return Ok();
}

// One file on its way into memory.
class Loading {
 public:
  Loading(io::AsyncReader& reader, uint32_t file, const EntryOwner& owner, size_t tokens)
      : reader_(reader),
        file_(file),
        owner_(owner),
        layout_(EntryLayout(owner, tokens)),
        image_(std::make_shared<PrefixImage>()) {}

  Result<std::shared_ptr<PrefixImage>> Run(MemoryLedger& ledger) {
    MACH_RETURN_IF_ERROR(Allocate(ledger));
    Status read = Read();
    if (!read.ok()) return std::move(read).error();
    const auto* first = ids_.As<TokenId>();
    image_->tokens.assign(first, first + layout_.tokens);
    image_->recurrent = std::move(recurrent_);
    image_->on_disk = true;
    return std::move(image_);
  }

 private:
  // Memory of all sections, in the order of the file.
  Status Allocate(MemoryLedger& ledger) {
    MACH_TRY(header_memory_, AlignedBuffer::Allocate(layout_.header_bytes()));
    MACH_TRY(ids_, AlignedBuffer::Allocate(layout_.ids_bytes()));
    sections_.push_back({0, header_memory_.bytes()});
    sections_.push_back({layout_.ids_offset(), ids_.bytes()});
    if (layout_.recurrent_bytes != 0) {
      MACH_TRY(recurrent_, NewRecurrentCopy(ledger, MemoryTag::kPrefix, layout_.recurrent_bytes));
      sections_.push_back({layout_.recurrent_offset(), recurrent_->memory.bytes()});
    }
    for (size_t b = 0; b < layout_.blocks.size() && layout_.block_bytes != 0; ++b) {
      MACH_TRY(auto block, NewKvBlock(ledger, MemoryTag::kPrefix, layout_.block_bytes));
      block->cached = true;
      sections_.push_back({layout_.block_offset(b), block->memory.bytes()});
      image_->blocks.push_back(std::move(block));
    }
    return Ok();
  }

  std::vector<io::ReadRequest> Requests() {
    std::vector<io::ReadRequest> requests;
    for (size_t s = 0; s < sections_.size(); ++s) {
      Section& section = sections_[s];
      for (size_t at = 0; at < section.memory.size(); at += kPieceBytes) {
        const size_t n = std::min(kPieceBytes, section.memory.size() - at);
        requests.push_back({.file = file_,
                            .offset = section.offset + at,
                            .destination = section.memory.subspan(at, n),
                            .tag = s});
        ++section.pieces_left;
      }
    }
    return requests;
  }

  // Ends when nothing is in flight, whatever happens.
  Status Read() {
    const std::vector<io::ReadRequest> requests = Requests();
    std::span<const io::ReadRequest> left = requests;
    std::vector<io::ReadCompletion> done;
    std::optional<Error> failure;
    while (!left.empty() || reader_.in_flight() > 0) {
      if (!left.empty()) {
        auto taken = reader_.Submit(left);
        if (taken) {
          left = left.subspan(*taken);
        } else if (!failure) {
          failure = std::move(taken).error();
        }
      }
      if (failure) left = {};
      done.clear();
      reader_.Wait(done);
      for (io::ReadCompletion& completion : done) {
        if (failure) continue;
        if (!completion.bytes) {
          failure = std::move(completion.bytes).error();
        } else if (--sections_[completion.tag].pieces_left == 0) {
          Status checked = Arrived(completion.tag);
          if (!checked.ok()) failure = std::move(checked).error();
        }
      }
    }
    if (failure) return *std::move(failure);
    return Ok();
  }

  // Checks a section, or keeps it until the header tells its checksum.
  Status Arrived(size_t section) {
    if (section != kHeaderSection) {
      if (header_) return Check(section);
      early_.push_back(section);
      return Ok();
    }
    auto header = DecodeEntryHeader(header_memory_.bytes(), reader_.FileBytes(file_));
    if (!header) return std::move(header).error();
    MACH_RETURN_IF_ERROR(CheckOwner(*header, owner_, layout_.tokens));
    header_ = *std::move(header);
    image_->kind = header_->kind;
    for (size_t b = 0; b < image_->blocks.size(); ++b) {
      image_->blocks[b]->noted = header_->blocks[b].noted;
    }
    for (const size_t early : early_) MACH_RETURN_IF_ERROR(Check(early));
    return Ok();
  }

  Status Check(size_t section) const {
    const uint64_t sum = io::Xxh3(sections_[section].memory);
    std::string name = "the token ids";
    uint64_t expected = header_->ids_sum;
    if (section != kIdsSection) {
      const size_t first_block = kFirstState + (recurrent_ == nullptr ? 0 : 1);
      if (section < first_block) {
        name = "the recurrent state";
        expected = header_->recurrent_sum;
      } else {
        name = "block " + std::to_string(section - first_block);
        expected = header_->blocks[section - first_block].sum;
      }
    }
    if (sum == expected) return Ok();
    return Error{Code::kCorrupt,
                 "the checksum of " + name + " does not match; the file is damaged"};
  }

  io::AsyncReader& reader_;
  const uint32_t file_;
  const EntryOwner& owner_;
  const EntryHeader layout_;  // without checksums
  AlignedBuffer header_memory_, ids_;
  std::shared_ptr<RecurrentCopy> recurrent_;
  std::shared_ptr<PrefixImage> image_;
  std::vector<Section> sections_;
  std::optional<EntryHeader> header_;
  std::vector<size_t> early_;  // sections that came before the header
};

// Why a file of the wrong size is none of the owner's.
Error WrongSize(io::FileSystem& fs, const std::string& path, const EntryOwner& owner, size_t tokens,
                uint64_t file_bytes) {
  MACH_TRY(const auto file, fs.Open(path));
  MACH_TRY(const EntryHeader header, ReadEntryHeader(*file));
  Status owned = CheckOwner(header, owner, tokens);
  if (!owned.ok()) return std::move(owned).error();
  return NotExpected("file_bytes", file_bytes, EntryFileBytes(owner, tokens));
}

}  // namespace

Result<std::unique_ptr<io::AsyncReader>> MakeEntryReader() {
  constexpr size_t kDepth = 64;
  constexpr size_t kThreads = 4;
  auto reader = io::AsyncReader::Create(io::ReadMode::kIoUring, {.depth = kDepth});
  if (reader.ok()) return reader;
  return io::AsyncReader::Create(io::ReadMode::kPread, {.depth = kDepth, .threads = kThreads});
}

Result<std::shared_ptr<PrefixImage>> ReadEntry(io::FileSystem& fs, const ReaderFactory& readers,
                                               const std::string& path, const EntryOwner& owner,
                                               size_t tokens, MemoryLedger& ledger) {
  MACH_TRY(auto reader, readers());
  auto file = reader->AddFile(path);
  if (!file && file.error().code == Code::kUnsupported) {
    // A file system without direct reads, such as some in memory.
    MACH_TRY(reader, io::AsyncReader::Create(io::ReadMode::kPread,
                                             {.depth = 4, .threads = 2, .direct = false}));
    file = reader->AddFile(path);
  }
  if (!file) return std::move(file).error();
  const uint64_t file_bytes = reader->FileBytes(*file);
  if (file_bytes != EntryFileBytes(owner, tokens)) {
    return WrongSize(fs, path, owner, tokens, file_bytes).In(path);
  }
  auto image = Loading(*reader, *file, owner, tokens).Run(ledger);
  if (!image) return std::move(image).error().In(path);
  return image;
}

}  // namespace mach::cache
