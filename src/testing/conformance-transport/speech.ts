import type { TestNode } from "./scene.ts";

/** What a dialler says first, in bytes that a test can spoil. Written by itself, from the format's description: a suite that used the transport's own encoder would agree with it in every mistake. */
export interface SpokenHello {
  readonly group: string;
  readonly node: string;
  readonly incarnation: string;
  readonly address: string;
  readonly to: string;
}

/** A hello of somebody to an endpoint. */
export function helloFor(from: { readonly group: string; readonly node: string; readonly incarnation: string; readonly address: string }, to: TestNode): SpokenHello {
  return { ...from, to: to.identity.incarnation };
}

/** As bytes of version 1. */
export function encodeHello(hello: SpokenHello): Uint8Array {
  const text = (value: string) => [value.length, ...Buffer.from(value)];
  const number = (value: number) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
  const fields = [
    ...text(hello.group),
    ...text(hello.node),
    ...text(hello.incarnation),
    ...text(hello.address),
    ...[2 ** 24, 2 ** 20, 2 ** 25, 1_000].flatMap(number),
    ...text(hello.to),
    ...text("0123456789abcdef"),
    ...text(""),
  ];
  return Uint8Array.from([...Buffer.from("TRBN"), 1, 1, ...number(fields.length), 1, 0, ...fields]);
}
