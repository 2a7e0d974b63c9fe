-- What compression, resizing, blur, noise and cropping do to each family of detectors, over the whole set.
--   dataset: name of the benchmark set
--   track: what happened to every image before the perturbation; format_matched is the headline
--   detector: the family; a detector that is alone in it has its name
--   perturbation: what was done to every image, photograph or generated, after the track; `none` comes first
--   n_real: photographs scored [images]
--   n_fake: generated images scored [images]
--   left_out: images without a score under this perturbation [images]
--   auroc: area under the ROC curve over the whole set, generated = positive; null for a family of several members
--   auroc_low: auroc: lower end of the 95% bootstrap interval
--   auroc_high: auroc: upper end of the 95% bootstrap interval
--   auroc_mean: mean of AUROC over generators with 20 or more generated images, and small_sets, not trained on
--   loss: auroc without perturbation less auroc with it; of auroc_mean for a family of several members
--   tpr_at_5_fpr: share of generated images found when 5% of photographs are flagged
--   accuracy_real: share of photographs not flagged at the frozen threshold, which is not set anew
--   accuracy_fake: share of generated images flagged at the frozen threshold
WITH means AS (
    SELECT dataset, track, detector, perturbation, avg(auroc) AS auroc_mean
    FROM family_metrics
    WHERE NOT seen AND generator <> 'all' AND (generator = 'small_sets' OR n_fake >= 20)
    GROUP BY dataset, track, detector, perturbation
), whole AS (
    SELECT cells.*, auroc_mean
    FROM family_metrics AS cells
    LEFT JOIN means USING (dataset, track, detector, perturbation)
    WHERE generator = 'all'
)
SELECT
    dataset, track, detector, shown.perturbation,
    shown.n_real, shown.n_fake, shown.left_out,
    shown.auroc, shown.auroc_low, shown.auroc_high, shown.auroc_mean,
    CASE
        WHEN shown.members = 1 THEN untouched.auroc - shown.auroc ELSE untouched.auroc_mean - shown.auroc_mean
    END AS loss,
    shown.tpr_at_5_fpr, shown.accuracy_real, shown.accuracy_fake
FROM whole AS shown
LEFT JOIN (FROM whole WHERE perturbation = 'none') AS untouched USING (dataset, track, detector)
ORDER BY track <> 'format_matched', track, dataset, detector, shown.perturbation <> 'none', shown.perturbation
