-- What `skew watch` keeps: where it stands, windows as merged summaries, and incidents.
--
-- Names stand without their schema, as in 0001_log.sql. Contents are JSON as text: Python reads it, and text holds
-- everything that JSON can, where jsonb does not hold every string.

CREATE TABLE watch_services (
    project text NOT NULL,
    feature_service text NOT NULL,
    watermark timestamptz NOT NULL,
    revision bigint NOT NULL,
    content text NOT NULL,
    PRIMARY KEY (project, feature_service)
);
COMMENT ON TABLE watch_services IS
    'Up to when (serving time) each feature service was audited by the watch, and what it remembers between windows.';

CREATE TABLE watch_windows (
    project text NOT NULL,
    feature_service text NOT NULL,
    level text NOT NULL CHECK (level IN ('slice', 'hour', 'day')),
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    served_rows bigint NOT NULL,
    content text NOT NULL,
    PRIMARY KEY (project, feature_service, level, starts_at)
);
COMMENT ON TABLE watch_windows IS
    'Summaries of what was served, which add up: the slices of the last hour or two, the hours and the days before.';

CREATE TABLE watch_incidents (
    project text NOT NULL,
    id text NOT NULL,
    feature_service text NOT NULL,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    content text NOT NULL,
    PRIMARY KEY (project, id)
);
CREATE INDEX ON watch_incidents (project, opened_at);
COMMENT ON TABLE watch_incidents IS 'What the watch has opened, and when it had healed; closed_at is null while open.';

-- How many rows of a service stand in the log in each of some stretches [start, end): what a watch asks in each round.
CREATE FUNCTION count_served(
    p_project text, p_feature_service text, p_starts timestamptz[], p_ends timestamptz[]
) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
AS $$
DECLARE
    v_table text := log_table_name(p_project, p_feature_service);
    v_place int;
    v_rows bigint;
BEGIN
    FOR v_place IN 1 .. coalesce(array_length(p_starts, 1), 0) LOOP
        v_rows := 0;
        IF EXISTS (SELECT FROM log_tables t WHERE t.name = v_table) THEN
            EXECUTE format('SELECT count(*) FROM %I WHERE __log_timestamp >= $1 AND __log_timestamp < $2', v_table)
            INTO v_rows USING p_starts[v_place], p_ends[v_place];
        END IF;
        RETURN NEXT v_rows;
    END LOOP;
END
$$;

ALTER FUNCTION grant_roles() RENAME TO grant_log_roles;

CREATE FUNCTION grant_roles() RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
BEGIN
    PERFORM grant_log_roles();
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'skew_auditor') THEN
        GRANT SELECT ON watch_services, watch_windows, watch_incidents TO skew_auditor;
        GRANT EXECUTE ON FUNCTION
            log_table_name(text, text), count_served(text, text, timestamptz[], timestamptz[]) TO skew_auditor;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'skew_watcher') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO skew_watcher', current_schema());
        GRANT SELECT, INSERT, UPDATE, DELETE ON watch_services, watch_windows TO skew_watcher;
        GRANT SELECT, INSERT, UPDATE ON watch_incidents TO skew_watcher;
    END IF;
END
$$;

REVOKE ALL ON FUNCTION count_served(text, text, timestamptz[], timestamptz[]), grant_roles() FROM PUBLIC;
