-- What there is at all: for a word on why nothing was found.
SELECT
    (SELECT count() FROM bi.events) AS events,
    (SELECT count() FROM bi.sessions WHERE visitor_id = {id:String}) AS sessions
