import { Value } from "./value";
import { Writer } from "./write";

/** The integer that stands for an absent one, where absent and 0 differ. */
export const ABSENT: i64 = i64.MIN_VALUE;

/** What is read from a JSON object, written as one, or both. A new one has the zero value of each field. */
export class Shape {
  /** Reads the members of an object, with the functions of read.ts. */
  read(o: Value): void {}

  /** Writes the members of an object. */
  write(w: Writer): void {}
}
