CREATE SCHEMA fleet;
CREATE TABLE fleet.version (version INT NOT NULL);
INSERT INTO fleet.version VALUES (1), (2);

CREATE TABLE fleet.state (
    id INT PRIMARY KEY CHECK (id = 1),
    revision BIGINT NOT NULL,
    compacted BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    holder TEXT NOT NULL,
    address TEXT NOT NULL,
    until BIGINT NOT NULL,
    told BIGINT NOT NULL DEFAULT 1
);

INSERT INTO fleet.state VALUES (1, 4, 1, 7, 'gone', '', 0, 2);

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
    position INT NOT NULL,
    at BIGINT NOT NULL,
    token BIGINT NOT NULL,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    previous BIGINT,
    before TEXT,
    after TEXT NOT NULL,
    removed BOOLEAN NOT NULL,
    PRIMARY KEY (revision, position)
);

INSERT INTO fleet.documents VALUES ('Base', 'default', 'b1', 3, '1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c001', '{"metadata":{"name":"b1","namespace":"default","uid":"1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c001","resourceVersion":"3","generation":2,"creationTimestamp":"2026-11-24T16:00:00Z"},"spec":{"drain":true},"status":{"conditions":[],"kinds":["wasm"],"modules":0}}');
INSERT INTO fleet.changes VALUES (2, 0, 1795536000000, 42, 'Base', 'default', 'b1', NULL, NULL, '{"metadata":{"name":"b1","namespace":"default","uid":"1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c001","resourceVersion":"2","generation":1,"creationTimestamp":"2026-11-24T16:00:00Z"},"spec":{},"status":{"conditions":[],"kinds":["wasm"],"modules":0}}', false);
INSERT INTO fleet.changes VALUES (2, 1, 1795536000000, 42, 'Base', 'default', 'b2', NULL, NULL, '{"metadata":{"name":"b2","namespace":"default","uid":"1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c002","resourceVersion":"2","generation":1,"creationTimestamp":"2026-11-24T16:00:00Z"},"spec":{},"status":{"conditions":[],"kinds":[],"modules":0}}', false);
INSERT INTO fleet.changes VALUES (3, 0, 1795536001000, 42, 'Base', 'default', 'b1', 2, '{"metadata":{"name":"b1","namespace":"default","uid":"1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c001","resourceVersion":"2","generation":1,"creationTimestamp":"2026-11-24T16:00:00Z"},"spec":{},"status":{"conditions":[],"kinds":["wasm"],"modules":0}}', '{"metadata":{"name":"b1","namespace":"default","uid":"1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c001","resourceVersion":"3","generation":2,"creationTimestamp":"2026-11-24T16:00:00Z"},"spec":{"drain":true},"status":{"conditions":[],"kinds":["wasm"],"modules":0}}', false);
INSERT INTO fleet.changes VALUES (4, 0, 1795536002000, 42, 'Base', 'default', 'b2', 2, '{"metadata":{"name":"b2","namespace":"default","uid":"1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c002","resourceVersion":"2","generation":1,"creationTimestamp":"2026-11-24T16:00:00Z"},"spec":{},"status":{"conditions":[],"kinds":[],"modules":0}}', '{"metadata":{"name":"b2","namespace":"default","uid":"1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c002","resourceVersion":"4","generation":1,"creationTimestamp":"2026-11-24T16:00:00Z"},"spec":{},"status":{"conditions":[],"kinds":[],"modules":0}}', true);

CREATE TABLE fleet.events (
    name TEXT PRIMARY KEY,
    revision BIGINT NOT NULL,
    event TEXT NOT NULL
);

INSERT INTO fleet.events VALUES ('b1.0123456789abcdef', 2, '{"name":"b1.0123456789abcdef","namespace":"default","about":{"kind":"Base","name":"b1","uid":"1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c001"},"severity":"Normal","reason":"BaseForgotten","message":"it was away","first":"2026-11-24T16:00:00Z","last":"2026-11-24T16:00:00Z","count":3}');
