/**
 * The wire format of Protocol Buffers (protobuf.dev, "Encoding"), as far as etcd's messages use it: variable-length integers, and lengths with bytes. A message that is
 * written is the concatenation of its fields; one that is read is the list of values of each field number. What is not known is passed over, as the format asks for.
 */

const VARINT = 0;
const FIXED_64 = 1;
const LENGTH = 2;
const FIXED_32 = 5;

/** An integer of 64 bits has no more bytes. */
const LONGEST_VARINT_BYTES = 10;

/** The values of a field, in their order. An integer that is no safe one is a bigint. */
export type Fields = ReadonlyMap<number, readonly (number | bigint | Buffer)[]>;

/** A field with an integer that is not negative. */
export function intField(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8 + VARINT), varint(value)]);
}

/** A field with a text, bytes or a message. */
export function bytesField(field: number, value: string | Buffer): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([varint(field * 8 + LENGTH), varint(bytes.length), bytes]);
}

/** The fields of a message. Throws `RangeError` where it is cut short, or an integer has no end. */
export function fieldsOf(bytes: Buffer): Fields {
  const fields = new Map<number, (number | bigint | Buffer)[]>();
  let at = 0;
  const next = (length: number) => {
    if (at + length > bytes.length) throw new RangeError(`a message of ${bytes.length} bytes ends within a field`);
    at += length;
    return bytes.subarray(at - length, at);
  };
  const integer = () => {
    let value = 0n;
    for (let n = 0; n < LONGEST_VARINT_BYTES; n++) {
      const byte = next(1)[0] as number;
      value |= BigInt(byte & 0x7f) << BigInt(7 * n);
      if (byte < 0x80) return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : BigInt.asUintN(64, value);
    }
    throw new RangeError(`an integer has more than ${LONGEST_VARINT_BYTES} bytes`);
  };
  while (at < bytes.length) {
    const tag = Number(integer());
    const [field, type] = [Math.floor(tag / 8), tag % 8];
    let values = fields.get(field);
    if (values === undefined) fields.set(field, (values = []));
    if (type === VARINT) values.push(integer());
    else if (type === LENGTH) values.push(next(Number(integer())));
    else if (type === FIXED_64) next(8);
    else if (type === FIXED_32) next(4);
    else throw new RangeError(`a field of the unknown type ${type}`);
  }
  return fields;
}

/** The last value of an integer field; 0 where it is left out. */
export function intIn(fields: Fields, field: number): number {
  const value = fields.get(field)?.at(-1);
  return value === undefined || Buffer.isBuffer(value) ? 0 : Number(value);
}

/** The identity in an integer field of 64 bits, as etcd's own tools show it. */
export function idIn(fields: Fields, field: number): string {
  const value = fields.get(field)?.at(-1);
  return value === undefined || Buffer.isBuffer(value) ? "0" : BigInt(value).toString(16);
}

export function textIn(fields: Fields, field: number): string {
  const value = fields.get(field)?.at(-1);
  return Buffer.isBuffer(value) ? value.toString() : "";
}

/** The messages in a field. */
export function messagesIn(fields: Fields, field: number): readonly Fields[] {
  return (fields.get(field) ?? []).flatMap((value) => (Buffer.isBuffer(value) ? [fieldsOf(value)] : []));
}

const NOTHING: Fields = new Map();

/** The message in a field; one without fields where it is left out. */
export function messageIn(fields: Fields, field: number): Fields {
  return messagesIn(fields, field).at(-1) ?? NOTHING;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}
