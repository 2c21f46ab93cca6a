// A person at a browser, who notices what should not be.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export class Viewer {
  constructor(name, context, page, base) {
    Object.assign(this, { name, context, page, base, complaints: [], away: false, abroad: false });
    page.setDefaultTimeout(180_000);
    page.on('console', (m) => {
      // While the server is away on purpose, browsers tell so.
      if (['error', 'warning'].includes(m.type()) && !this.away && !this.abroad) this.complain(`console ${m.type()}: ${m.text()}`);
    });
    page.on('pageerror', (e) => this.complain(`script: ${e.message}`));
    page.on('request', (r) => { if (!this.abroad && !r.url().startsWith(base) && !r.url().startsWith('data:')) this.complain(`asks ${r.url()}`); });
  }

  static async open(browser, name, base, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light', timezoneId: 'Europe/Berlin', locale: 'en-GB', ...options });
    return new Viewer(name, context, await context.newPage(), base);
  }

  complain(text) { this.complaints.push(`${this.name}, ${this.page.url().replace(this.base, '')}: ${text}`); }

  async signIn(token, to = '/') {
    await this.page.goto(this.base + to);
    await this.page.fill('#token', token);
    await this.page.click('button:text("Sign in")');
    await this.page.waitForURL(this.base + to);
  }

  // go opens a page and waits until it is live and what loads later has loaded.
  async go(path) {
    await this.page.goto(this.base + path);
    await this.settled();
  }

  async settled() {
    await this.page.waitForFunction(() => !document.querySelector('[aria-busy="true"], .htmx-request') && document.fonts.status === 'loaded');
  }

  // accessible asks axe for every rule it has.
  async accessible() {
    await this.page.evaluate(axeSource);
    for (const text of await this.page.evaluate(async () => (await axe.run()).violations
      .map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 140)).join(' ; ')}`))) this.complain(`axe ${text}`);
  }

  // fits holds that nothing sticks out to the side.
  async fits() {
    const over = await this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (over > 0) this.complain(`is ${over} px wider than the window of ${this.page.viewportSize().width}`);
  }

  // reachable tabs through the page: what can be used must be reached, and be
  // seen to be reached.
  async reachable() {
    await this.page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
    const want = await this.page.evaluate(() => {
      // Held here and not marked: a page that is live may be refreshed meanwhile.
      window.controls = [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary')]
        .filter((e) => !e.disabled && e.checkVisibility({ visibilityProperty: true }));
      return window.controls.map((_, i) => i);
    });
    const seen = new Set();
    // Fields of a date and a time are many to the keyboard.
    const parts = await this.page.evaluate(() => window.controls.filter((e) => e.type === 'datetime-local').length * 7);
    for (let i = 0; i < want.length + parts + 12; i++) {
      await this.page.keyboard.press('Tab');
      const at = await this.page.evaluate(() => {
        const e = document.activeElement;
        return { tab: window.controls.indexOf(e), shown: e === document.body || getComputedStyle(e).outlineStyle !== 'none' || e.matches('.skip'), html: e.outerHTML.slice(0, 100) };
      });
      if (!at.shown) this.complain(`the focus on ${at.html} is not seen`);
      if (at.tab >= 0) seen.add(at.tab);
    }
    const missed = await this.page.evaluate((list) => list.map((i) => window.controls[i]).filter((e) => e.isConnected).map((e) => e.outerHTML.slice(0, 120)),
      want.filter((i) => !seen.has(i)));
    if (missed.length > 0) this.complain(`${missed.length} of ${want.length} controls are not reached by the keyboard: ${missed.slice(0, 3).join(' ; ')}`);
  }
}
