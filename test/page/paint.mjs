// How long a first look takes, as the browser says: each in a context that has
// loaded nothing before but is signed in. Writes a JSON line for each page.
import { readFileSync } from 'node:fs';
import { Viewer } from './viewer.mjs';

const looks = 9;
const pageFar = 50;

// painted waits until the page has painted and gives when, in ms from the begin
// of the navigation.
const painted = (page) => page.evaluate(async () => {
  const first = performance.getEntriesByName('first-contentful-paint')[0] ?? await new Promise((ok) => {
    new PerformanceObserver((l) => { for (const e of l.getEntriesByName('first-contentful-paint')) ok(e); }).observe({ type: 'paint', buffered: true });
  });
  return first.startTime;
});

// loaded is what came over the line for the page, with headers.
const loaded = (page) => page.evaluate(() => [...performance.getEntriesByType('resource'), performance.getEntriesByType('navigation')[0]].reduce((n, r) => n + r.transferSize, 0));

function tell(name, times, bytes = 0) {
  times.sort((a, b) => a - b);
  console.log(JSON.stringify({ name, p50: times[Math.ceil(times.length / 2) - 1], worst: times.at(-1), looks: times.length, bytes }));
}

export async function paint(browser, base, tokenFile) {
  const first = await Viewer.open(browser, 'first', base);
  await first.signIn(readFileSync(tokenFile, 'utf8').trim());
  const storageState = await first.context.storageState();
  await first.context.close();
  for (const [name, path] of [['overview', '/'], ['cases that are open', '/cases?open=true'], ['alerts that fire', '/alerts?status=firing'], ['changes', '/changes']]) {
    const times = [];
    let bytes = 0;
    for (let i = 0; i < looks; i++) {
      const v = await Viewer.open(browser, name, base, { storageState });
      await v.page.goto(base + path);
      times.push(await painted(v.page));
      await v.settled();
      bytes = Math.max(bytes, await loaded(v.page));
      await v.context.close();
    }
    tell(name, times, bytes);
  }
  for (const [name, path] of [['cases', '/cases?open=true'], ['alerts', '/alerts?status=firing'], ['changes', '/changes']]) {
    const v = await Viewer.open(browser, name, base, { storageState });
    await v.page.goto(base + path);
    const times = [];
    for (let n = 1; n < pageFar; n++) {
      const to = await v.page.getByRole('link', { name: 'Next page' }).getAttribute('href');
      await v.page.getByRole('link', { name: 'Next page' }).click();
      await v.page.waitForURL(base + to, { waitUntil: 'load' });
      times.push(await painted(v.page));
    }
    tell(`${name}, each of the pages up to ${pageFar}`, times);
    await v.context.close();
  }
}
