// Natural numbers of any size, as far as reading and writing of float64 needs them. Operations change the number and return it.

export class Big {
  // 32 bits each, the lowest first, none of them a leading zero.
  private words: Array<u32> = [];

  static of(n: u64): Big {
    const out = new Big();
    for (; n; n >>= 32) out.words.push(<u32>n);
    return out;
  }

  static ofDigits(digits: string): Big {
    const out = new Big();
    for (let i = 0; i < digits.length; i++) {
      out.timesSmall(10);
      out.plus(Big.of(digits.charCodeAt(i) - 0x30));
    }
    return out;
  }

  clone(): Big {
    const out = new Big();
    out.words = this.words.slice(0);
    return out;
  }

  bits(): i32 {
    const n = this.words.length;
    return n ? n * 32 - <i32>clz(this.words[n - 1]) : 0;
  }

  /** Less than 0, 0, or more, as this is less than, the same as, or more than other. */
  compare(other: Big): i32 {
    if (this.words.length != other.words.length) return this.words.length - other.words.length;
    for (let i = this.words.length - 1; i >= 0; i--) {
      if (this.words[i] != other.words[i]) return this.words[i] < other.words[i] ? -1 : 1;
    }
    return 0;
  }

  plus(other: Big): Big {
    let carry: u64 = 0;
    const n = max(this.words.length, other.words.length);
    for (let i = 0; i < n; i++) {
      if (i == this.words.length) this.words.push(0);
      carry += <u64>this.words[i] + (i < other.words.length ? other.words[i] : 0);
      this.words[i] = <u32>carry;
      carry >>= 32;
    }
    if (carry) this.words.push(<u32>carry);
    return this;
  }

  /** other must not be larger. */
  minus(other: Big): Big {
    let borrow: i64 = 0;
    for (let i = 0; i < this.words.length; i++) {
      borrow += <i64>this.words[i] - (i < other.words.length ? <i64>other.words[i] : 0);
      this.words[i] = <u32>borrow;
      borrow >>= 32;
    }
    while (this.words.length && !this.words[this.words.length - 1]) this.words.pop();
    return this;
  }

  timesSmall(n: u32): Big {
    let carry: u64 = 0;
    for (let i = 0; i < this.words.length; i++) {
      carry += <u64>this.words[i] * n;
      this.words[i] = <u32>carry;
      carry >>= 32;
    }
    if (carry) this.words.push(<u32>carry);
    return this;
  }

  times(other: Big): Big {
    const out = new Big();
    for (let i = other.words.length - 1; i >= 0; i--) {
      if (out.words.length) out.words.unshift(0);
      out.plus(this.clone().timesSmall(other.words[i]));
    }
    this.words = out.words;
    return this;
  }

  /** Multiplies by base to the power of exponent; base is 2 or 10. */
  timesPower(base: u32, exponent: i32): Big {
    if (base == 10) {
      for (let left = exponent; left > 0; left -= 9) this.timesSmall(left >= 9 ? 1000000000 : power10(left));
      return this;
    }
    if (!this.words.length) return this;
    const bits = exponent & 31;
    if (bits) this.timesSmall(1 << bits);
    const whole = exponent >> 5;
    if (whole) {
      const shifted = new Array<u32>(whole);
      for (let i = 0; i < this.words.length; i++) shifted.push(this.words[i]);
      this.words = shifted;
    }
    return this;
  }
}

function power10(n: i32): u32 {
  let out: u32 = 1;
  for (; n > 0; n--) out *= 10;
  return out;
}
