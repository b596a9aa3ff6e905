import { expect, it } from 'vitest';
import { demoteStreamLabel, dropAttribute, dropLabel, dropMetric, dropPair, dropStream } from './rules';

it('writes rules that match exactly', () => {
  expect(dropMetric('a.b')).toContain('regex: "a\\\\.b"');
  expect(dropLabel('pod')).toContain('action: labeldrop');
  expect(dropPair('path', '/x?y', 'http_total')).toContain('source_labels: [__name__, path]\n    regex: "http_total;/x\\\\?y"');
  expect(dropPair('__name__', 'x')).toContain('source_labels: [__name__]\n    regex: "x"');
  expect(demoteStreamLabel('pod')).toContain('- labeldrop:\n      - pod');
  expect(dropStream('app', 'a"b')).toContain('{app="a\\"b"}');
  expect(dropAttribute('resource', 'x.y')).toContain('context: resource');
  expect(dropAttribute('span', 'x')).toContain('delete_key(attributes, "x")');
});
