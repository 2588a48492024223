CREATE TABLE fleet (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    compacted INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    told INTEGER NOT NULL DEFAULT 1
) STRICT;

INSERT INTO fleet VALUES (1, 4, 1, 7, 2);

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
    position INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    previous INTEGER,
    before TEXT,
    after TEXT NOT NULL,
    removed INTEGER NOT NULL,
    PRIMARY KEY (revision, position)
) STRICT;

INSERT INTO documents VALUES ('Base', 'default', 'b1', 3, '1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c001', '{"metadata":{"name":"b1","namespace":"default","uid":"1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c001","resourceVersion":"3","generation":2,"creationTimestamp":"2026-11-24T16:00:00Z"},"spec":{"drain":true},"status":{"conditions":[],"kinds":["wasm"],"modules":0}}');
INSERT INTO changes VALUES (2, 0, 1795536000000, 'Base', 'default', 'b1', NULL, NULL, '{"metadata":{"name":"b1","namespace":"default","uid":"1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c001","resourceVersion":"2","generation":1,"creationTimestamp":"2026-11-24T16:00:00Z"},"spec":{},"status":{"conditions":[],"kinds":["wasm"],"modules":0}}', 0);
INSERT INTO changes VALUES (2, 1, 1795536000000, 'Base', 'default', 'b2', NULL, NULL, '{"metadata":{"name":"b2","namespace":"default","uid":"1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c002","resourceVersion":"2","generation":1,"creationTimestamp":"2026-11-24T16:00:00Z"},"spec":{},"status":{"conditions":[],"kinds":[],"modules":0}}', 0);
INSERT INTO changes VALUES (3, 0, 1795536001000, 'Base', 'default', 'b1', 2, '{"metadata":{"name":"b1","namespace":"default","uid":"1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c001","resourceVersion":"2","generation":1,"creationTimestamp":"2026-11-24T16:00:00Z"},"spec":{},"status":{"conditions":[],"kinds":["wasm"],"modules":0}}', '{"metadata":{"name":"b1","namespace":"default","uid":"1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c001","resourceVersion":"3","generation":2,"creationTimestamp":"2026-11-24T16:00:00Z"},"spec":{"drain":true},"status":{"conditions":[],"kinds":["wasm"],"modules":0}}', 0);
INSERT INTO changes VALUES (4, 0, 1795536002000, 'Base', 'default', 'b2', 2, '{"metadata":{"name":"b2","namespace":"default","uid":"1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c002","resourceVersion":"2","generation":1,"creationTimestamp":"2026-11-24T16:00:00Z"},"spec":{},"status":{"conditions":[],"kinds":[],"modules":0}}', '{"metadata":{"name":"b2","namespace":"default","uid":"1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c002","resourceVersion":"4","generation":1,"creationTimestamp":"2026-11-24T16:00:00Z"},"spec":{},"status":{"conditions":[],"kinds":[],"modules":0}}', 1);
CREATE TABLE events (
    name TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    event TEXT NOT NULL
) STRICT;

INSERT INTO events VALUES ('b1.0123456789abcdef', 2, '{"name":"b1.0123456789abcdef","namespace":"default","about":{"kind":"Base","name":"b1","uid":"1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c001"},"severity":"Normal","reason":"BaseForgotten","message":"it was away","first":"2026-11-24T16:00:00Z","last":"2026-11-24T16:00:00Z","count":3}');
PRAGMA user_version = 2;
