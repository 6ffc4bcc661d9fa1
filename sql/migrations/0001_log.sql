-- The serving log: a table for each feature set, partitioned by day (UTC), and a catalog of what is in them.
--
-- Names stand without their schema. `skew db upgrade` makes the schema, puts it alone on the search path, and runs this
-- in one transaction; by hand: CREATE SCHEMA skew; SET search_path = skew, pg_temp; \i 0001_log.sql
-- Functions keep that search path (SET search_path FROM CURRENT), so that no caller's objects stand in for ours.

CREATE TABLE log_tables (
    name text PRIMARY KEY,
    project text NOT NULL,
    feature_service text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (project, feature_service)
);
COMMENT ON TABLE log_tables IS
    'Which table holds the log of which feature service; an empty one: lookups by a list of references.';

CREATE TABLE columns (
    table_name text NOT NULL REFERENCES log_tables (name),
    name text NOT NULL,
    type text NOT NULL,
    physical text NOT NULL,
    is_current boolean NOT NULL DEFAULT true,
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (table_name, name, type),
    UNIQUE (table_name, physical)
);
COMMENT ON TABLE columns IS
    'The log''s columns (backslash as \\, NUL as \0) and where they are kept. A retyped feature has one for each type.';

CREATE TABLE schemas (
    table_name text NOT NULL REFERENCES log_tables (name),
    hash text NOT NULL,
    content text NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (table_name, hash)
);
COMMENT ON TABLE schemas IS 'What a row''s "__schema" stands for, as JSON: the feature set that was served.';

CREATE TABLE batches (
    batch text PRIMARY KEY,
    table_name text NOT NULL,
    rows bigint NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE batches IS
    'Batches that are stored, each recorded in the transaction of its rows: one sent again is skipped, not doubled.';

CREATE FUNCTION log_table_name(p_project text, p_feature_service text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path FROM CURRENT
AS $$
    -- Readable, and unique by the hash: two services may differ in what a plain name cannot carry.
    SELECT 'log_'
        || left(trim(BOTH '_' FROM regexp_replace(lower(p_feature_service), '[^a-z0-9]+', '_', 'g')), 36) || '_'
        || left(encode(sha256(convert_to(p_project || E'\n' || p_feature_service, 'UTF8')), 'hex'), 8)
$$;

CREATE FUNCTION physical_name(p_table text, p_name text, p_type text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
AS $$
DECLARE
    v_short text := p_name;
BEGIN
    IF octet_length(p_name) BETWEEN 1 AND 63
        AND p_name NOT IN ('tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid', '__exact')
        AND NOT EXISTS (SELECT FROM columns c WHERE c.table_name = p_table AND c.physical = p_name)
    THEN
        RETURN p_name;
    END IF;
    WHILE octet_length(v_short) > 50 LOOP
        v_short := left(v_short, -1);
    END LOOP;
    RETURN v_short || '~' || left(encode(sha256(convert_to(p_name || E'\n' || p_type, 'UTF8')), 'hex'), 12);
END
$$;

CREATE FUNCTION grant_log(p_table text, p_view text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'skew_writer') THEN
        EXECUTE format('GRANT INSERT ON %I TO skew_writer', p_table);
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'skew_auditor') THEN
        EXECUTE format('GRANT SELECT ON %I, %I TO skew_auditor', p_table, p_view);
    END IF;
END
$$;

CREATE FUNCTION served_view_name(p_table text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path FROM CURRENT
AS $$ SELECT 'served_' || substr(p_table, 5) $$;

-- For people and for Feast: each column under its own name, in its newest type.
CREATE FUNCTION make_view(p_table text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    v_view text := served_view_name(p_table);
    v_columns text;
BEGIN
    SELECT string_agg(
        format('%I AS %I', c.physical, CASE WHEN octet_length(c.name) BETWEEN 1 AND 63 THEN c.name ELSE c.physical END),
        ', ' ORDER BY c.ordinal
    )
    INTO v_columns FROM columns c WHERE c.table_name = p_table AND c.is_current;
    EXECUTE format('DROP VIEW IF EXISTS %I', v_view);
    EXECUTE format('CREATE VIEW %I AS SELECT %s FROM %I', v_view, v_columns, p_table);
    PERFORM grant_log(p_table, v_view);
END
$$;

CREATE FUNCTION add_partition(p_table text, p_day date) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    v_partition text := p_table || '_' || to_char(p_day, 'YYYYMMDD');
BEGIN
    IF p_day IS NULL OR p_day NOT BETWEEN '0001-01-01' AND '9999-12-31' THEN
        RAISE EXCEPTION 'a log has no day %', p_day USING ERRCODE = 'datetime_field_overflow';
    END IF;
    IF to_regclass(format('%I.%I', current_schema(), v_partition)) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Made apart and attached: that waits for no reader, where CREATE TABLE ... PARTITION OF would lock the whole log.
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', v_partition, p_table);
    EXECUTE format(
        'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', p_table, v_partition,
        to_char(p_day, 'YYYY-MM-DD') || ' 00:00:00+00', to_char(p_day + 1, 'YYYY-MM-DD') || ' 00:00:00+00'
    );
END
$$;

CREATE FUNCTION add_columns(p_table text, p_names text[], p_types text[]) RETURNS boolean
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    v_new record;
    v_added text[] := '{}';
BEGIN
    -- Widest first, so that no padding stands between them: a row's fixed columns must fit into one page of 8 kB.
    FOR v_new IN
        SELECT given.name, given.type
        FROM unnest(p_names, p_types) WITH ORDINALITY AS given (name, type, position)
        WHERE NOT EXISTS (
            SELECT FROM columns c WHERE c.table_name = p_table AND c.name = given.name AND c.type = given.type
        )
        ORDER BY CASE WHEN given.type IN ('timestamptz', 'int8', 'float8') THEN 1
                      WHEN given.type IN ('int4', 'float4', 'date') THEN 2
                      WHEN given.type = 'bool' THEN 3 ELSE 4 END, given.position
    LOOP
        INSERT INTO columns (table_name, name, type, physical)
        VALUES (p_table, v_new.name, v_new.type, physical_name(p_table, v_new.name, v_new.type));
        v_added := v_added || (
            SELECT format('ADD COLUMN %I %s', c.physical, c.type) FROM columns c
            WHERE c.table_name = p_table AND c.name = v_new.name AND c.type = v_new.type
        );
    END LOOP;
    IF v_added <> '{}' THEN
        EXECUTE format('ALTER TABLE %I %s', p_table, array_to_string(v_added, ', '));
    END IF;
    RETURN v_added <> '{}';
END
$$;

CREATE FUNCTION make_log_table(p_table text, p_project text, p_feature_service text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO log_tables (name, project, feature_service) VALUES (p_table, p_project, p_feature_service);
    INSERT INTO columns (table_name, name, type, physical)
    VALUES (p_table, '__log_timestamp', 'timestamptz', '__log_timestamp'),
           (p_table, '__request_id', 'text', '__request_id');
    EXECUTE format(
        'CREATE TABLE %I (__log_timestamp timestamptz NOT NULL, __request_id text NOT NULL, __exact bytea) '
        'PARTITION BY RANGE (__log_timestamp)', p_table
    );
    EXECUTE format('COMMENT ON COLUMN %I.__exact IS %L', p_table,
        'The cells of this row that PostgreSQL cannot hold as they were served, as an Arrow IPC stream');
    EXECUTE format('CREATE INDEX ON %I (__request_id)', p_table);
    EXECUTE format('CREATE INDEX ON %I USING brin (__log_timestamp)', p_table);
END
$$;

-- Make ready for rows of a feature set on some days, and say which column is kept where. This is all the DDL that a
-- writer can cause: it runs as the owner, takes names only as quoted identifiers, and types only from its own list.
CREATE FUNCTION ensure_log_table(
    p_project text, p_feature_service text, p_schema_hash text, p_schema_content text,
    p_names text[], p_types text[], p_days date[]
) RETURNS SETOF columns
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '10s'
AS $$
DECLARE
    v_table text := log_table_name(p_project, p_feature_service);
    v_known boolean;
    v_day date;
    v_wrong text;
BEGIN
    SELECT given.type INTO v_wrong FROM unnest(p_names, p_types) AS given (name, type)
    WHERE given.name IS NULL OR given.type IS NULL
        OR given.type !~ '^(text|bytea|int4|int8|float4|float8|bool|timestamptz|date)(\[\])?$' LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a log has no column of type %', v_wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || '.ensure_log_table', 0));
    IF NOT EXISTS (SELECT FROM log_tables t WHERE t.name = v_table) THEN
        PERFORM make_log_table(v_table, p_project, p_feature_service);
    END IF;
    PERFORM add_columns(v_table, p_names, p_types);
    SELECT EXISTS (SELECT FROM schemas s WHERE s.table_name = v_table AND s.hash = p_schema_hash) INTO v_known;
    IF NOT v_known THEN
        INSERT INTO schemas (table_name, hash, content) VALUES (v_table, p_schema_hash, p_schema_content);
        UPDATE columns c SET is_current = (c.type = given.type)
        FROM unnest(p_names, p_types) AS given (name, type)
        WHERE c.table_name = v_table AND c.name = given.name;
        PERFORM make_view(v_table);
    END IF;
    FOREACH v_day IN ARRAY p_days LOOP
        PERFORM add_partition(v_table, v_day);
    END LOOP;
    RETURN QUERY SELECT * FROM columns c WHERE c.table_name = v_table;
END
$$;

-- What each role may do, for the roles that exist; run again whenever one was made later.
CREATE FUNCTION grant_roles() RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    v_table record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || '.ensure_log_table', 0));
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'skew_writer') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO skew_writer', current_schema());
        GRANT INSERT (batch, table_name, rows) ON batches TO skew_writer;
        GRANT EXECUTE ON FUNCTION ensure_log_table(text, text, text, text, text[], text[], date[]) TO skew_writer;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'skew_auditor') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO skew_auditor', current_schema());
        GRANT SELECT ON log_tables, columns, schemas, batches TO skew_auditor;
    END IF;
    FOR v_table IN SELECT t.name FROM log_tables t LOOP
        PERFORM grant_log(v_table.name, served_view_name(v_table.name));
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION
    log_table_name(text, text), physical_name(text, text, text), grant_log(text, text), served_view_name(text),
    make_view(text), add_partition(text, date), add_columns(text, text[], text[]), make_log_table(text, text, text),
    ensure_log_table(text, text, text, text, text[], text[], date[]), grant_roles()
FROM PUBLIC;
