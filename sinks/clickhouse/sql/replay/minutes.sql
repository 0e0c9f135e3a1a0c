-- How many events there were while the watermark was in a minute.
SELECT
    toInt64(toUnixTimestamp(time)) AS minute,
    toInt64(sum(accepted + late)) AS events
FROM bi.conservation
GROUP BY minute
ORDER BY minute
