-- Everything that did not go on to the next stage, and why.
SELECT stage, source, uri, reason, detail, photo_id
FROM quarantine
ORDER BY stage, source, reason, uri
