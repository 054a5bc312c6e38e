// The local test harness: it runs a built module in Node as the agent would, with Extism's kernel and the host functions done here. It knows nothing of
// AssemblyScript, so any module that imports no more of WASI than stderr will do.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";

const text = new TextDecoder();
const bytes = (s) => new TextEncoder().encode(s);

/** A built module. Each call runs in an instance of its own. */
export class Module {
  /** http answers a request, an object as hostfuncs/ABI.md describes it, with a response. log gets each record. */
  constructor(wasm, { http, log } = {}) {
    this.module = new WebAssembly.Module(wasm);
    this.http = http ?? (() => ({ error: { kind: "denied", message: "the test answers no request; give the module an http function" } }));
    this.log = log ?? ((record) => console.error(`${record.level}: ${record.message}`, record.fields ?? {}));
  }

  /** Loads a file. */
  static open(path, options) {
    return new Module(readFileSync(path), options);
  }

  /** Runs one export on input, text or what becomes JSON, and returns its output as text. A failure of the call is thrown, with the guest's own words. */
  call(name, input = "") {
    const call = new Call(this, bytes(typeof input === "string" ? input : JSON.stringify(input)));
    let code;
    try {
      call.instance = new WebAssembly.Instance(this.module, call.imports());
      call.instance.exports._initialize?.();
      code = call.instance.exports[name]();
    } catch (e) {
      throw new Error(`trap: ${e.message}${call.stderr && ` (${call.stderr.trim()})`}`, { cause: e });
    }
    if (code || call.error !== undefined) throw new Error(call.error ?? `${name} returned ${code} without saying why`);
    return call.output ?? "";
  }

  /** Runs decide and returns the proposal. */
  decide(snapshot) {
    return JSON.parse(this.call("decide", snapshot));
  }
}

// One call with its kernel: blocks by offset.
class Call {
  blocks = new Map();
  next = 8n;
  stderr = "";

  constructor(module, input) {
    this.module = module;
    this.input = input;
  }

  put(data) {
    const offset = this.next;
    this.blocks.set(offset, data);
    this.next += BigInt(data.length + 16);
    return offset;
  }

  // The block that an offset lies in, and where in it.
  find(offset) {
    for (const [start, data] of this.blocks) {
      if (offset >= start && offset < start + BigInt(data.length)) return [data, Number(offset - start)];
    }
    throw new RangeError(`no block of the kernel is at ${offset}`);
  }

  read(offset) {
    return text.decode(this.blocks.get(offset) ?? new Uint8Array());
  }

  imports() {
    const view = (data, at, size) => new DataView(data.buffer, data.byteOffset + at, size);
    const at = (offset, size) => view(...this.find(offset), size);
    return {
      "extism:host/env": {
        input_length: () => BigInt(this.input.length),
        input_load_u8: (i) => this.input[Number(i)],
        input_load_u64: (i) => view(this.input, Number(i), 8).getBigUint64(0, true),
        alloc: (n) => this.put(new Uint8Array(Number(n))),
        free: (offset) => void this.blocks.delete(offset),
        length: (offset) => BigInt(this.blocks.get(offset)?.length ?? 0),
        load_u8: (offset) => at(offset, 1).getUint8(0),
        load_u64: (offset) => at(offset, 8).getBigUint64(0, true),
        store_u8: (offset, v) => at(offset, 1).setUint8(0, v),
        store_u64: (offset, v) => at(offset, 8).setBigUint64(0, v, true),
        output_set: (offset, length) => void (this.output = length ? this.read(offset) : ""),
        error_set: (offset) => void (this.error = this.read(offset)),
      },
      millwright: {
        log: (offset) => void this.module.log(JSON.parse(this.read(offset))),
        http_send: (offset) => this.put(bytes(JSON.stringify(this.module.http(JSON.parse(this.read(offset)))))),
      },
      wasi_snapshot_preview1: {
        fd_write: (fd, vectors, count, written) => {
          const memory = new DataView(this.instance.exports.memory.buffer);
          let total = 0;
          for (let i = 0; i < count; i++) {
            const [start, length] = [memory.getUint32(vectors + 8 * i, true), memory.getUint32(vectors + 8 * i + 4, true)];
            this.stderr += text.decode(new Uint8Array(memory.buffer, start, length));
            total += length;
          }
          memory.setUint32(written, total, true);
          return 0;
        },
      },
    };
  }
}

/**
 * Runs a module on every case of a folder, twice each, and throws with all that differ. A file NAME.json, which the tests of all languages share, holds one case
 * or a list: { "about": "two jobs run", "export": "decide", "input": {...}, "output": {...} }. export is decide unless told; instead of output there may be
 * error, a part of the error's text.
 */
export function runCases(module, folder) {
  const wrong = [];
  let count = 0;
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".json")).sort()) {
    for (const one of [JSON.parse(readFileSync(join(folder, file), "utf8"))].flat()) {
      count++;
      const why = check(module, one);
      if (why) wrong.push(`${file}: ${one.about}: ${why}`);
    }
  }
  if (!count) throw new Error(`${folder} holds no case`);
  if (wrong.length) throw new Error(`${wrong.length} of ${count} cases:\n${wrong.join("\n")}`);
}

function check(module, { export: name = "decide", input = null, output, error }) {
  const run = () => {
    try {
      return { output: module.call(name, name === "describe" ? "" : JSON.stringify(input)) };
    } catch (e) {
      return { error: e.message };
    }
  };
  const first = run();
  if (!isDeepStrictEqual(first, run())) return "the same input gave two different outputs";
  if (error !== undefined) return first.error?.includes(error) ? "" : `got ${JSON.stringify(first)}, want the error ${JSON.stringify(error)}`;
  if (first.error !== undefined) return `got the error ${JSON.stringify(first.error)}`;
  return isDeepStrictEqual(JSON.parse(first.output), output) ? "" : `\n got ${first.output}\nwant ${JSON.stringify(output)}`;
}
