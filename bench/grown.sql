-- An office of $N desks, as many entries of the log and a tenth as many employees; see growth.py. What triggers would
-- fill in row by row is filled in here.
SET session_replication_role = replica;
INSERT INTO buildings (name) SELECT 'B' || to_char(b, 'FM0000') FROM generate_series(1, greatest(1, :desks / 10000)) b;
INSERT INTO floors (building, number, name)
    SELECT name, f, 'Floor ' || f FROM buildings, generate_series(1, 10) f;
INSERT INTO departments (name) SELECT 'Department ' || d FROM generate_series(1, 20) d;
INSERT INTO employees (employee_number, name, department_id)
    SELECT 'E' || e, 'Employee ' || e, 1 + e % 20 FROM generate_series(1, :desks / 10) e;
INSERT INTO workstations (name, x_position, y_position, building, floor_number, department_id, employee_id, status,
        equipment, notes, created_at, updated_at, labels)
    SELECT 'Desk ' || to_char(w * 7919 % :desks, 'FM0000000'), (w * 31 % 10000) / 4.0, (w * 17 % 8000) / 4.0,
        building, number, d.id, e.id,
        (ARRAY['available', 'occupied', 'maintenance', 'reserved'])[CASE WHEN w % 10 < 6 THEN 1 WHEN w % 10 < 9 THEN 2
            WHEN w % 20 = 9 THEN 3 ELSE 4 END],
        '{"monitors": 2, "chair": "' || md5(w::text) || '"}', 'near the window',
        now() - make_interval(secs => (:desks - w) / 4), now() - make_interval(secs => (w * 613 % :desks) / 2),
        jsonb_build_object('floor', f.name, 'department', jsonb_build_object('id', d.id, 'name', d.name), 'employee',
            CASE WHEN e.id IS NOT NULL THEN jsonb_build_object('id', e.id, 'key', e.public_key, 'name', e.name,
                'number', e.employee_number, 'department', jsonb_build_object('id', d.id, 'name', d.name)) END)
    FROM generate_series(1, CAST(:desks AS bigint)) w
    LEFT JOIN floors f ON f.id = (SELECT min(id) FROM floors) + w % (10 * greatest(1, :desks / 10000)) AND w % 100 > 0
    JOIN departments d ON d.id = (SELECT min(id) FROM departments) + w / 500 % 20
    LEFT JOIN employees e ON w % 10 = 7 AND e.id = (SELECT min(id) FROM employees) + w / 10;
INSERT INTO change_log (revision, entity, entity_id, version, actor, logged_at, before, after)
    SELECT n, 'workstation', w.id::text, 2, 'user:' || n % 50, now() - make_interval(secs => :desks - n),
        to_jsonb(w), jsonb_set(to_jsonb(w), '{version}', '2')
    FROM generate_series(1, CAST(:desks AS bigint)) n JOIN workstations w ON w.id = 1 + n * 7 % :desks ORDER BY n;
UPDATE feed_head SET revision = :desks;
SELECT workstation_recount_v1();
SET session_replication_role = origin;
