-- Why EXIF values were not taken as they stood, by reason and tag, with an example.
--   reason: reason code
--   tag: the tag, with exiftool's group
--   photographs: photographs with this issue [photographs]
--   share: photographs over all that have a row in exif
--   example: a value that this happened to, the most frequent one
--   example_photo: a photograph that has this value, the first by SHA-256
WITH counted AS (
    SELECT
        reason, tag, raw_value,
        count(*) AS times,
        min(photo_id) AS example_photo
    FROM exif_issues
    GROUP BY reason, tag, raw_value
)
SELECT
    reason,
    tag,
    CAST(sum(times) AS BIGINT) AS photographs,
    sum(times) / (SELECT count(*) FROM exif) AS share,
    first(raw_value ORDER BY times DESC, raw_value) AS example,
    first(example_photo ORDER BY times DESC, raw_value) AS example_photo
FROM counted
GROUP BY reason, tag
ORDER BY photographs DESC, reason, tag
