-- How many visitors are seen in two partitions or more, week by week of their first session: their visits and journeys are
-- cut in pieces. Some in the week in which partitions were added; none else, if the producer's key is the visitor.
SELECT site, toMonday(first_at) AS week, count() AS visitors, sum(sessions) AS sessions
FROM bi.split_visitors
GROUP BY site, week
ORDER BY site, week
