CREATE TABLE fleet.state (
    id INT PRIMARY KEY CHECK (id = 1),
    revision BIGINT NOT NULL,  -- the latest commit
    compacted BIGINT NOT NULL, -- all changes after this one are kept
    epoch BIGINT NOT NULL,     -- the latest reign
    holder TEXT NOT NULL,      -- whose it is
    address TEXT NOT NULL,     -- where it is reached
    until BIGINT NOT NULL      -- when its lease ends, in milliseconds since 1970
);

INSERT INTO fleet.state VALUES (1, 1, 0, 0, '', '', 0);

CREATE TABLE fleet.documents (
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    revision BIGINT NOT NULL,
    uid TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, namespace, name)
);

CREATE TABLE fleet.changes (
    revision BIGINT NOT NULL,
    position INT NOT NULL,     -- within the commit
    at BIGINT NOT NULL,        -- milliseconds since 1970
    token BIGINT NOT NULL,     -- tells its writer, who was cut off before the answer, that it was made
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    previous BIGINT,           -- the revision of `before`
    before TEXT,
    after TEXT NOT NULL,
    removed BOOLEAN NOT NULL,
    PRIMARY KEY (revision, position)
);
