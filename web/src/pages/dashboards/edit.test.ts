import { describe, expect, it } from 'vitest';
import { readDashboard } from '@/grafana/project';
import { addPanel, changePanel, draftText } from './edit';
import { mappingsJSON } from './form';
import { at, setAt } from './properties';
import { clone } from '@/grafana/model';

const text = '{"title":"Old",  "rows": [{"panels": [{"type":"singlestat","title":"One","span":4,"targets":[{"expr":"up","x":1.0}]}]}]}';

describe('the text of a draft', () => {
  const json = readDashboard(JSON.parse(text)).raw;

  it('keeps an old schema while nothing in it is changed', () => {
    expect(draftText(text, json)).toBe(text);
    expect(draftText(text, { ...json, title: 'New' })).toBe(text.replace('Old', 'New'));
  });

  it('is in today’s form once a panel is', () => {
    const next = clone(json);
    const id = addPanel(next);
    const out = JSON.parse(draftText(text, next));
    expect(out.rows).toBeUndefined();
    expect(out.panels.map((p: { type: string }) => p.type)).toEqual(['timeseries', 'stat']);
    changePanel(next, id, { id, type: 'text' });
    expect(JSON.parse(draftText(text, next)).panels[0]).toEqual({ id, type: 'text' });
  });

  it('has the identity that it is saved under', () => {
    const own = '{"id": 7, "uid": "a", "version": 3, "title": "T", "panels": []}';
    const of = readDashboard(JSON.parse(own)).raw;
    expect(JSON.parse(draftText(own, { ...of, uid: 'other', version: 9 }))).toMatchObject({ uid: 'a', version: 3 });
    expect(JSON.parse(draftText(own, of, { uid: 'a', version: 4 }))).toMatchObject({ id: 7, uid: 'a', version: 4 });
    expect(Object.keys(JSON.parse(draftText(own, of, { id: undefined, uid: undefined, version: undefined })) as object)).not.toContain('uid');
  });
});

describe('forms', () => {
  it('put neighbouring values into one mapping', () => {
    const result = (text: string) => ({ text });
    expect(
      mappingsJSON([
        { kind: 'value', of: '0', to: '', result: result('down') },
        { kind: 'value', of: '1', to: '', result: result('up') },
        { kind: 'range', of: '2', to: '', result: result('many') },
        { kind: 'special', of: 'null', to: '', result: result('none') },
      ]),
    ).toEqual([
      { type: 'value', options: { 0: { text: 'down', index: 0 }, 1: { text: 'up', index: 1 } } },
      { type: 'range', options: { from: 2, to: null, result: { text: 'many', index: 2 } } },
      { type: 'special', options: { match: 'null', result: { text: 'none', index: 3 } } },
    ]);
  });

  it('set what is far inside', () => {
    const o = { reduceOptions: { fields: '' } };
    setAt(o, 'reduceOptions.calcs.0', 'max');
    setAt(o, 'legend.placement', 'right');
    expect(o).toEqual({ reduceOptions: { fields: '', calcs: ['max'] }, legend: { placement: 'right' } });
    expect(at(o, 'reduceOptions.calcs.0')).toBe('max');
    setAt(o, 'legend.placement', undefined);
    expect(at(o, 'legend')).toEqual({});
  });
});
