-- Photographs wrongly flagged at the frozen threshold, by maker of the camera.
--   track: what happened to every photograph before it was judged; format_matched is the headline
--   detector: name of the detector
--   role: validation (fold 3), or calibration (fold 4, which set the threshold)
--   make: maker of the camera; `no make` are photographs without one
--   photographs: photographs judged [photographs]
--   flagged: photographs flagged as generated [photographs]
--   rate: flagged over photographs
--   rate_low: lower end of the 95% Wilson interval
--   rate_high: upper end of the 95% Wilson interval
WITH counted AS (
    SELECT
        track, detector,
        CASE fold WHEN 3 THEN 'validation' ELSE 'calibration' END AS role,
        coalesce(make, 'no make') AS make,
        count(flagged) AS photographs,
        count(*) FILTER (WHERE flagged) AS flagged
    FROM photo_scores
    LEFT JOIN exif USING (photo_id)
    WHERE fold IN (3, 4)
    GROUP BY ALL
), rates AS (
    SELECT *, flagged / photographs AS rate, photographs AS n, 1.959964 AS z FROM counted WHERE photographs > 0
)
SELECT
    track, detector, role, make, photographs, flagged, rate,
    greatest(0.0, (rate + z * z / (2 * n) - z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))) / (1 + z * z / n))
        AS rate_low,
    least(1.0, (rate + z * z / (2 * n) + z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))) / (1 + z * z / n))
        AS rate_high
FROM rates
ORDER BY track <> 'format_matched', track, detector, role <> 'validation', photographs DESC, make
