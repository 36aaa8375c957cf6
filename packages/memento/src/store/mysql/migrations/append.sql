-- The way of an append in one round trip, for accounts that may make procedures: 1 done, 0 nothing done because a timeline
-- stands elsewhere or a name is taken, 2 nothing done because the data key seals nothing any more.

DROP PROCEDURE IF EXISTS {append_one};

CREATE PROCEDURE {append_one}(
  p_line varchar(20) {collated}, p_expected bigint, p_epoch bigint, p_id varchar(60) {collated}, p_check varchar(64) {collated},
  p_nonce varchar(20) {collated}, p_header longblob, p_body longblob, p_key varchar(100) {collated}, p_new text {collated},
  p_caretaker varchar(255) {collated}, p_name varchar(255) {collated}, p_moves_name int
)
SQL SECURITY INVOKER
append: BEGIN
  DECLARE v_one int;
  DECLARE v_state varchar(20);
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  START TRANSACTION;
  UPDATE {timeline} SET head_sequence = p_expected + 1, head_id = p_id, head_check = p_check
    WHERE timeline = p_line AND head_sequence = p_expected AND lease_epoch = p_epoch;
  IF ROW_COUNT() = 0 THEN ROLLBACK; SELECT 0 AS done; LEAVE append; END IF;
  IF p_name IS NOT NULL AND p_moves_name = 1 THEN
    INSERT INTO {memento_name} (caretaker, name, memento) VALUES (p_caretaker, p_name, p_id)
      ON DUPLICATE KEY UPDATE memento = VALUES(memento);
  ELSEIF p_name IS NOT NULL THEN
    INSERT IGNORE INTO {memento_name} (caretaker, name, memento) VALUES (p_caretaker, p_name, p_id);
    IF ROW_COUNT() = 0 THEN ROLLBACK; SELECT 0 AS done; LEAVE append; END IF;
  END IF;
  SELECT one INTO v_one FROM {gate} WHERE one = 1 LOCK IN SHARE MODE;
  IF p_key IS NOT NULL THEN
    SET v_state = (SELECT state FROM {wrapped_key} WHERE id = p_key);
    IF v_state <> 'active' THEN ROLLBACK; SELECT 2 AS done; LEAVE append; END IF;
  END IF;
  IF p_new IS NOT NULL THEN
    INSERT INTO {wrapped_key} (id, purpose, sharing_group, ring, wrapped, created, state)
      VALUES (JSON_UNQUOTE(JSON_EXTRACT(p_new, '$[0]')), JSON_UNQUOTE(JSON_EXTRACT(p_new, '$[1]')),
        JSON_UNQUOTE(JSON_EXTRACT(p_new, '$[2]')), JSON_UNQUOTE(JSON_EXTRACT(p_new, '$[3]')),
        JSON_UNQUOTE(JSON_EXTRACT(p_new, '$[4]')), JSON_UNQUOTE(JSON_EXTRACT(p_new, '$[5]')),
        JSON_UNQUOTE(JSON_EXTRACT(p_new, '$[6]')))
      ON DUPLICATE KEY UPDATE id = VALUES(id);
  END IF;
  INSERT INTO {commit_log} (header, body) VALUES (p_header, p_body);
  INSERT INTO {memento} (timeline, sequence, nonce, commit_id, slot) VALUES (p_line, p_expected + 1, p_nonce, LAST_INSERT_ID(), 0);
  COMMIT;
  SELECT 1 AS done;
END;

DROP PROCEDURE IF EXISTS {append_all};

CREATE PROCEDURE {append_all}(
  p_timelines longtext {collated}, p_places longtext {collated}, p_header longblob, p_body longblob,
  p_key varchar(100) {collated}, p_new text {collated}
)
SQL SECURITY INVOKER
append: BEGIN
  DECLARE v_one int;
  DECLARE v_state varchar(20);
  DECLARE v_number bigint;
  DECLARE v_line int DEFAULT 0;
  DECLARE v_timeline varchar(20) {collated};
  DECLARE v_entry longtext {collated};
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  START TRANSACTION;
  WHILE v_line < JSON_LENGTH(p_timelines) DO
    SET v_entry = JSON_EXTRACT(p_timelines, CONCAT('$[', v_line, ']'));
    SET v_timeline = JSON_UNQUOTE(JSON_EXTRACT(v_entry, '$[0]'));
    UPDATE {timeline} SET head_sequence = JSON_EXTRACT(v_entry, '$[3]'),
        head_id = JSON_UNQUOTE(JSON_EXTRACT(v_entry, '$[4]')), head_check = JSON_UNQUOTE(JSON_EXTRACT(v_entry, '$[5]'))
      WHERE timeline = v_timeline AND head_sequence = CAST(JSON_EXTRACT(v_entry, '$[1]') AS SIGNED)
        AND lease_epoch = CAST(JSON_EXTRACT(v_entry, '$[2]') AS SIGNED);
    IF ROW_COUNT() = 0 THEN ROLLBACK; SELECT 0 AS done; LEAVE append; END IF;
    SET v_line = v_line + 1;
  END WHILE;
  SELECT one INTO v_one FROM {gate} WHERE one = 1 LOCK IN SHARE MODE;
  IF p_key IS NOT NULL THEN
    SET v_state = (SELECT state FROM {wrapped_key} WHERE id = p_key);
    IF v_state <> 'active' THEN ROLLBACK; SELECT 2 AS done; LEAVE append; END IF;
  END IF;
  IF p_new IS NOT NULL THEN
    INSERT INTO {wrapped_key} (id, purpose, sharing_group, ring, wrapped, created, state)
      VALUES (JSON_UNQUOTE(JSON_EXTRACT(p_new, '$[0]')), JSON_UNQUOTE(JSON_EXTRACT(p_new, '$[1]')),
        JSON_UNQUOTE(JSON_EXTRACT(p_new, '$[2]')), JSON_UNQUOTE(JSON_EXTRACT(p_new, '$[3]')),
        JSON_UNQUOTE(JSON_EXTRACT(p_new, '$[4]')), JSON_UNQUOTE(JSON_EXTRACT(p_new, '$[5]')),
        JSON_UNQUOTE(JSON_EXTRACT(p_new, '$[6]')))
      ON DUPLICATE KEY UPDATE id = VALUES(id);
  END IF;
  INSERT INTO {commit_log} (header, body) VALUES (p_header, p_body);
  SET v_number = LAST_INSERT_ID();
  INSERT INTO {memento} (timeline, sequence, nonce, commit_id, slot)
    SELECT j.line, j.number, j.nonce, v_number, j.slot - 1 FROM JSON_TABLE(p_places, '$[*]' COLUMNS (
      slot FOR ORDINALITY, line varchar(20) PATH '$[0]', number bigint PATH '$[1]', nonce varchar(20) PATH '$[2]')) AS j;
  COMMIT;
  SELECT 1 AS done;
END;
