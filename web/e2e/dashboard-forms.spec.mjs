// The forms of dashboards: settings, variables, annotations, links, overrides, mappings and the whole JSON; and that
// saving leaves alone what no form touched.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { axe, demo, inBrowser, shot, until } from './lib.mjs';

let server;
let tab;
let page;

// Written as no serializer writes it, with members that Pharos knows nothing of.
const source = `{
    "title": "Forms",   "uid": "forms",
    "editable": true, "x-team": {"owner" : "shop", "budget": 1.0e3},
    "templating": {"list": []},
    "annotations": { "list": [ {"builtIn": 1, "name": "Annotations & Alerts", "datasource": "-- Grafana --"} ] },
    "panels": [
        { "id": 1, "type": "timeseries", "title": "Requests", "gridPos": {"x":0, "y":0, "w":16, "h":10},
          "pluginVersion": "9.9.9",
          "fieldConfig": {"defaults": {"custom": {"fillOpacity": 10.0}, "unit": "reqps"}, "overrides": []},
          "targets": [ {"refId": "A", "expr": "sum by (service_name) (rate(http_server_request_duration_seconds_count{service_name=~\\"$service\\"}[$__rate_interval]))", "legendFormat": "{{service_name}}"} ] },
        { "id": 2, "type": "stat", "title": "One", "gridPos": {"x":16, "y":0, "w":8, "h":10}, "targets": [ {"refId": "A", "expr": "vector(1)"} ] }
    ]
}
`;

const post = async (text) => {
  const res = await fetch(`${server.url}/api/dashboards/db`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: `{"dashboard":${text.trim()},"overwrite":true}` });
  assert.equal(res.status, 200, await res.clone().text());
};
const raw = (uid) => fetch(`${server.url}/api/dashboards/uid/${uid}/raw`).then((r) => r.text());
const section = (name) => page.getByRole('tab', { name: new RegExp(`^${name}`) }).click();
const commit = async (label, text) => {
  const field = page.getByLabel(label, { exact: true });
  await field.fill(text);
  await field.blur();
};
const choice = (name) => page.getByRole('combobox', { name, exact: true });
async function save(message) {
  await page.getByRole('button', { name: 'Save', exact: true }).first().click();
  await page.getByLabel('What changed').fill(message);
  await page.getByRole('dialog').getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
}
async function typeQuery(text) {
  await page.locator('.g-opened .cm-content').click();
  await page.keyboard.press('Control+a');
  await page.keyboard.insertText(text);
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
}

describe('the forms of dashboards', { timeout: 600_000 }, () => {
  inBrowser(demo, (s) => ({ server, tab, page } = s));

  it('settings, variables, annotations and links are made without any JSON', async () => {
    await post(source);
    await page.goto('/d/forms?from=now-15m&to=now');
    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.getByTestId('settings').waitFor();
    await commit('Title', 'Forms of the shop');
    await commit('Tags', 'shop, team-a');
    await choice('Time zone').selectOption('utc');
    assert.deepEqual(await axe(page), []);
    await shot(page, 'dashboard-settings');

    await section('Variables');
    await page.getByRole('button', { name: 'Add variable' }).click();
    await page.getByTestId('values').getByText('checkout', { exact: true }).waitFor();
    await commit('Keep what matches', '/^c.*/');
    await until('only services with a c', async () => !(await page.getByTestId('values').innerText()).includes('frontend'));
    await page.getByText('Used by one panel').waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'dashboard-variables');
    const name = page.getByRole('textbox', { name: 'Name', exact: true });
    await name.fill('no name');
    await page.getByText('Letters, digits and _ only.').waitFor();
    await name.fill('service');
    // Every other type, with its values where it has some.
    for (const [type, check] of [
      ['custom', async () => page.getByTestId('values').getByText('2 values now').waitFor()],
      ['interval', async () => page.getByTestId('values').getByText('15m', { exact: true }).waitFor()],
      ['datasource', async () => page.getByTestId('values').getByText('Pharos metrics').waitFor()],
      ['textbox', async () => page.getByLabel('Value at first').waitFor()],
      ['constant', async () => page.getByLabel('Value', { exact: true }).waitFor()],
      ['adhoc', async () => page.getByText('Filters every query').waitFor()],
    ]) {
      await page.getByRole('button', { name: 'Add variable' }).click();
      await choice('Type').selectOption(type);
      await check();
      await page.getByRole('button', { name: 'Remove $service2' }).click();
    }
    // Result of a query, of logs.
    await page.getByRole('button', { name: 'Add variable' }).click();
    await choice('For').selectOption('query_result');
    await page.getByTestId('values').getByText(/job=/).first().waitFor();
    await choice('Ask').selectOption('loki');
    await page.getByTestId('values').getByText('checkout', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Remove $service2' }).click();

    await section('Annotations');
    await page.getByRole('button', { name: 'Add annotation' }).click();
    await choice('Ask').selectOption('loki');
    await typeQuery('{service_name="checkout"} |= "error"');
    await commit('Name', 'Failures');
    await commit('Title', '{{service_name}}');
    await commit('Text', '');
    await commit('Labels that are tags', 'service_name');
    await commit('At most', '7');
    await page.getByTestId('found').getByText('7 marks in this time range').waitFor();
    await page.getByTestId('found').getByText(/checkout: .*#checkout/).first().waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'dashboard-annotations');

    await section('Links');
    await page.getByRole('button', { name: 'Add link' }).click();
    await commit('Title', 'Logs of the shop');
    await page.getByRole('button', { name: 'Back to the dashboard' }).click();
    await page.getByRole('link', { name: 'Logs of the shop' }).waitFor();
    await page.getByTestId('var-service').waitFor();
    await page.getByRole('button', { name: /^Failures/, pressed: true }).getByText('7').waitFor();
    await page.getByTestId('chart').first().waitFor();
    await shot(page, 'dashboard-marks');
    await save('variables and annotations');

    const text = await raw('forms');
    const now = JSON.parse(text);
    assert.deepEqual([now.title, now.tags, now.timezone, now.templating.list[0].name, now.templating.list[0].regex, now.annotations.list[1].name, now.links[0].title], ['Forms of the shop', ['shop', 'team-a'], 'utc', 'service', '/^c.*/', 'Failures', 'Logs of the shop']);
    // All lines that no form touched are there as they were.
    for (const line of source.split('\n').filter((l) => !/"title": "Forms"|templating|annotations|^[{}]?$|^ {4}\]/.test(l))) assert.ok(text.includes(line), `kept: ${line}`);
    tab.clean();
  });

  it('annotations are switched off and on above the panels', async () => {
    await page.goto('/d/forms?from=now-15m&to=now');
    const button = page.getByRole('button', { name: /^Failures/ });
    await button.getByText('7').waitFor();
    await button.click();
    assert.equal(await button.getAttribute('aria-pressed'), 'false');
    await button.click();
    await button.getByText('7').waitFor();
    tab.clean();
  });

  it('overrides and mappings change what is drawn', async () => {
    await page.goto('/d/forms?from=now-15m&to=now');
    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    await page.getByTestId('panelmenu').nth(1).click();
    await page.getByRole('menuitem', { name: 'Edit' }).click();
    await section('Panel');
    await page.getByRole('button', { name: 'Add mapping' }).click();
    await commit('Match of mapping 1', '1');
    await commit('Text of mapping 1', 'Open');
    await page.getByTestId('stat').getByText('Open').waitFor();
    await section('Overrides');
    await page.getByRole('button', { name: 'Add override' }).click();
    await page.getByLabel('Matcher of override 1').selectOption('byRegexp');
    await page.getByLabel('Add a property to override 1').selectOption('mappings');
    await page.getByRole('button', { name: 'Add mapping' }).click();
    await page.getByLabel('Kind of mapping 1').selectOption('range');
    await commit('From of mapping 1', '0');
    await commit('To of mapping 1', '5');
    await commit('Text of mapping 1', 'Low');
    await page.getByTestId('stat').getByText('Low').waitFor();
    for (const id of ['unit', 'thresholds', 'color', 'links', 'displayName']) await page.getByLabel('Add a property to override 1').selectOption(id);
    assert.deepEqual(await axe(page), []);
    await shot(page, 'dashboard-overrides');
    await page.getByRole('button', { name: 'Back to the dashboard' }).click();
    await save('overrides');
    const saved = JSON.parse(await raw('forms'));
    assert.deepEqual(saved.panels[1].fieldConfig.overrides[0].matcher, { id: 'byRegexp', options: '/.*/' });
    assert.deepEqual(saved.panels[1].fieldConfig.overrides[0].properties.map((p) => p.id), ['mappings', 'unit', 'thresholds', 'color', 'links', 'displayName']);
    assert.equal(saved.panels[0].pluginVersion, '9.9.9');
    tab.clean();
  });

  it('the whole JSON is edited, with mistakes shown where they are', async () => {
    await page.goto('/d/forms?from=now-15m&to=now');
    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    await page.getByRole('button', { name: 'Settings' }).click();
    await section('JSON');
    const editor = page.getByRole('textbox', { name: 'Dashboard JSON' });
    await editor.waitFor();
    assert.ok((await editor.innerText()).includes('"x-team": {"owner" : "shop", "budget": 1.0e3}'));
    await editor.click();
    await page.keyboard.press('Control+a');
    await page.keyboard.insertText('{"title": "Typed",\n "panels": [ {"type": "text"} }');
    await page.getByText('Line 2, column 31: A comma or ] is expected, not }').waitFor();
    await page.locator('.g-jsonbox .cm-lintRange-error').first().waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'dashboard-json');
    await page.keyboard.press('Control+a');
    await page.keyboard.insertText('{"title": "Typed"}');
    await until('no mistake', () => page.getByRole('button', { name: 'Apply' }).isEnabled());
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.getByText('it has neither panels nor rows').waitFor();
    const typed = '{"title": "Typed",  "panels": [ {"id": 3, "type": "stat", "targets": [{"expr": "vector(7.0)", "refId": "A"}], "x": 1.50} ]}';
    await editor.click();
    await page.keyboard.press('Control+a');
    await page.keyboard.insertText(typed);
    await page.getByRole('button', { name: 'Save as a new version…' }).click();
    await page.getByLabel('What changed').fill('typed');
    await page.getByRole('dialog').getByRole('button', { name: 'Save', exact: true }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.getByTestId('stat').getByText('7', { exact: true }).waitFor();
    const text = await raw('forms');
    assert.ok(text.startsWith(typed.slice(0, -1)), text);
    assert.equal(JSON.parse(text).uid, 'forms');
    const list = (await (await fetch(`${server.url}/api/dashboards/uid/forms/versions`)).json()).versions;
    assert.deepEqual(list.map((v) => v.message).slice(0, 3), ['typed', 'overrides', 'variables and annotations']);
    tab.clean();
  });
});
