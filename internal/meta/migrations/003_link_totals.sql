ALTER TABLE links RENAME COLUMN created TO used;
CREATE INDEX links_by_use ON links (tenant, used, uid);
CREATE TABLE link_totals (
  tenant TEXT PRIMARY KEY,
  links BIGINT NOT NULL,
  bytes BIGINT NOT NULL
);
INSERT INTO link_totals SELECT tenant, COUNT(*), SUM(OCTET_LENGTH(path)) FROM links GROUP BY tenant;
