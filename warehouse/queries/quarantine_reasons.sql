-- How much did not go on, by stage, source and reason.
--   stage: stage that could not use it
--   source: corpus or benchmark set
--   reason: reason code
--   files: how many files [files]
--   example: one of them, the first by name
SELECT stage, source, reason, count(DISTINCT uri) AS files, min(uri) AS example
FROM quarantine
GROUP BY stage, source, reason
ORDER BY stage, source, files DESC, reason
