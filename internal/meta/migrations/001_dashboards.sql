CREATE TABLE folders (
  tenant TEXT NOT NULL,
  uid TEXT NOT NULL,
  id BIGINT NOT NULL,
  title TEXT NOT NULL,
  parent TEXT NOT NULL,
  version BIGINT NOT NULL,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL,
  PRIMARY KEY (tenant, uid)
);

CREATE TABLE dashboards (
  tenant TEXT NOT NULL,
  uid TEXT NOT NULL,
  id BIGINT NOT NULL,
  folder TEXT NOT NULL,
  title TEXT NOT NULL,
  tags TEXT NOT NULL,
  version BIGINT NOT NULL,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (tenant, uid)
);

CREATE TABLE dashboard_versions (
  tenant TEXT NOT NULL,
  uid TEXT NOT NULL,
  version BIGINT NOT NULL,
  created BIGINT NOT NULL,
  message TEXT NOT NULL,
  restored_from BIGINT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (tenant, uid, version)
);

CREATE TABLE stars (
  tenant TEXT NOT NULL,
  uid TEXT NOT NULL,
  PRIMARY KEY (tenant, uid)
);
