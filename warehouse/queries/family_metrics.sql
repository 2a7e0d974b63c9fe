-- Metrics by family of detectors: against each generator those of the member that was not trained on it.
--   dataset: name of the benchmark set
--   track: what happened to every image before it was judged; format_matched is the headline
--   perturbation: what was done to the image after the track, as jpeg_75; `none`
--   detector: the family; a detector that is alone in it has its name
--   members: detectors of the family; each of several was trained without another generator
--   member: whose row this is; null for `all` of several members, who score different generators: no metric of one
--   generator: the generator, `small_sets` or `all`
--   seen: every member was trained on images of this generator
--   n_real: photographs scored [images]
--   n_fake: generated images scored [images]
--   left_out: images without a score on this track [images]
--   auroc: area under the ROC curve, generated = positive
--   auroc_low: auroc: lower end of the 95% bootstrap interval
--   auroc_high: auroc: upper end of the 95% bootstrap interval
--   auroc_equal_complexity: AUROC within bins of equal mean absolute residual
--   auroc_equal_complexity_low: auroc_equal_complexity: lower end of the 95% bootstrap interval
--   auroc_equal_complexity_high: auroc_equal_complexity: upper end of the 95% bootstrap interval
--   average_precision: average precision, generated = positive
--   tpr_at_1_fpr: share of generated images found when 1% of photographs are flagged; null below 100 photographs
--   tpr_at_5_fpr: share of generated images found when 5% of photographs are flagged; null below 20 photographs
--   balanced_accuracy: mean of accuracy on photographs and on generated images at the frozen threshold
--   accuracy_real: share of photographs not flagged at the frozen threshold
--   accuracy_fake: share of generated images flagged at the frozen threshold
WITH families AS (
    SELECT detector, any_value(family) AS family FROM detectors GROUP BY detector
), placed AS (
    SELECT
        metrics.*,
        coalesce(family, metrics.detector) AS of_family,
        -- Of several that have not seen a generator, as those of another set: the one that was to leave it out.
        row_number() OVER (
            PARTITION BY coalesce(family, metrics.detector), dataset, generator, track, perturbation
            ORDER BY
                coalesce(metrics.seen, false),
                networks.left_out IS DISTINCT FROM dataset || '.' || generator,
                metrics.detector
        ) AS place,
        count(DISTINCT metrics.detector) OVER (
            PARTITION BY coalesce(family, metrics.detector), dataset, track, perturbation
        ) AS members
    FROM benchmark_metrics AS metrics
    LEFT JOIN families USING (detector)
    LEFT JOIN binary_networks AS networks USING (detector)
), chosen AS (
    SELECT
        dataset, track, perturbation, of_family AS detector, members, detector AS member, generator,
        coalesce(seen, false) AS seen,
        n_real, n_fake, left_out,
        auroc, auroc_low, auroc_high,
        auroc_equal_complexity, auroc_equal_complexity_low, auroc_equal_complexity_high,
        average_precision, tpr_at_1_fpr, tpr_at_5_fpr, balanced_accuracy, accuracy_real, accuracy_fake
    FROM placed
    -- Several members share no score, so their small generators cannot be pooled.
    WHERE place = 1 AND (generator NOT IN ('all', 'small_sets') OR members = 1)
), pooled AS (
    SELECT
        dataset, track, perturbation, of_family AS detector, members, generator, false AS seen,
        max(n_real) AS n_real,
        max(left_out) AS left_out
    FROM placed
    WHERE generator = 'all' AND members > 1
    GROUP BY dataset, track, perturbation, of_family, members, generator
), found AS (
    SELECT dataset, track, perturbation, detector, CAST(sum(n_fake) AS BIGINT) AS n_fake
    FROM chosen
    WHERE generator NOT IN ('all', 'small_sets') AND NOT seen
    GROUP BY dataset, track, perturbation, detector
), everything AS (
    FROM chosen
    UNION ALL BY NAME
    SELECT pooled.*, coalesce(n_fake, 0) AS n_fake
    FROM pooled LEFT JOIN found USING (dataset, track, perturbation, detector)
)
FROM everything
ORDER BY
    track <> 'format_matched', track, dataset, perturbation <> 'none', perturbation, detector,
    generator = 'all', generator = 'small_sets', generator
