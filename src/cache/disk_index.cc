#include "cache/disk_index.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstring>

#include <sqlite3.h>

#include "base/units.h"

namespace mach::cache {
namespace {

constexpr int kBusyMs = 2000;
constexpr double kSystemWorth = 4;
constexpr double kForgotten = 1.0 / 16;  // a hit that is worth less, after four days
constexpr const char* kColumns =
    "name, fingerprint, key, tokens, kind, bytes, hits, touched, writer";

// A prepared statement; finalized when it dies.
class Statement {
 public:
  Statement(sqlite3* db, const std::string& sql) {
    ok_ = sqlite3_prepare_v2(db, sql.c_str(), -1, &statement_, nullptr) == SQLITE_OK;
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  bool ok() const { return ok_; }
  // A row, or the end; else an error.
  int Step() { return ok_ ? sqlite3_step(statement_) : SQLITE_ERROR; }
  bool Run() { return Step() == SQLITE_DONE; }

  void Bind(int at, int64_t value) { sqlite3_bind_int64(statement_, at, value); }
  void Bind(int at, uint64_t value) { Bind(at, static_cast<int64_t>(value)); }
  void Bind(int at, double value) { sqlite3_bind_double(statement_, at, value); }
  void Bind(int at, const std::string& text) {
    sqlite3_bind_text(statement_, at, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
  }
  void Bind(int at, const Digest& digest) {
    sqlite3_bind_blob(statement_, at, digest.data(), digest.size(), SQLITE_TRANSIENT);
  }

  int64_t Integer(int column) { return sqlite3_column_int64(statement_, column); }
  double Number(int column) { return sqlite3_column_double(statement_, column); }
  std::string Text(int column) {
    const unsigned char* text = sqlite3_column_text(statement_, column);
    const int bytes = sqlite3_column_bytes(statement_, column);
    return text == nullptr ? "" : std::string(text, text + bytes);
  }
  bool Blob(int column, Digest& out) {
    const void* blob = sqlite3_column_blob(statement_, column);
    if (blob == nullptr || sqlite3_column_bytes(statement_, column) != int{sizeof out})
      return false;
    std::memcpy(out.data(), blob, out.size());
    return true;
  }

 private:
  sqlite3_stmt* statement_ = nullptr;
  bool ok_ = false;
};

void BindRow(Statement& s, const DiskRow& row) {
  s.Bind(1, row.name);
  s.Bind(2, row.fingerprint);
  s.Bind(3, row.key);
  s.Bind(4, row.tokens);
  s.Bind(5, uint64_t{static_cast<uint8_t>(row.kind)});
  s.Bind(6, row.bytes);
  s.Bind(7, row.hits);
  s.Bind(8, row.touched);
  s.Bind(9, row.writer);
}

}  // namespace

double EffectiveHits(double hits, int64_t touched, int64_t now) {
  const double age = static_cast<double>(std::max<int64_t>(0, now - touched));
  const double worth = hits * std::exp2(-age / static_cast<double>(kHitHalfLifeSeconds));
  return worth < kForgotten ? 0 : worth;
}

double EntryValue(const DiskRow& row, int64_t now) {
  const double worth = (EffectiveHits(row.hits, row.touched, now) + 1) *
                       static_cast<double>(row.tokens) /
                       static_cast<double>(std::max<uint64_t>(row.bytes, 1));
  return row.kind == PrefixKind::kSystem ? kSystemWorth * worth : worth;
}

bool ProcessRuns(int64_t pid) {
  return pid > 0 && (kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM);
}

DiskIndex::~DiskIndex() { sqlite3_close(db_); }

Error DiskIndex::Failure(const std::string& what) const {
  const int code = sqlite3_errcode(db_) & 0xff;
  const bool corrupt = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
  const bool busy = code == SQLITE_BUSY || code == SQLITE_LOCKED;
  const char* path = sqlite3_db_filename(db_, "main");
  return {corrupt ? Code::kCorrupt
          : busy  ? Code::kBusy
                  : Code::kIo,
          "cannot " + what + " the index '" + (path == nullptr ? "" : path) +
              "': " + sqlite3_errmsg(db_)};
}

Status DiskIndex::Execute(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return Failure("change");
  return Ok();
}

Result<std::unique_ptr<DiskIndex>> DiskIndex::Open(const std::string& path) {
  sqlite3* db = nullptr;
  const int opened = sqlite3_open_v2(
      path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (db == nullptr) return Error{Code::kNoMemory, "no memory to open the index '" + path + "'"};
  std::unique_ptr<DiskIndex> made(new DiskIndex(db));
  if (opened != SQLITE_OK) return made->Failure("open");
  sqlite3_busy_timeout(db, kBusyMs);
  // A lost change after a power failure is mended from the files.
  MACH_RETURN_IF_ERROR(made->Execute(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA journal_size_limit=1048576;"
      "CREATE TABLE IF NOT EXISTS entries(name TEXT PRIMARY KEY, fingerprint BLOB NOT NULL,"
      " key BLOB NOT NULL, tokens INTEGER NOT NULL, kind INTEGER NOT NULL, bytes INTEGER NOT NULL,"
      " hits REAL NOT NULL, touched INTEGER NOT NULL, writer INTEGER NOT NULL);"
      "PRAGMA user_version=1;"));
  return made;
}

Result<std::vector<DiskRow>> DiskIndex::All() {
  Statement s(db_, std::string("SELECT ") + kColumns + " FROM entries");
  std::vector<DiskRow> rows;
  int step;
  while ((step = s.Step()) == SQLITE_ROW) {
    DiskRow row;
    row.name = s.Text(0);
    const int64_t tokens = s.Integer(3);
    const int64_t kind = s.Integer(4);
    const int64_t bytes = s.Integer(5);
    // What makes no sense is left out, and mended from the files at the next start.
    if (!s.Blob(1, row.fingerprint) || !s.Blob(2, row.key) || tokens <= 0 || bytes < 0 ||
        kind < 0 || kind >= int64_t{kPrefixKinds}) {
      continue;
    }
    row.tokens = static_cast<uint64_t>(tokens);
    row.kind = static_cast<PrefixKind>(kind);
    row.bytes = static_cast<uint64_t>(bytes);
    row.hits = std::max(0.0, s.Number(6));
    row.touched = s.Integer(7);
    row.writer = s.Integer(8);
    rows.push_back(std::move(row));
  }
  if (step != SQLITE_DONE) return Failure("read");
  return rows;
}

template <class F>
auto DiskIndex::Transaction(F&& change) -> decltype(change()) {
  MACH_RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
  auto result = change();
  if (result.ok()) {
    Status committed = Execute("COMMIT");
    if (committed.ok()) return result;
    result = std::move(committed).error();
  }
  (void)Execute("ROLLBACK");
  return result;
}

Result<std::vector<std::string>> DiskIndex::MakeRoom(uint64_t bytes, const std::string& except,
                                                     uint64_t budget, DiskEviction eviction,
                                                     int64_t now) {
  MACH_TRY(std::vector<DiskRow> rows, All());
  uint64_t total = bytes;
  for (const DiskRow& row : rows) {
    if (row.name != except) total += row.bytes;
  }
  std::erase_if(rows, [&](const DiskRow& row) {
    return row.name == except || (row.writer != 0 && ProcessRuns(row.writer));
  });
  std::ranges::sort(rows, [&](const DiskRow& a, const DiskRow& b) {
    if (eviction == DiskEviction::kValue) {
      const double va = EntryValue(a, now);
      const double vb = EntryValue(b, now);
      if (va != vb) return va < vb;
    }
    return std::pair(a.touched, a.name) < std::pair(b.touched, b.name);
  });
  std::vector<std::string> gone;
  for (size_t i = 0; i < rows.size() && total > budget; ++i) {
    MACH_RETURN_IF_ERROR(Remove(rows[i].name));
    total -= rows[i].bytes;
    gone.push_back(rows[i].name);
  }
  if (total > budget) {
    return Error{Code::kNoMemory,
                 "an entry of " + BytesText(bytes) + " does not fit into --disk-kv-budget-gb (" +
                     BytesText(budget) + "); raise it to at least " + GigabytesUp(bytes)};
  }
  return gone;
}

Result<std::vector<std::string>> DiskIndex::Begin(const DiskRow& row, uint64_t budget,
                                                  DiskEviction eviction, int64_t now) {
  return Transaction([&]() -> Result<std::vector<std::string>> {
    MACH_TRY(auto gone, MakeRoom(row.bytes, row.name, budget, eviction, now));
    MACH_RETURN_IF_ERROR(Put(row));
    return gone;
  });
}

Result<std::vector<std::string>> DiskIndex::Shrink(uint64_t budget, DiskEviction eviction,
                                                   int64_t now) {
  return Transaction([&] { return MakeRoom(0, "", budget, eviction, now); });
}

Status DiskIndex::Put(const DiskRow& row) {
  Statement s(db_, std::string("INSERT OR REPLACE INTO entries(") + kColumns +
                       ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)");
  BindRow(s, row);
  if (!s.Run()) return Failure("write");
  return Ok();
}

Status DiskIndex::Remove(const std::string& name) {
  Statement s(db_, "DELETE FROM entries WHERE name=?1");
  s.Bind(1, name);
  if (!s.Run()) return Failure("write");
  return Ok();
}

Status DiskIndex::Touch(const std::string& name, int64_t now) {
  return Transaction([&]() -> Status {
    double hits = 0;
    {
      Statement s(db_, "SELECT hits, touched FROM entries WHERE name=?1");
      s.Bind(1, name);
      const int step = s.Step();
      if (step == SQLITE_DONE) return Ok();
      if (step != SQLITE_ROW) return Failure("read");
      hits = EffectiveHits(s.Number(0), s.Integer(1), now) + 1;
    }
    Statement s(db_, "UPDATE entries SET hits=?2, touched=?3 WHERE name=?1");
    s.Bind(1, name);
    s.Bind(2, hits);
    s.Bind(3, now);
    if (!s.Run()) return Failure("write");
    return Ok();
  });
}

Result<int64_t> DiskIndex::Version() {
  Statement s(db_, "PRAGMA data_version");
  if (s.Step() != SQLITE_ROW) return Failure("read");
  return s.Integer(0);
}

}  // namespace mach::cache
