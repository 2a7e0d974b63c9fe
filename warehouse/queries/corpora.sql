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
WITH contents AS (
    -- Counted from one row for each: distinct contents four times over would take the memory of all of them four times.
    SELECT
        corpus,
        bool_or(fold BETWEEN 0 AND 2) AS fits,
        bool_or(fold = 3) AS validates,
        bool_or(fold = 4) AS calibrates
    FROM files
    LEFT JOIN splits USING ("group")
    WHERE state = 'photo'
    GROUP BY corpus, photo_id
), used AS (
    SELECT
        corpus,
        count(*) AS photographs,
        count(*) FILTER (WHERE fits) AS fitting,
        count(*) FILTER (WHERE validates) AS validation,
        count(*) FILTER (WHERE calibrates) AS calibration
    FROM contents
    GROUP BY corpus
), counted AS (
    SELECT
        corpus,
        count(*) FILTER (WHERE state IN ('photo', 'quarantined')) AS files,
        count(*) FILTER (WHERE state = 'quarantined') AS quarantined,
        count(*) FILTER (WHERE state IN ('replaced', 'vanished')) AS former,
        count(DISTINCT "group") FILTER (WHERE state = 'photo') AS groups
    FROM files
    GROUP BY corpus
), later AS (
    SELECT corpus, count(DISTINCT uri) AS stopped_later
    FROM (SELECT DISTINCT source AS corpus, uri FROM quarantine) AS stopped
    JOIN files USING (corpus, uri)
    WHERE state = 'photo'
    GROUP BY corpus
)
SELECT
    corpus, files, coalesce(photographs, 0) AS photographs, quarantined, former,
    coalesce(stopped_later, 0) AS stopped_later, groups,
    coalesce(fitting, 0) AS fitting, coalesce(validation, 0) AS validation, coalesce(calibration, 0) AS calibration
FROM counted
LEFT JOIN used USING (corpus)
LEFT JOIN later USING (corpus)
ORDER BY corpus
