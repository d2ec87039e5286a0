-- Tell every later decision to read the rules anew.
UPDATE campaigns_ingeststate SET ruleset = ruleset + 1 WHERE id = 1 RETURNING ruleset
