-- What became of every record read. balance is 0: nothing was lost, nothing counted twice.
SELECT
    sum(c.received) AS received,
    sum(c.accepted) AS accepted,
    sum(c.duplicate) AS duplicate,
    sum(c.late) AS late,
    sum(c.rejected) AS rejected,
    sum(c.filtered) AS filtered,
    sum(abs(c.balance)) AS balance
FROM bi.conservation AS c
