// Base64 with the standard alphabet and padding. Source: RFC 4648, section 4.

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

export function encodeBase64(bytes: Uint8Array): string {
  const out = new StaticArray<u16>(((bytes.length + 2) / 3) * 4);
  let at = 0;
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const word = (<u32>bytes[i] << 16) | (left > 1 ? <u32>bytes[i + 1] << 8 : 0) | (left > 2 ? <u32>bytes[i + 2] : 0);
    out[at++] = <u16>ALPHABET.charCodeAt(word >> 18);
    out[at++] = <u16>ALPHABET.charCodeAt((word >> 12) & 63);
    out[at++] = left > 1 ? <u16>ALPHABET.charCodeAt((word >> 6) & 63) : 0x3d;
    out[at++] = left > 2 ? <u16>ALPHABET.charCodeAt(word & 63) : 0x3d;
  }
  return String.UTF16.decodeUnsafe(changetype<usize>(out), <usize>at << 1);
}

/** Returns null for what is no base64 with its padding. */
export function decodeBase64(text: string): Uint8Array | null {
  if (text.length % 4) return null;
  let padding = 0;
  while (padding < text.length && text.charCodeAt(text.length - 1 - padding) == 0x3d) padding++;
  if (padding > 2) return null;
  const out = new Uint8Array((text.length / 4) * 3 - padding);
  let word: u32 = 0;
  let at = 0;
  for (let i = 0; i < text.length - padding; i++) {
    const digit = valueOf(text.charCodeAt(i));
    if (digit < 0) return null;
    word = (word << 6) | digit;
    if (i % 4 != 3) continue;
    out[at++] = <u8>(word >> 16);
    out[at++] = <u8>(word >> 8);
    out[at++] = <u8>word;
  }
  if (padding == 1) {
    out[at++] = <u8>(word >> 10);
    out[at] = <u8>(word >> 2);
  } else if (padding == 2) {
    out[at] = <u8>(word >> 4);
  }
  return out;
}

function valueOf(c: i32): i32 {
  if (c >= 0x41 && c <= 0x5a) return c - 0x41;
  if (c >= 0x61 && c <= 0x7a) return c - 0x61 + 26;
  if (c >= 0x30 && c <= 0x39) return c - 0x30 + 52;
  return c == 0x2b ? 62 : c == 0x2f ? 63 : -1;
}
