-- Records that are not among the events, and so in no story.
SELECT sum(late) AS late, sum(rejected) AS rejected, sum(filtered) AS filtered
FROM bi.conservation
