-- What was read, by corpus: files, photographs, groups and folds.
--   corpus: name of the corpus, as registered
--   files: files that are there [files]
--   photographs: different photographs by content among them [photographs]
--   quarantined: files that hold no usable photograph; the table quarantine says why [files]
--   former: contents that were replaced since they were read, and files that vanished [contents]
--   stopped_later: photographs' files that a later stage could not use [files]
--   groups: groups held out together that have photographs [groups]
--   fitting: photographs in folds 0-2, which train and fit [photographs]
--   validation: photographs in fold 3, which validates [photographs]
--   calibration: photographs in fold 4, which calibrates [photographs]
WITH counted AS (
    SELECT
        corpus,
        count(*) FILTER (WHERE state IN ('photo', 'quarantined')) AS files,
        count(DISTINCT photo_id) FILTER (WHERE state = 'photo') AS photographs,
        count(*) FILTER (WHERE state = 'quarantined') AS quarantined,
        count(*) FILTER (WHERE state IN ('replaced', 'vanished')) AS former,
        count(DISTINCT "group") FILTER (WHERE state = 'photo') AS groups,
        count(DISTINCT photo_id) FILTER (WHERE state = 'photo' AND fold BETWEEN 0 AND 2) AS fitting,
        count(DISTINCT photo_id) FILTER (WHERE state = 'photo' AND fold = 3) AS validation,
        count(DISTINCT photo_id) FILTER (WHERE state = 'photo' AND fold = 4) AS calibration
    FROM files
    LEFT JOIN splits USING ("group")
    GROUP BY corpus
), later AS (
    SELECT corpus, count(DISTINCT uri) AS stopped_later
    FROM (SELECT DISTINCT source AS corpus, uri FROM quarantine) AS stopped
    JOIN files USING (corpus, uri)
    WHERE state = 'photo'
    GROUP BY corpus
)
SELECT
    corpus, files, photographs, quarantined, former, coalesce(stopped_later, 0) AS stopped_later,
    groups, fitting, validation, calibration
FROM counted
LEFT JOIN later USING (corpus)
ORDER BY corpus
