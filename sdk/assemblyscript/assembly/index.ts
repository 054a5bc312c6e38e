// What the author of a scaling policy or a machine driver for Millwright calls in AssemblyScript; see README.md.

export { ABI, fail, unknownFields } from "./call";
export * from "./description";
export * from "./group";
export { httpSend, log } from "./host";
export * from "./instance";
export * from "./proposal";
export { Driver, Policy, registerDriver, registerPolicy } from "./register";
export * from "./request";
export { ABSENT, Shape } from "./shape";
export * from "./snapshot";
export { Kind, Value } from "./value";
export { Writer } from "./write";
export * from "./read";
export { Parser } from "./parse";
export { formatFloat, parseFloat64 } from "./number";
