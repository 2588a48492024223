CREATE TABLE fleet (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,  -- the latest commit
    compacted INTEGER NOT NULL, -- all changes after this one are kept
    epoch INTEGER NOT NULL      -- the latest reign
) STRICT;

INSERT INTO fleet VALUES (1, 1, 0, 0);

CREATE TABLE documents (
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    uid TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, namespace, name)
) STRICT;

CREATE TABLE changes (
    revision INTEGER NOT NULL,
    position INTEGER NOT NULL,  -- within the commit
    at INTEGER NOT NULL,        -- milliseconds since 1970
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    previous INTEGER,           -- the revision of `before`
    before TEXT,
    after TEXT NOT NULL,
    removed INTEGER NOT NULL,
    PRIMARY KEY (revision, position)
) STRICT;
