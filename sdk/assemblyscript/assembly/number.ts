// Numbers to text and back, exactly: the shortest text that gives the same number again, and the number nearest to a text, ties to even.
// The language's own parseFloat and toString are not exact.

import { Big } from "./big";

// Powers of ten that a float64 holds exactly.
const TENS: f64[] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22];

// More digits than decide how any number is rounded; what comes after them counts as a single 1.
const MOST_DIGITS = 800;

/** Tells whether a JSON number, length code units in memory, is an integer without fraction and exponent that an i64 holds. */
export function isInteger(start: usize, length: i32): bool {
  const negative = length > 0 && load<u16>(start) == 0x2d;
  if (length - (negative ? 1 : 0) > 19) return false;
  let n: u64 = 0;
  for (let i = negative ? 1 : 0; i < length; i++) {
    const c = <u32>load<u16>(start + (<usize>i << 1)) - 0x30;
    if (c > 9) return false;
    n = n * 10 + c; // 19 digits fit
  }
  return n <= (<u64>i64.MAX_VALUE) + (negative ? 1 : 0);
}

/** Such an integer. */
export function integerOf(start: usize, length: i32): i64 {
  const negative = load<u16>(start) == 0x2d;
  let n: i64 = 0;
  for (let i = negative ? 1 : 0; i < length; i++) n = n * 10 + load<u16>(start + (<usize>i << 1)) - 0x30;
  return negative ? -n : n;
}

/** A JSON number of few digits and without exponent, which most are, length code units in memory; NaN of any other. */
export function shortFloat(start: usize, length: i32): f64 {
  if (length > 16) return NaN;
  let n: i64 = 0;
  let digits = 0;
  let places = -1;
  for (let i = load<u16>(start) == 0x2d ? 1 : 0; i < length; i++) {
    const c = <u32>load<u16>(start + (<usize>i << 1));
    if (c == 0x2e) places = digits;
    else if (c - 0x30 > 9) return NaN;
    else {
      n = n * 10 + c - 0x30;
      digits++;
    }
  }
  const size = places < 0 ? <f64>n : <f64>n / TENS[digits - places]; // both are exact, and so their quotient is rounded once
  return load<u16>(start) == 0x2d && n ? -size : size;
}

/** Reads a number that is written as JSON writes one. Beyond all bounds it is infinite. Zero is never negative. */
export function parseFloat64(text: string): f64 {
  let digits = "";
  let point: i32 = 0; // digits after the point
  let exponent: i32 = 0;
  let negative = false;
  let fraction = false;
  let rest = false; // something that is not zero was left out
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c == 0x2d) negative = true;
    else if (c == 0x2e) fraction = true;
    else if (c == 0x65 || c == 0x45) {
      exponent = readExponent(text, i + 1);
      break;
    } else if (digits.length >= MOST_DIGITS) {
      rest = rest || c != 0x30;
      if (!fraction) point--;
    } else {
      if (fraction) point++;
      if (c != 0x30 || digits.length) digits += String.fromCharCode(c);
    }
  }
  if (!digits.length) return 0;
  if (rest) {
    digits += "1";
    point++;
  }
  const size = nearest(digits, exponent - point);
  return negative && size != 0 ? -size : size;
}

// Far enough out it makes no difference.
function readExponent(text: string, at: i32): i32 {
  let n = 0;
  const negative = text.charCodeAt(at) == 0x2d;
  if (negative || text.charCodeAt(at) == 0x2b) at++;
  for (; at < text.length; at++) n = min(n * 10 + text.charCodeAt(at) - 0x30, 1000000);
  return negative ? -n : n;
}

// The float64 nearest to digits times ten to the power of exponent.
function nearest(digits: string, exponent: i32): f64 {
  if (digits.length <= 15 && abs(exponent) <= 22) {
    const n = <f64>I64.parseInt(digits);
    return exponent < 0 ? n / TENS[-exponent] : n * TENS[exponent];
  }
  const magnitude = digits.length + exponent;
  if (magnitude > 310) return Infinity;
  if (magnitude < -330) return 0;
  const over = Big.ofDigits(digits);
  const under = Big.of(1);
  if (exponent > 0) over.timesPower(10, exponent);
  else under.timesPower(10, -exponent);

  // over / under = q * 2^-shift, with q of 53 bits, or of fewer where numbers are subnormal.
  let shift = 53 - (over.bits() - under.bits());
  if (shift > 1074) shift = 1074;
  let q = quotient(over, under, shift);
  if (q >> 53) {
    shift--;
    q = quotient(over, under, shift);
  }
  const twice = remainder(over, under, shift, q).timesPower(2, 1);
  const order = twice.compare(scaled(under, -shift));
  if (order > 0 || (order == 0 && (q & 1))) q++;
  if (q == 0) return 0;
  if (q >> 53) {
    q >>= 1;
    shift--;
  }
  if (shift < -971) return Infinity;
  const subnormal = q < (<u64>1) << 52;
  const biased: u64 = subnormal ? 0 : <u64>(1075 - shift);
  return reinterpret<f64>((biased << 52) | (q & 0xfffffffffffff));
}

// n times 2^shift, or n itself for a negative one.
function scaled(n: Big, shift: i32): Big {
  const out = n.clone();
  return shift > 0 ? out.timesPower(2, shift) : out;
}

// floor(over * 2^shift / under), below 2^55.
function quotient(over: Big, under: Big, shift: i32): u64 {
  const left = scaled(over, shift);
  const right = scaled(under, -shift).timesPower(2, 54);
  let q: u64 = 0;
  for (let bit = 54; bit >= 0; bit--) {
    q <<= 1;
    if (left.compare(right) >= 0) {
      left.minus(right);
      q |= 1;
    }
    left.timesSmall(2);
  }
  return q;
}

function remainder(over: Big, under: Big, shift: i32, q: u64): Big {
  const left = scaled(over, shift);
  return left.minus(scaled(under, -shift).times(Big.of(q)));
}

/** Writes a finite number with the fewest digits that give it again, with an exponent below 1e-6 and from 1e21 on, as ECMAScript does. */
export function formatFloat(n: f64): string {
  if (n == 0) return "0"; // and not -0
  if (n < 0) return "-" + formatFloat(-n);
  let point = 0; // digits before the point
  let digits = "";
  for (let places = 0; places <= 15; places++) {
    const whole = nearestInteger(n * TENS[places]);
    if (whole >= 1e15) break;
    if (whole >= 1 && whole / TENS[places] == n) { // one number of up to 15 digits at most gives n again
      digits = (<i64>whole).toString();
      point = digits.length - places;
      break;
    }
  }
  if (!digits.length) {
    const exact = shortest(n);
    digits = exact.digits;
    point = exact.point;
  }
  let end = digits.length;
  while (end > 1 && digits.charCodeAt(end - 1) == 0x30) end--;
  return arrange(digits.substring(0, end), point, n);
}

function nearestInteger(n: f64): f64 {
  return Math.floor(n + 0.5);
}

function arrange(digits: string, point: i32, n: f64): string {
  if (n < 1e-6 || n >= 1e21) {
    const fraction = digits.length > 1 ? "." + digits.substring(1) : "";
    return digits.charAt(0) + fraction + (point > 0 ? "e+" : "e-") + abs(point - 1).toString();
  }
  if (point <= 0) return "0." + "0".repeat(-point) + digits;
  if (point >= digits.length) return digits + "0".repeat(point - digits.length);
  return digits.substring(0, point) + "." + digits.substring(point);
}

class Decimal {
  constructor(public digits: string, public point: i32) {}
}

// The shortest digits by exact arithmetic. Source: Steele and White, "How to print floating-point numbers accurately", 1990.
function shortest(n: f64): Decimal {
  const bits = reinterpret<u64>(n);
  const biased = <i32>(bits >> 52);
  const low = bits & 0xfffffffffffff;
  const mantissa = biased ? low | ((<u64>1) << 52) : low;
  const exponent = (biased ? biased : 1) - 1075;
  const narrow = low == 0 && biased > 1; // the number below is only half as far away
  const even = (mantissa & 1) == 0;

  // n = r / s; up and down are half of the ways to the neighbours, over s.
  const r = Big.of(mantissa).timesPower(2, max(exponent, 0) + (narrow ? 2 : 1));
  const s = Big.of(1).timesPower(2, max(-exponent, 0) + (narrow ? 2 : 1));
  const down = Big.of(1).timesPower(2, max(exponent, 0));
  const up = down.clone().timesPower(2, narrow ? 1 : 0);

  let point = <i32>Math.ceil(Math.log10(n) - 1e-10);
  if (point > 0) s.timesPower(10, point);
  else {
    r.timesPower(10, -point);
    up.timesPower(10, -point);
    down.timesPower(10, -point);
  }
  const top = r.clone().plus(up).compare(s);
  if (top > 0 || (top == 0 && even)) point++;
  else {
    r.timesSmall(10);
    up.timesSmall(10);
    down.timesSmall(10);
  }
  let digits = "";
  while (true) {
    let digit = 0;
    while (r.compare(s) >= 0) {
      r.minus(s);
      digit++;
    }
    const below = r.compare(down);
    const above = r.clone().plus(up).compare(s);
    const lowEnough = below < 0 || (below == 0 && even);
    const highEnough = above > 0 || (above == 0 && even);
    if (lowEnough || highEnough) {
      const half = r.clone().timesSmall(2).compare(s);
      if (highEnough && (!lowEnough || half > 0 || (half == 0 && (digit & 1)))) digit++;
      return new Decimal(digits + digit.toString(), point);
    }
    digits += digit.toString();
    r.timesSmall(10);
    up.timesSmall(10);
    down.timesSmall(10);
  }
}
