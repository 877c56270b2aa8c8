"""Files that a program writes, as what is compared of them."""
import hashlib
import sqlite3

SHOWN = 4096  # bytes of a text that is compared as it is
# Columns of kv/index.sqlite that are times, or follow from times; and the process that wrote a row.
VARYING_COLUMNS = {"hits", "touched", "writer"}


def described(folder):
    """{relative name: text, size and digest, or rows of a database} of all files below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir():
            found[name] = "a folder"
        elif path.suffix == ".sqlite":
            found[name] = _rows(path)
        else:
            found[name] = _content(path.read_bytes())
    return found or {"files": "none"}


def _content(data):
    try:
        if len(data) <= SHOWN:
            return data.decode()
    except UnicodeDecodeError:
        pass
    return f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}"


def _rows(path):
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    lines = []
    for name, made in database.execute("SELECT name, sql FROM sqlite_master ORDER BY name"):
        lines.append(f"{name}: {made}")
        if made and made.startswith("CREATE TABLE"):
            cursor = database.execute(f"SELECT * FROM {name}")
            kept = [i for i, column in enumerate(cursor.description)
                    if column[0] not in VARYING_COLUMNS]
            lines += sorted(str([row[i] for i in kept]) for row in cursor)
    database.close()
    return "\n".join(lines)
