-- Every decision on which detector answers, the newest first, with its reasons; those that stand against it come first.
--
--   number: of the decision, from 1
--   decided_at: UTC, ISO 8601
--   decision: promoted, refused, promoted_by_hand or rolled_back
--   decided_by: pipeline or person
--   challenger: identity of the detector decided upon
--   champion_before: identity of the detector that answered until then; null: none
--   champion: identity of the detector that answers from then on
--   reasons: what was asked of it, with both numbers
SELECT
    number,
    decided_at,
    decision,
    any_value("by") AS decided_by,
    challenger,
    champion_before,
    champion,
    string_agg(reason, '; ' ORDER BY passed, gate, subject) AS reasons
FROM promotions
GROUP BY number, decided_at, decision, challenger, champion_before, champion
ORDER BY number DESC
