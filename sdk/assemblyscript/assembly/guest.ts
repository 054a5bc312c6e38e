// The boundary to the host: Extism's kernel, the host functions of Millwright, and WASI's stderr.
//
// A block of the kernel's memory is named by an offset that the kernel chose; it is read and written through the kernel, eight bytes or one at a time.

@external("extism:host/env", "input_length") declare function input_length(): u64;
@external("extism:host/env", "input_load_u8") declare function input_load_u8(at: u64): u32;
@external("extism:host/env", "input_load_u64") declare function input_load_u64(at: u64): u64;
@external("extism:host/env", "output_set") declare function output_set(offset: u64, length: u64): void;
@external("extism:host/env", "error_set") declare function error_set(offset: u64): void;
@external("extism:host/env", "alloc") declare function kernel_alloc(length: u64): u64;
@external("extism:host/env", "free") declare function kernel_free(offset: u64): void;
@external("extism:host/env", "length") declare function kernel_length(offset: u64): u64;
@external("extism:host/env", "load_u8") declare function load_u8(offset: u64): u32;
@external("extism:host/env", "load_u64") declare function load_u64(offset: u64): u64;
@external("extism:host/env", "store_u8") declare function store_u8(offset: u64, v: u32): void;
@external("extism:host/env", "store_u64") declare function store_u64(offset: u64, v: u64): void;
@external("millwright", "log") declare function host_log(record: u64): void;
@external("millwright", "http_send") declare function host_http_send(request: u64): u64;
@external("wasi_snapshot_preview1", "fd_write") declare function fd_write(fd: i32, vectors: usize, count: i32, written: usize): i32;

/** The input of the call. */
export function input(): string {
  const length = <i32>input_length();
  const data = new ArrayBuffer(length);
  const to = changetype<usize>(data);
  let at = 0;
  for (; at + 8 <= length; at += 8) store<u64>(to + at, input_load_u64(at));
  for (; at < length; at++) store<u8>(to + at, <u8>input_load_u8(at));
  return String.UTF8.decode(data);
}

/** Gives the output of the call. */
export function output(text: string): void {
  const block = put(text);
  output_set(block, kernel_length(block)); // and the kernel keeps the block
}

/** Makes the call a failure. */
export function failure(text: string): void {
  error_set(put(text.length ? text : "failed without a reason"));
}

export function sendLog(record: string): void {
  const block = put(record);
  host_log(block);
  kernel_free(block);
}

export function sendHttp(request: string): string {
  const block = put(request);
  const answer = host_http_send(block);
  kernel_free(block);
  const length = <i32>kernel_length(answer);
  const data = new ArrayBuffer(length);
  const to = changetype<usize>(data);
  let at = 0;
  for (; at + 8 <= length; at += 8) store<u64>(to + at, load_u64(answer + at));
  for (; at < length; at++) store<u8>(to + at, <u8>load_u8(answer + at));
  kernel_free(answer);
  return String.UTF8.decode(data);
}

// Copies text into a new block of the kernel. Half of a surrogate pair becomes U+FFFD.
function put(text: string): u64 {
  const data = String.UTF8.encode(text, false, String.UTF8.ErrorMode.REPLACE);
  const from = changetype<usize>(data);
  const length = data.byteLength;
  const block = kernel_alloc(length);
  let at = 0;
  for (; at + 8 <= length; at += 8) store_u64(block + at, load<u64>(from + at));
  for (; at < length; at++) store_u8(block + at, load<u8>(from + at));
  return block;
}

/** What throw, a failed assertion, an index out of range and the like end in: the text goes to stderr, which the host shows, and the guest traps. */
export function lastWords(message: string | null, file: string | null, line: u32, column: u32): void {
  const what = message === null ? "aborted" : message;
  const where = file === null ? "" : " at " + file + ":" + line.toString() + ":" + column.toString();
  const data = String.UTF8.encode("panic: " + what + where + "\n");
  const vector = new StaticArray<usize>(3); // start, length; then what was written
  vector[0] = changetype<usize>(data);
  vector[1] = data.byteLength;
  fd_write(2, changetype<usize>(vector), 1, changetype<usize>(vector) + 2 * sizeof<usize>());
  unreachable();
}
