// Drives every page in a real Chromium while a real fault is healed. It ends
// with 1 and a list if anything is not as it must be.
//
//   node drive.mjs <binary> [folder for screenshots]
//   node drive.mjs --paint <address of a server> <file of its token>
//
// The second says how long a first look takes; bench -browser asks it.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { client, issuer } from './issuer.mjs';
import { call, demo, freePorts, own, until } from './server.mjs';
import { paint } from './paint.mjs';
import { Viewer } from './viewer.mjs';

const measures = process.argv[2] === '--paint';
const [binary, shots] = process.argv.slice(2);
if (!binary) throw new Error('usage: node drive.mjs <binary> [folder for screenshots]');
if (shots && !measures) mkdirSync(shots, { recursive: true });

const complaints = [];
const say = (text) => console.log(`${(process.uptime()).toFixed(1).padStart(6)} s  ${text}`);
const must = (held, text) => { if (!held) complaints.push(text); };

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const viewers = [];
const viewer = async (...args) => {
  const v = await Viewer.open(browser, ...args);
  viewers.push(v);
  return v;
};

// widths are those a page must fit into.
const looks = [
  { name: 'light', options: { viewport: { width: 1280, height: 800 } } },
  { name: 'dark', options: { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' } },
  { name: 'narrow', options: { viewport: { width: 360, height: 740 } } },
  { name: 'slim', options: { viewport: { width: 320, height: 640 } }, unkept: true },
  { name: 'wide', options: { viewport: { width: 2560, height: 1300 } }, unkept: true },
];

// look goes through pages in every look.
async function look(server, pages) {
  for (const { name, options, unkept } of looks) {
    const v = await viewer(name, server.base, options);
    if (shots && !unkept && pages.some((p) => p.name === 'overview')) {
      await v.page.goto(`${server.base}/sign-in`);
      await v.page.screenshot({ path: join(shots, `sign-in-${name}.png`) });
      await v.accessible();
    }
    await v.signIn(server.token);
    for (const p of pages) {
      v.away = Boolean(p.away); // browsers tell of the status
      await v.go(p.path);
      if (p.act) await p.act(v.page);
      await v.settled();
      await v.fits();
      if (shots && !unkept) await v.page.screenshot({ path: join(shots, `${p.name}-${name}.png`) });
      await v.accessible();
      if (name === 'light') await v.reachable();
      v.away = false;
    }
    await v.context.close();
    say(`${pages.length} pages, ${name}`);
  }
}

// seen holds that what one did is shown to another soon after the server said
// yes to it.
function seen(what, since) {
  const ms = Math.round(performance.now() - since);
  say(`${what} in one browser is seen in the other after ${ms} ms`);
  must(ms <= 1000, `${what} in one browser is seen in the other after ${ms} ms, want 1000 at most`);
}

// heal approves on the page of one person and watches on that of another.
async function heal(server) {
  const one = await viewer('one', server.base);
  const two = await viewer('two', server.base);
  await one.signIn(server.token);
  await one.page.getByRole('button', { name: 'Approve' }).waitFor();
  say('the overview asks for a yes');
  const [open] = (await call(server, 'GET', '/incidents?state=waiting_approval')).items;
  await two.signIn(server.token, `/cases/${open.id}`);
  await two.settled();
  say('a link pasted elsewhere leads to the case, after signing in');
  await look(server, [
    { name: 'overview', path: '/' },
    { name: 'cases', path: '/cases?open=true' },
    { name: 'case-waiting', path: `/cases/${open.id}` },
    { name: 'alerts', path: '/alerts?status=firing' },
  ]);

  const state = (page) => page.locator('.head .state').first();
  const changed = state(two.page).filter({ hasNotText: 'waiting' }).waitFor();
  const answered = one.page.waitForResponse((r) => r.url().endsWith('/answer'));
  await one.page.getByRole('button', { name: 'Approve' }).click();
  await answered;
  const from = performance.now();
  await changed;
  seen('a yes', from);

  await one.go(`/cases/${open.id}`);
  await one.page.getByText('Add a note').click();
  await one.page.locator('form[action$="/note"] textarea').fill('the change came from the release of this morning');
  const told = two.page.getByText('the change came from the release').waitFor();
  const noted = one.page.waitForResponse((r) => r.url().endsWith('/note'));
  await one.page.getByRole('button', { name: 'Add', exact: true }).click();
  await noted;
  const sent = performance.now();
  await told;
  seen('a note', sent);

  for (const v of [one, two]) await state(v.page).filter({ hasText: 'healed' }).waitFor();
  say('both see the case healed');
  return { one, open };
}

// hush silences an alert in one browser and ends that in another.
async function hush(server, alert) {
  const one = await viewer('silencer', server.base);
  const two = await viewer('listener', server.base);
  await one.signIn(server.token, `/alerts/${alert.alert_id}`);
  await two.signIn(server.token, '/silences');
  await two.page.locator('#pulse[data-state="on"]').waitFor();
  await call(server, 'POST', '/alerts', { alerts: [{ alert_name: 'ToBeSilenced', labels: { team: 'shop' } }] });
  const made = await until('the alert', async () => (await call(server, 'GET', '/alerts?q=ToBeSilenced')).items[0]);
  await one.go(`/alerts/${made.alert_id}`);
  await one.page.getByRole('link', { name: 'Silence' }).click();
  await one.page.getByRole('heading', { name: 'Silence ToBeSilenced' }).waitFor();
  await one.page.getByLabel('Reason').fill('it is known');
  let done = one.page.waitForResponse((r) => r.url().endsWith('/silences') && r.request().method() === 'POST');
  await one.page.getByRole('button', { name: 'Silence', exact: true }).click();
  await done;
  let from = performance.now();
  await two.page.getByText('it is known').waitFor();
  seen('a silence', from);
  await two.page.locator('#listen').waitFor({ state: 'attached' });
  await until('the alert to be held', async () => (await call(server, 'GET', '/alerts?status=silenced')).items.some((a) => a.alert_id === made.alert_id));
  await one.go(`/alerts/${made.alert_id}`);
  await one.page.locator('.head').getByText('it is known').waitFor();
  await one.go('/silences');
  done = two.page.waitForResponse((r) => r.url().endsWith('/end'));
  await two.page.getByRole('button', { name: /^End/ }).click();
  await done;
  from = performance.now();
  await one.page.getByText('Nothing is silenced').waitFor();
  seen('the end of a silence', from);
  await call(server, 'POST', `/alerts/${made.alert_id}/resolve`);
  await call(server, 'POST', '/silences', { matchers: ['alertname=~"Disk.*"', 'service!="payment"'], seconds: 7200, reason: 'the disks are being replaced' });
  for (const v of [one, two]) await v.context.close();
}

// tell hands in what was changed before anything broke.
async function tell(server) {
  const ago = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
  for (const change of [
    { id: 'ci-4711', service: 'payment', version: '2.8.0', by: 'ci', summary: 'retry declined cards', link: 'https://ci.example.com/builds/4711', at: ago(4) },
    { id: 'flag-88', kind: 'feature_flag', service: 'cart', by: 'alice', summary: 'new checkout for a tenth of the visitors', at: ago(31) },
    { id: 'schema-12', kind: 'schema', entity: 'database/orders', by: 'bob', summary: 'index on orders.placed_at', at: ago(26 * 60) },
  ]) await call(server, 'POST', '/changes', change);
}

// changed looks at what was changed: who lives elsewhere sees and types times of
// their own zone, and what is told is seen without asking again.
async function changed(server, open) {
  const around = (await call(server, 'GET', `/incidents/${open.id}/changes`)).items.find((c) => c.id === 'ci-4711');
  must(around?.suspect && around.suspected[0]?.incident_id === open.id, `the deploy before the fault is no suspect of the case: ${JSON.stringify(around)}`);
  const v = await viewer('elsewhere', server.base, { timezoneId: 'Asia/Kathmandu' });
  await v.signIn(server.token, `/cases/${open.id}`);
  await v.page.getByText('before the first alert').first().waitFor();
  await v.go('/changes');
  await v.page.getByRole('link', { name: open.title }).first().click();
  await v.page.waitForURL(`${server.base}/cases/${open.id}`);
  await v.go('/changes');
  await v.page.locator('#pulse[data-state="on"]').waitFor();
  const told = v.page.getByText('told while somebody looks').waitFor();
  await call(server, 'POST', '/changes', { service: 'cart', kind: 'configuration', summary: 'told while somebody looks' });
  const from = performance.now();
  await told;
  seen('a change', from);

  // Kathmandu is 5:45 ahead.
  const hour = new Date(Date.now() - 3_600_000);
  const there = new Date(hour.getTime() + (5 * 60 + 45) * 60_000).toISOString().slice(0, 16);
  await v.page.getByLabel('From').fill(there);
  await v.page.getByRole('button', { name: 'Filter' }).click();
  await v.page.waitForURL(/from=/);
  const asked = new URL(v.page.url()).searchParams.get('from');
  must(asked === `${hour.toISOString().slice(0, 16)}:00.000Z`, `an hour ago in Kathmandu is asked for as ${asked}, want ${hour.toISOString()}`);
  must(await v.page.getByLabel('From').inputValue() === there, 'the field does not show what was typed');
  await v.page.getByText('retry declined cards').waitFor();
  must(await v.page.getByText('orders.placed_at').count() === 0, 'a change of the day before is within the last hour');
  await v.go('/silences');
  const later = new Date(Date.now() + 26 * 3_600_000);
  await v.page.getByLabel('Conditions').fill('service=nobody');
  await v.page.getByLabel('From, if not now').fill(new Date(later.getTime() + (5 * 60 + 45) * 60_000).toISOString().slice(0, 16));
  await v.page.getByLabel('Reason').fill('from tomorrow on');
  await v.page.getByRole('button', { name: 'Silence', exact: true }).click();
  await v.page.getByText('from tomorrow on').waitFor();
  const [made] = (await call(server, 'GET', '/silences?over=false')).items.filter((s) => s.reason === 'from tomorrow on');
  must(made?.starts.slice(0, 16) === later.toISOString().slice(0, 16), `a silence from ${later.toISOString()} on begins at ${made?.starts}`);
  await call(server, 'DELETE', `/silences/${made.id}`);
  await v.context.close();
  say('times are shown and typed in the zone of who looks');
}

// after looks at what there is when a case was healed.
async function after(server, open) {
  const [run] = (await call(server, 'GET', `/runs?incident=${open.id}`)).items;
  const [alert] = (await call(server, 'GET', '/alerts')).items;
  const dry = async (page) => {
    await page.fill('input[name="target"]', 'service/payment');
    await page.getByRole('button', { name: 'Dry run' }).click();
    await page.getByRole('heading', { name: 'Dry run on' }).waitFor();
  };
  const broken = async (page) => {
    const source = page.locator('textarea[name="source"]').first();
    await source.fill((await source.inputValue()).replace('tasks:', 'taks:'));
    await page.getByRole('button', { name: 'Check' }).click();
    await page.getByRole('heading', { name: 'Checked' }).waitFor();
  };
  await hush(server, alert);
  await changed(server, open);
  await look(server, [
    { name: 'healed', path: '/' },
    { name: 'case', path: `/cases/${open.id}` },
    { name: 'runs', path: '/runs' },
    { name: 'run', path: `/runs/${run.id}` },
    { name: 'playbooks', path: '/playbooks' },
    { name: 'playbook', path: `/playbooks/${run.playbook}` },
    { name: 'playbook-versions', path: `/playbooks/${run.playbook}?tab=versions` },
    { name: 'playbook-dry-run', path: `/playbooks/${run.playbook}?tab=try`, act: dry },
    { name: 'playbook-mistake', path: `/playbooks/${run.playbook}?tab=edit`, act: broken },
    { name: 'alert', path: `/alerts/${alert.alert_id}` },
    { name: 'silences', path: `/silences?alert=${alert.alert_id}` },
    { name: 'nowhere', path: '/nowhere', away: true },
    { name: 'changes', path: '/changes' },
    { name: 'services', path: '/services?entity=service/payment' },
    { name: 'audit', path: '/audit' },
  ]);
}

// restart takes the server away from under an open page.
async function restart() {
  const server = await own(binary);
  try {
    const v = await viewer('restart', server.base);
    await v.signIn(server.token, '/alerts');
    await v.page.locator('#pulse[data-state="on"]').waitFor();
    v.away = true;
    await server.down();
    await v.page.getByText('No connection to the server').waitFor();
    say('the server is gone, and the page says so');
    await server.up();
    await v.page.getByText('No connection to the server').waitFor({ state: 'hidden' });
    v.away = false;
    say('the server is back, and so is the page, still signed in');
    await call(server, 'POST', '/alerts', { alerts: [{ alert_name: 'AfterTheRestart', service_name: 'cart' }] });
    await v.page.getByText('AfterTheRestart').waitFor();
    say('what happens after the restart is seen');
    await v.context.close();
  } finally {
    await server.down();
    server.remove();
  }
}

// elsewhere signs people in by an issuer, which conforms or tells more than it
// must.
async function elsewhere(conforms) {
  const [port] = await freePorts(1);
  const server = await own(binary, (dir, base) => {
    writeFileSync(join(dir, 'client.secret'), client.secret, { mode: 0o600 });
    return `page: {oidc: {issuer: "http://127.0.0.1:${port}", client_id: ${client.id}, client_secret_file: ${dir}/client.secret, page_url: "${base}", name: the company, groups: {sre: operator}}}\n`;
  });
  const other = await issuer(port, `${server.base}/sign-in/oidc/back`, conforms);
  const came = [];
  try {
    await call(server, 'POST', '/principals/alice@example.com', { grants: [{ role: 'approver' }] });
    const come = async (name) => {
      const v = await viewer(name, server.base);
      came.push(v);
      await v.page.goto(`${server.base}/runs`);
      v.abroad = true; // what the issuer's own pages do is not the page's
      await v.page.getByRole('link', { name: 'Sign in by the company' }).click();
      await v.page.fill('input[name="login"]', name);
      await v.page.fill('input[name="password"]', 'any');
      await v.page.click('button[type="submit"]');
      await v.page.getByRole('button', { name: 'Continue' }).click();
      await v.page.waitForURL((u) => u.href.startsWith(server.base));
      v.abroad = false;
      return v;
    };
    const alice = await come('Alice@example.com');
    await alice.page.waitForURL(`${server.base}/runs`);
    await alice.page.getByText('alice@example.com').click();
    await alice.page.getByText('approver', { exact: true }).waitFor();
    say('the issuer names alice, who is signed in as what she is here');
    await alice.page.getByRole('button', { name: 'Sign out' }).click();
    await alice.page.waitForURL(`${server.base}/sign-in`);
    const [left] = (await call(server, 'GET', '/principals')).items.filter((p) => p.name === 'alice@example.com');
    must(left.tokens.length === 0, `alice signed out, and ${left.tokens.length} tokens of hers are left`);
    const carol = await come('carol@example.com');
    await carol.page.waitForURL(`${server.base}/runs`);
    await carol.page.getByText('carol@example.com').click();
    await carol.page.getByText('operator', { exact: true }).waitFor();
    await carol.go('/silences');
    await carol.page.getByLabel('Conditions').fill('service=cart');
    await carol.page.getByLabel('Reason').fill('known to carol');
    await carol.page.getByRole('button', { name: 'Silence', exact: true }).click();
    await carol.page.getByRole('cell', { name: 'carol@example.com' }).waitFor();
    const [told] = (await call(server, 'GET', '/audit?act=add-silence')).items;
    must(told?.actor === 'carol@example.com', `the audit says that ${told?.actor} silenced, want carol@example.com`);
    say('carol is no principal, and is what her group stands for; the audit has her name');
    for (const [name, why] of [['bob@example.com', 'bob@example.com is nobody here'], ['newcomer@example.com', 'does not vouch for the address']]) {
      const v = await come(name);
      v.away = true; // browsers tell of the refusal's status
      await v.page.getByText(why).waitFor();
      await v.page.goto(`${server.base}/runs`);
      await v.page.waitForURL(/sign-in/);
    }
    say(`who is nobody here, or not verified there, stays outside; the claims are ${conforms ? 'at the user info endpoint' : 'in the identity token'}`);
  } finally {
    for (const v of came) await v.context.close();
    await other.stop();
    await server.down();
    server.remove();
  }
}

if (measures) {
  try {
    await paint(browser, ...process.argv.slice(3));
  } finally {
    await browser.close();
  }
  process.exit();
}

let server;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => { // nothing started here stays behind
    await browser.close();
    if (server) await server.stop();
    process.exit(1);
  });
}
try {
  server = await demo(binary, 'badconfig');
  say('the demo is up');
  await tell(server);
  const { open } = await heal(server);
  await after(server, open);
  await restart();
  await elsewhere(false);
  await elsewhere(true);
} catch (e) {
  complaints.push(e.stack);
} finally {
  await browser.close();
  if (server) await server.stop();
}
for (const v of viewers) complaints.push(...v.complaints);
must(viewers.length > 0, 'no page was looked at');
if (complaints.length > 0) {
  console.log(`\n${complaints.length} things are not as they must be:\n`);
  for (const c of new Set(complaints)) console.log(`- ${c}`);
  process.exitCode = 1;
} else {
  say('every page is as it must be');
}
