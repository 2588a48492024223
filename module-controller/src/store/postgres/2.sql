CREATE TABLE fleet.events (
    name TEXT PRIMARY KEY,
    revision BIGINT NOT NULL, -- when it was last told
    event TEXT NOT NULL
);

ALTER TABLE fleet.state ADD COLUMN told BIGINT NOT NULL DEFAULT 1; -- the latest telling
