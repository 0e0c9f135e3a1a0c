-- What each route has had of each version of an alert. Times are unix seconds.
CREATE TABLE IF NOT EXISTS deliveries (
    route TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    severity TEXT NOT NULL,
    verdict TEXT NOT NULL,
    cause TEXT NOT NULL,
    kind TEXT NOT NULL DEFAULT '',       -- firing, update, resolved; '' as long as nothing is to be sent
    outcome TEXT NOT NULL,               -- waiting, sending, delivered, refused, given_up, skipped, superseded
    reason TEXT NOT NULL DEFAULT '',     -- why it waits or was not sent, or what the receiver answered
    receipt TEXT NOT NULL DEFAULT '',    -- what the receiver calls it
    attempts INTEGER NOT NULL DEFAULT 0,
    repeats INTEGER NOT NULL DEFAULT 0,  -- how often a delivered one was sent again because it still fires
    reached INTEGER NOT NULL DEFAULT 0,  -- whether the receiver has it, or may have it
    seen_at REAL NOT NULL,
    due_at REAL,                         -- since when it is tried
    next_at REAL,                        -- not before
    tried_at REAL,
    delivered_at REAL,
    PRIMARY KEY (route, alert_id, version)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS snoozes (
    id INTEGER PRIMARY KEY,
    alert_id TEXT,
    journey TEXT,
    stage TEXT,
    segment TEXT,
    until REAL NOT NULL,
    made_at REAL NOT NULL,
    note TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS heartbeats (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    outcome TEXT NOT NULL,               -- sent, failed, withheld
    reason TEXT NOT NULL
);
