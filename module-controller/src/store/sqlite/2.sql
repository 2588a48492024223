CREATE TABLE events (
    name TEXT PRIMARY KEY,
    revision INTEGER NOT NULL, -- when it was last told
    event TEXT NOT NULL
) STRICT;

ALTER TABLE fleet ADD COLUMN told INTEGER NOT NULL DEFAULT 1; -- the latest telling
