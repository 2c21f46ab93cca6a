// The servers the page is driven against: the real binary, as a user starts it.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const patience = 180_000; // on a loaded machine; nothing is measured by it

// until asks again and again until the answer is true.
export async function until(what, ask) {
  const end = Date.now() + patience;
  for (;;) {
    const got = await ask();
    if (got) return got;
    if (Date.now() > end) throw new Error(`waited ${patience / 1000} s for ${what}`);
    await new Promise((ok) => setTimeout(ok, 100));
  }
}

// start runs the binary and keeps what it says.
function start(binary, args, cwd) {
  const child = spawn(binary, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const server = { child, said: '', ended: new Promise((ok) => child.once('exit', ok)) };
  for (const out of [child.stdout, child.stderr]) out.on('data', (text) => { server.said += text; });
  server.stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await server.ended;
  };
  return server;
}

// demo is the shop with something broken in it, which asks before it heals.
export async function demo(binary, fault) {
  const server = start(binary, ['demo', '--ask', '--fault', fault]);
  const [, base, tokenFile] = await until('the demo to start', () => {
    if (server.child.exitCode !== null) throw new Error(`the demo ended: ${server.said}`);
    return server.said.match(/open (http:\S+) in a browser; the token is in (\S+)/);
  });
  return { ...server, base, token: readFileSync(tokenFile, 'utf8').trim() };
}

export async function freePorts(n) {
  const held = await Promise.all(Array.from({ length: n }, () => new Promise((ok) => {
    const s = createServer().listen(0, '127.0.0.1', () => ok(s));
  })));
  const ports = held.map((s) => s.address().port);
  await Promise.all(held.map((s) => new Promise((ok) => s.close(ok))));
  return ports;
}

// own is a server of its own that can be restarted at the same address.
// more gives lines for its configuration, told its folder and address.
export async function own(binary, more = () => '') {
  const dir = mkdtempSync(join(tmpdir(), 'homeostat-page-'));
  const [api, grpc, http] = await freePorts(3);
  const config = join(dir, 'homeostat.yaml');
  writeFileSync(config, `data_dir: ${dir}/data\nserver: {listen: "127.0.0.1:${api}"}\notlp: {grpc_listen: "127.0.0.1:${grpc}", http_listen: "127.0.0.1:${http}"}\n${more(dir, `http://127.0.0.1:${api}`)}`);
  const out = { base: `http://127.0.0.1:${api}`, server: null };
  out.up = async () => {
    out.server = start(binary, ['up', '--config', config], dir);
    await until('the server to be ready', async () => {
      if (out.server.child.exitCode !== null) throw new Error(`the server ended: ${out.server.said}`);
      return fetch(`${out.base}/readyz`).then((r) => r.ok, () => false);
    });
    out.token = readFileSync(join(dir, 'data', 'operator.token'), 'utf8').trim();
  };
  out.down = () => out.server.stop();
  out.remove = () => rmSync(dir, { recursive: true, force: true });
  await out.up();
  return out;
}

// call asks the API, as another program would.
export async function call(server, method, path, body) {
  const answer = await fetch(`${server.base}/api/v1${path}`, {
    method, headers: { Authorization: `Bearer ${server.token}`, ...(body ? { 'Content-Type': 'application/json' } : {}) }, body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}
