-- AUROC against the last catalogue whose metrics were others: what differs, or is on one side only.
--   dataset: name of the benchmark set
--   track: what happened to every image before it was judged; format_matched is the headline
--   detector: name of the detector
--   generator: the generator, `small_sets` or `all`
--   perturbation: what was done to the image after the track, as jpeg_75; `none`
--   there: now and before, only now, or only before
--   auroc_before: AUROC in the last catalogue (table benchmark_metrics_before)
--   auroc_now: AUROC in this one
--   difference: auroc_now less auroc_before
WITH sides AS (
    SELECT
        dataset, track, detector, generator, perturbation,
        CASE
            WHEN earlier.detector_id IS NULL THEN 'only now'
            WHEN present.detector_id IS NULL THEN 'only before'
            ELSE 'now and before'
        END AS there,
        earlier.auroc AS auroc_before,
        present.auroc AS auroc_now
    FROM (SELECT * REPLACE (coalesce(detector_id, '') AS detector_id) FROM benchmark_metrics) AS present
    FULL JOIN (SELECT * REPLACE (coalesce(detector_id, '') AS detector_id) FROM benchmark_metrics_before) AS earlier
    USING (dataset, track, detector, generator, perturbation)
)
SELECT *, auroc_now - auroc_before AS difference
FROM sides
WHERE (auroc_before IS DISTINCT FROM auroc_now OR there <> 'now and before')
    -- Without an earlier catalogue nothing is new.
    AND EXISTS (FROM benchmark_metrics_before)
ORDER BY
    track <> 'format_matched', track, dataset, generator <> 'all', perturbation <> 'none',
    abs(auroc_now - auroc_before) DESC NULLS FIRST, detector, generator, perturbation
