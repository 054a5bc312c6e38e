// The vectors of hostfuncs/vectors/codec, and every door of the boundary, with the guest in testdata/codec.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { Module } from "./index.mjs";

const sdk = fileURLToPath(new URL("..", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "millwright-"));
const wasm = process.env.MILLWRIGHT_CODEC_WASM ?? join(work, "codec.wasm"); // built already, or not
const decide = (kind, input) => Module.open(wasm).decide({ config: { kind, input } }).state;
const observe = (kind, input, options) => Module.open(wasm, options).call("observe", { config: { kind, input } });

before(() => process.env.MILLWRIGHT_CODEC_WASM || execFileSync(join(sdk, "build.sh"), [join(sdk, "testdata/codec"), wasm], { stdio: "inherit" }));
after(() => rmSync(work, { recursive: true }));

const vectors = join(sdk, "../../hostfuncs/vectors/codec");
for (const file of readdirSync(vectors)) {
  test(`vectors: ${file}`, () => {
    for (const v of JSON.parse(readFileSync(join(vectors, file), "utf8"))) {
      if (v.valid) assert.equal(decide(v.kind, v.input), v.expect, v.name);
      else assert.throws(() => decide(v.kind, v.input), (e) => !e.message.startsWith("trap"), v.name);
    }
  });
}

test("numbers, there and back", () => {
  const view = new DataView(new ArrayBuffer(8));
  let seed = 1n;
  const metrics = {};
  for (let i = 0; i < 1000; i++) {
    seed = (seed * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    view.setBigUint64(0, seed);
    if (Number.isFinite(view.getFloat64(0))) metrics[`m${String(i).padStart(4, "0")}`] = view.getFloat64(0);
  }
  const text = JSON.stringify({ metrics });
  assert.equal(decide("proposal", text), text);
});

test("host functions", () => {
  const http = (r) => ({ status: 418, body: btoa(`${r.method}: ${atob(r.body)}`) });
  assert.equal(observe("send", "http://a", { http }), '"418 POST: ping"');
  assert.throws(() => observe("send", "http://a"), /^Error: denied: /);
  const records = [];
  assert.equal(observe("log", 'hellö, "agent"', { log: (r) => records.push(r) }), "");
  assert.deepEqual(records, [{ level: "info", message: 'hellö, "agent"', fields: { from: "assemblyscript" } }]);
});

test("failures", () => {
  assert.throws(() => observe("dance", ""), /^Error: no order "dance"$/);
  assert.throws(() => observe("panic", "boom"), /^Error: trap: .*boom/);
  assert.equal(observe("nothing", ""), "");
});
