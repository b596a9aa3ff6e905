CREATE TABLE links (
  tenant TEXT NOT NULL,
  uid TEXT NOT NULL,
  path TEXT NOT NULL,
  created BIGINT NOT NULL,
  PRIMARY KEY (tenant, uid)
);
