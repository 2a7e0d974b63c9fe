-- Families of detectors by track and data set, headline track and best AUROC first.
--   dataset: name of the benchmark set
--   track: what happened to every image before it was judged; format_matched is the headline
--   detector: the family; a detector that is alone in it has its name
--   members: detectors of the family; of several, each generator is scored by the member not trained on it
--   n_real: photographs scored [images]
--   n_fake: generated images scored [images]
--   left_out: images without a score on this track [images]
--   seen: generators that it was trained on: left out of mean, worst and deviation [generators]
--   auroc: area under the ROC curve over the whole set, generated = positive; null for a family of several members
--   auroc_low: auroc: lower end of the 95% bootstrap interval
--   auroc_high: auroc: upper end of the 95% bootstrap interval
--   auroc_equal_complexity: AUROC within bins of equal mean absolute residual, over the whole set
--   auroc_equal_complexity_low: auroc_equal_complexity: lower end of the 95% bootstrap interval
--   auroc_equal_complexity_high: auroc_equal_complexity: upper end of the 95% bootstrap interval
--   average_precision: average precision over the whole set, generated = positive
--   tpr_at_5_fpr: share of generated images found when 5% of photographs are flagged
--   accuracy_real: share of photographs not flagged at the frozen threshold
--   accuracy_fake: share of generated images flagged at the frozen threshold
--   generators: cells behind mean, worst and deviation: generators with 20 or more generated images, and small_sets
--   auroc_mean: mean of AUROC over these generators
--   auroc_worst: lowest AUROC of these generators
--   auroc_deviation: standard deviation of AUROC over these generators; null when there is one
--   worst_generator: the generator with the lowest AUROC
WITH cells AS (
    SELECT * FROM family_metrics WHERE perturbation = 'none'
), spread AS (
    SELECT
        dataset, track, detector,
        count(*) AS generators,
        avg(auroc) AS auroc_mean,
        min(auroc) AS auroc_worst,
        stddev_samp(auroc) AS auroc_deviation,
        arg_min(generator, row(auroc, generator)) AS worst_generator
    FROM cells
    WHERE auroc IS NOT NULL AND NOT seen AND generator <> 'all' AND (generator = 'small_sets' OR n_fake >= 20)
    GROUP BY dataset, track, detector
), known AS (
    SELECT dataset, track, detector, count(*) AS seen
    FROM cells
    WHERE seen AND generator NOT IN ('all', 'small_sets')
    GROUP BY dataset, track, detector
)
SELECT
    whole.dataset, whole.track, whole.detector, members,
    n_real, n_fake, left_out, coalesce(known.seen, 0) AS seen,
    auroc, auroc_low, auroc_high,
    auroc_equal_complexity, auroc_equal_complexity_low, auroc_equal_complexity_high,
    average_precision, tpr_at_5_fpr, accuracy_real, accuracy_fake,
    coalesce(generators, 0) AS generators, auroc_mean, auroc_worst, auroc_deviation, worst_generator
FROM cells AS whole
LEFT JOIN spread USING (dataset, track, detector)
LEFT JOIN known USING (dataset, track, detector)
WHERE whole.generator = 'all'
ORDER BY
    whole.track <> 'format_matched', whole.track, whole.dataset,
    coalesce(auroc, auroc_mean) DESC NULLS LAST, whole.detector
