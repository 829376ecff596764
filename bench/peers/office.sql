-- The peers' database: the tables and indexes that our own migrations make, without our triggers. What is left is what
-- any of these servers would have: a version that grows, and a NOTIFY that carries the new row.
DO $$
DECLARE
    ours record;
BEGIN
    FOR ours IN SELECT tgname, tgrelid::regclass AS of_table FROM pg_trigger WHERE NOT tgisinternal LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', ours.tgname, ours.of_table);
    END LOOP;
END $$;

CREATE FUNCTION peer_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$;

CREATE TRIGGER peer_stamp BEFORE UPDATE ON workstations FOR EACH ROW EXECUTE FUNCTION peer_stamp();

CREATE FUNCTION peer_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('workstations', row_to_json(NEW)::text);
    RETURN NULL;
END $$;

CREATE TRIGGER peer_notify AFTER UPDATE ON workstations FOR EACH ROW EXECUTE FUNCTION peer_notify();
